import { levelOf } from "./waveform.ts";

/** Bars of the level that are kept to be drawn. */
const LEVELS_MAX = 64;
const LEVEL_EVERY_MS = 80;
/** A recording ends by itself after this. */
export const LENGTH_MAX_MS = 30 * 60_000;
/** Speech in Opus is clear at this. */
const BITS_PER_SECOND = 32_000;
const TYPES = ["audio/webm;codecs=opus", "audio/mp4", "audio/ogg;codecs=opus"] as const;

/** One recording from a microphone, from asking for it to its file. */
export class Recording {
  state = $state<"asking" | "denied" | "running" | "paused" | "ended">("asking");
  /** Milliseconds that are recorded. */
  elapsed = $state(0);
  /** Loudness, 0 to 1 each; the newest last. */
  levels = $state.raw<readonly number[]>([]);
  #recorder: MediaRecorder | undefined;
  #stream: MediaStream | undefined;
  #audio: AudioContext | undefined;
  #timer: ReturnType<typeof setInterval> | undefined;
  #chunks: Blob[] = [];
  #gone = false;

  async start(): Promise<void> {
    try {
      const stream = await navigator.mediaDevices.getUserMedia({ audio: { echoCancellation: true, noiseSuppression: true } });
      this.#stream = stream;
      // It was given up while the browser asked.
      if (this.#gone) return this.#release();
      const mimeType = TYPES.find((type) => MediaRecorder.isTypeSupported(type));
      const recorder = new MediaRecorder(stream, { ...(mimeType ? { mimeType } : {}), audioBitsPerSecond: BITS_PER_SECOND });
      this.#recorder = recorder;
      recorder.addEventListener("dataavailable", ({ data }) => {
        if (data.size > 0) this.#chunks.push(data);
      });
      this.#listen(stream);
      recorder.start(1_000);
      this.state = "running";
    } catch {
      this.#release();
      this.state = "denied";
    }
  }

  #listen(stream: MediaStream): void {
    const audio = new AudioContext();
    const analyser = audio.createAnalyser();
    analyser.fftSize = 1024;
    audio.createMediaStreamSource(stream).connect(analyser);
    const samples = new Float32Array(analyser.fftSize);
    let last = performance.now();
    this.#audio = audio;
    this.#timer = setInterval(() => {
      const now = performance.now();
      const passed = now - last;
      last = now;
      if (this.state !== "running") return;
      this.elapsed += passed;
      analyser.getFloatTimeDomainData(samples);
      this.levels = [...this.levels, levelOf(samples)].slice(-LEVELS_MAX);
      if (this.elapsed >= LENGTH_MAX_MS) this.pause();
    }, LEVEL_EVERY_MS);
  }

  pause(): void {
    if (this.#recorder?.state !== "recording") return;
    this.#recorder.pause();
    this.state = "paused";
  }

  resume(): void {
    if (this.#recorder?.state !== "paused" || this.elapsed >= LENGTH_MAX_MS) return;
    this.#recorder.resume();
    this.state = "running";
  }

  /** Ends it; the file, or nothing when there is none. */
  async finish(): Promise<{ blob: Blob; type: string; durationMs: number } | undefined> {
    const recorder = this.#recorder;
    if (this.#gone || !recorder || recorder.state === "inactive") return undefined;
    this.#gone = true;
    const stopped = new Promise((resolve) => recorder.addEventListener("stop", resolve, { once: true }));
    recorder.stop();
    await stopped;
    this.#release();
    this.state = "ended";
    // Without the codec, which some players do not know behind the type.
    const type = recorder.mimeType.split(";")[0] || "audio/webm";
    if (this.#chunks.length === 0) return undefined;
    return { blob: new Blob(this.#chunks, { type }), type, durationMs: Math.round(this.elapsed) };
  }

  /** Ends it and forgets what was recorded. */
  discard(): void {
    this.#gone = true;
    if (this.#recorder && this.#recorder.state !== "inactive") this.#recorder.stop();
    this.#chunks = [];
    this.#release();
    this.state = "ended";
  }

  #release(): void {
    clearInterval(this.#timer);
    for (const track of this.#stream?.getTracks() ?? []) track.stop();
    void this.#audio?.close().catch(() => undefined);
    this.#audio = undefined;
  }
}

/** The leader's half of uploads: files from the database to the server, resuming where they were. */
import type { RunningUpload, UploadOptions } from "../protocol/media.ts";
import type { Database } from "./database.ts";
import type { UploadRow } from "./rows.ts";

/** Files on their way at a time. */
const AT_ONCE_MAX = 2;
/** The database learns of progress at most this often, in milliseconds; tabs are told of each step. */
const WRITE_EVERY_MS = 1_000;
/** What did not work for a reason that passes is tried again after this, in milliseconds; then after twice as long. */
const AGAIN_AFTER_MS = 30_000;
/** At last, and for ever, it is tried this often, in milliseconds: nobody may be there to ask for it. */
const AGAIN_AFTER_MAX_MS = 300_000;
/** Reasons that pass by themselves, also while the connection lives. A token is renewed now and then. */
const PASSING = new Set(["internal", "offline", "overloaded", "rate_limited", "unauthorized", "unavailable"]);

/** Carries a file to the server. */
export type Carrier = (options: UploadOptions) => RunningUpload;

export interface UploadsPorts {
  readonly db: Database;
  readonly base: string;
  token(): string | undefined;
  /** A chunk of its own, which may have to be fetched: most pages never upload anything. */
  carrier(): Promise<Carrier>;
  changed(keys: string[]): void;
  progress(upload: string, sent: number): void;
  /** A file is there: messages may wait for it. */
  done(): void;
}

export class Uploads {
  readonly #running = new Map<string, RunningUpload>();
  #turn: Promise<void> = Promise.resolve();
  /** Until it ends, what did not work rests. */
  #rest: ReturnType<typeof setTimeout> | undefined;
  /** How long the next such rest is, in milliseconds. */
  #restMs = AGAIN_AFTER_MS;
  #isOpen = false;
  #isStopped = false;

  constructor(private readonly ports: UploadsPorts) {}

  stop(): void {
    this.#isStopped = true;
    this.#endRest();
    for (const one of this.#running.values()) one.pause();
    this.#running.clear();
  }

  connected(): void {
    this.#isOpen = true;
    this.#endRest();
    this.reload();
  }

  disconnected(): void {
    this.#isOpen = false;
  }

  /** There may be new ones, or some that were cancelled. */
  reload(): void {
    this.#turn = this.#turn.then(() => this.#look()).catch(() => {});
  }

  pause(key: string): void {
    this.#running.get(key)?.pause();
    this.#running.delete(key);
    void this.#write(key, { state: "paused" }).then(() => this.reload());
  }

  resume(key: string): void {
    void this.#write(key, { state: "waiting" }, ["code"]).then(() => this.reload());
  }

  cancel(key: string): void {
    this.#running.get(key)?.cancel();
    this.#running.delete(key);
    this.reload();
  }

  async #look(): Promise<void> {
    if (!this.#isOpen || this.#isStopped) return;
    const rows = await this.ports.db.getAll("uploads");
    const known = new Map(rows.map((row) => [row.key, row]));
    for (const [key, one] of this.#running) {
      const row = known.get(key);
      if (row && row.state !== "paused") continue;
      if (row) one.pause();
      else one.cancel();
      this.#running.delete(key);
    }
    for (const row of rows.sort((a, b) => a.ts - b.ts)) {
      if (this.#running.size >= AT_ONCE_MAX) return;
      // Only of what did not work a reason is known.
      const isResting = this.#rest !== undefined && row.code !== undefined;
      if (isDue(row) && !isResting && !this.#running.has(row.key)) await this.#begin(row);
    }
  }

  async #begin(row: UploadRow): Promise<void> {
    let upload: Carrier;
    try {
      upload = await this.ports.carrier();
    } catch {
      await this.#failed(row.key, "offline");
      return;
    }
    // That may have taken its time.
    const now = await this.ports.db.get("uploads", row.key);
    if (this.#isStopped || !now || !isDue(now)) return;
    this.#run(now, upload);
    await this.#write(row.key, { state: "uploading" }, ["code"], isDue);
  }

  #run(row: UploadRow, upload: Carrier): void {
    let written = 0;
    const running = upload({
      base: this.ports.base,
      token: () => this.ports.token(),
      blob: row.blob,
      name: row.name,
      type: row.type,
      ...(row.original ? { original: true } : {}),
      ...(row.location === undefined ? {} : { location: row.location }),
      onLocation: (location) => void this.#write(row.key, { location }),
      onProgress: (sent) => {
        this.ports.progress(row.key, sent);
        if (Date.now() - written < WRITE_EVERY_MS) return;
        written = Date.now();
        void this.#write(row.key, { sent });
      },
      onDone: (media) => {
        this.#running.delete(row.key);
        this.#restMs = AGAIN_AFTER_MS;
        void this.#write(row.key, { state: "done", media, sent: row.size }).then(() => {
          this.ports.done();
          this.reload();
        });
      },
      onFailure: (code) => {
        this.#running.delete(row.key);
        void this.#failed(row.key, code).then(() => this.reload());
      },
    });
    this.#running.set(row.key, running);
  }

  async #failed(key: string, code: string): Promise<void> {
    const isPassing = PASSING.has(code);
    if (isPassing) this.#later();
    await this.#write(key, { state: isPassing ? "waiting" : "failed", code });
  }

  /** One timer for all that wait. */
  #later(): void {
    if (this.#isStopped) return;
    this.#rest ??= setTimeout(() => {
      this.#rest = undefined;
      this.#restMs = Math.min(2 * this.#restMs, AGAIN_AFTER_MAX_MS);
      this.reload();
    }, this.#restMs);
  }

  #endRest(): void {
    clearTimeout(this.#rest);
    this.#rest = undefined;
    this.#restMs = AGAIN_AFTER_MS;
  }

  async #write(
    key: string,
    change: Partial<UploadRow>,
    without: (keyof UploadRow)[] = [],
    isStill: (row: UploadRow) => boolean = () => true,
  ): Promise<void> {
    const tx = this.ports.db.transaction("uploads", "readwrite");
    const row = await tx.store.get(key);
    if (row && isStill(row)) {
      const next = { ...row, ...change };
      for (const field of without) delete next[field];
      await tx.store.put(next);
    }
    await tx.done;
    if (row) this.ports.changed([key]);
  }
}

function isDue({ state }: UploadRow): boolean {
  return state === "waiting" || state === "uploading";
}

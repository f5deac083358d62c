/** Values of a waveform, as many as servers tell. */
const PEAKS = 96;
/** Longer files are played without being looked at first. */
export const BYTES_MAX = 2_000_000;

/** How loud each part of a recording is, 0 to 255. */
export function peaksOf(samples: Float32Array, count = PEAKS): number[] {
  const length = Math.min(count, samples.length);
  return Array.from({ length }, (_, index) => {
    const from = Math.floor((index * samples.length) / length);
    const to = Math.floor(((index + 1) * samples.length) / length);
    let peak = 0;
    for (let at = from; at < to; at += 1) peak = Math.max(peak, Math.abs(samples[at] ?? 0));
    return Math.round(Math.min(1, peak) * 255);
  });
}

/** The waveform of a recording that the server did not look into. Throws when the browser cannot decode it. */
export async function waveformOf(file: ArrayBuffer): Promise<number[]> {
  // The rate at which it is decoded; a sixth of the usual one, and enough for bars.
  const context = new OfflineAudioContext(1, 1, 8_000);
  const audio = await context.decodeAudioData(file);
  return peaksOf(audio.getChannelData(0));
}

/** How many bars a recording is drawn with. */
export const BARS = 48;
/** The lowest bar, as a part of the highest: silence is seen too. */
const FLOOR = 0.12;

/** Loudness from 0 to 255 as so many bars from 0 to 1; without any, bars that say nothing. */
export function barsOf(waveform: readonly number[] | undefined, count = BARS): number[] {
  if (!waveform || waveform.length === 0) return Array.from({ length: count }, () => 0.3);
  const loudest = Math.max(1, ...waveform.slice(0, 10_000));
  return Array.from({ length: count }, (_, index) => {
    const from = Math.floor((index * waveform.length) / count);
    const to = Math.max(from + 1, Math.floor(((index + 1) * waveform.length) / count));
    const peak = Math.max(...waveform.slice(from, to).map((value) => Math.min(255, Math.max(0, value))));
    return Math.max(FLOOR, peak / loudest);
  });
}

/** How loud samples of -1 to 1 are, as a bar of 0 to 1; speech fills it about. */
export function levelOf(samples: Float32Array): number {
  let sum = 0;
  for (const sample of samples) sum += sample * sample;
  const rms = Math.sqrt(sum / Math.max(1, samples.length));
  return Math.min(1, Math.max(FLOOR, rms * 5));
}

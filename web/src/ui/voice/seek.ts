const STEP_MS = 5_000;
const LEAP_MS = 15_000;

/** Where a key leads in a recording; undefined for a key that leads nowhere. All in milliseconds. */
export function seekTo(key: string, position: number, length: number, isRtl: boolean): number | undefined {
  const forwards = isRtl ? -STEP_MS : STEP_MS;
  const places: Partial<Record<string, number>> = {
    ArrowRight: position + forwards,
    ArrowLeft: position - forwards,
    ArrowUp: position + STEP_MS,
    ArrowDown: position - STEP_MS,
    PageUp: position + LEAP_MS,
    PageDown: position - LEAP_MS,
    Home: 0,
    End: length,
  };
  const place = places[key];
  return place === undefined ? undefined : Math.min(length, Math.max(0, place));
}

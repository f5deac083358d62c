/** The largest box, in CSS pixels, that one picture of a message gets. */
const WIDTH_MAX = 360;
const HEIGHT_MAX = 360;
/** Pictures that are longer than this on a side are cropped in their tile. */
const RATIO_MAX = 3;

export interface Box {
  /** CSS pixels; the tile gets narrower with its message, and keeps its ratio. */
  readonly width: number;
  readonly ratio: number;
}

/** The box of a picture before it is loaded, so that nothing moves when it comes. */
export function boxOf(width: number | undefined, height: number | undefined): Box {
  const known = width !== undefined && height !== undefined && width > 0 && height > 0;
  const ratio = known ? Math.min(RATIO_MAX, Math.max(1 / RATIO_MAX, width / height)) : 4 / 3;
  const wanted = Math.min(WIDTH_MAX, HEIGHT_MAX * ratio, known ? Math.max(width, 120) : WIDTH_MAX);
  return { width: Math.round(wanted), ratio };
}

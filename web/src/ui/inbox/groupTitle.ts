const BYTES_MAX = 256;

/** Whether the server takes this title of a group. */
export function titleFits(title: string): boolean {
  const bytes = new TextEncoder().encode(title.trim()).length;
  return bytes > 0 && bytes <= BYTES_MAX;
}

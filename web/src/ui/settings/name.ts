/** What the server takes as a name, in bytes of UTF-8. */
export const NAME_BYTES_MAX = 128;

/** A name as it is kept, or nothing when it is none. */
export function nameOf(typed: string): string | undefined {
  const name = typed.trim();
  const bytes = new TextEncoder().encode(name).length;
  return bytes >= 1 && bytes <= NAME_BYTES_MAX ? name : undefined;
}

/** What messages say of files. The server stores any object there: only what makes sense is let through. */
import type { MediaReference } from "./api.ts";

/** What a message may have, by the contract. */
const FILES_MAX = 20;
const NAME_MAX = 255;
const TYPE_MAX = 128;
const ALT_MAX = 1_000;
/** A ThumbHash is 25 bytes, which are 36 characters. */
const PLACEHOLDER_MAX = 64;

export function references(said: unknown): MediaReference[] {
  if (!Array.isArray(said)) return [];
  return said.slice(0, FILES_MAX).flatMap((one: unknown) => reference(one) ?? []);
}

function reference(said: unknown): MediaReference | undefined {
  if (typeof said !== "object" || said === null) return undefined;
  const { id, name, type, size, width, height, duration_ms, placeholder, alt } = said as Record<string, unknown>;
  if (typeof id !== "string" || !/^[A-Za-z0-9._-]{1,128}$/.test(id)) return undefined;
  return {
    id,
    name: text(name, NAME_MAX) ?? id,
    type: text(type, TYPE_MAX) ?? "application/octet-stream",
    size: positive(size) ?? 0,
    ...given({
      width: positive(width),
      height: positive(height),
      duration_ms: positive(duration_ms),
      placeholder: typeof placeholder === "string" && placeholder.length <= PLACEHOLDER_MAX ? placeholder : undefined,
      alt: text(alt, ALT_MAX),
    }),
  };
}

function text(said: unknown, max: number): string | undefined {
  return typeof said === "string" && said !== "" ? said.slice(0, max) : undefined;
}

function positive(said: unknown): number | undefined {
  return typeof said === "number" && Number.isFinite(said) && said > 0 ? said : undefined;
}

/** Without what is undefined. */
export function given<T extends object>(values: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as never;
}

import type { InboxRow } from "../../engine/api.ts";

/** A text without case, accents and width, for comparing names. */
export function fold(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** Whether each word of `query` begins a word of the conversation's title, or of the other's handle. */
export function matches(row: InboxRow, query: string): boolean {
  const names = fold(`${row.title} ${row.with?.handle ?? ""}`).split(/[^\p{L}\p{N}]+/u);
  return fold(query)
    .split(/[^\p{L}\p{N}]+/u)
    .filter(Boolean)
    .every((word) => names.some((name) => name.startsWith(word)));
}

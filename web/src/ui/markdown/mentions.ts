/** A part of a text: words, or the name of somebody who is mentioned. */
export type Part = { text: string; user?: string };

const HANDLE = /@([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)/gi;

/** Finds the names in a text of those whom the message mentions; other names are words.
    `mentioned` are handles in lower case and their ids, `all` for everybody. */
export function withMentions(text: string, mentioned: ReadonlyMap<string, string>): Part[] {
  if (mentioned.size === 0 || !text.includes("@")) return [{ text }];
  const parts: Part[] = [];
  let from = 0;
  for (const match of text.matchAll(HANDLE)) {
    const before = text[match.index - 1];
    if (before !== undefined && /[\p{L}\p{N}_.-]/u.test(before)) continue;
    const user = mentioned.get((match[1] ?? "").toLowerCase());
    if (user === undefined) continue;
    if (match.index > from) parts.push({ text: text.slice(from, match.index) });
    const end = match.index + match[0].length;
    parts.push({ text: text.slice(match.index, end), user });
    from = end;
  }
  if (from < text.length) parts.push({ text: text.slice(from) });
  return parts;
}

/** The handles in a text that is being sent, in lower case, each once. */
export function handlesIn(text: string): string[] {
  const handles = new Set<string>();
  for (const match of text.matchAll(HANDLE)) {
    const before = text[match.index - 1];
    if (before === undefined || !/[\p{L}\p{N}_.-]/u.test(before)) handles.add((match[1] ?? "").toLowerCase());
  }
  return [...handles];
}

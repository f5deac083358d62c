/** An unfinished mention before the caret. */
export interface Unfinished {
  /** Where its `@` is. */
  readonly from: number;
  /** What was typed after it. */
  readonly prefix: string;
}

/** Finds the `@` that is being completed at `caret`: at the beginning of a word, and not within code. */
export function unfinishedMention(text: string, caret: number): Unfinished | undefined {
  const match = /(?:^|[\s([{"'*_~>])@([\p{L}\p{N}._-]{0,32})$/u.exec(text.slice(0, caret));
  if (!match || inCode(text, caret)) return undefined;
  const prefix = match[1] ?? "";
  return { from: caret - prefix.length - 1, prefix };
}

/** Whether a block of code is open at `caret`. */
export function inCode(text: string, caret: number): boolean {
  return (text.slice(0, caret).match(/^```/gm)?.length ?? 0) % 2 === 1;
}

/** The text with the mention completed, and where the caret is after it. */
export function complete(text: string, caret: number, { from }: Unfinished, handle: string): { text: string; caret: number } {
  const after = text.slice(caret);
  const mention = `@${handle}${/^\s/.test(after) ? "" : " "}`;
  return { text: text.slice(0, from) + mention + after, caret: from + mention.length };
}

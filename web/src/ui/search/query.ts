import type { Suggestion } from "../../engine/api.ts";

/** A query and where the caret is in it, both in UTF-16 code units. */
export interface Edited {
  readonly text: string;
  readonly caret: number;
}

/** The query after a suggestion was taken: it stands where the typed part was, up to the caret, with a space behind it. */
export function take(query: string, caret: number, suggestion: Pick<Suggestion, "replaces" | "text">): Edited {
  const [from = 0] = suggestion.replaces;
  const before = query.slice(0, from) + suggestion.text;
  const after = query.slice(Math.max(caret, from));
  const text = `${before} ${after.trimStart()}`;
  return { text, caret: before.length + 1 };
}

/** Whether what is typed now ends in the same word as before, a little longer or shorter: suggestions for the one fit the other. */
export function isSameWord(before: string, now: string): boolean {
  const [shorter, longer] = before.length < now.length ? [before, now] : [now, before];
  return longer.startsWith(shorter) && !/\s/.test(longer.slice(shorter.length));
}

/** The query with a filter behind it. An unfinished one (`from:`) waits for its name. */
export function withFilter(query: string, filter: string): Edited {
  const words = query.trimEnd();
  const isThere = ` ${words} `.includes(` ${filter} `);
  const text = isThere ? `${words} ` : `${words === "" ? "" : `${words} `}${filter}${filter.endsWith(":") ? "" : " "}`;
  return { text, caret: text.length };
}

/** The query without its end, if that is a filter to which nothing was typed yet: it would be refused. */
export function searchable(query: string): string {
  return query.trim().replace(/(?:^|\s)-?\w+:"?$/, "").trim();
}

/** Whether every part of a query excludes: that alone finds nothing. */
export function onlyLeavesOut(query: string): boolean {
  const parts = query.match(/-?(?:[^\s"]*"[^"]*"?|[^\s"]+)/g) ?? [];
  return parts.length > 0 && parts.every((part) => /^-./.test(part));
}

/** What of a query a suggestion filters by. */
export function filterOf(suggestion: Pick<Suggestion, "text">): "from" | "in" | "mentions" | undefined {
  const match = /^-?(from|in|mentions):/.exec(suggestion.text);
  return match?.[1] as "from" | "in" | "mentions" | undefined;
}

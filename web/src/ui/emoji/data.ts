import deUrl from "emoji-picker-element-data/de/cldr-native/data.json?url";
import enUrl from "emoji-picker-element-data/en/cldr-native/data.json?url";
import { language, type Language } from "../../i18n/index.ts";

const URLS: Record<Language, string> = { en: enUrl, de: deUrl };

/** Groups of Unicode in the order in which they are shown; its group 2 is parts of other emoji. */
export const GROUPS = [0, 1, 3, 4, 5, 6, 7, 8, 9] as const;
export type Group = (typeof GROUPS)[number];

export interface Emoji {
  readonly emoji: string;
  readonly name: string;
  readonly group: Group;
  /** What it is found by, lower case: words of its name, and others. */
  readonly words: readonly string[];
}

interface Entry {
  readonly emoji: string;
  readonly annotation: string;
  readonly tags?: readonly string[];
  readonly group?: number;
  readonly version: number;
}

/** Later ones than of this version of Unicode Emoji are boxes on many devices. */
const VERSION_MAX = 15.1;

const loaded = new Map<Language, Promise<readonly Emoji[]>>();

/** All emoji, named in the chosen language; fetched once, from this origin. */
export function loadEmoji(): Promise<readonly Emoji[]> {
  const chosen = language();
  let found = loaded.get(chosen);
  if (!found) {
    found = read(URLS[chosen]);
    loaded.set(chosen, found);
    // The next opening tries again.
    found.catch(() => loaded.delete(chosen));
  }
  return found;
}

async function read(url: string): Promise<readonly Emoji[]> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`emoji: ${response.status}`);
  return emojiOf((await response.json()) as readonly Entry[]);
}

export function emojiOf(entries: readonly Entry[]): Emoji[] {
  return entries.flatMap(({ emoji, annotation, tags = [], group, version }) => {
    const known = GROUPS.find((one) => one === group);
    if (known === undefined || version > VERSION_MAX) return [];
    return [{ emoji, name: annotation, group: known, words: [...wordsOf(annotation), ...tags.flatMap(wordsOf)] }];
  });
}

function wordsOf(text: string): string[] {
  return text.toLowerCase().split(/[^\p{L}\p{N}]+/u).filter(Boolean);
}

/** Those of which each word of the query begins a word; those whose name begins so first. */
export function findEmoji(all: readonly Emoji[], query: string, max = 96): readonly Emoji[] {
  const wanted = wordsOf(query);
  if (wanted.length === 0) return all.filter(({ emoji }) => emoji === query.trim()).slice(0, max);
  const found = all.filter(({ words }) => wanted.every((word) => words.some((one) => one.startsWith(word))));
  const isFirst = ({ name }: Emoji) => name.toLowerCase().startsWith(wanted[0] ?? "");
  return [...found.filter(isFirst), ...found.filter((one) => !isFirst(one))].slice(0, max);
}

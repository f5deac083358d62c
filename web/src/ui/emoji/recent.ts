const KEY = "hansard.emoji";
/** Picks that are remembered on this device. */
const PICKS_MAX = 64;
const FIRST = ["👍", "❤️", "😂", "🎉", "😮", "😢", "🙏", "👀"];

function read(): string[] {
  try {
    const stored: unknown = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(stored) ? stored.filter((one): one is string => typeof one === "string" && one.length <= 40).slice(-PICKS_MAX) : [];
  } catch {
    return [];
  }
}

export function remember(emoji: string): void {
  try {
    localStorage.setItem(KEY, JSON.stringify([...read(), emoji].slice(-PICKS_MAX)));
  } catch {
    // Storage is full or forbidden: then nothing is remembered.
  }
}

/** The most frequent of the picks, those of equal count by the latest. */
export function ranked(picks: readonly string[], count: number): string[] {
  const counts = new Map<string, { count: number; last: number }>();
  picks.forEach((emoji, last) => counts.set(emoji, { count: (counts.get(emoji)?.count ?? 0) + 1, last }));
  return [...counts]
    .sort(([, a], [, b]) => b.count - a.count || b.last - a.last)
    .slice(0, count)
    .map(([emoji]) => emoji);
}

/** What the person picks most; filled up with what most people do. */
export function recentEmoji(count: number): string[] {
  return [...new Set([...ranked(read(), count), ...FIRST])].slice(0, count);
}

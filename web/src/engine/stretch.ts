/** The messages of a window: one stretch of the conversation, without gaps, of limited length. Pure. */
import type { Seq } from "./api.ts";
import type { Slice } from "./history.ts";
import type { MessageRow } from "./rows.ts";

/**
 * Messages in memory, and so on the screen. A page of them costs by how many there are already; fewer would not fill
 * the tallest screen (4,700 CSS pixels of one-line messages) and what is fetched ahead on both sides of it.
 */
export const ROWS_MAX = 240;
/** Of those, so many are kept before the last on the screen: all that are on the tallest screen, and what is ahead. */
export const BEFORE_READ = (ROWS_MAX * 3) / 4;
/** At the end, what comes may exceed that by so much before others go, all at once. */
const SLACK = ROWS_MAX / 2;

export class Stretch {
  #rows: readonly MessageRow[] = [];
  #atStart = true;
  #atEnd = true;

  /** Ascending. */
  get rows(): readonly MessageRow[] {
    return this.#rows;
  }

  /** Nothing is before the first. */
  get atStart(): boolean {
    return this.#atStart;
  }

  /** Nothing is after the last: what comes belongs here. */
  get atEnd(): boolean {
    return this.#atEnd;
  }

  take({ rows, atStart, atEnd }: Slice): void {
    this.#rows = rows;
    this.#atStart = atStart;
    this.#atEnd = atEnd;
  }

  /** What is before and after is no longer known. */
  cutOff(): void {
    this.#atStart = false;
    this.#atEnd = false;
  }

  /** Puts in what is right before; the newest beyond the limit go. */
  prepend({ rows, atStart }: Slice): void {
    const all = [...rows, ...this.#rows];
    this.#atStart = atStart;
    if (all.length > ROWS_MAX) this.#atEnd = false;
    this.#rows = all.slice(0, ROWS_MAX);
  }

  /** Puts in what is right after; the oldest beyond the limit go. */
  append({ rows, atEnd }: Slice): void {
    const all = [...this.#rows, ...rows];
    this.#atEnd = atEnd;
    this.#keepNewest(all, ROWS_MAX);
  }

  /** Whether a message of this seq has its place here. */
  holds(seq: Seq): boolean {
    const first = this.#rows[0]?.seq ?? (this.#atStart ? 0 : Infinity);
    const last = this.#rows.at(-1)?.seq ?? 0;
    return seq > last ? this.#atEnd : seq >= first;
  }

  /**
   * Puts in messages that it holds, for those of the same seq. Beyond the limit those stay that are around `read`, the
   * last on the screen; without it, the newest.
   */
  put(changed: readonly MessageRow[], read = Infinity): void {
    if (changed.length === 0) return;
    const rows = new Map(this.#rows.map((row) => [row.seq, row]));
    for (const row of changed) rows.set(row.seq, row);
    const all = [...rows.values()].sort((a, b) => a.seq - b.seq);
    if (all.length > ROWS_MAX + SLACK) this.#keepAround(all, read);
    else this.#rows = all;
  }

  #keepAround(all: readonly MessageRow[], read: Seq): void {
    const at = all.findLastIndex(({ seq }) => seq <= read);
    const from = Math.max(0, Math.min(at - BEFORE_READ, all.length - ROWS_MAX));
    const to = from + ROWS_MAX;
    if (from > 0) this.#atStart = false;
    if (to < all.length) this.#atEnd = false;
    this.#rows = all.slice(from, to);
  }

  #keepNewest(all: readonly MessageRow[], count: number): void {
    if (all.length > count) this.#atStart = false;
    this.#rows = all.slice(-count);
  }
}

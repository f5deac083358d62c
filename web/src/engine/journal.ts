/**
 * What is not in the database yet, kept where it is kept in the same instant: a page that is left in this moment takes
 * its unfinished transactions along, and the next page puts them right.
 *
 * An entry lives for milliseconds. One that is left over is put into the database again by the next page: sends have
 * their id, so nothing is stored twice by that.
 */
import type { Platform } from "./platform.ts";

/** Characters of an entry; a longer one has only the database. */
const ENTRY_MAX = 200_000;

export class Journal<T> {
  readonly #prefix: string;
  #isClosed = false;

  constructor(
    private readonly values: Platform["values"],
    scope: string,
    user: string,
    what: string,
  ) {
    this.#prefix = `${scope}.${user}.${what}.`;
  }

  put(key: string, value: T): void {
    if (this.#isClosed) return;
    try {
      const text = JSON.stringify(value);
      if (text.length <= ENTRY_MAX) this.values.set(this.#prefix + key, text);
    } catch {
      // No room: the database alone has it.
    }
  }

  /** Keeps nothing any more. */
  close(): void {
    this.#isClosed = true;
  }

  remove(key: string): void {
    this.values.remove(this.#prefix + key);
  }

  all(): { key: string; value: T }[] {
    const keys = this.values.keys().filter((key) => key.startsWith(this.#prefix));
    return keys.flatMap((full) => {
      const key = full.slice(this.#prefix.length);
      try {
        return [{ key, value: JSON.parse(this.values.get(full) ?? "") as T }];
      } catch {
        this.remove(key);
        return [];
      }
    });
  }
}

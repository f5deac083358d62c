/**
 * What this person sends is shown from the outbox at first, and from the log when its event is there. The two are read
 * at different moments: in between it would be in neither.
 */
import type { MessageId } from "./api.ts";
import { inOrder } from "./outbox.ts";
import type { OutboxRow } from "./rows.ts";

/** Messages that were sent under another id than their first, as far as their names are remembered. */
const RENAMED_MAX = 200;

export class Echoes {
  #shown: readonly OutboxRow[] = [];
  /** First ids by the ids under which they were sent in the end. */
  readonly #renamed = new Map<MessageId, string>();
  #stored: ReadonlySet<MessageId> = new Set();
  #isLooking = false;

  /** `look` reads again what may have become of those that left the outbox, and puts it among the rows. */
  constructor(private readonly look: (left: readonly OutboxRow[]) => Promise<void>) {}

  /**
   * The outbox as it is to be shown, in order: with those that have left it and may not be among the rows yet. `stored`:
   * ids of own messages that are among the rows. A promise, if there are such: once it resolves, show again.
   */
  of(outbox: readonly OutboxRow[], stored: ReadonlySet<MessageId>): { sent: readonly OutboxRow[]; looked?: Promise<void> } {
    this.#stored = stored;
    for (const { key, id } of outbox) if (key !== id) this.#rename(id, key);
    const unsent = new Set(outbox.map(({ key }) => key));
    const left = this.#shown.filter(({ key, id }) => !unsent.has(key) && !stored.has(id));
    this.#shown = left.length === 0 ? outbox : [...left, ...outbox].sort(inOrder);
    if (left.length === 0 || this.#isLooking) return { sent: this.#shown };
    return { sent: this.#shown, looked: this.#lookFor(left) };
  }

  /** What a message of one's own is called in lists, from when it was written: its first id. */
  readonly keyOf = (id: MessageId): string => {
    const first = this.#renamed.get(id);
    // Should the server have it under both ids, they are two.
    return first === undefined || this.#stored.has(first) ? id : first;
  };

  #rename(id: MessageId, key: string): void {
    if (this.#renamed.size >= RENAMED_MAX && !this.#renamed.has(id)) this.#renamed.delete(this.#renamed.keys().next().value ?? "");
    this.#renamed.set(id, key);
  }

  async #lookFor(left: readonly OutboxRow[]): Promise<void> {
    this.#isLooking = true;
    try {
      await this.look(left);
    } finally {
      this.#isLooking = false;
      // What is not there now was taken back, here or in another tab.
      const keys = new Set(left.map(({ key }) => key));
      this.#shown = this.#shown.filter(({ key }) => !keys.has(key));
    }
  }
}

/** The message that it changes; `undefined`: it is one itself. */
export function targetOf({ event }: OutboxRow): number | undefined {
  return event.kind === "message" ? undefined : event.target;
}

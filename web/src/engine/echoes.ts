/**
 * What this person sends is shown from the outbox at first, and from the log when its event is there. The two are read
 * at different moments: in between it would be in neither.
 */
import type { MessageId } from "./api.ts";
import { inOrder } from "./outbox.ts";
import type { OutboxRow } from "./rows.ts";

export class Echoes {
  #shown: readonly OutboxRow[] = [];
  #isLooking = false;

  /** `look` reads again what may have become of those that left the outbox, and puts it among the rows. */
  constructor(private readonly look: (left: readonly OutboxRow[]) => Promise<void>) {}

  /**
   * The outbox as it is to be shown, in order: with those that have left it and may not be among the rows yet. `stored`:
   * ids of own messages that are among the rows. A promise, if there are such: once it resolves, show again.
   */
  of(outbox: readonly OutboxRow[], stored: ReadonlySet<MessageId>): { sent: readonly OutboxRow[]; looked?: Promise<void> } {
    const unsent = new Set(outbox.map(({ key }) => key));
    const left = this.#shown.filter(({ key, id }) => !unsent.has(key) && !stored.has(id));
    this.#shown = left.length === 0 ? outbox : [...left, ...outbox].sort(inOrder);
    if (left.length === 0 || this.#isLooking) return { sent: this.#shown };
    return { sent: this.#shown, looked: this.#lookFor(left) };
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

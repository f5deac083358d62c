/** What messages answer: looked up in the window, the cache, and at the server, a few at a time. */
import { Refused } from "../protocol/refusal.ts";
import type { Quote, Seq } from "./api.ts";
import type { Core } from "./core.ts";
import type { History } from "./history.ts";
import { mediaKind } from "./items.ts";
import type { MessageRow } from "./rows.ts";

/** Quotes of a window that are remembered. */
const KNOWN_MAX = 500;
/** Characters of a quote. */
const TEXT_MAX = 200;

export class Quotes {
  readonly #known = new Map<Seq, MessageRow | undefined>();
  readonly #wanted = new Set<Seq>();
  #isLooking = false;
  #isClosed = false;

  constructor(
    private readonly core: Core,
    private readonly history: History,
    private readonly changed: () => void,
  ) {}

  /** What is known now; the rest is looked up, and `changed` is called. */
  of(seq: Seq, rows: readonly MessageRow[]): Quote {
    const row = rows.find((one) => one.seq === seq) ?? this.#known.get(seq);
    if (!row) {
      if (!this.#known.has(seq)) this.#want(seq);
      return { seq };
    }
    return this.quoted(row);
  }

  quoted(row: MessageRow): Quote {
    const event = row.event as { text?: string; deleted?: boolean; media?: unknown };
    const deleted = row.deleted !== undefined || event.deleted === true;
    const text = deleted ? "" : (event.text ?? "").slice(0, TEXT_MAX);
    const sender = this.core.people.get(row.sender);
    return { seq: row.seq, message: { sender, text, deleted, media: deleted ? undefined : mediaKind(event.media) } };
  }

  close(): void {
    this.#isClosed = true;
  }

  #want(seq: Seq): void {
    if (this.#wanted.size >= KNOWN_MAX) return;
    this.#wanted.add(seq);
    if (!this.#isLooking) this.core.unawaited(this.#look());
  }

  async #look(): Promise<void> {
    this.#isLooking = true;
    try {
      for (const seq of this.#wanted) {
        if (this.#isClosed) return;
        this.#wanted.delete(seq);
        await this.#one(seq);
      }
    } finally {
      this.#isLooking = false;
    }
  }

  async #one(seq: Seq): Promise<void> {
    let row: MessageRow | undefined;
    try {
      row = await this.history.one(seq);
    } catch (cause) {
      // Offline: it is looked up when it is shown the next time.
      if (cause instanceof Refused && cause.retry !== "never") return;
    }
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(seq, row);
    this.changed();
  }
}

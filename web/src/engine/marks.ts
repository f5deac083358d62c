/**
 * The leader's half of receipts: what this device has is said to be delivered, what the person saw is said to be read,
 * gathered for a moment, until the server has stored it.
 */
import type { ClientFrame } from "../protocol/types.ts";
import type { Database } from "./database.ts";
import type { MarksRow } from "./rows.ts";

/** Receipts of a conversation are gathered this long, in milliseconds, before they go out as one. */
const GATHER_MS = 700;
/** What was stored this long before a connection was lost is said again, in milliseconds: it is kept less carefully. */
const REPEAT_MS = 120_000;
/** A refused or unanswered receipt goes out again after this, in milliseconds. */
const RETRY_MS = 5_000;
/** Receipts in one go. */
const AT_ONCE_MAX = 40;
const REF = "r:";

export interface MarksPorts {
  readonly db: Database;
  send(frame: ClientFrame): boolean;
}

export class Marks {
  readonly #rows = new Map<string, MarksRow>();
  readonly #due = new Set<string>();
  readonly #said = new Map<string, { c: string; delivered: number; read: number; at: number }>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #next = 0;
  #isOpen = false;

  constructor(private readonly ports: MarksPorts) {}

  async start(): Promise<void> {
    for (const row of await this.ports.db.getAll("marks")) {
      const known = this.#rows.get(row.c);
      this.#rows.set(row.c, known ? furthest(known, row) : row);
    }
  }

  stop(): void {
    clearTimeout(this.#timer);
  }

  connected(): void {
    this.#isOpen = true;
    this.#said.clear();
    const since = Date.now() - REPEAT_MS;
    for (const row of this.#rows.values()) {
      if (row.storedAt > since) Object.assign(row, { storedDelivered: 0, storedRead: 0 });
      if (isUnsaid(row)) this.#due.add(row.c);
    }
    this.#soon(GATHER_MS);
  }

  disconnected(): void {
    this.#isOpen = false;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  delivered(marks: ReadonlyMap<string, number>): void {
    for (const [c, seq] of marks) this.#raise(c, { delivered: seq });
  }

  read(c: string, seq: number): void {
    this.#raise(c, { read: seq });
  }

  isAnswer(ref: unknown): ref is string {
    return typeof ref === "string" && ref.startsWith(REF);
  }

  stored(ref: string): void {
    const said = this.#said.get(ref);
    this.#said.delete(ref);
    const row = said && this.#rows.get(said.c);
    if (!said || !row) return;
    row.storedDelivered = Math.max(row.storedDelivered, said.delivered);
    row.storedRead = Math.max(row.storedRead, said.read);
    row.storedAt = Date.now();
    void this.#write(row);
  }

  refused(ref: string, retry: string): void {
    const said = this.#said.get(ref);
    this.#said.delete(ref);
    if (!said) return;
    if (retry === "never") {
      const row = this.#rows.get(said.c);
      if (row) Object.assign(row, { storedDelivered: said.delivered, storedRead: said.read });
      return;
    }
    this.#due.add(said.c);
    this.#soon(RETRY_MS);
  }

  #raise(c: string, to: { delivered?: number; read?: number }): void {
    const row = this.#rows.get(c) ?? {
      c,
      delivered: 0,
      read: 0,
      storedDelivered: 0,
      storedRead: 0,
      storedAt: 0,
    };
    const { delivered = 0, read = 0 } = to;
    if (delivered <= row.delivered && read <= row.read) return;
    row.delivered = Math.max(row.delivered, delivered, read);
    row.read = Math.max(row.read, read);
    this.#rows.set(c, row);
    this.#due.add(c);
    void this.#write(row);
    this.#soon(GATHER_MS);
  }

  #soon(delay: number): void {
    if (!this.#isOpen || this.#due.size === 0) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      this.#say();
    }, delay);
  }

  #say(): void {
    let count = 0;
    for (const c of this.#due) {
      if (count === AT_ONCE_MAX) break;
      this.#due.delete(c);
      const row = this.#rows.get(c);
      if (!row || !isUnsaid(row)) continue;
      this.#next += 1;
      const ref = `${REF}${this.#next}`;
      const frame: ClientFrame = {
        type: "receipt",
        ref,
        conversation: c,
        delivered: row.delivered,
        ...(row.read > row.storedRead ? { read: row.read } : {}),
      };
      if (!this.ports.send(frame)) {
        this.#due.add(c);
        return;
      }
      this.#said.set(ref, { c, delivered: row.delivered, read: row.read, at: Date.now() });
      count += 1;
    }
    this.#soon(1_000);
  }

  async #write(row: MarksRow): Promise<void> {
    try {
      await this.ports.db.put("marks", { ...row });
    } catch {
      // The database is gone: the server tells the next leader what it has.
    }
  }
}

function isUnsaid(row: MarksRow): boolean {
  return row.delivered > row.storedDelivered || row.read > row.storedRead;
}

function furthest(a: MarksRow, b: MarksRow): MarksRow {
  return { ...a, delivered: Math.max(a.delivered, b.delivered), read: Math.max(a.read, b.read) };
}

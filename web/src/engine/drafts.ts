/** What is being written and not sent, by place; it survives a reload. */
import type { ConversationId } from "./api.ts";
import type { Database } from "./database.ts";
import { Journal } from "./journal.ts";
import type { Platform } from "./platform.ts";
import type { DraftEnd, DraftRow } from "./rows.ts";
import type { Tabs } from "./tabs.ts";

export interface DraftsPorts {
  readonly db: Database;
  readonly me: string;
  readonly platform: Platform;
  readonly tabs: Tabs;
}

/** The drafts within a transaction. */
interface DraftStore {
  get(place: string): Promise<DraftRow | undefined>;
  delete(place: string): Promise<void>;
}

export class Drafts {
  readonly journal: Journal<DraftRow>;
  readonly #rows = new Map<string, DraftRow>();
  /** Places that are being written, and how many times at once: what the database says of them is old. */
  readonly #writing = new Map<string, number>();

  constructor(private readonly ports: DraftsPorts) {
    const { platform, me } = ports;
    this.journal = new Journal(platform.values, platform.scope, me, "draft");
  }

  async start(): Promise<void> {
    for (const row of await this.ports.db.getAll("drafts")) this.#rows.set(row.place, row);
    // On a full disk these are nowhere else.
    for (const { key, value } of this.journal.all()) this.#set(key, later(this.#rows.get(key), value));
  }

  get(place: string): DraftRow | undefined {
    return this.#rows.get(place);
  }

  /** It is a message now, which is being `written`. */
  sent(end: DraftEnd, written: Promise<void>): void {
    this.hide(end);
    this.journal.remove(end.place);
    void this.#during(end.place, written);
  }

  /** Does not show what is sent, or could not be. */
  hide(end: DraftEnd): void {
    if (isUpTo(this.#rows.get(end.place), end)) this.#rows.delete(end.place);
  }

  /** Forgets what became a message that is gone as well. */
  async end(end: DraftEnd): Promise<void> {
    const tx = this.ports.db.transaction("drafts", "readwrite");
    await Promise.all([endDraft(tx.store, end), tx.done]);
    this.#changed(end.place);
  }

  /** The page is being left, or its database is: what was written until now, at once. */
  rescue(row: DraftRow): void {
    this.journal.put(row.place, row);
  }

  /** Keeps a draft; `undefined`, forgets it. */
  async put(place: string, row: DraftRow | undefined): Promise<void> {
    this.#set(place, row);
    try {
      await this.#during(place, this.#write(place, row));
    } catch (cause) {
      // The browser closed the database, or it is full: what opens it next finds the words in the journal.
      if (row) this.rescue(row);
      throw cause;
    }
    this.journal.remove(place);
    this.#changed(place);
  }

  /** A file came when nobody was writing there. */
  add(place: string, c: ConversationId, upload: string, tab: string): Promise<void> {
    const row = this.#rows.get(place) ?? emptyDraft(place, c, tab);
    return this.put(place, { ...row, uploads: [...row.uploads, upload], ts: Date.now(), tab });
  }

  /** What another tab has put, or this one. */
  async reread(places: readonly string[]): Promise<void> {
    for (const place of places) {
      const row = await this.ports.db.get("drafts", place);
      // One that is being written says so when it is.
      if (!this.#writing.has(place)) this.#set(place, row);
    }
  }

  async #write(place: string, row: DraftRow | undefined): Promise<void> {
    const tx = this.ports.db.transaction("drafts", "readwrite");
    void (row ? tx.store.put(row) : tx.store.delete(place));
    tx.commit();
    await tx.done;
  }

  async #during(place: string, written: Promise<void>): Promise<void> {
    this.#writing.set(place, (this.#writing.get(place) ?? 0) + 1);
    try {
      await written;
    } finally {
      const others = (this.#writing.get(place) ?? 1) - 1;
      if (others > 0) this.#writing.set(place, others);
      else this.#writing.delete(place);
    }
  }

  #changed(place: string): void {
    this.ports.tabs.post({ type: "changed", change: { drafts: [place] } });
  }

  #set(place: string, row: DraftRow | undefined): void {
    if (row) this.#rows.set(place, row);
    else this.#rows.delete(place);
  }
}

export function emptyDraft(place: string, c: ConversationId, tab: string): DraftRow {
  return { place, c, text: "", uploads: [], ts: 0, tab };
}

/** What stands of a place: the draft that was rescued, unless what is known is as new; `undefined` if nothing is in it. */
export function later(known: DraftRow | undefined, rescued: DraftRow): DraftRow | undefined {
  if (known && known.ts >= rescued.ts) return known;
  return rescued.text === "" && rescued.uploads.length === 0 ? undefined : rescued;
}

/** Takes a draft that became a message out of the database; what was begun there since then stays. */
export async function endDraft(store: DraftStore, end: DraftEnd): Promise<void> {
  if (isUpTo(await store.get(end.place), end)) await store.delete(end.place);
}

function isUpTo(row: DraftRow | undefined, end: DraftEnd): boolean {
  return row !== undefined && row.ts <= end.ts;
}

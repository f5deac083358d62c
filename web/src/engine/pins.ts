/** Pinned messages of a conversation: those in the cache, and on request those that the server lists. */
import { Refused } from "../protocol/refusal.ts";
import type { MessageItem } from "./api.ts";
import { Cell } from "./cell.ts";
import type { Core } from "./core.ts";
import type { History } from "./history.ts";
import { cachePage } from "./ingest.ts";
import { kept, stored } from "./items.ts";
import type { Quotes } from "./quotes.ts";
import { sceneOf } from "./scene.ts";

/** Pins of a page. */
const PAGE = 100;
/** Pages that are read: whoever pins more than a person ever looks through sees the newest. */
const PAGES_MAX = 20;
/** A list that is older than the chain is asked for again, this often. */
const ATTEMPTS_MAX = 4;

export class Pins {
  readonly cell = new Cell<{ readonly items: readonly MessageItem[]; readonly complete: boolean }>({
    items: [],
    complete: false,
  });
  #isComplete = false;
  /** Somebody looked for all of them. */
  #isWanted = false;
  /** How often what was cached was lost. */
  #losses = 0;
  #loading: Promise<void> | undefined;

  constructor(
    private readonly core: Core,
    private readonly history: History,
    private readonly quotes: Quotes,
  ) {}

  async reread(): Promise<void> {
    const id = this.history.id;
    const rows = await this.core.db.getAllFromIndex("messages", "pin", [id, 1]);
    const scene = sceneOf(this.core, id, (seq) => this.quotes.of(seq, rows));
    const items = rows
      .reverse()
      .map((row) => stored(row, scene))
      .filter((item): item is MessageItem => item.kind === "message" && item.pinned);
    const before = this.cell.get();
    this.cell.set(kept(before, { items, complete: this.#isComplete }));
  }

  /** Brings all that are pinned into the cache. */
  async load(): Promise<void> {
    this.#isWanted = true;
    if (this.#isComplete) return;
    await (this.#loading ??= this.#all());
    await this.reread();
  }

  /** What was cached is gone, and with it pins. */
  async lost(): Promise<void> {
    this.#isComplete = false;
    this.#losses += 1;
    await this.reread();
    await this.again();
  }

  /** What was looked for and could not be had, or was lost, is looked for again. */
  async again(): Promise<void> {
    if (!this.#isWanted) return;
    try {
      await this.load();
    } catch (cause) {
      // Offline: with the next connection.
      if (!(cause instanceof Refused)) throw cause;
    }
  }

  async #all(): Promise<void> {
    try {
      for (let attempt = 1; attempt <= ATTEMPTS_MAX; attempt += 1) {
        const losses = this.#losses;
        const read = await this.#pages();
        const isOutdated = read === "outdated" || losses !== this.#losses;
        this.#isComplete = read === "whole" && !isOutdated;
        if (!isOutdated) return;
      }
    } finally {
      this.#loading = undefined;
    }
  }

  /** Brings every page into the cache, unless there are too many, or one is older than what is there. */
  async #pages(): Promise<"whole" | "too many" | "outdated"> {
    const { core } = this;
    const id = this.history.id;
    let cursor: string | undefined;
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const head = (await core.db.get("conversations", id))?.head;
      const list = await core.http.pins(id, { limit: PAGE, cursor, atLeast: head });
      // The chain moved on while the list was on its way.
      if (!(await cachePage(core.db, core.me, id, list, undefined))) return "outdated";
      cursor = list.next;
      if (cursor === undefined) return "whole";
    }
    return "too many";
  }
}

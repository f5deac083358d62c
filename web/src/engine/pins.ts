/** Pinned messages of a conversation: those in the cache; on request, those that older events tell of. */
import type { MessageItem } from "./api.ts";
import { Cell } from "./cell.ts";
import type { Core } from "./core.ts";
import type { History } from "./history.ts";
import { kept, stored } from "./items.ts";
import type { Quotes } from "./quotes.ts";
import { sceneOf } from "./scene.ts";

/** Events of a page of the chain. */
const PAGE = 500;
/** Pages that are looked through: pins further back than this many events are not found. */
const PAGES_MAX = 20;

export class Pins {
  readonly cell = new Cell<{ readonly items: readonly MessageItem[]; readonly complete: boolean }>({
    items: [],
    complete: false,
  });
  #isComplete = false;

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

  /** The contract has no list of pins: the events that pinned are looked for, newest first. */
  async search(): Promise<void> {
    if (this.#isComplete) return;
    const { core } = this;
    const id = this.history.id;
    const decided = new Map<number, boolean>();
    let before: number | undefined;
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const { items, more } = await core.http.events(id, { limit: PAGE, ...(before === undefined ? {} : { before }) });
      for (const { body } of [...items].reverse()) {
        const event = body.event;
        if (event.kind === "pin" && !decided.has(event.target)) decided.set(event.target, event.op === "add");
      }
      before = items[0]?.seq;
      if (!more || before === undefined) {
        this.#isComplete = true;
        break;
      }
    }
    for (const [seq, isPinned] of decided) if (isPinned) await this.history.one(seq);
    await this.reread();
  }
}

/** Pinned messages of a conversation: those in the cache, and on request those that the server lists. */
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

  /** Brings all that are pinned into the cache. */
  async load(): Promise<void> {
    if (this.#isComplete) return;
    const { core } = this;
    const id = this.history.id;
    let cursor: string | undefined;
    for (let page = 0; page < PAGES_MAX; page += 1) {
      const head = (await core.db.get("conversations", id))?.head;
      const list = await core.http.pins(id, { limit: PAGE, cursor, atLeast: head });
      // A list that is older than the chain is asked for once more with the next look.
      const isTaken = await cachePage(core.db, core.me, id, list, undefined);
      cursor = list.next;
      if (cursor !== undefined) continue;
      this.#isComplete = isTaken;
      break;
    }
    await this.reread();
  }
}

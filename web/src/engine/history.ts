/** Messages of a conversation from the cache, and what is not there from the server into the cache. */
import type { PageOf } from "../protocol/http.ts";
import { Refused } from "../protocol/refusal.ts";
import type { Core } from "./core.ts";
import { within } from "./database.ts";
import { cachePage } from "./ingest.ts";
import { holding, type Range } from "./ranges.ts";
import type { ConversationRow, MessageRow } from "./rows.ts";
import type { ConversationId, Seq } from "./api.ts";

/** Messages that are asked of the server at a time. */
export const PAGE = 60;
/** Messages that a window begins with: a screen of them. */
export const SCREEN = 30;
/** Messages that are added at a time: so few are laid out within a frame. */
const STEP = 20;
/** A page that is older than the chain is asked for again, this often. */
const ATTEMPTS_MAX = 4;

export interface Slice {
  readonly rows: MessageRow[];
  /** Nothing is before, or after, in the conversation. */
  readonly atStart: boolean;
  readonly atEnd: boolean;
}

/** A piece of the cache without gaps, and the conversation at the same moment. */
interface Piece {
  readonly row: ConversationRow;
  readonly range: Range;
}

export class History {
  constructor(
    private readonly core: Core,
    readonly id: ConversationId,
  ) {}

  /** The newest that are cached without a gap; `undefined`: none, or the cache does not reach the end. */
  async newestCached(count = SCREEN): Promise<Slice | undefined> {
    const row = await this.#row();
    const range = row?.ranges.at(-1);
    if (!row || !range || range.to < row.head) return undefined;
    return this.#before({ row, range }, Infinity, count);
  }

  async newest(count = SCREEN): Promise<Slice> {
    const cached = await this.newestCached(count);
    if (cached && (cached.rows.length >= count || cached.atStart)) return cached;
    await this.#fetch({ limit: PAGE });
    return (await this.newestCached(count)) ?? { rows: [], atStart: true, atEnd: true };
  }

  async before(seq: Seq): Promise<Slice> {
    const known = await this.#piece(seq);
    const cached = known && (await this.#before(known, seq - 1));
    if (cached && (cached.rows.length > 0 || cached.atStart)) return cached;
    // Up to what is cached already, which is without a gap: the page joins it.
    await this.#fetch({ before: known ? Math.max(known.range.from, 1) : seq, limit: PAGE });
    const piece = await this.#piece(seq - 1);
    return piece ? this.#before(piece, seq - 1) : { rows: [], atStart: true, atEnd: false };
  }

  async after(seq: Seq): Promise<Slice> {
    const known = await this.#piece(seq);
    const cached = known && (await this.#after(known, seq + 1));
    if (cached && (cached.rows.length > 0 || cached.atEnd)) return cached;
    await this.#fetch({ after: known ? known.range.to : seq, limit: PAGE });
    const piece = await this.#piece(seq + 1);
    return piece ? this.#after(piece, seq + 1) : { rows: [], atStart: false, atEnd: true };
  }

  /** A screen from it on, and `before` it so many: 250 at most. */
  async around(seq: Seq, before = STEP): Promise<Slice> {
    return (await this.#aroundCached(seq, before)) ?? this.#aroundFetched({ around: seq }, seq, before);
  }

  /** From a moment on, with what was before it. The seq is the first from then on; `undefined`: nothing is later. */
  async at(date: Date): Promise<{ slice: Slice; seq: Seq | undefined }> {
    const page = await this.#fetch({ at: date.toISOString(), limit: PAGE });
    const first = page.items.find(({ ts }) => Date.parse(ts) >= date.getTime());
    const middle = first?.seq ?? page.items.at(-1)?.seq;
    if (middle === undefined) return { slice: await this.newest(), seq: undefined };
    return { slice: (await this.#aroundCached(middle)) ?? (await this.newest()), seq: first?.seq };
  }

  async row(seq: Seq): Promise<MessageRow | undefined> {
    return this.core.db.get("messages", [this.id, seq]);
  }

  /** What the cache has after a message, up to the end. */
  async followingCached(seq: Seq): Promise<MessageRow[]> {
    const piece = await this.#piece(seq);
    return piece && piece.range.to >= piece.row.head ? (await this.#after(piece, seq + 1, PAGE)).rows : [];
  }

  /** One message, from wherever it is. */
  async one(seq: Seq): Promise<MessageRow | undefined> {
    const known = await this.row(seq);
    if (known) return known;
    await this.#fetch({ around: seq, limit: 2 });
    return this.row(seq);
  }

  /** A thread: its root and its replies, as far as they are cached. */
  async threadCached(root: Seq): Promise<MessageRow[]> {
    const first = await this.row(root);
    const bounds = IDBKeyRange.bound([this.id, root, -Infinity], [this.id, root, Infinity]);
    const replies = await this.core.db.getAllFromIndex("messages", "thread", bounds);
    return first ? [first, ...replies] : replies;
  }

  /** Brings a page of a thread into the cache. True: there is more before it. */
  async fetchThread(root: Seq, before?: Seq): Promise<boolean> {
    const page = await this.#fetch({ thread: root, limit: PAGE, ...(before === undefined ? {} : { before }) });
    return page.more_before;
  }

  async #aroundCached(seq: Seq, before = STEP): Promise<Slice | undefined> {
    const piece = await this.#piece(seq);
    if (!piece) return undefined;
    const older = await this.#before(piece, seq - 1, before);
    const newer = await this.#after(piece, seq, SCREEN);
    if (older.rows.length === 0 && !older.atStart) return undefined;
    return { rows: [...older.rows, ...newer.rows], atStart: older.atStart, atEnd: newer.atEnd };
  }

  async #aroundFetched(place: PageOf, seq: Seq, before: number): Promise<Slice> {
    // A page has as many on both sides.
    await this.#fetch({ ...place, limit: Math.max(PAGE, 2 * before) });
    return (await this.#aroundCached(seq, before)) ?? (await this.newest());
  }

  async #before({ row, range }: Piece, to: Seq, count = STEP): Promise<Slice> {
    const { db } = this.core;
    const upper = Math.min(to, range.to);
    if (upper < range.from) return { rows: [], atStart: range.from <= 0, atEnd: false };
    const keys = await db.getAllKeys("messages", within(this.id, range.from, upper));
    const first = keys[Math.max(keys.length - count, 0)];
    const rows = first ? await db.getAll("messages", within(this.id, first[1], upper)) : [];
    const isAll = keys.length <= count;
    return { rows, atStart: isAll && range.from <= 0, atEnd: upper >= row.head };
  }

  async #after({ row, range }: Piece, from: Seq, count = STEP): Promise<Slice> {
    const isToEnd = range.to >= row.head;
    if (from > range.to) return { rows: [], atStart: false, atEnd: isToEnd };
    const rows = await this.core.db.getAll("messages", within(this.id, from, range.to), count);
    return { rows, atStart: false, atEnd: isToEnd && rows.length < count };
  }

  /** The piece of the cache that a seq is in, as of one moment: what comes after it is told of. */
  async #piece(seq: Seq): Promise<Piece | undefined> {
    const row = await this.#row();
    const range = row && holding(row.ranges, seq);
    return row && range && { row, range };
  }

  async #fetch(place: PageOf) {
    const { core, id } = this;
    for (let attempt = 1; ; attempt += 1) {
      const head = (await this.#row())?.head ?? 0;
      const page = await core.http.messages(id, { ...place, ...(head > 0 ? { atLeast: head } : {}) });
      const range = place.thread === undefined ? covered(page, place) : undefined;
      if (await cachePage(core.db, core.me, id, page, range)) return page;
      // The chain moved on while the page was on its way.
      if (attempt === ATTEMPTS_MAX) throw new Refused("unavailable", "every page was older than the chain");
    }
  }

  #row(): Promise<ConversationRow | undefined> {
    return this.core.db.get("conversations", this.id);
  }
}

type Page = Awaited<ReturnType<Core["http"]["messages"]>>;

/** From where to where a page has everything. */
export function covered(page: Page, place: PageOf): Range | undefined {
  const first = page.items[0]?.seq;
  const last = page.items.at(-1)?.seq;
  let from = page.more_before ? first : 0;
  let to = page.more_after ? last : Math.max(page.as_of, last ?? 0);
  if (place.before !== undefined) to = Math.max(place.before - 1, 0);
  if (place.after !== undefined) from = place.after + 1;
  return from === undefined || to === undefined ? undefined : { from, to };
}

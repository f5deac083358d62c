/**
 * Frames into the database: each batch is one transaction, events and cursor together.
 *
 * Invariant: a cursor is written only with or after everything that it covers.
 * Invariant: an event is applied once; one whose `seq` was had is dropped.
 */
import type { Http } from "../protocol/http.ts";
import { Refused } from "../protocol/refusal.ts";
import type {
  Ack,
  Conversation,
  EventFrame,
  Gap,
  MediaFrame,
  MessageList,
  ReceiptOfMember,
  ServerFrame,
  User,
  UserId,
} from "../protocol/types.ts";
import { happened, readUpTo, unknownConversation, viewed } from "./counts.ts";
import { type Database, STORES, type StoreName, type Writing, within } from "./database.ts";
import { applied, isModifier, isShown, rowOf, targetOf, threadOf } from "./fold.ts";
import { cut, join } from "./ranges.ts";
import { given, references } from "./references.ts";
import type { Change, ConversationRow, MessageRow, OutboxRow } from "./rows.ts";

/** Events of a page, when a hole in the chain is filled. */
const REPAIR_PAGE = 500;
/** Pages for one hole; a larger one is skipped, and read when it is looked at. */
const REPAIR_PAGES_MAX = 4;
/** Modifiers kept of a conversation, for pages that are older than the chain. */
const MODIFIERS_MAX = 300;

type Work = Writing<StoreName[]>;

/** What came of a batch, for those that go on with it. */
export interface Ingested {
  readonly change: Change;
  /** Keys of the outbox that need no answer any more. */
  readonly settled: readonly string[];
  /** The last event of each conversation that is in the database now. */
  readonly delivered: ReadonlyMap<string, number>;
  /** New messages of others, for notifications. */
  readonly arrivals: readonly MessageRow[];
  /** Marks of one's own that other devices set. */
  readonly unknownConversations: readonly string[];
}

/** Applies a batch of frames, in order. */
export async function ingest(db: Database, http: Http, me: UserId, frames: readonly ServerFrame[]): Promise<Ingested> {
  const whole = await repaired(db, http, frames);
  const tx = db.transaction([...STORES], "readwrite") as Work;
  const batch = new Batch(tx, me);
  try {
    for (const frame of whole) await batch.frame(frame);
    await batch.finish();
    await tx.done;
  } catch (cause) {
    try {
      tx.abort();
    } catch {
      // It is over already.
    }
    await tx.done.catch(() => {});
    throw cause;
  }
  return batch.result();
}

/** Puts a page of history into the cache. False: the page is older than what the cache can catch up with. */
export async function cachePage(
  db: Database,
  me: UserId,
  conversation: string,
  page: Pick<MessageList, "items" | "as_of">,
  range: { from: number; to: number } | undefined,
): Promise<boolean> {
  const tx = db.transaction(["conversations", "messages", "modifiers"], "readwrite");
  const row = (await tx.objectStore("conversations").get(conversation)) ?? unknownConversation(conversation, me);
  if (page.as_of < row.modifiersAfter) {
    await tx.done;
    return false;
  }
  const later = await tx.objectStore("modifiers").getAll(within(conversation, page.as_of + 1));
  const messages = tx.objectStore("messages");
  for (const frame of page.items) {
    if (!isShown(frame)) continue;
    let message = rowOf(frame, page.as_of);
    const known = await messages.get([conversation, frame.seq]);
    if (known && known.asOf > message.asOf) continue;
    if (known) message = withNames(message, known);
    for (const { frame: modifier } of later) message = applied(message, modifier, me) ?? message;
    await messages.put(message);
  }
  if (range) {
    row.ranges = join(row.ranges, range);
    await tx.objectStore("conversations").put(row);
  }
  await tx.done;
  return true;
}

/**
 * Takes out of the outbox what is stored and whose event does not come any more: it was had before, or the person was
 * removed. `undefined`: there was none.
 */
export async function sweep(db: Database): Promise<Change | undefined> {
  const tx = db.transaction(["outbox", "conversations", "uploads"], "readwrite");
  const outbox = tx.objectStore("outbox");
  let swept: Change | undefined;
  for (const sent of await outbox.getAll()) {
    if (sent.state.kind !== "stored") continue;
    const row = await tx.objectStore("conversations").get(sent.c);
    if (row && row.role !== undefined && row.head < sent.state.seq) continue;
    await outbox.delete(sent.key);
    for (const upload of sent.uploads) await tx.objectStore("uploads").delete(upload);
    swept = { outbox: true, uploads: [...(swept?.uploads ?? []), ...sent.uploads] };
  }
  await tx.done;
  return swept;
}

/** A page counts reactions and names nobody: those who were known stay known, as far as the count allows. */
function withNames(message: MessageRow, known: MessageRow): MessageRow {
  const reactions = message.reactions.map((reaction) => {
    const before = known.reactions.find(({ emoji }) => emoji === reaction.emoji);
    const people = before?.people.slice(0, reaction.count - (reaction.me ? 1 : 0)) ?? [];
    return { ...reaction, people };
  });
  return { ...message, reactions };
}

/** Fills holes in chains: the frames, with what was missing between them. */
async function repaired(db: Database, http: Http, frames: readonly ServerFrame[]): Promise<readonly ServerFrame[]> {
  const heads = new Map<string, { head: number; viewFrom: number }>();
  const place = async (id: string) => {
    let known = heads.get(id);
    if (!known) {
      const row = await db.get("conversations", id);
      known = { head: row?.head ?? 0, viewFrom: row?.viewFrom ?? 0 };
      heads.set(id, known);
    }
    return known;
  };
  const whole: ServerFrame[] = [];
  for (const frame of frames) {
    if (frame.type === "conversation") {
      (await place(frame.conversation)).viewFrom = frame.view_from;
    } else if (frame.type === "gap") {
      const known = await place(frame.conversation);
      known.head = Math.max(known.head, frame.to);
    } else if (frame.type === "event") {
      const known = await place(frame.conversation);
      if (known.head > 0 && frame.prev > known.head && frame.prev >= known.viewFrom) {
        whole.push(...(await missing(http, frame, known.head)));
      }
      known.head = Math.max(known.head, frame.seq);
    }
    whole.push(frame);
  }
  return whole;
}

/** What is between the last event that is known and this one; a gap, where it is too much or cannot be had. */
async function missing(http: Http, until: EventFrame, after: number): Promise<ServerFrame[]> {
  const conversation = until.conversation;
  const gap: Gap = { type: "gap", conversation, from: after, to: until.prev };
  const found: ServerFrame[] = [];
  let from = after;
  for (let pages = 0; pages < REPAIR_PAGES_MAX; pages += 1) {
    try {
      const page = await http.events(conversation, { after: from, limit: REPAIR_PAGE, atLeast: until.prev });
      for (const event of page.items) {
        if (event.seq >= until.seq) return found;
        found.push({ ...event, type: "event" });
        from = event.seq;
      }
      if (from >= until.prev) return found;
      if (!page.more) return [gap];
    } catch (cause) {
      if (cause instanceof Refused) return [gap];
      throw cause;
    }
  }
  return [gap];
}

class Batch {
  readonly #tx: Work;
  readonly #me: UserId;
  readonly #conversations = new Map<string, ConversationRow>();
  readonly #messages: Record<string, Set<number> | "all"> = {};
  readonly #people = new Set<string>();
  readonly #members = new Set<string>();
  readonly #receipts = new Set<string>();
  readonly #delivered = new Map<string, number>();
  readonly #settled: string[] = [];
  /** Files of those: nobody needs them here any more. */
  readonly #uploads: string[] = [];
  readonly #arrivals: MessageRow[] = [];
  readonly #unknown: string[] = [];
  #cursor: string | undefined;

  constructor(tx: Work, me: UserId) {
    this.#tx = tx;
    this.#me = me;
  }

  async frame(frame: ServerFrame): Promise<void> {
    switch (frame.type) {
      case "event":
        return this.#event(frame);
      case "ack":
        return this.#ack(frame);
      case "conversation":
        return this.#view(frame);
      case "gap":
        return this.#gap(frame);
      case "user":
        return this.#user(frame);
      case "receipt":
        return this.#receipt(frame);
      case "media":
        return this.#media(frame);
      case "synced":
      case "cursor":
        this.#cursor = frame.cursor;
        return;
      case "pong":
        if (frame.cursor !== undefined) this.#cursor = frame.cursor;
        return;
      default:
    }
  }

  async finish(): Promise<void> {
    for (const row of this.#conversations.values()) await this.#tx.objectStore("conversations").put(row);
    if (this.#cursor !== undefined) await this.#tx.objectStore("meta").put(this.#cursor, "cursor");
  }

  result(): Ingested {
    const messages: Record<string, number[] | "all"> = {};
    for (const [id, seqs] of Object.entries(this.#messages)) messages[id] = seqs === "all" ? "all" : [...seqs];
    return {
      change: {
        conversations: [...this.#conversations.keys()],
        messages,
        people: [...this.#people],
        members: [...this.#members],
        receipts: [...this.#receipts],
        outbox: this.#settled.length > 0,
        ...(this.#uploads.length > 0 ? { uploads: this.#uploads } : {}),
      },
      settled: this.#settled,
      delivered: this.#delivered,
      arrivals: this.#arrivals,
      unknownConversations: this.#unknown,
    };
  }

  async #conversation(id: string): Promise<ConversationRow> {
    const known = this.#conversations.get(id);
    if (known) return known;
    let row = await this.#tx.objectStore("conversations").get(id);
    if (!row) {
      row = unknownConversation(id, this.#me);
      this.#unknown.push(id);
    }
    this.#conversations.set(id, row);
    return row;
  }

  #changed(id: string, seq: number): void {
    const seqs = (this.#messages[id] ??= new Set());
    if (seqs !== "all") seqs.add(seq);
  }

  async #event(frame: EventFrame): Promise<void> {
    const id = frame.conversation;
    if (frame.body.sender === this.#me && frame.body.id) await this.#settle(id, frame.body.id);
    const before = await this.#conversation(id);
    if (frame.seq <= before.head) return;
    const row: ConversationRow = { ...happened(before, frame, this.#me), head: frame.seq };
    // The first that the reader sees: nothing is before it.
    const from = frame.prev < row.viewFrom || frame.prev === 0 ? 0 : frame.prev + 1;
    row.ranges = join(row.ranges, { from, to: frame.seq });
    this.#conversations.set(id, row);
    this.#delivered.set(id, frame.seq);
    if (frame.body.event.kind === "member" || frame.body.event.kind === "create") this.#members.add(id);
    if (isShown(frame)) await this.#shown(frame, before);
    if (isModifier(frame)) await this.#modifier(frame, row);
  }

  async #shown(frame: EventFrame, before: ConversationRow): Promise<void> {
    const messages = this.#tx.objectStore("messages");
    const known = await messages.get([frame.conversation, frame.seq]);
    if (!known) {
      const message = rowOf(frame, frame.seq);
      await messages.put(message);
      const isOfOther = frame.body.sender !== this.#me;
      if (message.event.kind === "message" && isOfOther && frame.seq > before.asOf) this.#arrivals.push(message);
    }
    this.#changed(frame.conversation, frame.seq);
    const root = threadOf(frame);
    if (root !== undefined) await this.#apply(frame, root);
  }

  async #modifier(frame: EventFrame, row: ConversationRow): Promise<void> {
    const modifiers = this.#tx.objectStore("modifiers");
    await modifiers.put({ c: frame.conversation, seq: frame.seq, frame });
    const keys = await modifiers.getAllKeys(within(frame.conversation));
    const oldest = keys[0];
    if (keys.length > MODIFIERS_MAX && oldest) {
      await modifiers.delete(oldest);
      row.modifiersAfter = Math.max(row.modifiersAfter, oldest[1]);
    }
    const target = targetOf(frame);
    if (target !== undefined) await this.#apply(frame, target);
  }

  async #apply(frame: EventFrame, target: number): Promise<void> {
    const messages = this.#tx.objectStore("messages");
    const known = await messages.get([frame.conversation, target]);
    const next = known && applied(known, frame, this.#me);
    if (!next) return;
    await messages.put(next);
    this.#changed(frame.conversation, target);
  }

  async #settle(conversation: string, id: string): Promise<void> {
    const outbox = this.#tx.objectStore("outbox");
    const row = await outbox.index("id").get(id);
    if (row?.c === conversation) await this.#takeOut(row);
  }

  async #takeOut({ key, uploads }: OutboxRow): Promise<void> {
    await this.#tx.objectStore("outbox").delete(key);
    for (const upload of uploads) await this.#tx.objectStore("uploads").delete(upload);
    this.#settled.push(key);
    this.#uploads.push(...uploads);
  }

  async #ack(ack: Ack): Promise<void> {
    const outbox = this.#tx.objectStore("outbox");
    const row = await outbox.index("id").get(ack.id);
    if (!row || row.c !== ack.conversation) return;
    const conversation = await this.#conversation(ack.conversation);
    if (conversation.head >= ack.seq) {
      // Its event was here before: nothing more comes of it.
      await this.#settle(ack.conversation, ack.id);
      return;
    }
    await outbox.put({ ...row, attempted: true, state: { kind: "stored", seq: ack.seq } });
    this.#settled.push(row.key);
  }

  async #view(view: Conversation): Promise<void> {
    const before = await this.#conversation(view.conversation);
    const row = viewed(before, view);
    this.#conversations.set(row.id, row);
    if (row.viewFrom > before.viewFrom && row.ranges.length > 0) {
      // Added again: the view begins anew.
      row.ranges = cut(row.ranges, row.viewFrom);
      const old = IDBKeyRange.bound([row.id, -Infinity], [row.id, row.viewFrom], false, true);
      await this.#tx.objectStore("messages").delete(old);
      this.#messages[row.id] = "all";
    }
  }

  async #gap(gap: Gap): Promise<void> {
    const row = await this.#conversation(gap.conversation);
    if (gap.to <= row.head) return;
    // What was cached may have been changed by what is left out.
    const next = { ...row, head: gap.to, ranges: [], modifiersAfter: gap.to };
    this.#conversations.set(gap.conversation, next);
    await this.#tx.objectStore("messages").delete(within(gap.conversation));
    await this.#tx.objectStore("modifiers").delete(within(gap.conversation));
    this.#messages[gap.conversation] = "all";
    const outbox = this.#tx.objectStore("outbox");
    for (const sent of await outbox.getAll()) {
      const isInIt = sent.c === gap.conversation && sent.state.kind === "stored" && sent.state.seq <= gap.to;
      if (isInIt) await this.#takeOut(sent);
    }
  }

  async #user({ user, handle, name, avatar }: User): Promise<void> {
    await this.#tx.objectStore("people").put({ user, handle, name, ...(avatar === undefined ? {} : { avatar }) });
    this.#people.add(user);
  }

  async #receipt(receipt: ReceiptOfMember): Promise<void> {
    const c = receipt.conversation;
    if (receipt.user === this.#me) {
      const row = await this.#conversation(c);
      this.#conversations.set(c, readUpTo(row, receipt.read));
      return;
    }
    const receipts = this.#tx.objectStore("receipts");
    const known = await receipts.get([c, receipt.user]);
    if (known && known.delivered >= receipt.delivered && known.read >= receipt.read) return;
    const readTs = receipt.read_ts === undefined ? known?.readTs : Date.parse(receipt.read_ts);
    await receipts.put({
      c,
      user: receipt.user,
      delivered: Math.max(known?.delivered ?? 0, receipt.delivered),
      deliveredTs: Date.parse(receipt.delivered_ts),
      read: Math.max(known?.read ?? 0, receipt.read),
      ...(readTs === undefined ? {} : { readTs }),
    });
    this.#receipts.add(c);
  }

  /** What became known of a file: the message says it from now on. */
  async #media({ conversation, seq, media }: MediaFrame): Promise<void> {
    const messages = this.#tx.objectStore("messages");
    const row = await messages.get([conversation, seq]);
    if (!row || row.event.kind !== "message" || !("text" in row.event) || !row.event.media) return;
    const { width, height, duration_ms, placeholder } = media;
    const known = references(row.event.media).map((one) => {
      return one.id === media.id ? { ...one, ...given({ width, height, duration_ms, placeholder }) } : one;
    });
    await messages.put({ ...row, event: { ...row.event, media: known } });
    this.#changed(conversation, seq);
  }
}

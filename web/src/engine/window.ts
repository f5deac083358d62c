import { Refused } from "../protocol/refusal.ts";
import type {
  Compose,
  ConversationId,
  ConversationWindow,
  InboxRow,
  MemberRow,
  Mentionable,
  MessageItem,
  Person,
  Place,
  Readable,
  ReceiptDetails,
  Seq,
  TimelineItem,
  WindowState,
} from "./api.ts";
import { Cell } from "./cell.ts";
import { Composer } from "./compose.ts";
import type { Core, View } from "./core.ts";
import { Echoes, targetOf } from "./echoes.ts";
import { History, SCREEN } from "./history.ts";
import type { Inbox } from "./inbox.ts";
import { kept, laidOut, pending, stored } from "./items.ts";
import type { Members } from "./members.ts";
import { openings } from "./opening.ts";
import { Pins } from "./pins.ts";
import { nameReactors } from "./reactors.ts";
import { Quotes } from "./quotes.ts";
import { details } from "./receipts.ts";
import { sceneOf } from "./scene.ts";
import type { Change, MessageRow, OutboxRow } from "./rows.ts";
import { Stretch } from "./stretch.ts";

/** Before anything is read. */
export const OPENING: WindowState = {
  items: [],
  hasOlder: false,
  hasNewer: false,
  loading: "opening",
  failure: undefined,
  anchor: undefined,
};

export interface WindowPorts {
  readonly core: Core;
  readonly inbox: Inbox;
  readonly members: Members;
  onClose(): void;
}

/** A part of a conversation in memory, which follows the database. */
export class Window implements ConversationWindow, View {
  readonly state = new Cell<WindowState>(OPENING);
  readonly typing = new Cell<readonly Person[]>([]);
  readonly compose: Compose;
  readonly row: Readable<InboxRow | undefined>;
  readonly members: Readable<readonly MemberRow[]>;
  readonly pins;
  readonly #core: Core;
  readonly #history: History;
  readonly #pins: Pins;
  readonly #quotes: Quotes;
  readonly #composer: Composer;
  readonly #leave: () => void;
  readonly #stretch = new Stretch();
  readonly #echoes = new Echoes((left) => this.#enqueue(() => this.#lookFor(left)));
  #loading: WindowState["loading"] = "opening";
  #failure: WindowState["failure"];
  #anchor: WindowState["anchor"];
  #firstUnread: Seq | undefined;
  /** The last that the person has seen, and stays with; `undefined`: they are at the end, and stay there. */
  #read: Seq | undefined;
  #items = new Map<string, TimelineItem>();
  #turn: Promise<unknown> = Promise.resolve();
  #turns = 0;
  #isClosed = false;
  #wasOnline: boolean;

  constructor(
    readonly conversation: ConversationId,
    private readonly ports: WindowPorts,
    place: Place,
  ) {
    const { core, inbox, members } = ports;
    this.#core = core;
    this.#history = new History(core, conversation);
    this.#wasOnline = core.isOnline;
    this.row = inbox.row(conversation);
    this.members = members.of(conversation);
    this.#quotes = new Quotes(core, this.#history, () => this.#show());
    this.#pins = new Pins(core, this.#history, this.#quotes);
    this.pins = this.#pins.cell;
    this.#composer = new Composer({
      core,
      conversation,
      thread: undefined,
      quotes: this.#quotes,
      mentionsIn: (text) => members.mentionsIn(conversation, text),
      item: (seq) => this.#itemOf(seq),
      onSend: () => {
        if (!this.#stretch.atEnd) core.unawaited(this.jumpTo({ kind: "newest" }));
      },
    });
    this.compose = this.#composer;
    this.#leave = core.add(this);
    core.unawaited(members.loadIfFew(conversation));
    core.unawaited(core.changeRow(conversation, (row) => ({ ...row, opened: Date.now() })));
    core.unawaited(this.#enqueue(() => this.#open(place)));
    core.unawaited(this.#pins.reread());
  }

  // ---- moving

  loadOlder(): Promise<void> {
    return this.#enqueue(async () => {
      const first = this.#rows[0];
      if (!first || this.#stretch.atStart) return;
      await this.#load("older", async () => this.#stretch.prepend(await this.#history.before(first.seq)));
    });
  }

  loadNewer(): Promise<void> {
    return this.#enqueue(async () => {
      const last = this.#rows.at(-1);
      if (!last || this.#stretch.atEnd) return;
      await this.#load("newer", async () => this.#stretch.append(await this.#history.after(last.seq)));
    });
  }

  jumpTo(place: Place): Promise<void> {
    return this.#enqueue(() => this.#open(place));
  }

  async #open(place: Place): Promise<void> {
    await this.#load("opening", async () => {
      const row = this.#core.row(this.conversation);
      for await (const { slice, at, firstUnread } of openings(this.#history, place, row, this.#core.me)) {
        this.#stretch.take(slice);
        if (firstUnread !== undefined) this.#firstUnread = firstUnread;
        if (at) this.#anchorAt(at.seq, at.align);
        else this.#anchorAtEnd();
        this.#show();
      }
    });
  }

  get #rows(): readonly MessageRow[] {
    return this.#stretch.rows;
  }

  #anchorAt(seq: Seq, align: "start" | "center"): void {
    const row = this.#rows.find((one) => one.seq >= seq) ?? this.#rows.at(-1);
    if (!row) return;
    this.#read = row.seq;
    this.#turns += 1;
    this.#anchor = { key: this.#keyOf(row), align, turn: this.#turns };
  }

  #anchorAtEnd(): void {
    const row = this.#rows.at(-1);
    this.#read = undefined;
    this.#turns += 1;
    this.#anchor = row ? { key: this.#keyOf(row), align: "end", turn: this.#turns } : undefined;
  }

  #keyOf(row: MessageRow): string {
    return stored(row, this.#scene()).key;
  }

  async #load(what: NonNullable<WindowState["loading"]>, work: () => Promise<void>): Promise<void> {
    this.#loading = what;
    this.#failure = undefined;
    this.#show();
    try {
      await work();
    } catch (cause) {
      if (!(cause instanceof Refused)) throw cause;
      this.#failure = cause.code;
      if (what === "opening") await this.#showWhatIsThere();
    } finally {
      this.#loading = undefined;
      this.#show();
    }
  }

  /** Offline, and the place is not cached: the newest that is. */
  async #showWhatIsThere(): Promise<void> {
    if (this.#rows.length > 0) return;
    const cached = await this.#history.newestCached();
    if (!cached) return;
    this.#stretch.take(cached);
    this.#anchorAtEnd();
  }

  /** One thing at a time: what is loaded depends on what was. */
  #enqueue(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(() => (this.#isClosed ? undefined : work()));
    this.#turn = done.catch(() => {});
    return done;
  }

  // ---- following

  refresh(change: Change): void {
    const id = this.conversation;
    const changed = change.messages?.[id];
    if (changed) this.#core.unawaited(this.#enqueue(() => this.#follow(changed)));
    const isShown =
      change.outbox || change.people || change.uploads || change.conversations?.includes(id) || change.receipts?.includes(id);
    if (changed) this.#core.unawaited(changed === "all" ? this.#pins.lost() : this.#pins.reread());
    else if (isShown) this.#show();
    if (isShown) this.typing.set(kept(this.typing.get(), this.#core.typingIn(id)));
    if (change.drafts || change.uploads || change.conversations?.includes(id)) this.#composer.refresh();
    this.#reconnected();
  }

  /** What could not be had offline is tried again. */
  #reconnected(): void {
    const isOnline = this.#core.isOnline;
    if (isOnline && !this.#wasOnline) this.#core.unawaited(this.#pins.again());
    if (isOnline && !this.#wasOnline) {
      if (this.#rows.length === 0) this.#core.unawaited(this.jumpTo({ kind: "unread" }));
      else if (this.#failure) {
        // Who reads stays where they read; what is missing there is asked for by the view.
        this.#failure = undefined;
        this.#show();
      }
    }
    this.#wasOnline = isOnline;
  }

  async #follow(changed: number[] | "all"): Promise<void> {
    if (changed === "all") {
      await this.#reload();
      return;
    }
    await this.#reread(changed);
    this.#show();
  }

  async #reread(seqs: readonly Seq[]): Promise<void> {
    const rows: MessageRow[] = [];
    for (const seq of seqs) {
      const row = this.#stretch.holds(seq) ? await this.#history.row(seq) : undefined;
      if (row) rows.push(row);
    }
    this.#stretch.put(rows, this.#read);
  }

  /** They are no longer in the outbox: what became of them is in the cache, if not among the rows. */
  async #lookFor(left: readonly OutboxRow[]): Promise<void> {
    await this.#reread(left.flatMap((sent) => targetOf(sent) ?? []));
    if (!this.#stretch.atEnd || !left.some((sent) => targetOf(sent) === undefined)) return;
    this.#stretch.put(await this.#history.followingCached(this.#rows.at(-1)?.seq ?? 0), this.#read);
  }

  /** What was cached is gone: the same place again, with a screen before it. */
  async #reload(): Promise<void> {
    const middle = this.#rows[Math.floor(this.#rows.length / 2)]?.seq;
    const place = this.#read ?? (this.#stretch.atEnd ? undefined : middle);
    await this.#load("newer", async () => {
      this.#stretch.take(place === undefined ? await this.#history.newest() : await this.#history.around(place, SCREEN));
    });
  }

  #scene() {
    return sceneOf(this.#core, this.conversation, (seq) => this.#quotes.of(seq, this.#rows), this.#echoes.keyOf);
  }

  #show(): void {
    if (this.#isClosed) return;
    const own = new Set(this.#rows.flatMap(({ id, sender }) => (id && sender === this.#core.me ? [id] : [])));
    const { sent, looked } = this.#echoes.of(this.#core.outboxOf(this.conversation), own);
    if (looked) this.#core.unawaited(looked.then(() => this.#show()));
    const scene = { ...this.#scene(), outbox: sent };
    const items: TimelineItem[] = this.#rows.map((row) => stored(row, scene));
    if (this.#stretch.atEnd) items.push(...sent.flatMap((one) => (own.has(one.id) ? [] : (pending(one, scene) ?? []))));
    const after = laidOut(items, this.#firstUnread).map((item) => kept(this.#items.get(item.key), item));
    this.#items = new Map(after.map((item) => [item.key, item]));
    const before = this.state.get();
    const isSame = before.items.length === after.length && after.every((item, at) => item === before.items[at]);
    const next: WindowState = {
      items: isSame ? before.items : after,
      hasOlder: !this.#stretch.atStart,
      hasNewer: !this.#stretch.atEnd,
      loading: this.#loading,
      failure: this.#failure,
      anchor: this.#anchor,
    };
    const isOther = Object.entries(next).some(([key, value]) => value !== before[key as keyof WindowState]);
    if (isOther) this.state.set(next);
  }

  // ---- doing

  seen(seq: Seq): void {
    const isAtEnd = this.#stretch.atEnd && seq >= (this.#rows.at(-1)?.seq ?? 0);
    this.#read = isAtEnd ? undefined : seq;
    if (this.#core.platform.isVisible()) this.#core.unawaited(this.#core.read(this.conversation, seq));
  }

  async loadPins(): Promise<void> {
    await this.#pins.load();
  }

  mentionables(prefix: string): readonly Mentionable[] {
    return this.ports.members.mentionables(this.conversation, prefix);
  }

  toggleReaction(seq: Seq, emoji: string): void {
    const item = this.#itemOf(seq);
    if (item) this.#react(item, seq, emoji);
    else this.#core.unawaited(this.#reactElsewhere(seq, emoji));
  }

  nameReactors(seq: Seq): Promise<void> {
    return nameReactors(this.#core, this.conversation, seq);
  }

  /** In a thread or a list of pins: the message may be far from what this window has. */
  async #reactElsewhere(seq: Seq, emoji: string): Promise<void> {
    const row = await this.#history.row(seq);
    const item = row && stored(row, this.#scene());
    this.#react(item?.kind === "message" ? item : undefined, seq, emoji);
  }

  #react(item: MessageItem | undefined, seq: Seq, emoji: string): void {
    const isMine = item?.reactions.some((one) => one.emoji === emoji && one.mine) ?? false;
    this.#send({ kind: "reaction", target: seq, emoji, op: isMine ? "remove" : "add" });
  }

  setPinned(seq: Seq, pinned: boolean): void {
    this.#send({ kind: "pin", target: seq, op: pinned ? "add" : "remove" });
  }

  delete(seq: Seq): void {
    this.#send({ kind: "delete", target: seq });
  }

  edit(seq: Seq, text: string): void {
    this.#composer.edit(seq, text);
  }

  retry(key: string): void {
    this.#core.unawaited(this.#core.retry(this.#rowKey(key)));
  }

  discard(key: string): Promise<boolean> {
    return this.#core.discard(this.#rowKey(key));
  }

  receipts(seq: Seq): Promise<ReceiptDetails> {
    return details(this.#core, this.ports.members, this.conversation, seq);
  }

  lastEditable(): MessageItem | undefined {
    const items = this.state.get().items;
    return items.findLast((item) => item.kind === "message" && item.may.edit) as MessageItem | undefined;
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#leave();
    this.#composer.close();
    this.#quotes.close();
    this.ports.onClose();
  }

  #send(event: Parameters<Core["send"]>[0]["event"]): void {
    this.#core.send({ c: this.conversation, event });
  }

  /** What an item of the outbox is called there. */
  #rowKey(key: string): string {
    return this.#core.outbox.find((row) => this.#echoes.keyOf(row.id) === key)?.key ?? key;
  }

  #itemOf(seq: Seq): MessageItem | undefined {
    const found = this.state.get().items.find((item) => item.seq === seq);
    if (found?.kind === "message") return found;
    const pinned = this.#pins.cell.get().items.find((item) => item.seq === seq);
    return pinned;
  }
}

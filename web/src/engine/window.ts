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
import { Echoes } from "./echoes.ts";
import { History } from "./history.ts";
import type { Inbox } from "./inbox.ts";
import { kept, laidOut, pending, stored } from "./items.ts";
import type { Members } from "./members.ts";
import { Pins } from "./pins.ts";
import { Quotes } from "./quotes.ts";
import { nameReactors } from "./reactors.ts";
import { Reading } from "./reading.ts";
import { details } from "./receipts.ts";
import type { Change, OutboxRow } from "./rows.ts";
import { sceneOf } from "./scene.ts";

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
  readonly #reading: Reading;
  readonly #echoes = new Echoes((left) => this.#reading.lookFor(left));
  #items = new Map<string, TimelineItem>();
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
    this.#reading = new Reading({
      core,
      history: this.#history,
      keyOf: (row) => stored(row, this.#scene()).key,
      onChange: () => this.#show(),
    });
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
        if (!this.#reading.atEnd) core.unawaited(this.jumpTo({ kind: "newest" }));
      },
    });
    this.compose = this.#composer;
    this.#leave = core.add(this);
    core.unawaited(members.loadIfFew(conversation));
    core.unawaited(core.changeRow(conversation, (row) => ({ ...row, opened: Date.now() })));
    core.unawaited(this.jumpTo(place));
    core.unawaited(this.#pins.reread());
  }

  // ---- moving

  loadOlder(): Promise<void> {
    return this.#reading.loadOlder();
  }

  loadNewer(): Promise<void> {
    return this.#reading.loadNewer();
  }

  jumpTo(place: Place): Promise<void> {
    return this.#reading.jumpTo(place);
  }

  stay(seq: Seq | undefined): void {
    this.#reading.stay(seq);
  }

  // ---- following

  refresh(change: Change): void {
    const id = this.conversation;
    const changed = change.messages?.[id];
    if (changed) this.#core.unawaited(this.#reading.follow(changed));
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
    if (isOnline && !this.#wasOnline) {
      this.#core.unawaited(this.#pins.again());
      this.#core.unawaited(this.#reading.again());
    }
    this.#wasOnline = isOnline;
  }

  #scene() {
    return sceneOf(this.#core, this.conversation, (seq) => this.#quotes.of(seq, this.#reading.rows), this.#echoes.keyOf);
  }

  #show(): void {
    if (this.#isClosed) return;
    const { rows, takesSent, firstUnread, state } = this.#reading;
    const own = new Set(rows.flatMap(({ id, sender }) => (id && sender === this.#core.me ? [id] : [])));
    const outbox = new Set(this.#core.outboxOf(this.conversation));
    const { sent, looked } = this.#echoes.of([...outbox], own);
    if (looked) this.#core.unawaited(looked.then(() => this.#show()));
    const scene = { ...this.#scene(), outbox: sent };
    const items: TimelineItem[] = rows.map((row) => stored(row, scene));
    // What has left the outbox looks as it did: its files have left with it.
    const echo = (one: OutboxRow) => (outbox.has(one) ? pending(one, scene) : this.#items.get(scene.keyOf(one.id)));
    if (takesSent) items.push(...sent.flatMap((one) => (own.has(one.id) ? [] : (echo(one) ?? []))));
    const after = laidOut(items, firstUnread).map((item) => kept(this.#items.get(item.key), item));
    this.#items = new Map(after.map((item) => [item.key, item]));
    const before = this.state.get();
    const isSame = before.items.length === after.length && after.every((item, at) => item === before.items[at]);
    const next: WindowState = { ...state, items: isSame ? before.items : after };
    const isOther = Object.entries(next).some(([key, value]) => value !== before[key as keyof WindowState]);
    if (isOther) this.state.set(next);
  }

  // ---- doing

  seen(seq: Seq): void {
    if (this.#reading.counts && this.#core.platform.isVisible()) this.#core.unawaited(this.#core.read(this.conversation, seq));
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
    this.#reading.close();
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

/** What one tab knows of one person: the rows it has in memory, and how they follow the database. */
import { ServerClock } from "../protocol/clock.ts";
import type { Http } from "../protocol/http.ts";
import type { LinkState } from "../protocol/link.ts";
import { Refused } from "../protocol/refusal.ts";
import type { OwnUser } from "../protocol/types.ts";
import type { ConversationId, Person, Problem, Upload, UserId } from "./api.ts";
import { Arrivals } from "./arrivals.ts";
import { Bell, Cell } from "./cell.ts";
import { readUpTo, unknownConversation } from "./counts.ts";
import { type Database, ofConversation, readMeta } from "./database.ts";
import { Drafts, endDraft } from "./drafts.ts";
import { uploadItem } from "./items.ts";
import { Journal } from "./journal.ts";
import { inOrder } from "./outbox.ts";
import { People } from "./people.ts";
import type { Platform } from "./platform.ts";
import { recover } from "./recovery.ts";
import type {
  Change,
  ConversationRow,
  DraftEnd,
  MessageRow,
  OutboxRow,
  OutgoingEvent,
  ReceiptRow,
  UploadRow,
} from "./rows.ts";
import type { Notice, Tabs } from "./tabs.ts";
import { TYPING_MS, Typing } from "./typing.ts";

/** Unsent rows of a device; more are refused, with the words left where they are. */
const OUTBOX_MAX = 2_000;

/** Whoever shows something of the core. */
export interface View {
  /** Rows changed; `messages` are seqs by conversation. */
  refresh(change: Change): void | Promise<void>;
}

export interface Outgoing {
  /** The draft that it was: gone in the same moment. */
  readonly draft?: DraftEnd;
  readonly c: ConversationId;
  readonly event: OutgoingEvent;
  readonly uploads?: readonly string[];
}

export class Core {
  readonly conversations = new Map<ConversationId, ConversationRow>();
  readonly drafts: Drafts;
  readonly arrivals: Arrivals;
  readonly receipts = new Map<ConversationId, Map<UserId, ReceiptRow>>();
  readonly clock = new ServerClock();
  readonly people: People;
  readonly problems = new Bell<Problem>();
  readonly link = new Cell<LinkState>({ kind: "connecting" });
  readonly inboxComplete = new Cell(false);
  readonly own = new Cell<OwnUser | undefined>(undefined);
  readonly tab: string;
  readonly #unsent: Journal<OutboxRow>;
  textBytes = 16_384;
  /** In order. */
  outbox: readonly OutboxRow[] = [];
  readonly #uploads = new Map<string, UploadRow>();
  readonly #progress = new Map<string, number>();
  readonly #typing = new Typing((id) => this.#show({ conversations: [id] }));
  readonly #views = new Set<View>();
  /** Rows that are shown and not in the database yet. */
  readonly #unwritten = new Map<string, OutboxRow>();
  #turn: Promise<void> = Promise.resolve();
  #ends: (() => void)[] = [];
  #order = 0;
  isClosed = false;

  constructor(
    readonly db: Database,
    readonly http: Http,
    readonly me: UserId,
    readonly platform: Platform,
    readonly tabs: Tabs,
  ) {
    this.tab = this.clock.mint();
    this.#unsent = new Journal(platform.values, platform.scope, me, "unsent");
    this.drafts = new Drafts({ db, me, platform, tabs });
    this.arrivals = new Arrivals({
      write: (upload) => this.putUpload(upload),
      leave: (place, { key, c }) => this.drafts.add(place, c, key, this.tab),
    });
    this.people = new People(db, http, me, (ids) => tabs.post({ type: "changed", change: { people: ids } }));
  }

  async start(): Promise<void> {
    this.#ends.push(this.tabs.listen((notice) => this.#notice(notice)));
    this.clock.offsetMs = await readMeta(this.db, "clockOffsetMs");
    await this.#recover();
    await this.people.start();
    for (const row of await this.db.getAll("conversations")) this.conversations.set(row.id, row);
    await this.drafts.start();
    for (const { draft } of this.#unwritten.values()) if (draft) this.drafts.hide(draft);
    await this.#readOutbox();
    await this.#readMeta();
  }

  close(): void {
    this.isClosed = true;
    this.#typing.close();
    for (const end of this.#ends) end();
    this.people.close();
  }

  /** The person has logged out: what is still being written is not kept for whoever comes next. */
  forget(): void {
    this.#unsent.close();
    this.drafts.journal.close();
  }

  async #recover(): Promise<void> {
    const { change, unwritten } = await recover(this.db, this.#unsent, this.drafts.journal);
    for (const row of unwritten) this.#unwritten.set(row.key, unkept(row));
    if (!change) return;
    // Another tab may lead already.
    this.tabs.post({ type: "outbox" });
    this.changed(change);
  }

  // ---- what is known

  row(id: ConversationId): ConversationRow | undefined {
    return this.conversations.get(id);
  }

  rowOrUnknown(id: ConversationId): ConversationRow {
    return this.conversations.get(id) ?? unknownConversation(id, this.me);
  }

  outboxOf(id: ConversationId): OutboxRow[] {
    return this.outbox.filter(({ c }) => c === id);
  }

  /** Read when they are first looked at; what looks at them is told. */
  receiptsOf(id: ConversationId): ReadonlyMap<UserId, ReceiptRow> {
    const known = this.receipts.get(id);
    if (known) return known;
    const none = new Map<UserId, ReceiptRow>();
    this.receipts.set(id, none);
    this.unawaited(this.#readReceipts(id).then(() => this.#show({ receipts: [id] })));
    return none;
  }

  upload(key: string): Upload | undefined {
    const row = this.#uploads.get(key);
    return row && uploadItem(row, this.#progress.get(key) ?? 0);
  }

  typingIn(id: ConversationId): Person[] {
    return this.#typing.in(id).map((user) => this.people.get(user));
  }

  get isOnline(): boolean {
    return this.link.get().kind === "online";
  }

  // ---- views

  add(view: View): () => void {
    this.#views.add(view);
    return () => void this.#views.delete(view);
  }

  /** After a change of the database by this tab; the others are told, too. */
  changed(change: Change): void {
    this.tabs.post({ type: "changed", change });
  }

  #show(change: Change): void {
    for (const view of [...this.#views]) void view.refresh(change);
  }

  // ---- sending

  /** Shows it, writes it down, and has it sent. The key is undefined when the outbox is full. */
  send({ c, event, uploads = [], draft }: Outgoing): string | undefined {
    if (this.outbox.length >= OUTBOX_MAX) {
      this.problems.ring({ code: "overloaded", conversation: c, what: "storage" });
      return undefined;
    }
    const id = this.clock.mint();
    this.#order = Math.max(this.#order, ...this.outbox.map(({ order }) => order)) + 1;
    const row: OutboxRow = {
      key: id,
      c,
      id,
      order: this.#order,
      event,
      attempted: false,
      state: { kind: "ready" },
      ts: this.clock.now(),
      uploads: [...uploads],
      ...(draft ? { draft } : {}),
    };
    this.#unwritten.set(row.key, row);
    this.outbox = [...this.outbox, row];
    // Before it is shown: what is shown is on its way to the disk, whatever happens to the page.
    const written = this.#write(row);
    if (draft) this.drafts.sent(draft, written);
    this.#show({ outbox: true, conversations: [c] });
    void written;
    return row.key;
  }

  async #write(row: OutboxRow): Promise<void> {
    const { draft } = row;
    this.#unsent.put(row.key, row);
    try {
      const tx = this.db.transaction(["outbox", "drafts"], "readwrite");
      // In this order: a row that cannot be put at all leaves its draft.
      await Promise.all([tx.objectStore("outbox").put(row), draft && endDraft(tx.objectStore("drafts"), draft), tx.done]);
      this.#unsent.remove(row.key);
      this.#unwritten.delete(row.key);
      this.tabs.post({ type: "outbox" });
      this.changed({ outbox: true, ...(draft ? { drafts: [draft.place] } : {}) });
    } catch {
      const failed = unkept(row);
      this.#unwritten.set(row.key, failed);
      this.outbox = this.outbox.map((one) => (one.key === row.key ? failed : one));
      this.#show({ outbox: true });
      this.problems.ring({ code: "unavailable", conversation: row.c, what: "storage" });
    }
  }

  /** A failed one again, under a new id: nothing of the old one is stored. */
  async retry(key: string): Promise<void> {
    const unwritten = this.#unwritten.get(key);
    if (unwritten?.state.kind === "failed") {
      const row: OutboxRow = { ...unwritten, state: { kind: "ready" } };
      this.#unwritten.set(key, row);
      await this.#write(row);
      return;
    }
    const tx = this.db.transaction("outbox", "readwrite");
    const row = await tx.store.get(key);
    if (row?.state.kind === "failed") {
      const orders = (await tx.store.getAll()).map(({ order }) => order);
      const order = Math.max(this.#order, ...orders) + 1;
      this.#order = order;
      const again = { ...row, id: this.clock.mint(), order, attempted: false, state: { kind: "ready" } as const };
      await tx.store.put(again);
    }
    await tx.done;
    // The journal may still have it, under the id that it had.
    if (row) this.#unsent.remove(key);
    for (const upload of row?.uploads ?? []) {
      if (this.#uploads.get(upload)?.state === "failed") this.tabs.post({ type: "pull", upload, what: "resume" });
    }
    this.tabs.post({ type: "outbox" });
    this.changed({ outbox: true });
  }

  /** False: it was sent already, or may have been. */
  async discard(key: string): Promise<boolean> {
    const unwritten = this.#unwritten.get(key);
    if (unwritten?.state.kind === "failed") {
      this.#dropUnwritten(key);
      if (unwritten.draft) this.unawaited(this.drafts.end(unwritten.draft));
      this.outbox = this.outbox.filter((row) => row.key !== key);
      this.#show({ outbox: true });
      return true;
    }
    const tx = this.db.transaction(["outbox", "uploads"], "readwrite");
    const row = await tx.objectStore("outbox").get(key);
    const isFree = row !== undefined && (row.state.kind === "failed" || !row.attempted);
    if (isFree) {
      await tx.objectStore("outbox").delete(key);
      for (const upload of row.uploads) await tx.objectStore("uploads").delete(upload);
    }
    await tx.done;
    if (isFree) {
      this.#unsent.remove(key);
      this.tabs.post({ type: "outbox" });
      this.tabs.post({ type: "uploads" });
      this.changed({ outbox: true, uploads: row.uploads });
    }
    return isFree;
  }

  #keepUnwritten(row: OutboxRow): void {
    this.#unwritten.set(row.key, row);
    // It has not failed where there is room.
    this.#unsent.put(row.key, { ...row, state: { kind: "ready" } });
  }

  #dropUnwritten(key: string): void {
    this.#unwritten.delete(key);
    // Or the next page would find it there, and send it.
    this.#unsent.remove(key);
  }

  // ---- reading

  /** The person saw everything up to here. */
  async read(id: ConversationId, seq: number): Promise<void> {
    const known = this.row(id);
    if (!known || seq <= known.read) return;
    this.conversations.set(id, readUpTo(known, seq));
    this.#show({ conversations: [id] });
    this.tabs.post({ type: "read", conversation: id, seq });
    await this.changeRow(id, (row) => readUpTo(row, seq));
  }

  /** Changes the row of a conversation in the database. */
  async changeRow(id: ConversationId, change: (row: ConversationRow) => ConversationRow): Promise<void> {
    const tx = this.db.transaction("conversations", "readwrite");
    const row = await tx.store.get(id);
    if (row) await tx.store.put(change(row));
    await tx.done;
    if (row) this.changed({ conversations: [id] });
  }

  async putUpload(row: UploadRow): Promise<void> {
    this.#uploads.set(row.key, row);
    await this.db.put("uploads", row);
    this.tabs.post({ type: "uploads" });
    this.changed({ uploads: [row.key] });
  }

  /** Forgets a file; a message that waits for it goes without it, or with it, if there is nothing else to say. */
  async dropUpload(key: string): Promise<void> {
    const tx = this.db.transaction(["outbox", "uploads"], "readwrite");
    await tx.objectStore("uploads").delete(key);
    for (const row of await tx.objectStore("outbox").getAll()) {
      // What may have been sent stays as it was sent.
      if (row.attempted || !row.uploads.includes(key)) continue;
      const rest = without(row, key);
      await (rest ? tx.objectStore("outbox").put(rest) : tx.objectStore("outbox").delete(row.key));
    }
    await tx.done;
    for (const row of [...this.#unwritten.values()]) {
      if (row.state.kind !== "failed" || !row.uploads.includes(key)) continue;
      const rest = without(row, key);
      if (rest) this.#keepUnwritten(rest);
      else this.#dropUnwritten(row.key);
    }
    this.tabs.post({ type: "pull", upload: key, what: "cancel" });
    this.tabs.post({ type: "outbox" });
    this.changed({ outbox: true, uploads: [key] });
  }

  // ---- following the database

  #notice(notice: Notice): void {
    switch (notice.type) {
      case "changed":
        this.#turn = this.#turn
          .then(() => this.#refresh(notice.change))
          .catch((cause: unknown) => {
            if (!this.isClosed) console.error("hansard: not shown", cause);
          });
        return;
      case "connection":
        this.link.set(notice.state);
        this.#show({});
        return;
      case "typing":
        if (notice.user !== this.me) this.#typing.typed(notice.conversation, notice.user);
        return;
      case "presence":
        this.people.present(notice.people);
        return;
      case "progress":
        this.#progress.set(notice.upload, notice.sent);
        this.#show({ uploads: [notice.upload] });
        return;
      case "problem":
        this.problems.ring(notice.problem as Problem);
        return;
      default:
    }
  }

  async #refresh(change: Change): Promise<void> {
    if (this.isClosed) return;
    for (const id of change.conversations ?? []) {
      const row = await this.db.get("conversations", id);
      const known = this.conversations.get(id);
      // What this tab has read is written a moment later.
      if (row) this.conversations.set(id, known && known.read > row.read ? readUpTo(row, known.read) : row);
      else this.conversations.delete(id);
    }
    for (const id of change.receipts ?? []) await this.#readReceipts(id);
    if (change.people) await this.people.reread(change.people);
    if (change.outbox) await this.#readOutbox();
    for (const key of change.uploads ?? []) await this.#readUpload(key);
    await this.drafts.reread(change.drafts ?? []);
    if (change.meta) await this.#readMeta();
    for (const id of Object.keys(change.messages ?? {})) await this.#authorsStopped(id, change.messages?.[id]);
    this.#show(change);
  }

  async #readOutbox(): Promise<void> {
    const rows = await this.db.getAll("outbox");
    // Written meanwhile, by this tab or by one that found them in the journal.
    for (const { key } of rows) this.#unwritten.delete(key);
    this.outbox = [...rows, ...this.#unwritten.values()].sort(inOrder);
    for (const key of rows.flatMap(({ uploads }) => uploads)) {
      if (!this.#uploads.has(key)) await this.#readUpload(key);
    }
  }

  async #readUpload(key: string): Promise<void> {
    const row = await this.db.get("uploads", key);
    if (row) {
      // The file as this tab has it: previews of it stay what they are.
      const blob = this.#uploads.get(key)?.blob ?? row.blob;
      this.#uploads.set(key, { ...row, blob });
    } else {
      this.#uploads.delete(key);
      this.#progress.delete(key);
    }
  }

  async #readMeta(): Promise<void> {
    this.clock.offsetMs = (await readMeta(this.db, "clockOffsetMs")) ?? this.clock.offsetMs;
    this.inboxComplete.set((await readMeta(this.db, "inboxComplete")) ?? false);
    this.textBytes = (await readMeta(this.db, "textBytes")) ?? this.textBytes;
    const own = await readMeta(this.db, "me");
    if (own) {
      this.own.set(own);
      await this.people.learn([own]);
    }
  }

  async #readReceipts(id: ConversationId): Promise<void> {
    const of = new Map<UserId, ReceiptRow>();
    for (const row of await this.db.getAll("receipts", ofConversation(id))) of.set(row.user, row);
    this.receipts.set(id, of);
  }

  /** Whose message is here types no more. */
  async #authorsStopped(id: ConversationId, seqs: number[] | "all" | undefined): Promise<void> {
    if (!Array.isArray(seqs) || this.#typing.in(id).length === 0) return;
    for (const seq of seqs) {
      const row: MessageRow | undefined = await this.db.get("messages", [id, seq]);
      if (row && row.ts > this.clock.now() - TYPING_MS) this.#typing.stopped(id, row.sender);
    }
  }

  /** What nobody waits for: a failure is a fault, unless all of this has ended meanwhile. */
  unawaited(work: Promise<unknown>): void {
    work.catch((cause: unknown) => {
      if (!this.isClosed) console.error("hansard:", cause);
    });
  }

  /** Tries to ask the server; without one, `undefined`. */
  async maybe<T>(ask: () => Promise<T>): Promise<T | undefined> {
    try {
      return await ask();
    } catch (cause) {
      if (cause instanceof Refused) return undefined;
      throw cause;
    }
  }
}

/** The words stay on screen, as failed: the device could not keep them. */
function unkept(row: OutboxRow): OutboxRow {
  return { ...row, state: { kind: "failed", code: "unavailable" } };
}

/** The message without one of its files; `undefined` when nothing is left to say. */
function without(row: OutboxRow, upload: string): OutboxRow | undefined {
  const uploads = row.uploads.filter((one) => one !== upload);
  const isSaying = uploads.length > 0 || row.event.kind !== "message" || row.event.text !== "";
  return isSaying ? { ...row, uploads } : undefined;
}

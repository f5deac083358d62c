import { Refused } from "../protocol/refusal.ts";
import type { ConversationId, InboxApi, InboxRow, MentionHit, Page } from "./api.ts";
import { Cell, Cells } from "./cell.ts";
import type { Core, View } from "./core.ts";
import { viewed } from "./counts.ts";
import { rowOf } from "./fold.ts";
import { inboxRow, kept, stored } from "./items.ts";
import { quoteless, sceneOf } from "./scene.ts";
import type { Change, ConversationRow } from "./rows.ts";

/** Rows shown. */
const ROWS_MAX = 2_000;
/** Mentions of a page. */
const MENTIONS_PAGE = 30;

export class Inbox implements InboxApi, View {
  readonly rows = new Cell<readonly InboxRow[]>([]);
  readonly totals = new Cell<{ unread: number; mentions: number }>({ unread: 0, mentions: 0 });
  readonly complete;
  readonly #cells: Cells<InboxRow | undefined>;
  #shown = new Map<ConversationId, InboxRow>();
  #isDue = false;
  #waiting = new Set<ConversationId>();
  /** Conversations that had something in the outbox. */
  #unsent = new Set<ConversationId>();
  #timer: ReturnType<typeof setInterval>;

  constructor(private readonly core: Core) {
    this.complete = core.inboxComplete;
    this.#cells = new Cells((id) => this.#shown.get(id) ?? this.#make(id), ROWS_MAX);
    core.add(this);
    this.#all();
    // A mute ends by itself.
    this.#timer = setInterval(() => this.#all(), 60_000);
  }

  close(): void {
    clearInterval(this.#timer);
  }

  row(conversation: ConversationId): Cell<InboxRow | undefined> {
    return this.#cells.of(conversation);
  }

  mute(conversation: ConversationId, until: Date | null): void {
    const muted_until = until?.toISOString() ?? null;
    this.#change(conversation, { muted_until }, (row) => {
      const next = { ...row };
      if (muted_until === null) delete next.mutedUntil;
      else next.mutedUntil = muted_until;
      return next;
    });
  }

  pin(conversation: ConversationId, pinned: boolean): void {
    this.#change(conversation, { pinned }, (row) => ({ ...row, pinned }));
  }

  archive(conversation: ConversationId, archived: boolean): void {
    this.#change(conversation, { archived }, (row) => ({ ...row, archived }));
  }

  markRead(conversation: ConversationId): void {
    const last = this.core.row(conversation)?.last;
    if (last) this.core.unawaited(this.core.read(conversation, last.seq));
  }

  async mentions(cursor?: string): Promise<Page<MentionHit>> {
    const page = await this.core.http.mentions(cursor, MENTIONS_PAGE);
    const items = page.items.flatMap((frame) => {
      const item = stored(rowOf(frame, frame.seq), sceneOf(this.core, frame.conversation, quoteless));
      return item.kind === "message" ? [{ conversation: frame.conversation, item }] : [];
    });
    return { items, ...(page.next === undefined ? {} : { next: page.next }) };
  }

  refresh(change: Change): void {
    if (change.people && change.people.length > 0) this.#later();
    const ids = [...(change.conversations ?? []), ...(change.receipts ?? [])];
    for (const place of change.drafts ?? []) ids.push(place.split("#")[0] ?? place);
    if (change.outbox) {
      const unsent = new Set(this.core.outbox.map(({ c }) => c));
      ids.push(...unsent, ...this.#unsent);
      this.#unsent = unsent;
    }
    if (ids.length === 0) return;
    for (const id of ids) this.#waiting.add(id);
    this.#flush();
  }

  /** Everything, once for all that changes in this turn. */
  #later(): void {
    if (this.#isDue) return;
    this.#isDue = true;
    queueMicrotask(() => {
      this.#isDue = false;
      this.#all();
    });
  }

  #all(): void {
    for (const id of this.core.conversations.keys()) this.#waiting.add(id);
    for (const { c } of this.core.outbox) this.#waiting.add(c);
    for (const id of this.#shown.keys()) this.#waiting.add(id);
    for (const id of this.#cells.keys()) this.#waiting.add(id);
    this.#flush();
  }

  #flush(): void {
    let isOther = false;
    for (const id of this.#waiting) {
      const before = this.#shown.get(id);
      const after = this.#make(id);
      this.#cells.set(id, after);
      const listed = this.#isListed(id) ? after : undefined;
      if (listed === before) continue;
      isOther = true;
      if (listed) this.#shown.set(id, listed);
      else this.#shown.delete(id);
    }
    this.#waiting.clear();
    if (!isOther) return;
    const rows = [...this.#shown.values()].sort(inOrder).slice(0, ROWS_MAX);
    this.rows.set(rows);
    let unread = 0;
    let mentions = 0;
    for (const row of rows) {
      if (!row.muted && !row.archived) unread += row.unread;
      mentions += row.mentions;
    }
    const totals = { unread, mentions };
    this.totals.set(kept(this.totals.get(), totals));
  }

  /** It is in the inbox, or is about to be; others are only looked at. */
  #isListed(id: ConversationId): boolean {
    return this.core.row(id) !== undefined || this.core.outbox.some(({ c }) => c === id);
  }

  /** Of a group that is not known there is nothing to show; a direct conversation is with somebody. */
  #make(id: ConversationId): InboxRow | undefined {
    const { core } = this;
    const outbox = core.outboxOf(id);
    const known = core.row(id);
    if (!known && id.startsWith("g.")) return undefined;
    const row = known ?? core.rowOrUnknown(id);
    // Nobody has to have got what others said.
    const receipts = row.last?.body.sender === core.me ? core.receiptsOf(id) : new Map();
    const scene = { me: core.me, person: (user: string) => core.people.get(user), receipts };
    const draft = core.drafts.get(id);
    const typing = core.typingIn(id);
    const made = inboxRow(row, scene, { outbox, draft, typing, now: core.clock.now() });
    return kept(this.#cells.has(id) ? this.#cells.of(id).get() : this.#shown.get(id), made);
  }

  /** Shown at once; taken back when the server refuses. */
  #change(
    id: ConversationId,
    body: Parameters<Core["http"]["changeConversation"]>[1],
    change: (row: ConversationRow) => ConversationRow,
  ): void {
    const before = this.core.row(id);
    if (!before) return;
    this.core.conversations.set(id, change(before));
    this.refresh({ conversations: [id] });
    void (async () => {
      try {
        const view = await this.core.http.changeConversation(id, body);
        await this.core.changeRow(id, (row) => viewed(change(row), view));
      } catch (cause) {
        this.core.conversations.set(id, before);
        this.refresh({ conversations: [id] });
        const code = cause instanceof Refused ? cause.code : "internal";
        this.core.problems.ring({ code, conversation: id, what: "setting" });
      }
    })();
  }
}

function inOrder(a: InboxRow, b: InboxRow): number {
  return (
    Number(a.archived) - Number(b.archived) ||
    Number(b.pinned) - Number(a.pinned) ||
    b.activity - a.activity ||
    (a.id < b.id ? -1 : 1)
  );
}

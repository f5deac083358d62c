/** Rows as the interface shows them. Pure. */
import type {
  InboxRow,
  LastMessage,
  Layout,
  Mark,
  MessageItem,
  NoticeItem,
  Person,
  Quote,
  Reaction,
  TimelineItem,
  Upload,
} from "./api.ts";
import { mentionsMe } from "./counts.ts";
import { reacted } from "./fold.ts";
import type { ConversationRow, DraftRow, MessageRow, OutboxRow, ReceiptRow, UploadRow } from "./rows.ts";
import type { EventFrame } from "../protocol/types.ts";
import { references } from "./references.ts";

/** Messages of one person within this time stand together, in milliseconds. */
const CONTINUES_WITHIN_MS = 300_000;

/** What the items of one conversation are made with. */
export interface Scene {
  readonly me: string;
  readonly row: ConversationRow | undefined;
  readonly person: (id: string) => Person;
  /** Of this conversation, in order. */
  readonly outbox: readonly OutboxRow[];
  readonly upload: (key: string) => Upload | undefined;
  readonly receipts: ReadonlyMap<string, ReceiptRow>;
  readonly quote: (seq: number) => Quote;
  /** What a message of one's own is called, by its id. */
  readonly keyOf: (id: string) => string;
}

const BARE: Layout = { day: "", firstOfDay: false, firstUnread: false, continues: false };

/** A message or notice that is stored. */
export function stored(row: MessageRow, scene: Scene): TimelineItem {
  return row.event.kind === "message" ? message(row, scene) : notice(row, scene);
}

function message(row: MessageRow, scene: Scene): MessageItem {
  const event = row.event as { text?: string; mentions?: string[]; media?: unknown; reply_to?: number };
  const mine = row.sender === scene.me;
  const about = scene.outbox.filter(({ event: sent }) => "target" in sent && sent.target === row.seq);
  let text = event.text ?? "";
  let mentions = event.mentions ?? [];
  let reactions = row.reactions;
  let pinned = row.pin === 1;
  let changing: MessageItem["changing"];
  let failedEdit: MessageItem["failedEdit"];
  for (const { event: sent, state, key } of about) {
    if (sent.kind === "edit" && state.kind === "failed") {
      failedEdit = { key, text: sent.text, code: state.code as never };
    } else if (sent.kind === "edit") {
      changing = "edit";
      text = sent.text;
      mentions = sent.mentions ?? [];
    } else if (sent.kind === "delete") {
      changing = "delete";
    } else if (sent.kind === "reaction") {
      reactions = reacted(reactions, sent.emoji, sent.op === "add", scene.me, scene.me);
    } else if (sent.kind === "pin") {
      pinned = sent.op === "add";
    }
  }
  const deleted = row.deleted !== undefined || "deleted" in row.event || changing === "delete";
  const canWrite = scene.row?.role !== undefined;
  const isAdmin = scene.row?.role === "owner" || scene.row?.role === "admin";
  const isDirect = scene.row?.kind !== "group";
  const item: MessageItem = {
    kind: "message",
    key: mine && row.id ? scene.keyOf(row.id) : `s${row.seq}`,
    seq: row.seq,
    sender: scene.person(row.sender),
    mine,
    ts: row.ts,
    text: deleted ? "" : text,
    deleted,
    reactions: deleted ? [] : reactions.map((one) => reaction(one, scene)),
    pinned: pinned && !deleted,
    mentions,
    mentioned: mentions.filter((id) => id !== "all").map(scene.person),
    mentionsMe: !mine && scene.row !== undefined && mentionsMe(scene.row, mentions, scene.me),
    media: deleted ? [] : references(event.media),
    uploads: [],
    may: {
      edit: mine && !deleted && canWrite,
      delete: (mine || (isAdmin && !isDirect)) && !deleted && canWrite,
      pin: !deleted && canWrite && (isDirect || isAdmin),
      react: !deleted && canWrite,
      reply: !deleted && canWrite,
    },
    layout: BARE,
    ...(row.id ? { id: row.id } : {}),
    ...(row.deleted && row.deleted.by !== row.sender ? { deletedBy: scene.person(row.deleted.by) } : {}),
    ...(row.edited && !deleted ? { edited: Date.parse(row.edited.ts) } : {}),
    ...(changing ? { changing } : {}),
    ...(failedEdit ? { failedEdit } : {}),
    ...(event.reply_to !== undefined && !deleted ? { replyTo: scene.quote(event.reply_to) } : {}),
    ...(row.thread !== undefined ? { thread: row.thread } : {}),
    ...(row.replies ? { replies: row.replies } : {}),
    ...(mine ? marked(row.seq, scene) : {}),
  };
  return item;
}

/** One's own message that has no event yet. */
export function pending(sent: OutboxRow, scene: Scene): MessageItem | undefined {
  const event = sent.event;
  if (event.kind !== "message") return undefined;
  const { state } = sent;
  const uploads = event.media ? [] : sent.uploads.flatMap((key) => scene.upload(key) ?? []);
  // It waits for a file that does not come: the person decides, as about a message that was refused.
  const lost = uploads.find((upload) => upload.state === "failed");
  const failed = state.kind === "failed" || lost !== undefined;
  const code = state.kind === "failed" ? state.code : lost?.code;
  const mentions = event.mentions ?? [];
  return {
    kind: "message",
    key: scene.keyOf(sent.id),
    id: sent.id,
    sender: scene.person(scene.me),
    mine: true,
    ts: sent.ts,
    text: event.text,
    deleted: false,
    reactions: [],
    pinned: false,
    mentions,
    mentioned: mentions.filter((id) => id !== "all").map(scene.person),
    mentionsMe: false,
    media: event.media ?? [],
    uploads,
    mark: failed ? "failed" : state.kind === "stored" ? "sent" : "pending",
    may: { edit: false, delete: false, pin: false, react: false, reply: false },
    layout: BARE,
    ...(event.reply_to !== undefined ? { replyTo: scene.quote(event.reply_to) } : {}),
    ...(event.thread !== undefined ? { thread: event.thread } : {}),
    ...(failed ? { refusal: { code: (code ?? "unavailable") as never } } : {}),
  };
}

function reaction({ emoji, count, me, people }: MessageRow["reactions"][number], scene: Scene): Reaction {
  const named = (me ? [scene.me, ...people] : people).map(scene.person);
  return { emoji, count, mine: me, people: named };
}

/** How far a message of one's own has got. */
function marked(seq: number, scene: Scene): { mark: Mark; reach?: NonNullable<MessageItem["reach"]> } {
  let delivered = 0;
  let read = 0;
  for (const receipt of scene.receipts.values()) {
    if (receipt.delivered >= seq) delivered += 1;
    if (receipt.read >= seq) read += 1;
  }
  const mark: Mark = read > 0 ? "read" : delivered > 0 ? "delivered" : "sent";
  if (scene.row?.kind !== "group") return { mark };
  const others = Math.max(scene.row.memberCount - 1, 0);
  return { mark, reach: { delivered: Math.min(delivered, others), read: Math.min(read, others), others } };
}

function notice(row: MessageRow, scene: Scene): NoticeItem {
  const event = row.event;
  const person = scene.person;
  let said: NoticeItem["notice"];
  switch (event.kind) {
    case "create":
      said = { kind: "created", title: event.title ?? "", members: event.members.map(person) };
      break;
    case "title":
      said = { kind: "title", title: event.title };
      break;
    case "member":
      if (event.op === "leave") said = { kind: "left" };
      else if (event.op === "role") said = { kind: "role", user: person(event.user), role: event.role ?? "member" };
      else said = { kind: event.op === "add" ? "added" : "removed", user: person(event.user) };
      break;
    case "settings":
      said = { kind: "history", history: event.history ?? "joined" };
      break;
    default: {
      const { fallback } = event as { fallback?: string };
      said = { kind: "other", ...(fallback === undefined ? {} : { fallback }) };
    }
  }
  return { kind: "notice", key: `s${row.seq}`, seq: row.seq, ts: row.ts, by: person(row.sender), notice: said, layout: BARE };
}

/** Where each stands among its neighbours; the items are ascending. */
export function laidOut(items: readonly TimelineItem[], firstUnread: number | undefined): TimelineItem[] {
  let before: TimelineItem | undefined;
  let isUnreadShown = false;
  return items.map((item) => {
    const day = dayOf(item.ts);
    const isUnread = firstUnread !== undefined && !isUnreadShown && (item.seq ?? Infinity) >= firstUnread;
    if (isUnread) isUnreadShown = true;
    const firstOfDay = !before || dayOf(before.ts) !== day;
    const continues =
      !firstOfDay &&
      !isUnread &&
      item.kind === "message" &&
      before?.kind === "message" &&
      before.sender.id === item.sender.id &&
      item.ts - before.ts < CONTINUES_WITHIN_MS;
    before = item;
    return { ...item, layout: { day, firstOfDay, firstUnread: isUnread, continues } };
  });
}

let lastDay = { from: 0, to: 0, day: "" };

/** The local date. */
export function dayOf(ts: number): string {
  if (ts >= lastDay.from && ts < lastDay.to) return lastDay.day;
  const date = new Date(ts);
  const from = new Date(date.getFullYear(), date.getMonth(), date.getDate()).getTime();
  const to = new Date(date.getFullYear(), date.getMonth(), date.getDate() + 1).getTime();
  const day = `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;
  lastDay = { from, to, day };
  return day;
}

/** A row of the inbox. */
export function inboxRow(
  row: ConversationRow,
  scene: Pick<Scene, "me" | "person" | "receipts">,
  more: { outbox: readonly OutboxRow[]; draft: DraftRow | undefined; typing: readonly Person[]; now: number },
): InboxRow {
  const isNotes = row.kind === "direct" && row.with === scene.me;
  const other = row.with === undefined ? undefined : scene.person(row.with);
  const words = more.outbox.filter(({ event }) => event.kind === "message");
  const unsent = words.at(-1);
  const last = unsent ? lastOfUnsent(unsent, scene) : row.last && lastOf(row, row.last, scene);
  return {
    id: row.id,
    kind: isNotes ? "notes" : row.kind,
    title: row.kind === "group" ? (row.title ?? "") : (other?.name ?? ""),
    memberCount: row.memberCount,
    activity: Math.max(row.activity, unsent?.ts ?? 0),
    unread: row.unread,
    mentions: row.mentions,
    muted: row.mutedUntil !== undefined && Date.parse(row.mutedUntil) > more.now,
    pinned: row.pinned,
    archived: row.archived,
    typing: more.typing,
    failed: more.outbox.filter(({ state }) => state.kind === "failed").length,
    ...(other ? { with: other } : {}),
    ...(row.role ? { role: row.role } : {}),
    ...(row.mutedUntil ? { mutedUntil: row.mutedUntil } : {}),
    ...(last ? { last } : {}),
    ...(more.draft?.text ? { draft: more.draft.text.slice(0, 160) } : {}),
  };
}

function lastOf(row: ConversationRow, frame: EventFrame, scene: Pick<Scene, "me" | "person" | "receipts">): LastMessage {
  const event = frame.body.event as { text?: string; deleted?: boolean; media?: unknown };
  const sender = frame.body.sender ?? "";
  const mine = sender === scene.me;
  return {
    seq: frame.seq,
    sender: scene.person(sender),
    mine,
    text: event.text ?? "",
    deleted: event.deleted === true,
    media: mediaKind(event.media),
    ts: Date.parse(frame.ts),
    ...(mine ? { mark: marked(frame.seq, { ...scene, row } as Scene).mark } : {}),
  };
}

function lastOfUnsent(sent: OutboxRow, scene: Pick<Scene, "me" | "person">): LastMessage {
  const text = sent.event.kind === "message" ? sent.event.text : "";
  const mark: Mark = sent.state.kind === "failed" ? "failed" : sent.state.kind === "stored" ? "sent" : "pending";
  const media = sent.uploads.length > 0 ? "file" : undefined;
  return { sender: scene.person(scene.me), mine: true, text: text.slice(0, 160), deleted: false, media, ts: sent.ts, mark };
}

export function mediaKind(said: unknown): LastMessage["media"] {
  const first = references(said)[0];
  if (!first) return undefined;
  const kind = first.type.split("/")[0];
  return kind === "image" || kind === "audio" || kind === "video" ? kind : "file";
}

export function uploadItem(row: UploadRow, sent: number): Upload {
  const { key, name, type, size, width, height, durationMs, alt, state, code, blob } = row;
  return {
    key,
    name,
    type,
    size,
    state,
    sent: state === "done" ? size : Math.max(sent, row.sent),
    blob,
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
    ...(durationMs === undefined ? {} : { durationMs }),
    ...(alt ? { alt } : {}),
    ...(code === undefined ? {} : { code: code as never }),
  };
}

/** The same object as before where nothing changed, so that lists need not look at it. */
export function kept<T>(before: T | undefined, after: T): T {
  return before !== undefined && isEqual(before, after) ? before : after;
}

function isEqual(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  if (Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (typeof Blob !== "undefined" && a instanceof Blob) return false;
  const keys = Object.keys(a);
  if (keys.length !== Object.keys(b).length) return false;
  return keys.every((key) => isEqual(a[key as never], b[key as never]));
}

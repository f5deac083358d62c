/** What is kept in IndexedDB. */
import type { MessageState, OwnUser, Seq, StoredEvent } from "../protocol/types.ts";
import type { ConversationId, MediaReference, MessageId, Role, Time, User, UserId } from "./api.ts";
import type { EventFrame } from "../protocol/types.ts";
import type { Range } from "./ranges.ts";

export interface ConversationRow {
  id: ConversationId;
  kind: "direct" | "group";
  title?: string;
  with?: UserId;
  role?: Role;
  memberCount: number;
  viewFrom: Seq;
  last?: EventFrame;
  read: Seq;
  unread: number;
  mentions: number;
  mutedUntil?: Time;
  pinned: boolean;
  archived: boolean;
  asOf: Seq;
  /** The last event of the chain that this device was told of; 0: none yet. */
  head: Seq;
  /** What of the messages is in the cache, ascending, without gaps within each. */
  ranges: Range[];
  /** Modifiers up to here are no longer kept. */
  modifiersAfter: Seq;
  /** When something happened last, in milliseconds since the epoch. */
  activity: number;
  /** Messages of others after the last view that the server gave, bounded. */
  tail: { seq: Seq; mention: boolean }[];
  /** When it was opened on this device last, in milliseconds since the epoch; 0: never. */
  opened: number;
}

export interface ReactionRow {
  emoji: string;
  count: number;
  me: boolean;
  /** Those known to be among them, oneself left out. */
  people: UserId[];
}

/** A message, or what happened to a group, as it is now. */
export interface MessageRow {
  c: ConversationId;
  seq: Seq;
  ts: number;
  sender: UserId;
  id?: MessageId;
  event: StoredEvent;
  edited?: NonNullable<MessageState["edited"]>;
  deleted?: NonNullable<MessageState["deleted"]>;
  reactions: ReactionRow[];
  replies?: { count: number; last: Seq };
  /** Only on pinned ones: they alone are in the index. */
  pin?: 1;
  /** The root, of a reply in a thread. */
  thread?: Seq;
  /** All events up to this one are in it. */
  asOf: Seq;
}

/** An edit, deletion, reaction or pin, as it came; kept for pages that are older than the chain. */
export interface ModifierRow {
  c: ConversationId;
  seq: Seq;
  frame: EventFrame;
}

export type OutboxState =
  | { kind: "ready" }
  /** Acknowledged; its event has not come yet. */
  | { kind: "stored"; seq: Seq }
  | { kind: "failed"; code: string };

export interface OutboxRow {
  /** The first id it had; its name in this device. */
  key: string;
  c: ConversationId;
  id: MessageId;
  /** Sends of a conversation go out in this order. */
  order: number;
  event: OutgoingEvent;
  /** It may have been sent under its id: the id stays. */
  attempted: boolean;
  state: OutboxState;
  /** When the person pressed send, in milliseconds since the epoch. */
  ts: number;
  /** Uploads that become its media; it waits for them. */
  uploads: string[];
  /** The draft that it was. */
  draft?: DraftEnd;
}

export type OutgoingEvent =
  | {
      kind: "message";
      text: string;
      reply_to?: Seq;
      thread?: Seq;
      mentions?: string[];
      media?: MediaReference[];
    }
  | { kind: "edit"; target: Seq; text: string; mentions?: string[]; media?: MediaReference[] }
  | { kind: "delete"; target: Seq }
  | { kind: "reaction"; target: Seq; emoji: string; op: "add" | "remove" }
  | { kind: "pin"; target: Seq; op: "add" | "remove" };

/** A draft as it was when it was sent: one of the same place with a later `ts` is another one, and stays. */
export interface DraftEnd {
  place: string;
  ts: number;
}

export interface DraftRow {
  /** The conversation, or conversation#root of a thread. */
  place: string;
  c: ConversationId;
  text: string;
  replyTo?: Seq;
  editing?: Seq;
  /** What was written before editing began. */
  beforeEditing?: string;
  uploads: string[];
  /** When it was changed last, in milliseconds since the epoch, on the clock of this device. */
  ts: number;
  /** Which tab wrote it. */
  tab: string;
}

export interface UploadRow {
  key: string;
  c: ConversationId;
  blob: Blob;
  name: string;
  type: string;
  size: number;
  width?: number;
  height?: number;
  durationMs?: number;
  alt?: string;
  original?: boolean;
  state: "waiting" | "uploading" | "paused" | "done" | "failed";
  sent: number;
  code?: string;
  /** Where it goes on; known once the server has begun it. */
  location?: string;
  /** Known once it is done. */
  media?: string;
  ts: number;
}

export interface ReceiptRow {
  c: ConversationId;
  user: UserId;
  delivered: Seq;
  deliveredTs: number;
  read: Seq;
  readTs?: number;
}

/** How far oneself has got, and what of it the server has confirmed. */
export interface MarksRow {
  c: ConversationId;
  delivered: Seq;
  read: Seq;
  storedDelivered: Seq;
  storedRead: Seq;
  storedAt: number;
}

export type PersonRow = User;

export interface Meta {
  cursor: string;
  clockOffsetMs: number;
  me: OwnUser;
  /** The whole inbox was read once. */
  inboxComplete: boolean;
  textBytes: number;
  /** Of groups, under `members <id>`: completion and mentions work offline, too. */
  members: readonly { readonly user: UserId; readonly role: Role }[];
}

/** What all tabs are told after a transaction. */
export interface Change {
  /** Ids of conversations whose row changed. */
  conversations?: ConversationId[];
  /** Seqs of messages by conversation; `all` when cached ones were dropped. */
  messages?: Record<ConversationId, Seq[] | "all">;
  people?: UserId[];
  /** Groups whose members changed. */
  members?: ConversationId[];
  receipts?: ConversationId[];
  outbox?: boolean;
  drafts?: string[];
  uploads?: string[];
  meta?: boolean;
}

/** A row of the inbox: what the server's view and events make of it. Pure. */
import type { Conversation, ConversationId, EventFrame, UserId } from "../protocol/types.ts";
import { applied, rowOf } from "./fold.ts";
import type { ConversationRow } from "./rows.ts";

/** Messages after the server's last view that are counted one by one; more are counted, and not told apart. */
const TAIL_MAX = 500;

/** A row of a conversation of which nothing is known but its id. */
export function unknownConversation(id: ConversationId, me: UserId): ConversationRow {
  const row: ConversationRow = {
    id,
    kind: id.startsWith("g.") ? "group" : "direct",
    memberCount: 0,
    viewFrom: 0,
    read: 0,
    unread: 0,
    mentions: 0,
    pinned: false,
    archived: false,
    asOf: 0,
    head: 0,
    ranges: [],
    modifiersAfter: 0,
    activity: 0,
    tail: [],
    opened: 0,
  };
  if (row.kind === "direct") {
    const [one = "", two = ""] = id.split(".");
    row.with = one === me ? two : one;
    row.memberCount = one === two ? 1 : 2;
    row.role = "member";
  }
  return row;
}

/** The server's own view, where it is not older than what is known. */
export function viewed(row: ConversationRow, view: Conversation): ConversationRow {
  // It is of before the person was added or removed.
  if (view.as_of < row.asOf && view.role !== row.role && row.asOf > 0 && row.kind === "group") return row;
  const next: ConversationRow = {
    ...row,
    kind: view.kind,
    memberCount: view.member_count,
    viewFrom: view.view_from,
    pinned: view.pinned,
    archived: view.archived,
  };
  optional(next, "title", view.title);
  optional(next, "with", view.with);
  optional(next, "role", view.role);
  optional(next, "mutedUntil", view.muted_until);
  const isLastNewer = view.last && (!row.last || view.last.seq >= row.last.seq);
  if (view.last && isLastNewer) {
    next.last = view.last;
    next.activity = Math.max(row.activity, Date.parse(view.last.ts));
  } else if (!row.last || row.last.seq < view.view_from) {
    delete next.last;
  }
  next.asOf = Math.max(row.asOf, view.as_of);
  next.read = Math.max(row.read, view.read);
  next.tail = row.tail.filter(({ seq }) => seq > view.as_of);
  const after = next.tail.filter(({ seq }) => seq > next.read);
  const isReadHere = next.read > view.read && view.last !== undefined && next.read >= view.last.seq;
  next.unread = (isReadHere ? 0 : view.unread) + after.length;
  next.mentions = (isReadHere ? 0 : view.mentions) + after.filter(({ mention }) => mention).length;
  return next;
}

/** An event of the chain, newer than all before. */
export function happened(row: ConversationRow, frame: EventFrame, me: UserId): ConversationRow {
  const event = frame.body.event as { kind: string; mentions?: readonly string[]; deleted?: boolean };
  const sender = frame.body.sender;
  const ts = Date.parse(frame.ts);
  let next: ConversationRow = { ...row };
  switch (event.kind) {
    case "message":
      next.activity = Math.max(row.activity, ts);
      if (!row.last || frame.seq > row.last.seq) next.last = short(frame);
      if (frame.seq > row.asOf) next = counted(next, frame, me);
      break;
    case "edit":
    case "delete":
      if (row.last && targetSeq(frame) === row.last.seq) next.last = lastAfter(row.last, frame, me);
      break;
    case "create":
    case "title":
    case "member":
      next.activity = Math.max(row.activity, ts);
      if (frame.seq > row.asOf) next = grouped(next, frame, me);
      break;
    default:
  }
  if (sender === me && event.kind === "message" && frame.seq > row.read) next = readUpTo(next, frame.seq);
  next.asOf = Math.max(row.asOf, frame.seq);
  return next;
}

/** The person has read up to here. */
export function readUpTo(row: ConversationRow, seq: number): ConversationRow {
  if (seq <= row.read) return row;
  const tail = row.tail.filter((one) => one.seq > seq);
  const isAll = !row.last || seq >= row.last.seq;
  if (isAll) return { ...row, read: seq, unread: 0, mentions: 0, tail };
  // What was before the tail cannot be told apart: the server says, once it has the receipt.
  const passed = row.tail.length - tail.length;
  const mentions = row.tail.filter(({ mention }) => mention).length - tail.filter(({ mention }) => mention).length;
  return {
    ...row,
    read: seq,
    unread: Math.max(row.unread - passed, tail.length),
    mentions: Math.max(row.mentions - mentions, 0),
    tail,
  };
}

export function mentionsMe(row: ConversationRow, mentions: readonly string[] | undefined, me: UserId): boolean {
  return mentions?.some((one) => one === me || (one === "all" && row.kind === "group")) ?? false;
}

function counted(row: ConversationRow, frame: EventFrame, me: UserId): ConversationRow {
  if (frame.body.sender === me || frame.seq <= row.read) return row;
  const event = frame.body.event as { mentions?: readonly string[] };
  const mention = mentionsMe(row, event.mentions, me);
  const tail = [...row.tail, { seq: frame.seq, mention }].slice(-TAIL_MAX);
  return { ...row, unread: row.unread + 1, mentions: row.mentions + (mention ? 1 : 0), tail };
}

function grouped(row: ConversationRow, frame: EventFrame, me: UserId): ConversationRow {
  const event = frame.body.event;
  const next = { ...row };
  if (event.kind === "create") {
    if (event.title !== undefined) next.title = event.title;
    next.memberCount = new Set([...event.members, frame.body.sender]).size;
  } else if (event.kind === "title") {
    next.title = event.title;
  } else if (event.kind === "member") {
    const isMe = event.user === me;
    if (event.op === "add") {
      next.memberCount += 1;
      if (isMe) next.role = event.role ?? "member";
    } else if (event.op === "role") {
      if (isMe && event.role) next.role = event.role;
    } else {
      next.memberCount = Math.max(next.memberCount - 1, 0);
      if (isMe) delete next.role;
    }
  }
  return next;
}

/** What the server shows of a last message: 160 characters. */
function short(frame: EventFrame): EventFrame {
  const event = frame.body.event;
  if (event.kind !== "message" || !("text" in event) || event.text.length <= 160) return frame;
  const text = [...event.text.slice(0, 320)].slice(0, 160).join("");
  return { ...frame, body: { ...frame.body, event: { ...event, text } } };
}

function lastAfter(last: EventFrame, frame: EventFrame, me: UserId): EventFrame {
  const row = applied(rowOf(last, last.seq), frame, me);
  return row ? short({ ...last, body: { ...last.body, event: row.event } }) : last;
}

function targetSeq(frame: EventFrame): number | undefined {
  const event = frame.body.event;
  return "target" in event ? event.target : undefined;
}

function optional<K extends "title" | "with" | "role" | "mutedUntil">(
  row: ConversationRow,
  key: K,
  value: ConversationRow[K] | undefined,
): void {
  if (value === undefined) delete row[key];
  else row[key] = value;
}

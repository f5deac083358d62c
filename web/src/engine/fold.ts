/** What an event makes of a message: pure. */
import type { EventFrame, UserId } from "../protocol/types.ts";
import type { MessageRow, ReactionRow } from "./rows.ts";

/** Kinds that stand in the timeline by themselves. */
const SHOWN = new Set(["message", "create", "member", "title", "settings"]);
/** Kinds that change a message. */
const MODIFYING = new Set(["edit", "delete", "reaction", "pin"]);

export function isShown(frame: EventFrame): boolean {
  const event = frame.body.event as { kind: string; fallback?: string };
  return SHOWN.has(event.kind) || (!MODIFYING.has(event.kind) && event.fallback !== undefined);
}

export function isModifier(frame: EventFrame): boolean {
  return MODIFYING.has(frame.body.event.kind);
}

/** The message that an event changes: the target of a modifier. */
export function targetOf(frame: EventFrame): number | undefined {
  const event = frame.body.event;
  return "target" in event ? event.target : undefined;
}

/** The thread that a message belongs to. */
export function threadOf(frame: EventFrame): number | undefined {
  const event = frame.body.event;
  return event.kind === "message" && "thread" in event ? event.thread : undefined;
}

/** A row of what came: of an event, which is as of itself, or of a page, which is as of `asOf`. */
export function rowOf(frame: EventFrame, asOf: number): MessageRow {
  const { state, body } = frame;
  const row: MessageRow = {
    c: frame.conversation,
    seq: frame.seq,
    ts: Date.parse(frame.ts),
    sender: body.sender ?? "",
    event: body.event,
    reactions: (state?.reactions ?? []).map((reaction) => ({ ...reaction, people: [] })),
    asOf: Math.max(asOf, frame.seq),
  };
  if (body.id !== undefined) row.id = body.id;
  if (state?.edited) row.edited = state.edited;
  if (state?.deleted) row.deleted = state.deleted;
  if (state?.thread) row.replies = state.thread;
  if (state?.pinned) row.pin = 1;
  const thread = threadOf(frame);
  if (thread !== undefined) row.thread = thread;
  return row;
}

/** The row after an event: a modifier of it, or a reply in its thread. `undefined`: it has that already, or it is about something else. */
export function applied(row: MessageRow, frame: EventFrame, me: UserId): MessageRow | undefined {
  if (frame.seq <= row.asOf) return undefined;
  const next: MessageRow = { ...row, asOf: frame.seq };
  const event = frame.body.event;
  if (event.kind === "message") {
    if (threadOf(frame) !== row.seq) return undefined;
    next.replies = { count: (row.replies?.count ?? 0) + 1, last: frame.seq };
    return next;
  }
  if (targetOf(frame) !== row.seq) return undefined;
  const sender = frame.body.sender ?? "";
  switch (event.kind) {
    case "edit":
      if (row.deleted || "deleted" in event || row.event.kind !== "message" || "deleted" in row.event) return next;
      next.event = replaced(row.event, event);
      next.edited = { seq: frame.seq, ts: frame.ts };
      return next;
    case "delete":
      next.event = { kind: "message", deleted: true };
      next.deleted = { seq: frame.seq, ts: frame.ts, by: sender };
      delete next.edited;
      next.reactions = [];
      delete next.pin;
      return next;
    case "reaction":
      next.reactions = reacted(row.reactions, event.emoji, event.op === "add", sender, me);
      return next;
    case "pin":
      if (event.op === "add" && !row.deleted) next.pin = 1;
      else delete next.pin;
      return next;
    default:
      return undefined;
  }
}

type Message = Extract<MessageRow["event"], { text: string; kind: "message" }>;
type Edit = Extract<MessageRow["event"], { text: string; kind: "edit" }>;

/** An edit replaces text, mentions and media, all three. */
function replaced(message: Message, { text, mentions, media }: Edit): Message {
  const { mentions: _mentions, media: _media, ...rest } = message;
  return { ...rest, text, ...(mentions ? { mentions } : {}), ...(media ? { media } : {}) };
}

/** Reactions after one was added or removed; the order is that of their first. */
export function reacted(
  reactions: readonly ReactionRow[],
  emoji: string,
  isAdded: boolean,
  sender: UserId,
  me: UserId,
): ReactionRow[] {
  const known = reactions.find((reaction) => reaction.emoji === emoji);
  const isIn = known ? (sender === me ? known.me : known.people.includes(sender)) : false;
  if (isAdded) {
    if (isIn) return [...reactions];
    const before = known ?? { emoji, count: 0, me: false, people: [] };
    const after = joined(before, sender, me);
    return known ? reactions.map((reaction) => (reaction === known ? after : reaction)) : [...reactions, after];
  }
  // Somebody whom a page counted is not known by name: their leaving counts all the same.
  if (!known || (sender === me && !known.me)) return [...reactions];
  const after: ReactionRow = {
    ...known,
    count: known.count - 1,
    me: sender === me ? false : known.me,
    people: known.people.filter((user) => user !== sender),
  };
  return after.count > 0
    ? reactions.map((reaction) => (reaction === known ? after : reaction))
    : reactions.filter((reaction) => reaction !== known);
}

/** Counted reactions with those who made them, as far as the counts allow. */
export function named(reactions: readonly ReactionRow[], by: readonly { user: UserId; emoji: string }[], me: UserId): ReactionRow[] {
  return reactions.map((reaction) => {
    const people = by.filter(({ emoji, user }) => emoji === reaction.emoji && user !== me).map(({ user }) => user);
    return { ...reaction, people: people.slice(0, reaction.count - (reaction.me ? 1 : 0)) };
  });
}

function joined(reaction: ReactionRow, sender: UserId, me: UserId): ReactionRow {
  const count = reaction.count + 1;
  if (sender === me) return { ...reaction, count, me: true };
  return { ...reaction, count, people: [...reaction.people, sender] };
}

import { expect, test } from "vitest";
import type { Conversation } from "../protocol/types.ts";
import { happened, readUpTo, unknownConversation, viewed } from "./counts.ts";
import { frame } from "./testing.ts";
import type { ConversationRow } from "./rows.ts";

const ME = "me";

function view(more: Partial<Conversation>): Conversation {
  return {
    conversation: "g.a",
    kind: "group",
    title: "house",
    role: "member",
    member_count: 3,
    view_from: 1,
    read: 0,
    unread: 0,
    mentions: 0,
    pinned: false,
    archived: false,
    as_of: 0,
    ...more,
  };
}

const message = (seq: number, sender = "other", mentions?: string[]) =>
  frame(seq, { kind: "message", text: `m${seq}`, ...(mentions ? { mentions } : {}) }, { sender });
const after = (row: ConversationRow, ...frames: ReturnType<typeof frame>[]) =>
  frames.reduce((before, one) => happened(before, one, ME), row);
const fresh = () => viewed(unknownConversation("g.a", ME), view({ as_of: 1 }));

test("messages of others are unread, also when they mention; one's own reads all before it", () => {
  const row = after(fresh(), message(2), message(3, "other", ["me"]), message(4, "other", ["all"]));
  expect(row).toMatchObject({ unread: 3, mentions: 2, last: { seq: 4 }, asOf: 4 });
  expect(after(row, message(5, ME))).toMatchObject({ unread: 0, mentions: 0, read: 5 });
});

test("a view of the server counts what it covers, and what came after is added once", () => {
  const row = after(fresh(), message(2), message(3), message(4, "other", ["me"]));
  const seen = viewed(row, view({ as_of: 3, read: 1, unread: 2, muted_until: "2025-11-20T07:00:00.000Z" }));
  expect(seen).toMatchObject({ unread: 3, mentions: 1, asOf: 4, mutedUntil: "2025-11-20T07:00:00.000Z" });
  expect(viewed(seen, view({ as_of: 4, read: 4, unread: 0 }))).toMatchObject({ unread: 0, mentions: 0, read: 4 });
  expect(after(seen, frame(5, { kind: "reaction", target: 2, emoji: "🎉", op: "add" })).unread).toBe(3);
});

test("events that the view has already are not counted again", () => {
  const row = viewed(unknownConversation("g.a", ME), view({ as_of: 9, unread: 4, read: 1 }));
  expect(after(row, message(8), message(9)).unread).toBe(4);
  expect(after(row, message(8), message(9), message(10)).unread).toBe(5);
});

test("what was read here stays read when an older view comes", () => {
  const row = after(fresh(), message(2), message(3));
  const read = readUpTo(row, 3);
  expect(read.unread).toBe(0);
  const older = viewed(read, view({ as_of: 3, read: 0, unread: 2, last: message(3) }));
  expect(older).toMatchObject({ read: 3, unread: 0 });
  expect(readUpTo(row, 2).unread).toBe(1);
});

test("a view of before one was removed does not bring one back", () => {
  const row = after(fresh(), frame(7, { kind: "member", user: ME, op: "remove" }));
  expect(row.role).toBeUndefined();
  expect(viewed(row, view({ as_of: 5 })).role).toBeUndefined();
  expect(viewed(row, view({ as_of: 8 })).role).toBe("member");
});

test("the last message follows its edits, and loses its words with its deletion", () => {
  const row = after(fresh(), message(2));
  const edited = after(row, frame(3, { kind: "edit", target: 2, text: "better" }));
  expect(edited.last?.body.event).toMatchObject({ text: "better" });
  const gone = after(edited, frame(4, { kind: "delete", target: 2 }));
  expect(gone.last?.body.event).toEqual({ kind: "message", deleted: true });
});

test("a direct conversation says whom it is with", () => {
  expect(unknownConversation("aa.me", ME)).toMatchObject({ kind: "direct", with: "aa", memberCount: 2 });
  expect(unknownConversation("me.me", ME)).toMatchObject({ with: "me", memberCount: 1 });
});

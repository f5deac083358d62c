import { expect, test } from "vitest";
import type { EventFrame } from "../protocol/types.ts";
import { applied, isModifier, isShown, named, reacted, rowOf } from "./fold.ts";
import { frame } from "./testing.ts";
import type { MessageRow } from "./rows.ts";

const ME = "me";

const message = (seq: number, text: string, more = {}) => frame(seq, { kind: "message", text, ...more });

function after(row: MessageRow, ...frames: EventFrame[]): MessageRow {
  return frames.reduce((before, one) => applied(before, one, ME) ?? before, row);
}

test("an edit replaces text, mentions and media, all three", () => {
  const row = rowOf(message(1, "old", { mentions: ["me"], media: [{ id: "m" }], data: { kept: true } }), 1);
  const edited = after(row, frame(2, { kind: "edit", target: 1, text: "new" }));
  expect(edited.event).toEqual({ kind: "message", text: "new", data: { kept: true } });
  expect(edited.edited?.seq).toBe(2);
});

test("what a row has already is not applied again", () => {
  const row = rowOf(message(1, "text"), 5);
  expect(applied(row, frame(4, { kind: "edit", target: 1, text: "older than the page" }), ME)).toBeUndefined();
  expect(applied(row, frame(6, { kind: "edit", target: 2, text: "of another" }), ME)).toBeUndefined();
  const reaction = frame(6, { kind: "reaction", target: 1, emoji: "🎉", op: "add" });
  const once = after(row, reaction);
  expect(after(once, reaction).reactions).toEqual([{ emoji: "🎉", count: 1, me: false, people: ["other"] }]);
});

test("a deleted message keeps nothing of what it said, and no edit brings it back", () => {
  const row = rowOf(message(1, "secret"), 1);
  const gone = after(
    row,
    frame(2, { kind: "reaction", target: 1, emoji: "🎉", op: "add" }),
    frame(3, { kind: "pin", target: 1, op: "add" }),
    frame(4, { kind: "delete", target: 1 }),
    frame(5, { kind: "edit", target: 1, text: "secret" }),
  );
  expect(JSON.stringify(gone)).not.toContain("secret");
  expect(gone).toMatchObject({ event: { kind: "message", deleted: true }, deleted: { seq: 4, by: "other" }, reactions: [] });
  expect(gone.pin).toBeUndefined();
});

test("reactions: one of each person, in the order of their first, gone with the last", () => {
  let all = reacted([], "🎉", true, "a", ME);
  all = reacted(all, "👍", true, ME, ME);
  all = reacted(all, "🎉", true, "a", ME);
  all = reacted(all, "🎉", true, ME, ME);
  expect(all).toEqual([
    { emoji: "🎉", count: 2, me: true, people: ["a"] },
    { emoji: "👍", count: 1, me: true, people: [] },
  ]);
  all = reacted(all, "👍", false, ME, ME);
  all = reacted(all, "👍", false, ME, ME);
  all = reacted(all, "🎉", false, "a", ME);
  expect(all).toEqual([{ emoji: "🎉", count: 1, me: true, people: [] }]);
});

test("those who reacted are named, and never more of them than are counted", () => {
  const counted = [
    { emoji: "x", count: 3, me: true, people: [] },
    { emoji: "y", count: 1, me: false, people: [] },
  ];
  const by = [
    { user: "a", emoji: "x" },
    { user: ME, emoji: "x" },
    { user: "b", emoji: "x" },
    { user: "b", emoji: "y" },
    { user: "late", emoji: "y" },
    { user: "late", emoji: "z" },
  ];
  expect(named(counted, by, ME).map(({ people }) => people)).toEqual([["a", "b"], ["b"]]);
});

test("replies in a thread are counted at its root", () => {
  const root = rowOf(message(1, "root"), 1);
  const counted = after(root, message(2, "a", { thread: 1 }), message(3, "elsewhere"), message(4, "b", { thread: 1 }));
  expect(counted.replies).toEqual({ count: 2, last: 4 });
});

test("kinds of a later version are shown if they say how", () => {
  expect(isShown(frame(1, { kind: "poll", fallback: "A poll" }))).toBe(true);
  expect(isShown(frame(1, { kind: "poll" }))).toBe(false);
  expect(isShown(frame(1, { kind: "unreadable" }))).toBe(false);
  expect(isModifier(frame(1, { kind: "pin", target: 1, op: "add" }))).toBe(true);
});

import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Core } from "./core.ts";
import { cachePage, ingest } from "./ingest.ts";
import { nameReactors } from "./reactors.ts";
import { frame } from "./testing.ts";
import { coreOf, endOf, ME } from "./testing.core.ts";

let core: Core;
/** Who reacted to the first message, and in which event. */
let reacted: { user: string; seq: number }[] = [];

beforeEach(async () => {
  core = await coreOf(async () => Response.json({ items: reacted.map((one) => ({ emoji: "🎉", ts: "2025-11-19T07:55:26.402Z", ...one })) }));
});
afterEach(() => endOf(core));

const reactions = async () => (await core.db.get("messages", ["g.a", 1]))?.reactions;

test("who reacted and is not counted yet takes nobody's place", async () => {
  const first = { ...frame(1, { kind: "message", text: "m1" }), state: { reactions: [{ emoji: "🎉", count: 1, me: false }] } };
  await cachePage(core.db, ME, "g.a", { items: [first], as_of: 5 }, { from: 0, to: 5 });
  // The one that is counted has taken it back since, and that is still to come, too.
  reacted = [{ user: "bo", seq: 6 }];
  await nameReactors(core, "g.a", 1);
  expect(await reactions()).toEqual([{ emoji: "🎉", count: 1, me: false, people: [] }]);
  await ingest(core.db, core.http, ME, [{ ...frame(6, { kind: "reaction", target: 1, emoji: "🎉", op: "add" }, { sender: "bo" }), type: "event" }]);
  expect(await reactions()).toEqual([{ emoji: "🎉", count: 2, me: false, people: ["bo"] }]);
});

import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ServerClock, millisOf } from "../protocol/clock.ts";
import type { ClientFrame, ErrorBody } from "../protocol/types.ts";
import { type Database, openDatabase } from "./database.ts";
import { Outbox } from "./outbox.ts";
import type { OutboxRow } from "./rows.ts";
import { intercepted, until } from "./testing.ts";

let db: Database;
let outbox: Outbox;
let clock: ServerClock;
let isOpen = true;
let went: Extract<ClientFrame, { type: "send" }>[] = [];
let problems: string[] = [];
let databases = 0;

beforeEach(async () => {
  databases += 1;
  db = await openDatabase("outbox", `user${databases}`, () => {});
  clock = new ServerClock(0);
  isOpen = true;
  went = [];
  problems = [];
  outbox = new Outbox({
    db,
    clock,
    send: (frame) => {
      if (isOpen && frame.type === "send") went.push(frame);
      return isOpen;
    },
    isOpen: () => isOpen,
    unanswered: () => {},
    changed: () => {},
    problem: (code) => void problems.push(code),
  });
});
afterEach(() => {
  outbox.stop();
  db.close();
});

let order = 0;

async function write(c: string, text: string, more: Partial<OutboxRow> = {}): Promise<OutboxRow> {
  order += 1;
  const id = clock.mint();
  const row: OutboxRow = {
    key: id,
    c,
    id,
    order,
    event: { kind: "message", text },
    attempted: false,
    state: { kind: "ready" },
    ts: 0,
    uploads: [],
    ...more,
  };
  await db.put("outbox", row);
  return row;
}

const words = () => went.map(({ event }) => (event as { text: string }).text);
const refusal = (more: Partial<ErrorBody>): ErrorBody => ({ code: "unavailable", message: "", stored: "unknown", retry: "same_id", ...more });

test("one unanswered send of a conversation, conversations in parallel", async () => {
  const first = await write("a", "a1");
  await write("a", "a2");
  await write("b", "b1");
  await outbox.reload();
  expect(words()).toEqual(["a1", "b1"]);
  outbox.settled([first.key]);
  await until("the next goes", () => words().length === 3);
  expect(words()).toEqual(["a1", "b1", "a2"]);
});

test("what is answered while another one is written down does not go out again", async () => {
  await write("a", "a1");
  const answered = await write("b", "b1", { attempted: true });
  // As the catch-up of a new connection does, which brings its event.
  const marked = intercepted(db, "transaction", (_stores, mode) => {
    if (mode === "readwrite") outbox.settled([answered.key]);
  });
  const ports = { db: marked, clock, isOpen: () => true, unanswered() {}, changed() {}, problem() {} };
  const sends = (frame: ClientFrame) => went.push(frame as (typeof went)[number]) > 0;
  outbox = new Outbox({ ...ports, send: sends });
  await outbox.reload();
  expect(words()).toEqual(["a1"]);
  // Nothing of it is left in its conversation.
  await db.delete("outbox", answered.key);
  await write("b", "b2");
  await outbox.reload();
  expect(words()).toEqual(["a1", "b2"]);
});

test("what was unanswered goes out again with the same id", async () => {
  await write("a", "a1");
  await outbox.reload();
  isOpen = false;
  outbox.disconnected();
  isOpen = true;
  await outbox.connected(64);
  expect(words()).toEqual(["a1", "a1"]);
  expect(went[0]?.id).toBe(went[1]?.id);
});

test("a refusal for good keeps the words, and does not hold up the next", async () => {
  const first = await write("a", "too much");
  await write("a", "a2");
  await outbox.reload();
  await outbox.refused(`s:${first.key}`, refusal({ code: "too_large", stored: "no", retry: "never" }));
  await until("the next goes", () => words().includes("a2"));
  expect(await db.get("outbox", first.key)).toMatchObject({ state: { kind: "failed", code: "too_large" }, event: { text: "too much" } });
  const reaction = await write("b", "", { event: { kind: "reaction", target: 1, emoji: "🎉", op: "add" } });
  await outbox.reload();
  await outbox.refused(`s:${reaction.key}`, refusal({ code: "not_found", retry: "never" }));
  expect(await db.get("outbox", reaction.key), "it has no words").toBeUndefined();
  expect(problems).toEqual(["too_large", "not_found"]);
});

test("a refusal for now is tried again, after as long as the server says", async () => {
  const first = await write("a", "a1");
  await outbox.reload();
  await outbox.refused(`s:${first.key}`, refusal({ code: "rate_limited", stored: "no", retry_after_ms: 50 }));
  expect(words()).toEqual(["a1"]);
  await until("again", () => words().length === 2);
  expect(went[0]?.id).toBe(went[1]?.id);
});

test("ids of a clock that was ahead are minted anew, unless they may have been sent", async () => {
  const ahead = new ServerClock(3_600_000);
  const never = await write("a", "never sent", { id: ahead.mint() });
  const maybe = await write("b", "maybe sent", { id: ahead.mint(), attempted: true });
  await outbox.connected(64);
  expect(words()).toEqual(["never sent", "maybe sent"]);
  expect(went[0]?.id).not.toBe(never.id);
  expect(millisOf(went[0]?.id ?? "")).toBeLessThan(Date.now() + 15_000);
  expect(went[1]?.id).toBe(maybe.id);
  expect((await db.get("outbox", never.key))?.attempted, "written down before it went").toBe(true);
});

test("a message waits for its files, and what was written after it does not", async () => {
  const upload = { key: "u", c: "a", blob: new Blob(), name: "plan.png", type: "image/png", size: 3, sent: 0, ts: 0 };
  await db.put("uploads", { ...upload, state: "uploading" });
  await write("a", "with a file", { uploads: ["u"] });
  await write("a", "after it");
  await outbox.reload();
  expect(words()).toEqual(["after it"]);
  await db.put("uploads", { ...upload, state: "done", media: "b2f6" });
  outbox.settled([(await db.getAll("outbox")).find(({ uploads }) => uploads.length === 0)?.key ?? ""]);
  await outbox.reload();
  expect(went[1]?.event).toMatchObject({ media: [{ id: "b2f6", name: "plan.png", type: "image/png", size: 3 }] });
});

test("files that are gone are not waited for: a message goes without them, or with them if there is nothing else to say", async () => {
  await write("a", "with a file", { uploads: ["gone"] });
  const bare = await write("b", "", { uploads: ["gone"] });
  await write("b", "after it");
  await outbox.reload();
  await until("both went", () => went.length === 2);
  expect(went.map(({ event }) => event)).toEqual([{ kind: "message", text: "with a file" }, { kind: "message", text: "after it" }]);
  expect(await db.get("outbox", bare.key)).toBeUndefined();
});

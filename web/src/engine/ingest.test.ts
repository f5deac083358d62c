import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Http } from "../protocol/http.ts";
import type { EventFrame, ServerFrame } from "../protocol/types.ts";
import { type Database, openDatabase, readMeta, within } from "./database.ts";
import { frame } from "./testing.ts";
import { cachePage, ingest, sweep } from "./ingest.ts";
import { trim } from "./trim.ts";
import type { OutboxRow } from "./rows.ts";

const ME = "me";
let db: Database;
let asked: string[] = [];
/** What the server has; answers reads of the chain. */
let chain: EventFrame[] = [];
let databases = 0;

const http = new Http("", () => "token", async (input) => {
  const url = new URL(String(input), "http://server");
  asked.push(url.pathname + url.search);
  const after = Number(url.searchParams.get("after"));
  const items = chain.filter(({ seq }) => seq > after);
  return new Response(JSON.stringify({ items, more: false }));
});

beforeEach(async () => {
  databases += 1;
  db = await openDatabase("ingest", `user${databases}`, () => {});
  asked = [];
  chain = [];
});
afterEach(() => db.close());

const event = (one: EventFrame): ServerFrame => ({ ...one, type: "event" });
const message = (seq: number, more: { sender?: string; id?: string; prev?: number } = {}) =>
  event(frame(seq, { kind: "message", text: `m${seq}` }, more));
const take = (...frames: ServerFrame[]) => ingest(db, http, ME, frames);
const seqs = async () => (await db.getAll("messages", within("g.a"))).map(({ seq }) => seq);
const row = () => db.get("conversations", "g.a");

test("events and the cursor that covers them are written together, or not at all", async () => {
  await take(message(1), message(2), { type: "cursor", cursor: "c2" });
  expect(await readMeta(db, "cursor")).toBe("c2");
  const broken = { ...frame(3, { kind: "message", text: "x" }), type: "event", body: undefined } as unknown as ServerFrame;
  await expect(take(message(3), broken, { type: "cursor", cursor: "c3" })).rejects.toThrow();
  expect(await readMeta(db, "cursor")).toBe("c2");
  expect(await seqs()).toEqual([1, 2]);
});

test("an event that was had is dropped, and counted once", async () => {
  await take(message(1), message(2));
  const again = await take(message(2), message(1));
  expect(again.arrivals).toEqual([]);
  expect(await seqs()).toEqual([1, 2]);
  expect((await row())?.unread).toBe(2);
});

test("a hole in the chain is filled before what comes after it", async () => {
  chain = [frame(3, { kind: "message", text: "m3" }), frame(4, { kind: "edit", target: 1, text: "edited" }), frame(5, { kind: "message", text: "m5" })];
  await take(message(1), message(2));
  const { arrivals } = await take(message(5));
  expect(asked).toEqual(["/v1/conversations/g.a/events?after=2&limit=500&min_seq=g.a%3A4"]);
  expect(arrivals.map(({ seq }) => seq)).toEqual([3, 5]);
  expect(await seqs()).toEqual([1, 2, 3, 5]);
  expect((await db.get("messages", ["g.a", 1]))?.event).toMatchObject({ text: "edited" });
  expect((await row())?.ranges).toEqual([{ from: 0, to: 5 }]);
});

test("a gap takes what was cached: it may have been changed by what is left out", async () => {
  await take(message(1), message(2));
  const { change } = await take({ type: "gap", conversation: "g.a", from: 2, to: 90 }, message(91));
  expect(change.messages).toEqual({ "g.a": "all" });
  expect(await seqs()).toEqual([91]);
  expect(await row()).toMatchObject({ head: 91, ranges: [{ from: 91, to: 91 }], modifiersAfter: 90 });
});

test("a page that is older than the chain gets what came since, and one older than that is refused", async () => {
  await take(message(10, { prev: 9 }), event(frame(11, { kind: "edit", target: 5, text: "edited" })));
  const item = { ...frame(5, { kind: "message", text: "m5" }), state: {} };
  const page = { items: [item], as_of: 10, more_before: true, more_after: true };
  expect(await cachePage(db, ME, "g.a", page, { from: 5, to: 9 })).toBe(true);
  expect((await db.get("messages", ["g.a", 5]))?.event).toMatchObject({ text: "edited" });
  expect((await row())?.ranges).toEqual([{ from: 5, to: 11 }]);
  await take({ type: "gap", conversation: "g.a", from: 11, to: 50 });
  expect(await cachePage(db, ME, "g.a", page, { from: 5, to: 9 })).toBe(false);
});

function sent(key: string, more: Partial<OutboxRow> = {}): OutboxRow {
  return {
    key,
    c: "g.a",
    id: key,
    order: 1,
    event: { kind: "message", text: key },
    attempted: true,
    state: { kind: "ready" },
    ts: 0,
    uploads: [],
    ...more,
  };
}

test("a send leaves the outbox with its event, whether ack or event comes first", async () => {
  await db.put("outbox", sent("one"));
  await db.put("outbox", sent("two"));
  const ack = (id: string, seq: number): ServerFrame => ({ type: "ack", conversation: "g.a", id, seq, duplicate: false });
  expect((await take(ack("one", 1))).settled).toEqual(["one"]);
  expect((await db.get("outbox", "one"))?.state).toEqual({ kind: "stored", seq: 1 });
  await take(message(1, { sender: ME, id: "one" }), message(2, { sender: ME, id: "two" }));
  expect(await db.count("outbox")).toBe(0);
  await db.put("outbox", sent("two"));
  await take(ack("two", 2));
  expect(await db.count("outbox"), "its event was had before").toBe(0);
  expect(await seqs()).toEqual([1, 2]);
});

test("what is stored and comes no more is swept", async () => {
  await take(message(1));
  await db.put("outbox", sent("late", { state: { kind: "stored", seq: 1 } }));
  await db.put("outbox", sent("waiting"));
  expect(await sweep(db)).toEqual({ outbox: true, uploads: [] });
  expect(await db.getAllKeys("outbox")).toEqual(["waiting"]);
});

test("the files of what has left the outbox go with it, and every tab is told", async () => {
  const file = async (key: string): Promise<string[]> => {
    const blob = new Blob([key]);
    await db.put("uploads", { key, c: "g.a", blob, name: key, type: "text/plain", size: blob.size, state: "done", sent: blob.size, ts: 0 });
    return [key];
  };
  await db.put("outbox", sent("event", { uploads: await file("of event") }));
  await db.put("outbox", sent("gap", { uploads: await file("of gap"), state: { kind: "stored", seq: 5 } }));
  await db.put("outbox", sent("swept", { uploads: await file("of swept"), state: { kind: "stored", seq: 50 } }));
  await db.put("outbox", sent("waits", { uploads: await file("of waits") }));
  expect((await take(message(1, { sender: ME, id: "event" }))).change.uploads).toEqual(["of event"]);
  expect((await take({ type: "gap", conversation: "g.a", from: 1, to: 40 })).change.uploads).toEqual(["of gap"]);
  await db.put("conversations", { ...(await row())!, role: "member" });
  expect(await sweep(db), "its event may still come").toBeUndefined();
  await take(message(51, { prev: 40 }));
  expect(await sweep(db)).toEqual({ outbox: true, uploads: ["of swept"] });
  expect(await db.getAllKeys("uploads")).toEqual(["of waits"]);
});

test("the cache has a limit: the newest stay, of conversations that are open all", async () => {
  for (let seq = 1; seq <= 30; seq += 1) await take(message(seq));
  await trim(db, new Set(["g.a"]), { each: 10 });
  expect((await seqs()).length).toBe(30);
  await trim(db, new Set(), { each: 10 });
  expect(await seqs()).toEqual([21, 22, 23, 24, 25, 26, 27, 28, 29, 30]);
  expect((await row())?.ranges).toEqual([{ from: 21, to: 30 }]);
});

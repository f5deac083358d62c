import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { EventFrame, ServerFrame } from "../protocol/types.ts";
import type { LinkState } from "../protocol/link.ts";
import type { MessageItem, Place } from "./api.ts";
import type { Core } from "./core.ts";
import { Inbox } from "./inbox.ts";
import { ingest } from "./ingest.ts";
import { Members } from "./members.ts";
import { coreOf, endOf, ME } from "./testing.core.ts";
import { frame, until } from "./testing.ts";
import { Window } from "./window.ts";

let core: Core;
let inbox: Inbox;
let window: Window;
let isOnline = true;
/** The views of the server do not answer in time. */
let isBusy = false;
/** The network is slow: what is asked for comes when this resolves. */
let slow: Promise<void> = Promise.resolve();
/** The newest that the server has. */
let head = 0;

const ONLINE: LinkState = { kind: "online", synced: true };
const message = (seq: number): EventFrame => frame(seq, { kind: "message", text: `m${seq}` });

/** Pages as the server gives them; everything is a message, and the fifth is pinned. */
async function answer(input: Parameters<typeof fetch>[0]): Promise<Response> {
  const url = new URL(String(input), "http://server");
  await slow;
  if (!isOnline) throw new TypeError("no network");
  if (isBusy) return Response.json({ error: { code: "unavailable", message: "", stored: "unknown", retry: "same_id" } }, { status: 503 });
  if (url.pathname.endsWith("/pins")) return Response.json({ items: [{ ...message(5), state: { pinned: true } }], as_of: head });
  if (!url.pathname.endsWith("/messages")) throw new TypeError("no network");
  const place = (name: string) => (url.searchParams.has(name) ? Number(url.searchParams.get(name)) : undefined);
  const limit = place("limit") ?? 50;
  const around = place("around");
  const from = around === undefined ? (place("after") ?? (place("before") ?? head + 1) - limit - 1) + 1 : around - limit / 2;
  const first = Math.max(1, from);
  const last = Math.min(head, (place("before") ?? Infinity) - 1, first + limit - 1);
  const items = Array.from({ length: last - first + 1 }, (_, at) => ({ ...message(first + at), state: {} }));
  return Response.json({ items, as_of: head, more_before: first > 1, more_after: last < head });
}

beforeEach(async () => {
  isOnline = true;
  isBusy = false;
  core = await coreOf(answer);
  inbox = new Inbox(core);
  await come(300, 340, 299);
  core.tabs.post({ type: "connection", state: ONLINE });
  window = open();
  await shown("it is open", () => window.state.get().loading === undefined && seqs().at(-1) === 340);
});
afterEach(() => {
  window.close();
  inbox.close();
  endOf(core);
});

function open(place: Place = { kind: "newest" }): Window {
  return new Window("g.a", { core, inbox, members: new Members(core), onClose: () => {} }, place);
}

/** Another window, of somebody who has read up to 100 and has no connection. */
async function openOffline(place: Place): Promise<void> {
  window.close();
  await core.changeRow("g.a", (row) => ({ ...row, read: 100, unread: 240 }));
  await shown("it is unread", () => core.row("g.a")?.read === 100);
  goOffline();
  window = open(place);
  await shown("it could not be had", () => window.state.get().failure === "offline" && window.state.get().loading === undefined);
}

const shown = (what: string, holds: () => boolean) => until(what, holds, 5_000);
const seqs = () => window.state.get().items.map(({ seq }) => seq ?? 0);

async function take(...frames: ServerFrame[]): Promise<void> {
  const { change } = await ingest(core.db, core.http, ME, frames);
  core.changed(change);
}

/** Messages that are too many to be told one by one. */
async function miss(from: number, to: number): Promise<void> {
  head = to;
  await take({ type: "gap", conversation: "g.a", from, to });
}

/** Messages that come, in one batch. */
async function come(from: number, to: number, prev = from - 1): Promise<void> {
  head = to;
  await take(...Array.from({ length: to - from + 1 }, (_, at): ServerFrame => {
    const one = message(from + at);
    return { ...one, type: "event", ...(at === 0 ? { prev } : {}) };
  }));
}

/** Up to where the view reads back. */
async function back(to: number): Promise<void> {
  while ((seqs()[0] ?? 0) > to) await window.loadOlder();
}

function goOffline(): void {
  isOnline = false;
  core.tabs.post({ type: "connection", state: { kind: "waiting", nextTry: undefined, since: 0 } });
}

function goOnline(): void {
  isOnline = true;
  core.tabs.post({ type: "connection", state: ONLINE });
}

test("back online, whoever reads what is old stays there", async () => {
  await back(300);
  window.stay(310);
  goOffline();
  await window.loadOlder();
  expect(window.state.get()).toMatchObject({ failure: "offline", hasOlder: true });
  const { anchor } = window.state.get();
  const before = seqs();
  goOnline();
  await shown("it may be asked again", () => window.state.get().failure === undefined);
  // What was enqueued before it is done.
  await window.loadOlder();
  expect(window.state.get().anchor, "nothing jumps").toBe(anchor);
  expect(seqs().slice(-before.length)).toEqual(before);
  expect(seqs().length, "and what was missing is there").toBeGreaterThan(before.length);
});

test("a flood of new ones takes nothing from whoever reads what is older", async () => {
  await back(220);
  window.stay(240);
  const before = seqs();
  await come(341, 600);
  await shown("there are newer ones", () => window.state.get().hasNewer);
  expect(seqs(), "what is read, and what is before it").toEqual(expect.arrayContaining(before.filter((seq) => seq <= 260)));
  expect(seqs().length).toBe(240);
  // What it has left out comes when one goes on, once and in order.
  while (window.state.get().hasNewer) await window.loadNewer();
  expect(seqs()).toEqual(Array.from({ length: 240 }, (_, at) => 361 + at));
  // Whoever has got to the end stays there.
  window.stay(undefined);
  await come(601, 1_000);
  await shown("it is at the end", () => seqs().at(-1) === 1_000 && !window.state.get().hasNewer);
});

test("after a gap a window is where it was: at what is read, with all that is on the screen, or at the end", async () => {
  await back(200);
  window.stay(290);
  await miss(340, 500);
  await shown("it is there", () => window.state.get().hasNewer && window.state.get().loading === undefined);
  // The tallest screen shows some 140.
  expect(seqs()).toEqual(Array.from({ length: 210 }, (_, at) => 110 + at));
  await window.jumpTo({ kind: "newest" });
  await miss(500, 700);
  await shown("it is at the end", () => seqs().at(-1) === 700);
});

test("after a gap that could not be read over, nothing is put after it, or read, until it is", async () => {
  const read = () => core.row("g.a")?.read;
  window.seen(340);
  await shown("it is read", () => read() === 340);
  isBusy = true;
  await miss(340, 500);
  await shown("it could not be had", () => window.state.get().failure === "unavailable");
  expect(window.state.get()).toMatchObject({ hasOlder: true, hasNewer: true });
  expect(seqs().at(-1), "what was there stays").toBe(340);
  await come(501, 501, 500);
  // What was enqueued before it is done; and that fails, too.
  await window.loadNewer();
  expect(seqs().at(-1)).toBe(340);
  const said = core.send({ c: "g.a", event: { kind: "message", text: "meanwhile" } }) ?? "";
  expect(window.state.get().items.at(-1)?.key, "what one says meanwhile is there").toBe(said);
  await window.discard(said);
  isBusy = false;
  goOffline();
  goOnline();
  await shown("it is at the end", () => seqs().at(-1) === 501 && window.state.get().loading === undefined);
  expect(window.state.get()).toMatchObject({ failure: undefined, hasNewer: false });
  window.seen(501);
  expect(read(), "nobody has seen what is in between").toBe(340);
  await back(341);
  window.seen(501);
  expect(read()).toBe(501);
});

test("what could not be read over is read when one asks for more, from where one is", async () => {
  isBusy = true;
  await miss(340, 500);
  await shown("it could not be had", () => window.state.get().failure === "unavailable");
  window.stay(340);
  isBusy = false;
  await window.loadNewer();
  expect(seqs(), "what was there, read again, and what comes next").toEqual(Array.from({ length: 210 }, (_, at) => 160 + at));
  expect(window.state.get()).toMatchObject({ failure: undefined, hasNewer: true });
});

for (const place of [{ kind: "unread" }, { kind: "message", seq: 50 }] as const) {
  test(`a place that could not be had offline (${place.kind}) is gone to with the next connection, and nothing counts as read before`, async () => {
    await openOffline(place);
    const wanted = place.kind === "unread" ? 101 : place.seq;
    expect(seqs().at(-1), "what there is stands in for it").toBe(340);
    window.seen(340);
    expect(core.row("g.a")?.read).toBe(100);
    goOnline();
    await shown("it is there", () => window.state.get().anchor?.key === `s${wanted}`);
    expect(seqs()).toContain(wanted);
    await shown("all of it", () => window.state.get().loading === undefined);
    window.seen(110);
    expect(core.row("g.a")?.read).toBe(110);
  });
}

test("whoever reads on in what stands in for a place stays there, and has read what they get to without a gap", async () => {
  await openOffline({ kind: "unread" });
  window.stay(325);
  const { anchor } = window.state.get();
  goOnline();
  await shown("it may be asked again", () => window.state.get().failure === undefined);
  window.stay(undefined);
  await window.loadOlder();
  expect(window.state.get(), "also at the end of it").toMatchObject({ anchor, hasNewer: false });
  window.seen(325);
  expect(core.row("g.a")?.read).toBe(100);
  await back(101);
  window.seen(325);
  expect(core.row("g.a")?.read).toBe(325);
});

test("one who asks again for a place that could not be had, or for another, gets it", async () => {
  await openOffline({ kind: "unread" });
  isOnline = true;
  await window.loadOlder();
  expect(window.state.get()).toMatchObject({ anchor: { key: "s101" }, failure: undefined });
  isOnline = false;
  await window.jumpTo({ kind: "message", seq: 20 });
  expect(window.state.get()).toMatchObject({ anchor: { key: "s101" }, failure: "offline" });
  goOnline();
  await shown("it may be asked again", () => window.state.get().failure === undefined);
  expect(window.state.get().anchor?.key, "what was there was asked for, too").toBe("s101");

  await openOffline({ kind: "message", seq: 60 });
  await window.jumpTo({ kind: "message", seq: 20 });
  goOnline();
  await shown("the last that was asked for", () => window.state.get().anchor?.key === "s20");
});

test("a gap after what stands in for a place is none for the place", async () => {
  await openOffline({ kind: "unread" });
  isOnline = true;
  isBusy = true;
  await miss(340, 500);
  await shown("that could not be had, either", () => window.state.get().failure === "unavailable");
  expect(window.state.get()).toMatchObject({ hasOlder: true, hasNewer: true });
  await come(501, 501, 500);
  await window.loadNewer();
  expect(seqs().at(-1)).toBe(340);
  window.seen(340);
  expect(core.row("g.a")?.read).toBe(100);
  isBusy = false;
  goOnline();
  await shown("the place is there", () => window.state.get().anchor?.key === "s101");
});

test("of a place of which nothing was there, no message that comes is all", async () => {
  await miss(340, 500);
  await shown("it is at the end", () => seqs().at(-1) === 500 && window.state.get().loading === undefined);
  await core.db.clear("messages");
  await core.changeRow("g.a", (row) => ({ ...row, ranges: [] }));
  await openOffline({ kind: "unread" });
  expect(seqs()).toEqual([]);
  isOnline = true;
  isBusy = true;
  await come(501, 501, 500);
  await shown("it came", () => seqs().at(-1) === 501 && window.state.get().loading === undefined);
  expect(window.state.get().hasOlder).toBe(true);
  window.seen(501);
  expect(core.row("g.a")?.read).toBe(100);
  isBusy = false;
  goOnline();
  await shown("the place is there", () => window.state.get().anchor?.key === "s101");
});

test("pins that were looked for are there with the next connection, and again after a gap", async () => {
  const pins = () => window.pins.get();
  const pinned = { items: [{ seq: 5 }], complete: true };
  goOffline();
  await expect(window.loadPins()).rejects.toMatchObject({ code: "offline" });
  expect(pins()).toMatchObject({ items: [], complete: false });
  goOnline();
  await shown("they are there", () => pins().complete);
  expect(pins()).toMatchObject(pinned);
  // Nothing of it is said to be all while it is looked for.
  const said: boolean[] = [];
  const leave = window.pins.subscribe(({ complete }) => void said.push(complete));
  await miss(340, 500);
  await shown("they are there again", () => said.length > 1 && pins().complete);
  leave();
  expect(said).toEqual([true, false, true]);
  expect(pins()).toMatchObject(pinned);
});

test("a message with a file keeps looking as it did until its event is read, however long that takes", async () => {
  const blob = new Blob(["f"]);
  await core.db.put("uploads", { key: "f", c: "g.a", blob, name: "f.txt", type: "text/plain", size: 1, state: "done", media: "m", sent: 1, ts: 0 });
  await core.db.put("outbox", { key: "own", id: "own", order: 0, c: "g.a", event: { kind: "message", text: "" }, attempted: true, state: { kind: "ready" }, ts: 0, uploads: ["f"] });
  core.changed({ outbox: true, uploads: ["f"] });
  const last = () => window.state.get().items.at(-1) as MessageItem;
  await shown("it waits", () => last().uploads.length === 1);
  let come = () => {};
  slow = new Promise((resolve) => (come = resolve));
  const older = back(220);
  await take({ ...frame(341, { kind: "message", text: "", media: [{ id: "m" }] }, { sender: ME, id: "own" }), type: "event" });
  await shown("its file is gone from here", () => core.upload("f") === undefined);
  let isTold = false;
  const leave = core.add({ refresh: ({ receipts }) => void (isTold ||= receipts !== undefined) });
  core.changed({ receipts: ["g.a"] });
  await shown("it is shown again", () => isTold);
  leave();
  expect(last().uploads.length).toBe(1);
  come();
  await shown("its event is there", () => last().seq === 341);
  expect(window.state.get().items.filter(({ key }) => key === "own").length).toBe(1);
  await older;
});

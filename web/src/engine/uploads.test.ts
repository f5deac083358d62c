import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import type { UploadOptions } from "../protocol/media.ts";
import { type Database, openDatabase } from "./database.ts";
import type { UploadRow } from "./rows.ts";
import { Uploads, type Carrier } from "./uploads.ts";

let db: Database;
let uploads: Uploads;
let databases = 0;
/** What is on its way, and what it was told. */
let begun: { options: UploadOptions; paused: boolean; cancelled: boolean }[] = [];
/** The code that carries files, which comes over the network itself. */
let carrier: () => Promise<Carrier> = () => Promise.resolve(carry);

function carry(options: UploadOptions) {
  const one = { options, paused: false, cancelled: false };
  begun.push(one);
  return { pause: () => void (one.paused = true), cancel: () => void (one.cancelled = true) };
}

beforeEach(async () => {
  databases += 1;
  db = await openDatabase("uploads", `user${databases}`, () => {});
  begun = [];
  carrier = () => Promise.resolve(carry);
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  uploads = new Uploads({
    db,
    base: "",
    token: () => "token",
    carrier: () => carrier(),
    changed: () => {},
    progress: () => {},
    done: () => {},
  });
});
afterEach(() => {
  uploads.stop();
  vi.useRealTimers();
  db.close();
});

let order = 0;

async function put(key: string, more: Partial<UploadRow> = {}): Promise<void> {
  order += 1;
  const blob = new Blob([key]);
  await db.put("uploads", { key, c: "g.a", blob, name: key, type: "text/plain", size: blob.size, state: "waiting", sent: 0, ts: order, ...more });
}

/** Until it holds, with the timers standing still. */
async function soon(what: string, holds: () => boolean | Promise<boolean>): Promise<void> {
  for (let turn = 0; turn < 1_000; turn += 1) {
    if (await holds()) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
  throw new Error(`it does not come: ${what}`);
}

const state = async (key: string) => (await db.get("uploads", key))?.state;
const names = () => begun.map(({ options }) => options.name);

for (const code of ["offline", "rate_limited", "unauthorized", "overloaded", "unavailable", "internal"]) {
  test(`${code} passes: the file waits half a minute and goes again, once, with the connection as it was`, async () => {
    await put("a");
    uploads.connected();
    await soon("it goes", async () => begun.length === 1 && (await state("a")) === "uploading");
    begun[0]?.options.onFailure(code);
    await soon("it waits", async () => (await state("a")) === "waiting");
    // Others that come have nothing to do with it.
    await put("b");
    uploads.reload();
    await soon("the other goes", () => names().join() === "a,b");
    vi.advanceTimersByTime(29_000);
    begun[1]?.options.onDone("media");
    await put("c");
    uploads.reload();
    await soon("one that was chosen later goes before it", () => names().join() === "a,b,c");
    vi.advanceTimersByTime(1_000);
    await soon("it goes again", () => names().join() === "a,b,c,a");
    expect(vi.getTimerCount()).toBe(0);
  });
}

test("what keeps failing waits longer each time, up to five minutes, until something works or a connection is new", async () => {
  /** The last that went fails, and goes again after so many seconds. */
  const failsFor = async (seconds: number): Promise<void> => {
    const count = begun.length;
    await soon("it goes", async () => (await state("a")) === "uploading");
    begun.at(-1)?.options.onFailure("unavailable");
    await soon("it waits", async () => (await state("a")) === "waiting" && vi.getTimerCount() === 1);
    vi.advanceTimersByTime(seconds * 1_000 - 1);
    expect(vi.getTimerCount(), "not yet").toBe(1);
    vi.advanceTimersByTime(1);
    expect(vi.getTimerCount()).toBe(0);
    await soon("it goes again", () => begun.length > count);
  };
  await put("a");
  uploads.connected();
  await soon("it goes", () => begun.length === 1);
  for (const seconds of [30, 60, 120, 240, 300, 300]) await failsFor(seconds);
  uploads.disconnected();
  uploads.connected();
  await failsFor(30);
  await failsFor(60);
  await put("b");
  uploads.reload();
  await soon("another goes", () => names().at(-1) === "b");
  begun.pop()?.options.onDone("media");
  await soon("it is there", async () => (await state("b")) === "done");
  await failsFor(30);
});

test("what does not pass has failed, and goes again when somebody asks for it", async () => {
  await put("a");
  uploads.connected();
  await soon("it goes", () => begun.length === 1);
  begun[0]?.options.onFailure("too_large");
  await soon("it failed", async () => (await state("a")) === "failed");
  expect(vi.getTimerCount()).toBe(0);
  uploads.resume("a");
  await soon("it goes again", () => begun.length === 2);
});

test("a new connection, and whoever resumes it, does not wait for the half minute", async () => {
  await put("a");
  await put("b");
  uploads.connected();
  await soon("they go", () => begun.length === 2);
  for (const { options } of begun) options.onFailure("offline");
  await soon("they wait", async () => (await state("a")) === "waiting" && (await state("b")) === "waiting");
  uploads.resume("b");
  await soon("the one that was asked for", () => names().join() === "a,b,b");
  uploads.disconnected();
  uploads.connected();
  await soon("the other", () => names().join() === "a,b,b,a");
});

test("what carries files could not be loaded: it is tried again", async () => {
  carrier = () => Promise.reject(new TypeError("no network"));
  await put("a");
  uploads.connected();
  await soon("it waits", () => vi.getTimerCount() === 1);
  expect([begun.length, await state("a")]).toEqual([0, "waiting"]);
  carrier = () => Promise.resolve(carry);
  vi.advanceTimersByTime(30_000);
  await soon("it goes", () => begun.length === 1);
});

test("after the end nothing goes again", async () => {
  await put("a");
  uploads.connected();
  await soon("it goes", () => begun.length === 1);
  begun[0]?.options.onFailure("offline");
  await soon("it waits", () => vi.getTimerCount() === 1);
  uploads.stop();
  expect(vi.getTimerCount()).toBe(0);
});

test("what happens while that is being loaded counts: the end, a pause, one that was taken back", async () => {
  let loaded: (value: Carrier) => void = () => {};
  let asked = 0;
  carrier = () => {
    asked += 1;
    return new Promise((resolve) => (loaded = resolve));
  };
  await put("paused");
  uploads.connected();
  await soon("it is loaded", () => asked === 1);
  uploads.pause("paused");
  await soon("it is paused", async () => (await state("paused")) === "paused");
  await put("back");
  loaded(carry);
  await soon("it is loaded for the next", () => asked === 2);
  await db.delete("uploads", "back");
  await put("ended");
  loaded(carry);
  await soon("and for the last", () => {
    uploads.reload();
    return asked === 3;
  });
  uploads.stop();
  loaded(carry);
  await soon("nothing more happens", async () => (await state("ended")) === "waiting");
  for (let turn = 0; turn < 20; turn += 1) await db.count("uploads");
  expect(names()).toEqual([]);
  expect([await state("paused"), await state("ended")]).toEqual(["paused", "waiting"]);
});

test("a pause in the moment in which it begins is a pause", async () => {
  await put("a");
  // It has been looked at by then, and nobody knows yet that it goes.
  carrier = () => {
    const loaded = Promise.resolve(carry);
    void loaded.then(() => queueMicrotask(() => uploads.pause("a")));
    return loaded;
  };
  uploads.connected();
  await soon("it is paused", async () => (await state("a")) === "paused" && begun[0]?.paused === true);
  for (let turn = 0; turn < 20; turn += 1) await db.count("uploads");
  expect([names(), await state("a")]).toEqual([["a"], "paused"]);
});

/** What becomes of words on the way to the database. */
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Http } from "../protocol/http.ts";
import { Core } from "./core.ts";
import { type Database, openDatabase } from "./database.ts";
import { ingest } from "./ingest.ts";
import { Outbox } from "./outbox.ts";
import type { DraftRow, OutgoingEvent, UploadRow } from "./rows.ts";
import { Device, frame, intercepted, until } from "./testing.ts";
import { Tabs } from "./tabs.ts";

let device: Device;
let scopes = 0;
let scope = "";
let opened: { core: Core; db: Database }[] = [];

beforeEach(() => {
  scopes += 1;
  scope = `core${scopes}`;
  device = new Device(scope, () => "http://127.0.0.1:1");
  device.hasNetwork = false;
});
afterEach(() => {
  for (const { core, db } of opened) {
    core.close();
    core.tabs.close();
    db.close();
  }
  opened = [];
});

/** A tab, with a database that is as `change` makes it. */
async function tab(change: (db: Database) => Database = (db) => db): Promise<Core> {
  const platform = device.tab();
  const db = await openDatabase(scope, "me", () => {});
  const core = new Core(change(db), new Http("", () => undefined, platform.fetch), "me", platform, new Tabs(platform, "me"));
  opened.push({ core, db });
  await core.start();
  return core;
}

/** As when the disk is full: nothing more can be put into the outbox. */
function full(db: Database): Database {
  return intercepted(db, "transaction", (stores, mode) => {
    if (mode === "readwrite" && String(stores).includes("outbox,drafts")) throw new DOMException("full", "QuotaExceededError");
  });
}

const file: UploadRow = {
  key: "u",
  c: "g.a",
  blob: new Blob(["x"]),
  name: "x.txt",
  type: "text/plain",
  size: 1,
  state: "done",
  sent: 1,
  media: "m",
  ts: 0,
};

const say = (text: string) => ({ c: "g.a", event: { kind: "message", text } as const });
const words = (core: Core) => core.outbox.map(({ event }) => (event as { text: string }).text);

test("what the device could not keep and the person discarded is not sent by the next page", async () => {
  const core = await tab(full);
  const taken = core.send(say("taken back")) ?? "";
  const left = core.send(say("left")) ?? "";
  await until("both failed", () => core.outbox.every(({ state }) => state.kind === "failed"));
  expect(await core.discard(taken)).toBe(true);
  expect(words(core)).toEqual(["left"]);
  const next = await tab();
  expect(words(next), "what nobody took back is").toEqual(["left"]);
  // And then it is the same row for both of them.
  await until("it is no longer failed", () => core.outbox[0]?.state.kind === "ready");
  expect(await next.discard(left)).toBe(true);
  await until("gone from both", () => core.outbox.length === 0 && next.outbox.length === 0);
});

/** A message that is in the database. */
async function written(core: Core, text: string, uploads: string[] = []): Promise<string> {
  const key = core.send({ ...say(text), uploads }) ?? "";
  await until("it is written down", async () => (await core.db.get("outbox", key)) !== undefined);
  return key;
}

/** What the leader sends, while something else begins as soon as a row of this store is being read for that. */
async function sentWhile(core: Core, store: "outbox" | "uploads", begin: () => Promise<void>): Promise<OutgoingEvent[]> {
  const went: OutgoingEvent[] = [];
  const outbox = new Outbox({
    db: core.db,
    clock: core.clock,
    send: (frame) => frame.type === "send" && went.push(frame.event as OutgoingEvent) > 0,
    isOpen: () => true,
    unanswered: () => {},
    changed: () => {},
    problem: () => {},
  });
  const { get } = IDBObjectStore.prototype;
  const begun = new Promise<void>((resolve, reject) => {
    const spy = vi.spyOn(IDBObjectStore.prototype, "get").mockImplementation(function (this: IDBObjectStore, key) {
      if (this.name === store) {
        spy.mockRestore();
        queueMicrotask(() => void begin().then(resolve, reject));
      }
      return get.call(this, key);
    });
  });
  await outbox.reload();
  await begun;
  outbox.stop();
  return went;
}

test("a message is either taken back or sent, and not both", async () => {
  const core = await tab();
  const key = await written(core, "on second thought");
  let isTaken = false;
  const went = await sentWhile(core, "outbox", async () => void (isTaken = await core.discard(key)));
  expect(went).toEqual(isTaken ? [] : [{ kind: "message", text: "on second thought" }]);
  expect((await core.db.get("outbox", key)) === undefined).toBe(isTaken);
});

test("a file that was taken out of a message while it was about to go is not sent", async () => {
  const core = await tab();
  await core.putUpload(file);
  const key = await written(core, "without it", ["u"]);
  const went = await sentWhile(core, "uploads", () => core.dropUpload("u"));
  expect(went).toEqual([{ kind: "message", text: "without it" }]);
  expect(await core.db.get("outbox", key)).toMatchObject({ attempted: true, uploads: [], event: went[0] });
});

test("a disk that is still full keeps nobody out: what was not written stays failed, and goes out when there is room", async () => {
  const first = await tab(full);
  const key = first.send(say("no room")) ?? "";
  await until("it failed", () => first.outbox[0]?.state.kind === "failed");
  first.drafts.rescue({ place: "g.a", c: "g.a", text: "half a thought", uploads: [], ts: 1, tab: first.tab });
  first.close();
  let isFull = true;
  const second = await tab((db) =>
    intercepted(db, "transaction", (_stores, mode) => {
      if (isFull && mode === "readwrite") throw new DOMException("full", "QuotaExceededError");
    }),
  );
  expect(second.outbox).toMatchObject([{ key, state: { kind: "failed", code: "unavailable" } }]);
  expect(second.drafts.get("g.a")?.text).toBe("half a thought");
  isFull = false;
  await second.retry(key);
  expect(await second.db.get("outbox", key)).toMatchObject({ event: { text: "no room" }, state: { kind: "ready" } });
  const third = await tab();
  expect(words(third)).toEqual(["no room"]);
  expect(third.drafts.get("g.a")?.text, "what only the journal had").toBe("half a thought");
});

/** Its entry outlives it in the journal: a page ended between the commit and the removal. */
async function leftInJournal(core: Core, key: string): Promise<void> {
  const { scope, values } = core.platform;
  values.set(`${scope}.me.unsent.${key}`, JSON.stringify(await core.db.get("outbox", key)));
}

test("what is left in the journal of a message that was stored with its file is not sent again without it", async () => {
  const core = await tab();
  await core.putUpload(file);
  const key = await written(core, "with a file", ["u"]);
  await leftInJournal(core, key);
  const media = [{ id: "m", name: "x.txt", type: "text/plain", size: 1 }];
  const stored = frame(1, { kind: "message", text: "with a file", media }, { sender: "me", id: key });
  await ingest(core.db, core.http, "me", [{ ...stored, type: "event" }]);
  expect(await core.db.count("uploads"), "the file left with it").toBe(0);
  const next = await tab();
  expect(next.outbox).toEqual([]);
  expect(core.platform.values.keys()).toEqual([]);
});

test("what is in the journal alone goes out, with its file", async () => {
  const core = await tab();
  await core.putUpload(file);
  const key = await written(core, "with a file", ["u"]);
  await leftInJournal(core, key);
  await core.db.delete("outbox", key);
  const next = await tab();
  expect(next.outbox).toMatchObject([{ key, uploads: ["u"], state: { kind: "ready" } }]);
});

test("a file that is taken out of a message the device could not keep takes no words along", async () => {
  const core = await tab(full);
  await core.db.put("uploads", file);
  const key = core.send({ ...say("the words"), uploads: ["u"] }) ?? "";
  const bare = core.send({ ...say(""), uploads: ["u"] }) ?? "";
  await until("both failed", () => core.outbox.every(({ state }) => state.kind === "failed"));
  await core.dropUpload("u");
  await until("the one that was nothing else is gone", () => core.outbox.every((row) => row.key !== bare));
  expect(core.outbox).toMatchObject([{ key, uploads: [] }]);
  const next = await tab();
  expect(next.outbox).toMatchObject([{ key, uploads: [], state: { kind: "ready" } }]);
});

test("what was discarded is not found in the journal by the next page", async () => {
  const core = await tab();
  const key = await written(core, "better not");
  await leftInJournal(core, key);
  expect(await core.discard(key)).toBe(true);
  expect(words(await tab())).toEqual([]);
});

test("what goes out again under a new id does not go out under the old one, too", async () => {
  const core = await tab();
  const key = await written(core, "again");
  await leftInJournal(core, key);
  const row = await core.db.get("outbox", key);
  await core.db.put("outbox", { ...row!, state: { kind: "failed", code: "slow_down" } });
  await core.retry(key);
  // Sent.
  await core.db.delete("outbox", key);
  expect(words(await tab())).toEqual([]);
});

/** A tab that has kept a draft, and whose device had no room when that was sent. */
async function draftThatFailed(): Promise<{ core: Core; key: string; makeRoom: () => void }> {
  let isFull = true;
  const core = await tab((db) =>
    intercepted(db, "transaction", (stores, mode) => {
      if (isFull && mode === "readwrite" && String(stores).includes("outbox")) throw new DOMException("full", "QuotaExceededError");
    }),
  );
  // The last letters were not kept any more: they were sent at once.
  await core.drafts.put("g.a", draft("said onc", 1));
  const key = core.send({ ...say("said once"), draft: { place: "g.a", ts: 2 } }) ?? "";
  await until("it failed", () => core.outbox[0]?.state.kind === "failed");
  return { core, key, makeRoom: () => void (isFull = false) };
}

const draft = (text: string, ts: number): DraftRow => ({ place: "g.a", c: "g.a", text, uploads: [], ts, tab: "a tab" });

test("what the disk took at the second try is not a draft for the next page", async () => {
  const { core, key, makeRoom } = await draftThatFailed();
  makeRoom();
  await core.retry(key);
  expect(words(core)).toEqual(["said once"]);
  expect((await tab()).drafts.get("g.a")).toBeUndefined();
});

test("what was discarded before the disk took it is not a draft either", async () => {
  const { core, key, makeRoom } = await draftThatFailed();
  makeRoom();
  await core.discard(key);
  const next = await tab();
  expect(next.outbox).toEqual([]);
  expect(next.drafts.get("g.a")).toBeUndefined();
});

test("what was begun after a send that failed stays a draft", async () => {
  for (const what of ["retry", "discard", "reload"] as const) {
    const { core, key, makeRoom } = await draftThatFailed();
    await core.drafts.put("g.a", draft("next words", 3));
    makeRoom();
    if (what !== "reload") await core[what](key);
    const next = await tab();
    expect(next.drafts.get("g.a")?.text, what).toBe("next words");
    if (what !== "discard") await next.discard(key);
    core.close();
  }
});

test("on a disk that is still full the next page does not show what was sent as a draft, too", async () => {
  await draftThatFailed();
  const next = await tab(full);
  expect(words(next)).toEqual(["said once"]);
  expect(next.drafts.get("g.a")).toBeUndefined();
});

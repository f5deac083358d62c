/** What becomes of words on the way to the database. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { Http } from "../protocol/http.ts";
import { Core } from "./core.ts";
import { type Database, openDatabase } from "./database.ts";
import { Device, intercepted, until } from "./testing.ts";
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

/** As when the disk is full. */
function full(db: Database): Database {
  return intercepted(db, "transaction", (stores, mode) => {
    if (mode === "readwrite" && String(stores).includes("outbox")) throw new DOMException("full", "QuotaExceededError");
  });
}

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

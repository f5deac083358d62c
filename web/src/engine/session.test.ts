/** Several people on one device, with the real binary: each has a database, and nobody's words are lost for another. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openDB } from "idb";
import type { Engine, SessionState } from "./api.ts";
import { Cell } from "./cell.ts";
import { openEngine } from "./engine.ts";
import { type SessionRow, Sessions } from "./session.ts";
import { Device, Server, until, value } from "./testing.ts";

const binary = process.env["WEB_TEST_BINARY"] ?? fileURLToPath(new URL("../../../target/debug/hansard", import.meta.url));
const PASSWORD = "correct horse";
const server = new Server(binary);
const opened: Engine[] = [];

beforeAll(async () => {
  if (!existsSync(binary)) throw new Error(`no server at ${binary}: cargo build, or set WEB_TEST_BINARY`);
  await server.start();
}, 120_000);

afterAll(async () => {
  for (const engine of opened) await engine.close();
  await server.stop();
});

async function tab(device: Device): Promise<Engine> {
  const engine = await openEngine(device.tab());
  opened.push(engine);
  return engine;
}

function me(engine: Engine): string {
  const state = engine.session.state.get();
  return state.kind === "signed-in" ? state.me.id : "";
}

async function online(engine: Engine): Promise<void> {
  await value(engine.connection.state, "online", (state) => state.kind === "online" && state.synced);
}

/** Whose databases there are on a device. */
async function kept(scope: string): Promise<string[]> {
  const names = (await indexedDB.databases()).flatMap(({ name }) => (name?.startsWith(`${scope}.`) ? [name] : []));
  return names.map((name) => name.split(".")[1] ?? "").sort();
}

/** Databases are deleted a moment after their people have left. */
async function keeps(scope: string, people: readonly string[]): Promise<void> {
  const wanted = [...people].sort().join();
  await until(`${scope} keeps ${wanted}`, async () => (await kept(scope)).join() === wanted, 10_000);
}

/** Writes a note without a network, and is logged out from elsewhere before it is sent. */
async function leaveUnsent(device: Device, engine: Engine, handle: string, text: string): Promise<string> {
  await engine.session.signUp({ handle, password: PASSWORD });
  await online(engine);
  const id = me(engine);
  device.setNetwork(false);
  await value(engine.connection.state, "offline", (state) => state.kind === "offline");
  const notes = engine.open(engine.directWith(id));
  notes.compose.setText(text);
  notes.compose.send();
  await until("it is written down", async () => (await engine.session.unsent()) === 1);
  const state = engine.session.state.get();
  const elsewhere = await tab(new Device(`${handle}-elsewhere`, () => server.url));
  await elsewhere.session.logIn({ handle, password: PASSWORD });
  await elsewhere.session.revoke(state.kind === "signed-in" ? state.device : "");
  await elsewhere.session.logOut();
  device.setNetwork(true);
  await value(engine.session.state, "it ended", ({ kind }) => kind === "ended");
  return id;
}

test("somebody else logs in on the device: what the first one did not send is sent when they are back", async () => {
  const device = new Device("shared", () => server.url);
  const engine = await tab(device);
  const ana = await leaveUnsent(device, engine, "ana", "not lost");
  await engine.session.signUp({ handle: "bo", password: PASSWORD });
  await online(engine);
  const bo = me(engine);
  expect(await kept("shared")).toEqual([ana, bo].sort());
  expect(await engine.session.unsent(), "not Bo's").toBe(0);
  await engine.session.logOut();
  await keeps("shared", [ana]);
  await engine.session.logIn({ handle: "ana", password: PASSWORD });
  const notes = engine.open(engine.directWith(ana));
  await value(notes.state, "it is sent", ({ items }) => items.some((item) => item.kind === "message" && item.text === "not lost" && item.seq !== undefined));
  expect(await engine.session.unsent()).toBe(0);
});

test("a device keeps so many people and no more, and none whose words are unsent is forgotten for another", async () => {
  const device = new Device("busy", () => server.url);
  const engine = await tab(device);
  const first = await leaveUnsent(device, engine, "first", "still here");
  const others: string[] = [];
  for (const handle of ["second", "third", "fourth", "fifth"]) {
    await engine.session.signUp({ handle, password: PASSWORD });
    await online(engine);
    others.push(me(engine));
  }
  // The first has something to say, so it is the second who was forgotten.
  await keeps("busy", [first, ...others.slice(1)]);

  const full = new Device("full", () => server.url);
  const crowded = await tab(full);
  for (const handle of ["one", "two", "three", "four"]) await leaveUnsent(full, crowded, handle, "unsent");
  await expect(crowded.session.signUp({ handle: "five", password: PASSWORD })).rejects.toMatchObject({ code: "quota_exceeded" });
  expect(await kept("full")).toHaveLength(4);
  await crowded.session.logIn({ handle: "two", password: PASSWORD });
  expect(await kept("full")).toHaveLength(4);
});

test("a wrong password forgets nobody, and where there is no room the new session is closed again", async () => {
  const device = new Device("guessed", () => server.url);
  const engine = await tab(device);
  const people: string[] = [];
  for (const handle of ["guest1", "guest2", "guest3", "guest4"]) {
    await engine.session.signUp({ handle, password: PASSWORD });
    people.push(me(engine));
  }
  await expect(engine.session.logIn({ handle: "ana", password: "not hers" })).rejects.toMatchObject({ code: "unauthorized" });
  await expect(engine.session.signUp({ handle: "guest1", password: "not theirs" })).rejects.toMatchObject({ code: "handle_taken" });
  expect(await kept("guessed")).toEqual(people.sort());

  const full = new Device("crowd", () => server.url);
  const crowded = await tab(full);
  for (const handle of ["crowd1", "crowd2", "crowd3", "crowd4"]) await leaveUnsent(full, crowded, handle, "unsent");
  const elsewhere = await tab(new Device("guest1-elsewhere", () => server.url));
  await elsewhere.session.logIn({ handle: "guest1", password: PASSWORD });
  const before = (await elsewhere.session.devices()).length;
  await expect(crowded.session.logIn({ handle: "guest1", password: PASSWORD })).rejects.toMatchObject({ code: "quota_exceeded" });
  expect(await elsewhere.session.devices(), "nobody uses it: it is closed").toHaveLength(before);
  await expect(crowded.session.signUp({ handle: "crowd5", password: PASSWORD })).rejects.toMatchObject({ code: "quota_exceeded" });
  await elsewhere.session.signUp({ handle: "crowd5", password: PASSWORD });
});

test("what somebody began to write counts, wherever it was kept", async () => {
  const device = new Device("drafts", () => server.url);
  const engine = await tab(device);
  const people: string[] = [];
  for (const handle of ["words", "files", "rescued", "idle1", "idle2", "idle3"]) {
    await engine.session.signUp({ handle, password: PASSWORD });
    const id = me(engine);
    people.push(id);
    const notes = engine.open(engine.directWith(id));
    if (handle === "words") notes.compose.setText("half a thought");
    if (handle === "files") {
      await online(engine);
      device.setNetwork(false);
      await value(engine.connection.state, "offline", (state) => state.kind === "offline");
      await notes.compose.attach({ blob: new Blob(["x"]), name: "x.txt", type: "text/plain" });
      device.setNetwork(true);
    }
    // As a page that is being left does.
    const row = { place: notes.conversation, c: notes.conversation, text: "half a word", uploads: [], ts: Date.now(), tab: "t" };
    if (handle === "rescued") device.tab().values.set(`drafts.${id}.draft.${notes.conversation}`, JSON.stringify(row));
    notes.close();
  }
  const [words = "", files = "", rescued = "", , , last = ""] = people;
  await keeps("drafts", [words, files, rescued, last]);
});

/** Two tabs whose news of each other are late: in the first one is logged in, and the other in the second since. */
async function overtaken(scope: string, prepare: (first: Sessions) => Promise<void> = async () => {}) {
  const device = new Device(scope, () => server.url);
  const during = { fetch: async () => {} };
  const platform = device.tab();
  const tabs = [{ ...platform, fetch: async (...all: Parameters<typeof fetch>) => (await during.fetch(), platform.fetch(...all)) }, platform];
  const [first, second] = tabs.map((tab) => new Sessions(tab, new Cell<SessionState>({ kind: "starting" }))) as [Sessions, Sessions];
  for (const one of [first, second]) await one.start();
  await first.signUp({ handle: `${scope}-one`, password: PASSWORD });
  await prepare(first);
  const row = first.row;
  if (!row) throw new Error("nobody is logged in");
  const overtake = () => second.signUp({ handle: `${scope}-two`, password: PASSWORD });
  const stored = async () => {
    const fresh = new Sessions(platform, new Cell<SessionState>({ kind: "starting" }));
    await fresh.start();
    fresh.close();
    return fresh.row;
  };
  const close = () => [first, second].forEach((one) => one.close());
  return { first, second, row, overtake, during, stored, close };
}

test("a session that ended late does not end the one that came after it", async () => {
  const { first, second, row, overtake, stored, close } = await overtaken("late");
  await overtake();
  await first.ended("revoked", row);
  expect(await stored()).toEqual(second.row);
  expect(first.row, "and this tab knows now").toEqual(second.row);
  expect(first.tokenOf(row), "nor is its token had by the life before").toBeUndefined();
  await second.ended("revoked", second.row as SessionRow);
  expect(await stored()).toMatchObject({ handle: "late-two", ended: "revoked" });
  close();
});

test("who logs out late logs out nobody else, and nothing of the others is deleted", async () => {
  const { first, second, row, overtake, stored, close } = await overtaken("leaving");
  await overtake();
  await first.logOut();
  expect(await stored()).toEqual(second.row);
  await until("only his own is gone", async () => !(await kept("leaving")).includes(row.user));
  close();
});

test("a token that was exchanged late is not put in the place of another one", async () => {
  const soon = new Date(Date.now() + 3_600_000).toISOString();
  const { first, second, row, overtake, during, stored, close } = await overtaken("exchanged", async (one) => {
    const db = await openDB("exchanged");
    await db.put("session", { ...one.row, expiresAt: soon }, "current");
    db.close();
    await one.reread();
  });
  await first.refresh();
  const fresh = await stored();
  expect(fresh?.user).toBe(row.user);
  expect(Date.parse(fresh?.expiresAt ?? "")).toBeGreaterThan(Date.parse(soon));
  // Once more, and this time the other one logs in while the server is asked.
  const db = await openDB("exchanged");
  await db.put("session", { ...fresh, expiresAt: soon }, "current");
  db.close();
  await first.reread();
  during.fetch = async () => {
    during.fetch = async () => {};
    await overtake();
  };
  await first.refresh();
  expect(await stored()).toEqual(second.row);
  close();
});

/** What a tab does when the browser closes its databases, with the real binary. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { forceCloseDatabase } from "fake-indexeddb";
import { openDB } from "idb";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import type { ConversationWindow, Engine, SessionState } from "./api.ts";
import { beginEngine, openEngine } from "./engine.ts";
import type { Platform } from "./platform.ts";
import type { ConversationRow, MessageRow } from "./rows.ts";
import { Device, Server, until, value } from "./testing.ts";

const binary = process.env["WEB_TEST_BINARY"] ?? fileURLToPath(new URL("../../../target/debug/hansard", import.meta.url));
const PASSWORD = "correct horse";
const server = new Server(binary);
const opened: Engine[] = [];
let connections: IDBDatabase[] = [];

beforeAll(async () => {
  if (!existsSync(binary)) throw new Error(`no server at ${binary}: cargo build, or set WEB_TEST_BINARY`);
  await server.start();
  const open = indexedDB.open.bind(indexedDB);
  vi.spyOn(indexedDB, "open").mockImplementation((name, version) => {
    const request = open(name, version);
    request.addEventListener("success", () => connections.push(request.result));
    return request;
  });
}, 120_000);

afterEach(async () => {
  for (const engine of opened.splice(0)) await engine.close();
  connections = [];
});

afterAll(async () => {
  vi.restoreAllMocks();
  await server.stop();
});

/** As a browser does that is short of memory. */
function terminate(which: (name: string) => boolean): void {
  const closed = connections.filter(({ name }) => which(name));
  connections = connections.filter((one) => !closed.includes(one));
  for (const one of closed) forceCloseDatabase(one as never);
}

async function person(handle: string): Promise<{ device: Device; engine: Engine; id: string; kinds: SessionState["kind"][] }> {
  const device = new Device(`lives-${handle}`, () => server.url);
  const engine = await openEngine(device.tab());
  opened.push(engine);
  await engine.session.signUp({ handle, password: PASSWORD });
  await online(engine);
  const state = engine.session.state.get();
  const kinds: SessionState["kind"][] = [];
  engine.session.state.subscribe(({ kind }) => {
    if (kinds.at(-1) !== kind) kinds.push(kind);
  });
  return { device, engine, id: state.kind === "signed-in" ? state.me.id : "", kinds };
}

async function online(engine: Engine): Promise<void> {
  await value(engine.connection.state, "online", (state) => state.kind === "online" && state.synced);
}

/** Says something in the notes, and waits until it is stored. */
async function say(engine: Engine, id: string, text: string): Promise<void> {
  const notes = engine.open(engine.directWith(id));
  await value(notes.row, "its row", (row) => row !== undefined);
  notes.compose.setText(text);
  notes.compose.send();
  await value(notes.state, "it is stored", ({ items }) => items.some((item) => item.kind === "message" && item.text === text && item.seq !== undefined));
  notes.close();
}

/** The names of the databases of people on a device. */
async function databasesOf(device: Device): Promise<string[]> {
  const prefix = `${device.tab().scope}.`;
  return (await indexedDB.databases()).flatMap(({ name }) => (name?.startsWith(prefix) ? [name] : []));
}

async function recordsOf(db: IDBDatabase): Promise<number> {
  const tx = db.transaction([...db.objectStoreNames]);
  const counts = [...db.objectStoreNames].map(
    (store) =>
      new Promise<number>((resolve) => {
        const request = tx.objectStore(store).count();
        request.onsuccess = () => resolve(request.result);
      }),
  );
  return (await Promise.all(counts)).reduce((sum, count) => sum + count, 0);
}

for (const [what, which] of [
  ["the database of the person", (name: string) => name.includes(".")],
  ["all databases", () => true],
] as const) {
  test(`the browser closes ${what}: the same person goes on, with what they were writing`, async () => {
    const { engine, id, kinds } = await person(what.startsWith("all") ? "kit" : "liv");
    const notes = engine.open(engine.directWith(id));
    const thread = engine.openThread(notes.conversation, 1);
    notes.compose.setText("half a thought");
    thread.compose.setText("in a thread");
    terminate(which);
    await until("what was shown has ended, and there is a new life", () => kinds.join() === "signed-in,starting,signed-in");
    await online(engine);
    const again = engine.open(notes.conversation);
    expect(again.compose.draft.get().text).toBe("half a thought");
    const thereToo = engine.openThread(notes.conversation, 1);
    expect(thereToo.compose.draft.get().text).toBe("in a thread");
    again.compose.setText("");
    again.close();
    thereToo.close();
    await say(engine, id, "a whole one");
    await engine.session.logOut();
    expect(engine.session.state.get().kind).toBe("signed-out");
  });
}

test("a database that cannot be opened is a problem, and is opened when it can be", async () => {
  const { device, engine, id, kinds } = await person("mia");
  const problems: string[] = [];
  engine.problems.listen(({ code, what }) => problems.push(`${code} ${what}`));
  vi.mocked(indexedDB.open).mockImplementationOnce(() => {
    throw new DOMException("not now", "UnknownError");
  });
  terminate((name) => name.includes("."));
  await until("it is said", () => problems.length > 0);
  expect(kinds.at(-1), "nothing is shown that is not there").toBe("starting");
  await value(engine.session.state, "again", ({ kind }) => kind === "signed-in");
  expect(problems).toEqual(["unavailable storage"]);
  await online(engine);
  await say(engine, id, "still here");
  expect(device.sockets).toBeGreaterThan(1);
});

test("a page that cannot look who is logged in looks again", async () => {
  const { device, engine: before } = await person("tom");
  await before.close();
  const no = () => {
    throw new DOMException("not now", "UnknownError");
  };
  vi.mocked(indexedDB.open).mockImplementationOnce(no).mockImplementationOnce(no);
  const engine = beginEngine(device.tab());
  opened.push(engine);
  const problems: string[] = [];
  engine.problems.listen(({ code, what }) => problems.push(`${code} ${what}`));
  await value(engine.session.state, "a log-in is offered meanwhile", ({ kind }) => kind === "signed-out");
  await value(engine.session.state, "it is him", ({ kind }) => kind === "signed-in", 10_000);
  expect(problems).toEqual(["unavailable storage"]);
  await online(engine);
});

test("a session whose end cannot be written down ends when it can be", async () => {
  const { device, engine } = await person("uma");
  const elsewhere = await openEngine(new Device("lives-uma-elsewhere", () => server.url).tab());
  opened.push(elsewhere);
  await elsewhere.session.logIn({ handle: "uma", password: PASSWORD });
  const state = engine.session.state.get();
  terminate((name) => name === device.tab().scope);
  vi.mocked(indexedDB.open).mockImplementationOnce(() => {
    throw new DOMException("not now", "UnknownError");
  });
  await elsewhere.session.revoke(state.kind === "signed-in" ? state.device : "");
  await value(engine.session.state, "it ended", ({ kind }) => kind === "ended", 10_000);
});

test("a tab that cannot lead says so, and tries again", async () => {
  const { device, engine: first, id } = await person("ole");
  await first.close();
  const { locks, ...platform } = device.tab();
  let refused = 0;
  const engine = await openEngine({
    ...platform,
    locks: {
      request: async (name, options, hold) => {
        if ((refused += 1) === 1) throw new DOMException("not now", "UnknownError");
        await locks.request(name, options, hold);
      },
    },
  });
  opened.push(engine);
  await online(engine);
  expect(refused).toBe(2);
  await say(engine, id, "led");
});

test("the server has another log: every tab begins anew, and shows nothing of the one before", async () => {
  const { device, engine: before, id } = await person("vic");
  await say(before, id, "of this log");
  await before.close();
  const [name = ""] = await databasesOf(device);
  const db = await openDB(name);
  const conversation = [id, id].join(".");
  const [known] = (await db.getAll("messages", IDBKeyRange.bound([conversation], [conversation, []]))) as MessageRow[];
  if (!known) throw new Error("nothing is cached");
  await db.put("messages", { ...known, seq: known.seq + 1, id: "other", event: { kind: "message", text: "of another log" } });
  const row = (await db.get("conversations", conversation)) as ConversationRow;
  await db.put("conversations", { ...row, head: row.head + 1, ranges: [{ from: 0, to: row.head + 1 }] });
  await db.put("conversations", { ...row, id: "g.gone", name: "of another log" });
  await db.put("meta", "of another log", "cursor");
  db.close();
  device.setNetwork(false);
  const tabs = [await openEngine(device.tab()), await openEngine(device.tab())];
  opened.push(...tabs);
  const texts = ({ state }: ConversationWindow) => state.get().items.flatMap((item) => (item.kind === "message" ? [item.text] : []));
  const kinds = tabs.map((tab) => {
    const seen: string[] = [];
    tab.session.state.subscribe(({ kind }) => void (seen.at(-1) !== kind && seen.push(kind)));
    return seen;
  });
  for (const tab of tabs) {
    const window = tab.open(conversation);
    await until("what is cached is shown", () => texts(window).join() === "of this log,of another log");
    expect(tab.inbox.rows.get().map((one) => one.id)).toContain("g.gone");
  }
  tabs[0]?.open(conversation).compose.setText("half a thought");
  device.setNetwork(true);
  await until("they begin anew", () => kinds.every((seen) => seen.join() === "signed-in,starting,signed-in"), 10_000);
  for (const tab of tabs) {
    await online(tab);
    const window = tab.open(conversation);
    await until("what the server has is shown", () => texts(window).join() === "of this log", 10_000);
    expect(window.compose.draft.get().text, "what one writes stays").toBe("half a thought");
    expect(tab.inbox.rows.get().map((one) => one.id)).not.toContain("g.gone");
  }
});

test("whoever logs out sees nothing of theirs while the server is asked", async () => {
  const { device, engine } = await person("noa");
  let answer = () => {};
  const asked = new Promise<void>((resolve) => (answer = resolve));
  const gate = vi.spyOn(globalThis, "fetch").mockImplementationOnce(async () => {
    await asked;
    return new Response(null, { status: 204 });
  });
  const out = engine.session.logOut();
  await until("the server is asked", () => gate.mock.calls.length > 0);
  expect(engine.session.state.get().kind).toBe("starting");
  answer();
  await out;
  gate.mockRestore();
  expect(engine.session.state.get().kind).toBe("signed-out");
  expect(device.tab().values.keys()).toEqual([]);
});

test("what was being written where one logs out is gone, in a thread, too", async () => {
  const { device, engine, id } = await person("pia");
  engine.open(engine.directWith(id)).compose.setText("to myself");
  engine.openThread(engine.directWith(id), 1).compose.setText("half a thought");
  await engine.session.logOut();
  device.hide();
  expect(device.tab().values.keys()).toEqual([]);
});

test("what was being written in one tab is gone when another logs out", async () => {
  const { device, engine, id } = await person("quin");
  const platform = device.tab();
  // It hears of it by its database alone: the news is late.
  const channel: Platform["channel"] = (name) => (name === platform.scope ? { postMessage() {}, onmessage: null, close() {} } : platform.channel(name));
  const other = await openEngine({ ...platform, channel });
  opened.push(other);
  other.open(other.directWith(id)).compose.setText("half a thought");
  await engine.session.logOut();
  await value(other.session.state, "there, too", ({ kind }) => kind === "signed-out");
  expect(device.tab().values.keys()).toEqual([]);
});

test("a file that is being written down when one logs out leaves nothing behind", async () => {
  const { device, engine, id } = await person("sol");
  const { compose } = engine.open(engine.directWith(id));
  compose.setText("look");
  // It is slow: it is there when everything else of the person is gone.
  const { values } = device.tab();
  const mark = `lives-sol.${id}.mark`;
  values.set(mark, "");
  const uploads = connections.find(({ name }) => name.includes(id))?.transaction("uploads", "readwrite").objectStore("uploads");
  const hold = (): void => {
    if (uploads && values.get(mark) !== null) uploads.count().onsuccess = hold;
  };
  hold();
  const attaching = compose.attach({ blob: new Blob(["x"]), name: "x.txt", type: "text/plain" }).catch(() => {});
  await engine.session.logOut();
  await attaching;
  expect(values.keys()).toEqual([]);
});

test("a tab that is suspended holds up no log-out: nothing is left to read in it, and the same person is back at once", async () => {
  const { device, engine, id } = await person("sam");
  await say(engine, id, "for my eyes only");
  const other = await openEngine(device.tab());
  opened.push(other);
  for (const one of [engine, other]) one.open(engine.directWith(id)).compose.setText("half a thought");
  const [name = ""] = await databasesOf(device);
  // As a tab that runs no more: it closes nothing.
  const suspended = await new Promise<IDBDatabase>((resolve, reject) => {
    const request = indexedDB.open(name);
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(new Error(`not opened: ${name}`));
  });
  await engine.session.logOut();
  expect(engine.session.state.get().kind).toBe("signed-out");
  expect(await recordsOf(suspended)).toBe(0);
  await value(other.session.state, "there, too", ({ kind }) => kind === "signed-out");
  for (const one of [engine, other]) await one.close();
  expect(await recordsOf(suspended), "nor did the other tab leave anything").toBe(0);
  expect(device.tab().values.keys()).toEqual([]);
  // The next page, and the deletion is still waiting.
  const next = await openEngine(device.tab());
  opened.push(next);
  await next.session.logIn({ handle: "sam", password: PASSWORD });
  await online(next);
  await say(next, id, "here again");
  expect(await recordsOf(suspended), "the new life has nothing to do with the old one").toBe(0);
  suspended.close();
  await until("what was left is deleted", async () => (await databasesOf(device)).length === 1 && !(await databasesOf(device)).includes(name));
  await say(next, id, "and still here");
});

test("a log-out that cannot be written down fails, and the same person goes on", async () => {
  const { engine, id } = await person("rea");
  terminate((name) => !name.includes("."));
  vi.mocked(indexedDB.open).mockImplementationOnce(() => {
    throw new DOMException("not now", "UnknownError");
  });
  // Not said to the server either, or the session would end.
  const gate = vi.spyOn(globalThis, "fetch").mockRejectedValueOnce(new TypeError("no network"));
  await expect(engine.session.logOut()).rejects.toMatchObject({ name: "UnknownError" });
  gate.mockRestore();
  expect(engine.session.state.get().kind).toBe("signed-in");
  await online(engine);
  await say(engine, id, "still here");
  await engine.session.logOut();
  expect(engine.session.state.get().kind).toBe("signed-out");
});

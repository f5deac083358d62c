/** Two people with the real binary. WEB_TEST_BINARY says which; without it the debug build of this tree. */
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { ConversationWindow, Engine, MessageItem } from "./api.ts";
import { openEngine } from "./engine.ts";
import { Device, Server, until, value } from "./testing.ts";

const binary = process.env["WEB_TEST_BINARY"] ?? fileURLToPath(new URL("../../../target/debug/hansard", import.meta.url));
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

async function person(handle: string): Promise<{ device: Device; engine: Engine }> {
  const device = new Device(`test-${handle}`, () => server.url);
  const engine = await tab(device);
  await engine.session.signUp({ handle, password: "correct horse" });
  await value(engine.connection.state, `${handle} is online`, (state) => state.kind === "online" && state.synced);
  return { device, engine };
}

function me(engine: Engine): string {
  const state = engine.session.state.get();
  if (state.kind !== "signed-in") throw new Error(state.kind);
  return state.me.id;
}

function say(window: ConversationWindow, text: string): void {
  window.compose.setText(text);
  window.compose.send();
}

function messages(window: ConversationWindow): MessageItem[] {
  return window.state.get().items.filter((item): item is MessageItem => item.kind === "message");
}

const texts = (window: ConversationWindow) => messages(window).map(({ text }) => text);

test("two people talk, and both see what became of it", async () => {
  const ana = await person("ana");
  const bo = await person("bo");
  const id = ana.engine.directWith(me(bo.engine));
  const hers = ana.engine.open(id);
  await value(hers.row, "it has his name before anything was said", (row) => row?.title === "bo" && row.role === "member");
  expect(ana.engine.inbox.rows.get(), "and is in no inbox").toEqual([]);
  say(hers, "hello *bo*");
  expect(messages(hers)[0]?.mark, "shown in the same turn").toBe("pending");
  await value(bo.engine.inbox.rows, "bo has it in his inbox", (rows) => rows[0]?.unread === 1 && rows[0].title === "ana");
  expect(bo.engine.inbox.rows.get()[0]).toMatchObject({ id, last: { text: "hello *bo*", mine: false } });

  const his = bo.engine.open(id);
  await until("bo reads it", () => texts(his)[0] === "hello *bo*");
  his.seen(messages(his)[0]?.seq ?? 0);
  await until("ana sees that", () => messages(hers)[0]?.mark === "read");
  expect(bo.engine.inbox.rows.get()[0]?.unread).toBe(0);

  const seq = messages(hers)[0]?.seq ?? 0;
  his.toggleReaction(seq, "🎉");
  expect(messages(his)[0]?.reactions[0]).toMatchObject({ emoji: "🎉", count: 1, mine: true });
  hers.edit(seq, "hello bo");
  expect(messages(hers)[0]).toMatchObject({ text: "hello bo", changing: "edit" });
  await until("both have both", () =>
    [hers, his].every((window) => {
      const item = messages(window)[0];
      return item?.text === "hello bo" && item.edited !== undefined && item.reactions[0]?.count === 1 && !item.changing;
    }),
  );
  his.compose.setReply(seq);
  say(his, "hi ana");
  await until("ana has the answer", () => messages(hers)[1]?.replyTo?.message?.text === "hello bo");
  hers.setPinned(seq, true);
  await until("bo sees the pin", () => his.pins.get().items[0]?.seq === seq);
  hers.delete(seq);
  await until("it is gone for both", () => [hers, his].every((window) => messages(window)[0]?.deleted === true));
  bo.engine.inbox.pin(id, true);
  expect(bo.engine.inbox.rows.get()[0]?.pinned).toBe(true);
  hers.close();
  his.close();
});

test("a group: created, mentioned in, a thread, roles, left", async () => {
  const cy = await person("cy");
  const di = await person("di");
  const id = await cy.engine.groups.create({ title: "the new house", members: [me(di.engine)] });
  const hers = cy.engine.open(id);
  await value(di.engine.inbox.rows, "di is in it", (rows) => rows.some((row) => row.title === "the new house"));
  await value(hers.members, "the members are known", (rows) => rows.length === 2 && rows.every(({ person: one }) => one.handle !== ""));
  expect(hers.mentionables("d").map((one) => (one.kind === "person" ? one.person.handle : "all"))).toEqual(["di"]);
  say(hers, "@di look, and @all");
  await value(di.engine.inbox.rows, "di is mentioned", (rows) => rows[0]?.mentions === 1 && rows[0].unread === 1);
  const his = di.engine.open(id);
  await until("di sees it", () => messages(his)[0]?.mentionsMe === true);
  expect(messages(his)[0]?.layout.firstUnread).toBe(true);
  const root = messages(his)[0]?.seq ?? 0;
  const thread = di.engine.openThread(id, root);
  thread.compose.setText("in the thread");
  thread.compose.send();
  await until("the root counts it", () => messages(hers)[0]?.replies?.count === 1);
  await until("the thread has both", () => thread.state.get().items.length === 2);
  await cy.engine.groups.setRole(id, me(di.engine), "admin");
  await value(di.engine.inbox.rows, "di is an admin", (rows) => rows[0]?.role === "admin");
  await di.engine.groups.setTitle(id, "the old house");
  await value(cy.engine.inbox.rows, "the title is new", (rows) => rows[0]?.title === "the old house");
  await di.engine.groups.leave(id);
  await value(di.engine.inbox.rows, "di is out", (rows) => rows[0]?.role === undefined);
  await value(his.compose.obstacle, "and cannot write", (obstacle) => obstacle === "not_a_member");
  await until("cy was told", () => hers.state.get().items.some((item) => item.kind === "notice" && item.notice.kind === "left"));
  thread.close();
  hers.close();
  his.close();
});

test("who is there, who types, who has read; what was said is found", async () => {
  const kim = await person("kim");
  const lee = await person("lee");
  const id = await kim.engine.groups.create({ title: "the boat", members: [me(lee.engine)] });
  const hers = kim.engine.open(id);
  await value(hers.members, "she knows who is in it", (rows) => rows.some(({ person: one }) => one.handle === "lee"));
  say(hers, "@lee the boiler is broken");
  await value(lee.engine.inbox.rows, "lee has it", (rows) => rows[0]?.unread === 1);
  const his = lee.engine.open(id);
  const presence = lee.engine.people.presence(me(kim.engine));
  const leave = presence.subscribe(() => {});
  await value(presence, "kim is there", ({ state }) => state === "online");
  // Typing is told at most every two seconds: she goes on.
  let typed = "and the pump";
  await until("lee sees that kim types", () => {
    hers.compose.setText((typed += "."));
    return his.typing.get()[0]?.handle === "kim";
  });
  hers.compose.send();
  await until("she does no more", () => his.typing.get().length === 0 && texts(his).length === 2);

  his.seen(messages(his)[1]?.seq ?? 0);
  await until("kim sees how far it got", () => messages(hers)[1]?.reach?.read === 1);
  const { read, delivered, waiting } = await hers.receipts(messages(hers)[1]?.seq ?? 0);
  expect([read.map(({ person: one }) => one.handle), delivered, waiting]).toEqual([["lee"], [], []]);

  // Found about a second after it was said; asked no more often than a person would.
  let asked = 0;
  const isFound = async () => {
    if (Date.now() - asked < 300) return false;
    asked = Date.now();
    return (await lee.engine.search.messages("boiler from:kim")).items.length === 1;
  };
  await until("it is found", isFound);
  const [hit] = (await lee.engine.search.messages("boiler from:kim")).items;
  expect(hit?.snippet.find(({ found }) => found)?.text).toBe("boiler");
  expect((await lee.engine.search.context(id, hit?.seq ?? 0)).length).toBeGreaterThan(1);
  expect((await lee.engine.search.suggestions("from:ki"))[0]?.text).toBe("from:kim");
  await expect(lee.engine.search.messages("from:")).rejects.toMatchObject({ code: "bad_frame" });
  const mentions = await lee.engine.inbox.mentions();
  expect(mentions.items.map(({ item }) => item.text)).toEqual(["@lee the boiler is broken"]);

  await kim.engine.close();
  await value(presence, "kim is gone", ({ state, lastSeen }) => state === "offline" && lastSeen !== undefined);
  leave();
  his.close();
});

test("the server is killed in the middle: nothing is lost, nothing doubled, one order", async () => {
  const eva = await person("eva");
  const fay = await person("fay");
  const id = eva.engine.directWith(me(fay.engine));
  const windows = [eva.engine.open(id), fay.engine.open(id)] as const;
  for (let round = 0; round < 3; round += 1) {
    for (let at = 0; at < 20; at += 1) {
      say(windows[0], `eva ${round}.${at}`);
      say(windows[1], `fay ${round}.${at}`);
      if (at === 7) await until("some are stored", () => messages(windows[0]).some(({ seq }) => seq !== undefined));
      if (at === 10) await server.kill();
    }
    await server.start();
    for (const { engine } of [eva, fay]) engine.connection.retryNow();
  }
  const isWhole = (window: ConversationWindow) => {
    const all = messages(window);
    return all.length === 120 && all.every(({ seq }) => seq !== undefined);
  };
  await until("both have all", () => windows.every(isWhole), 120_000);
  expect(texts(windows[0])).toEqual(texts(windows[1]));
  for (const who of ["eva", "fay"]) {
    const said = texts(windows[0]).filter((text) => text.startsWith(who));
    const meant = [0, 1, 2].flatMap((round) => Array.from({ length: 20 }, (_, at) => `${who} ${round}.${at}`));
    expect(said, "in the order in which they were written").toEqual(meant);
  }
  for (const window of windows) window.close();
}, 180_000);

test("offline: what was there is there, what is written waits; tabs share one connection, and the next one takes over", async () => {
  const gil = await person("gil");
  const hal = await person("hal");
  const id = gil.engine.directWith(me(hal.engine));
  const his = hal.engine.open(id);
  let hers = gil.engine.open(id);
  say(hers, "one");
  await until("stored", () => messages(hers)[0]?.mark !== "pending");

  const second = await tab(gil.device);
  const also = second.open(id);
  await until("the second tab shows it", () => texts(also)[0] === "one");
  say(also, "two");
  await until("all three have it, once", () => [hers, also, his].every((window) => texts(window).join() === "one,two"));
  expect(gil.device.sockets, "one connection for both tabs").toBe(1);

  hers.compose.setText("half a thou");
  await until("the draft is in the other tab", () => also.compose.draft.get().text === "half a thou");

  say(also, "half a thought");
  await until("sent once, and no longer a draft anywhere", () => hers.compose.draft.get().text === "" && texts(his).length === 3);

  gil.device.setNetwork(false);
  await value(second.connection.state, "both know", (state) => state.kind === "offline" && state.nextTry === undefined);
  say(also, "three");
  await gil.engine.close();
  await value(second.connection.leader, "the other tab leads", (isLeader) => isLeader);
  // A reload while offline: a new tab has what was there, and what waits.
  const third = await tab(gil.device);
  hers = third.open(id);
  await until("the cache is shown", () => texts(hers).join() === "one,two,half a thought,three" && messages(hers)[3]?.mark === "pending");
  gil.device.setNetwork(true);
  await until("hal has it once", () => texts(his).join() === "one,two,half a thought,three");
  await until("it is no longer pending", () => messages(hers)[3]?.seq !== undefined);
  hers.close();
  his.close();
  also.close();
});

test("a page that was left before its message was written down: the next one sends it, once", async () => {
  const jo = await person("jo");
  const id = `${me(jo.engine)}.${me(jo.engine)}`;
  const notes = jo.engine.open(id);
  say(notes, "one");
  await until("stored", () => messages(notes)[0]?.seq !== undefined);
  const key = (id: string) => `test-jo.${me(jo.engine)}.unsent.${id}`;
  const row = (id: string, text: string) => ({
    key: id,
    c: notes.conversation,
    id,
    order: 9,
    event: { kind: "message", text },
    attempted: false,
    state: { kind: "ready" },
    ts: Date.now(),
    uploads: [],
  });
  const values = jo.device.tab().values;
  const left = messages(notes)[0]?.id?.replace(/.$/, (last) => (last === "0" ? "1" : "0")) ?? "";
  values.set(key(left), JSON.stringify(row(left, "two")));
  // And one that was written, and sent, before the page could say so here.
  const known = messages(notes)[0]?.id ?? "";
  values.set(key(known), JSON.stringify(row(known, "one")));
  const next = await tab(jo.device);
  const again = next.open(id);
  await until("both are there once", () => texts(again).join() === "one,two" && messages(again).every(({ seq }) => seq !== undefined));
  await until("and nothing waits", async () => (await next.session.unsent()) === 0);
  expect(values.keys().filter((one) => one.includes("unsent"))).toEqual([]);
  expect(texts(notes)).toEqual(["one", "two"]);
});

test("a session that is revoked elsewhere ends, and what is unsent waits", async () => {
  const ida = await person("ida");
  const elsewhere = await tab(new Device("test-ida-2", () => server.url));
  await elsewhere.session.logIn({ handle: "ida", password: "correct horse" });
  const devices = await elsewhere.session.devices();
  expect(devices).toHaveLength(2);
  const first = ida.engine.session.state.get();
  await elsewhere.session.revoke(first.kind === "signed-in" ? first.device : "");
  await value(ida.engine.session.state, "it ended", (state) => state.kind === "ended" && state.reason === "revoked");
  await ida.engine.session.logIn({ handle: "ida", password: "correct horse" });
  await value(ida.engine.connection.state, "back", (state) => state.kind === "online" && state.synced);
  await ida.engine.session.logOut();
  expect(ida.engine.session.state.get().kind).toBe("signed-out");
  await until("nothing of hers is left on the device", async () => {
    return (await indexedDB.databases()).every(({ name }) => !name?.startsWith("test-ida."));
  });
});

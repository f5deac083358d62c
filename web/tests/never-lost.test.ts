/** What was typed is delivered once and shown once, whatever dies, is closed or is away meanwhile. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Account } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { Dice } from "./harness/chance.ts";
import { Server } from "./harness/server.ts";

let browser: Browser;
let server: Server;

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** So high that every message of a test is rendered: what is compared is all of the conversation. */
const TALL = { height: 6_000 };

/** Two people with their conversation open at both. */
async function pair(one: string, other: string): Promise<[Person, Person]> {
  const people = [await Person.sit(browser, server, TALL), await Person.sit(browser, server, TALL)] as const;
  await people[0].signUp(one);
  await people[1].signUp(other);
  await people[0].openDirect(other);
  await people[1].openDirect(one);
  return [...people];
}

async function shows(person: Person, expected: number, page: Page = person.page): Promise<string[]> {
  let texts: string[] = [];
  const distinct = async (): Promise<number> => {
    texts = await person.texts(page);
    return new Set(texts).size;
  };
  await expect.poll(distinct).toBe(expected);
  return texts;
}

/** Each message once at both, in the order of the log, and all of them. */
async function agree(said: readonly string[], people: readonly Person[], handles: readonly [string, string]): Promise<void> {
  const shown = await Promise.all(people.map((person) => shows(person, said.length)));
  const [reader, other] = await Promise.all(handles.map((handle) => Account.logIn(server.url, handle)));
  const stored = (await reader!.history(reader!.with(other!))).map((message) => message.text);
  expect([...stored].sort()).toEqual([...said].sort());
  for (const texts of shown) expect(texts).toEqual(stored);
  for (const person of people) {
    await expect.poll(() => person.marks("pending").count()).toBe(0);
    expect(await person.marks("failed").count()).toBe(0);
  }
}

test("kill -9 of gateway and nats-server while two people talk loses nothing, doubles nothing and keeps one order", async () => {
  const [ana, bo] = await pair("kill.ana", "kill.bo");
  const said: string[] = [];
  const talk = async (rounds: number): Promise<void> => {
    for (let round = 0; round < rounds; round++) {
      for (const [person, name] of [[ana, "ana"], [bo, "bo"]] as const) {
        const text = `${name} ${said.length}`;
        said.push(text);
        await person.say(text);
      }
    }
  };
  await talk(5);
  await server.kill();
  // People go on writing to a dead server, and see what they wrote.
  await talk(3);
  await ana.message(said.at(-2)!).waitFor();
  await server.launch();
  await talk(3);
  await server.killNats();
  await talk(3);
  await agree(said, [ana, bo], ["kill.ana", "kill.bo"]);
  // And in the middle of it, without a pause in which anything could have been settled.
  const during = talk(6);
  await server.kill();
  await server.launch();
  await during;
  await agree(said, [ana, bo], ["kill.ana", "kill.bo"]);
  await Promise.all([ana.leave(), bo.leave()]);
}, 180_000);

test("offline: one reads on, writes, reloads; online: all is sent, once and in order", async () => {
  const [ana, bo] = await pair("off.ana", "off.bo");
  const said = ["before"];
  await ana.say("before");
  await bo.message("before").waitFor();
  await ana.shellIsKept();
  await ana.context.setOffline(true);
  for (const text of ["offline 1", "offline 2", "offline 3"]) {
    said.push(text);
    await ana.say(text);
    await ana.mark(text, "pending").waitFor();
  }
  await ana.connectionLine().waitFor();
  said.push("meanwhile");
  await bo.say("meanwhile");
  await bo.mark("meanwhile", "sent").waitFor();
  // The shell comes from the service worker, the conversation and the outbox from IndexedDB.
  await ana.page.reload();
  await ana.message("before").waitFor();
  await ana.mark("offline 3", "pending").waitFor();
  said.push("offline 4");
  await ana.say("offline 4");
  await ana.mark("offline 4", "pending").waitFor();
  await ana.context.setOffline(false);
  await ana.message("meanwhile").waitFor();
  await agree(said, [ana, bo], ["off.ana", "off.bo"]);
  await ana.connectionLine().waitFor({ state: "detached" });
  await Promise.all([ana.leave(), bo.leave()]);
});

test("a reload at any moment after a message was sent loses no word of it", async () => {
  const dice = new Dice();
  const [ana, bo] = await pair("load.ana", "load.bo");
  const said: string[] = [];
  for (let round = 0; round < 12; round++) {
    const text = `round ${round}`;
    said.push(text);
    await ana.say(text);
    const moment = dice.pick(["at once", "shown", "sent", "delivered", "frames"] as const);
    if (moment === "shown") await ana.message(text).waitFor();
    if (moment === "sent" || moment === "delivered") await ana.mark(text, "sent").or(ana.mark(text, "delivered")).or(ana.mark(text, "read")).first().waitFor();
    if (moment === "frames") {
      await ana.page.evaluate(async (count) => {
        for (let frame = 0; frame < count; frame++) await new Promise(requestAnimationFrame);
      }, dice.below(12));
    }
    await ana.page.reload();
    await ana.composer().waitFor();
    // In a moment that is too short for the outbox it is still in the draft: it was not lost.
    await expect
      .poll(async () => (await ana.composer().inputValue()) === text || (await ana.message(text).count()) > 0, { message: `${text}, ${moment}` })
      .toBe(true);
    if ((await ana.composer().inputValue()) === text) await ana.composer().press("Enter");
  }
  await agree(said, [ana, bo], ["load.ana", "load.bo"]);
  await Promise.all([ana.leave(), bo.leave()]);
}, 180_000);

test("a draft survives a reload, and each conversation has its own", async () => {
  const [ana, bo] = await pair("draft.ana", "draft.bo");
  const cleo = await Account.create(server.url, "draft.cleo");
  await ana.composer().fill("half a thou");
  await ana.openDirect("draft.cleo");
  await expect.poll(() => ana.composer().inputValue()).toBe("");
  await ana.composer().fill("to cleo");
  await ana.page.reload();
  await expect.poll(() => ana.composer().inputValue()).toBe("to cleo");
  await ana.composer().press("Enter");
  await ana.message("to cleo").waitFor();
  await ana.page.goBack();
  await expect.poll(() => ana.composer().inputValue()).toBe("half a thou");
  await expect.poll(async () => (await cleo.history(cleo.with(await Account.logIn(server.url, "draft.ana")))).length).toBe(1);
  await Promise.all([ana.leave(), bo.leave()]);
});

test("two tabs have one connection, show everything once, and one takes over when the other goes", async () => {
  const [ana, bo] = await pair("tab.ana", "tab.bo");
  const sockets = new Map<Page, number>();
  const count = (page: Page): void => {
    page.on("websocket", (socket) => {
      sockets.set(page, (sockets.get(page) ?? 0) + 1);
      socket.on("close", () => sockets.set(page, sockets.get(page)! - 1));
    });
  };
  const open = (): number => [...sockets.values()].reduce((sum, one) => sum + one, 0);
  count(ana.page);
  await ana.page.reload();
  await expect.poll(open).toBe(1);
  ana.context.on("page", count);
  const second = await ana.tab(new URL(ana.page.url()).hash);
  await ana.composer(second).waitFor();
  await bo.say("for both");
  const said = ["for both"];
  for (const page of [ana.page, second]) expect(await shows(ana, 1, page)).toEqual(said);
  await ana.say("from the first");
  await ana.say("from the second", second);
  said.push("from the first", "from the second");
  for (const page of [ana.page, second]) expect([...(await shows(ana, 3, page))].sort()).toEqual([...said].sort());
  expect(open()).toBe(1);
  // What one tab has read and what one writes, the other knows.
  await ana.composer(second).fill("written in the second");
  await expect.poll(() => ana.composer().inputValue()).toBe("written in the second");
  // The first has led: without it the second connects, and misses nothing.
  await ana.page.close();
  sockets.delete(ana.page);
  await bo.say("to the one that is left");
  said.push("to the one that is left");
  expect([...(await shows(ana, 4, second))].sort()).toEqual([...said].sort());
  expect(open()).toBe(1);
  await Promise.all([ana.leave(), bo.leave()]);
});

/** Lets a test close databases as the browser does that is short of memory. */
function closable(): void {
  const { open } = IDBFactory.prototype;
  IDBFactory.prototype.open = function (name, version) {
    const request = open.call(this, name, version);
    request.addEventListener("success", () => {
      const db = request.result;
      addEventListener("terminate", () => {
        db.close();
        db.dispatchEvent(new Event("close"));
      });
    });
    return request;
  };
}

test("the browser closes the databases: who is writing goes on where they were, and it is sent", async () => {
  const seat = await Person.sit(browser, server, { prepare: closable });
  await seat.signUp("closed.ana");
  await Account.create(server.url, "closed.bo");
  await seat.openDirect("closed.bo");
  await seat.say("before");
  await seat.mark("before", "sent").waitFor();
  await seat.composer().fill("half a thought");
  const begun = await seat.composer().elementHandle();
  await seat.page.evaluate(() => void dispatchEvent(new Event("terminate")));
  await begun?.waitForElementState("hidden");
  await expect.poll(() => seat.composer().inputValue()).toBe("half a thought");
  await seat.composer().press("End");
  await seat.composer().pressSequentially(", and the other half");
  await seat.composer().press("Enter");
  await seat.mark("half a thought, and the other half", "sent").waitFor();
  expect(await seat.texts()).toEqual(["before", "half a thought, and the other half"]);
  await seat.leave();
});

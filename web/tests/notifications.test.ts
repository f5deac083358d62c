/** What a person is told of while they look elsewhere; and that what they were writing waits for them. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Account, PASSWORD } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { Server } from "./harness/server.ts";

declare global {
  interface Window {
    /** The notifications that the browser was asked to show. */
    told: Notification[];
    /** Those that it was asked to close. */
    untold: Notification[];
  }
}

let browser: Browser;
let server: Server;
let ana: Person;
let bo: Account;
let cleo: Account;
let ofBo: string;
let ofCleo: string;

/** Notes the browser's notifications: there is nobody to see them, and to press them. */
function listen(): void {
  window.told = [];
  window.untold = [];
  const Real = window.Notification;
  window.Notification = class extends Real {
    constructor(title: string, options?: NotificationOptions) {
      super(title, options);
      window.told.push(this);
    }
    override close(): void {
      window.untold.push(this);
      super.close();
    }
  };
}

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
  const own = await Account.create(server.url, "ana", "Ana Amsel");
  bo = await Account.create(server.url, "bo", "Bo Buchfink");
  cleo = await Account.create(server.url, "cleo", "Cleo Cormoran");
  [ofBo, ofCleo] = [bo.with(own), cleo.with(own)];
  await bo.say(ofBo, "Hello");
  await cleo.say(ofCleo, "Hello");
  ana = await Person.sit(browser, server, { prepare: listen });
  await ana.logIn("ana");
  for (const name of ["Bo Buchfink", "Cleo Cormoran"]) await ana.open(name);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

function told(): Promise<[string, string][]> {
  return ana.page.evaluate(() => window.told.map(({ title, body }) => [title, body]));
}

test("a message is told of, a press leads to it, and what is muted or on screen is not", async () => {
  const { page } = ana;
  await page.evaluate(() => void (location.hash = "#/settings"));
  await bo.say(ofBo, "before it was wanted");
  await ana.row("Bo Buchfink").getByText("before it was wanted").waitFor();
  await page.getByRole("switch", { name: ana.words("settings.notifications.on") }).click();
  await bo.say(ofBo, "Are **you** there?");
  await expect.poll(told).toEqual([["Bo Buchfink", "Are you there?"]]);
  await expect.poll(() => page.title()).toMatch(/^\(2\) /);

  await ana.row("Cleo Cormoran").click({ button: "right" });
  await page.getByRole("menuitem", { name: ana.words("inbox.mute.hour") }).click();
  await ana.row("Cleo Cormoran").getByText(ana.words("inbox.muted")).waitFor({ state: "attached" });
  await cleo.say(ofCleo, "psst");
  await ana.row("Cleo Cormoran").getByText("psst").waitFor();
  await bo.say(ofBo, "Hello?");
  await expect.poll(async () => (await told()).map(([, body]) => body)).toEqual(["Are you there?", "Hello?"]);
  // What is muted does not count either.
  await expect.poll(() => page.title()).toMatch(/^\(3\) /);

  await page.evaluate(() => void window.told.at(-1)!.dispatchEvent(new Event("click")));
  await ana.message("Hello?").waitFor();
  await expect.poll(() => page.title()).toBe("Bo Buchfink");
  await bo.say(ofBo, "Now you see it");
  await ana.message("Now you see it").waitFor();
  // One that comes after it was told of, had that been told of too.
  await page.evaluate(() => void (location.hash = "#/settings"));
  await page.getByRole("switch", { name: ana.words("settings.notifications.text") }).click();
  await bo.say(ofBo, "secret");
  await expect.poll(async () => (await told()).map(([, body]) => body)).toEqual(["Are you there?", "Hello?", "New message"]);
});

test("drafts of several conversations are there after a reload, and in the list", async () => {
  const { page } = ana;
  await ana.open("Bo Buchfink");
  await ana.composer().fill("for Bo, unfinished");
  await ana.open("Cleo Cormoran");
  await ana.item("psst").press("r");
  await ana.composer().fill("for Cleo, unfinished");
  // At once: what was typed last is not written down by a timer yet.
  await page.reload();
  await expect.poll(() => ana.composer().inputValue()).toBe("for Cleo, unfinished");
  await page.getByText(ana.words("composer.replying", { name: "Cleo Cormoran" })).waitFor();
  await ana.row("Bo Buchfink").getByText("for Bo, unfinished").waitFor();
  await ana.open("Bo Buchfink");
  await expect.poll(() => ana.composer().inputValue()).toBe("for Bo, unfinished");
  await ana.composer().press("Enter");
  await ana.message("for Bo, unfinished").waitFor();
  await page.reload();
  await ana.message("for Bo, unfinished").waitFor();
  expect(await ana.composer().inputValue()).toBe("");
  await ana.leave();
});

/** As browsers on phones do: only the service worker may show one. */
function forbid(): void {
  window.Notification = class extends window.Notification {
    constructor(title: string) {
      super(title);
      throw new TypeError("not from a page");
    }
  };
}

/** Logs in as Cleo, who wants to be told, and is told of a message. */
async function tell(seat: Person, count: () => Promise<number>): Promise<void> {
  await seat.logIn("cleo");
  await seat.page.evaluate(() => void (location.hash = "#/settings"));
  await seat.page.getByRole("switch", { name: seat.words("settings.notifications.on") }).click();
  await bo.say(bo.with(cleo), "between the two of us");
  await expect.poll(count).toBe(1);
}

async function logOut(seat: Person): Promise<void> {
  await seat.menu("shell.logout");
  await seat.button("shell.logout", {}, seat.page.getByRole("dialog")).click();
  await seat.button("login.submit").waitFor();
}

test("who logs out leaves nothing for whoever comes next, in no tab", async () => {
  const seat = await Person.sit(browser, server, { prepare: listen });
  const { page } = seat;
  await tell(seat, () => page.evaluate(() => window.told.length));
  const other = await seat.tab(`#/c/${bo.with(cleo)}`);
  await expect.poll(() => other.title()).toMatch(/Bo Buchfink$/);
  await seat.message("between the two of us", other).waitFor();
  await bo.say(bo.with(cleo), "read aloud");
  await other.getByRole("status").filter({ hasText: "read aloud" }).waitFor({ state: "attached" });
  await logOut(seat);
  for (const tab of [page, other]) {
    await seat.button("login.submit", {}, tab).waitFor();
    await expect.poll(() => tab.evaluate(() => location.hash)).toBe("#/");
    await expect.poll(() => tab.title()).toBe("Hansard");
    expect(await tab.content()).not.toMatch(/read aloud|Buchfink/);
  }
  await expect.poll(() => page.evaluate(() => window.told.every((one) => window.untold.includes(one)))).toBe(true);
  await other.bringToFront();
  await other.getByLabel(seat.words("field.handle")).fill("bo");
  await other.getByLabel(seat.words("field.password")).fill(PASSWORD);
  await seat.button("login.submit", {}, other).click();
  await seat.inbox(other).waitFor();
  expect(await other.evaluate(() => location.hash)).toBe("#/");
  await seat.leave();
});

test("nor does a notification stay that the service worker has shown", async () => {
  const seat = await Person.sit(browser, server, { prepare: forbid });
  await seat.shellIsKept();
  const shown = () => seat.page.evaluate(async () => (await (await navigator.serviceWorker.ready).getNotifications()).length);
  await tell(seat, shown);
  await logOut(seat);
  await expect.poll(shown).toBe(0);
  await seat.leave();
});

/** Everybody can use it: axe finds nothing in any view, light and dark, in both languages; and keys are enough. */
import axe from "axe-core";
import type { Browser, Locator } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Account } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { Server } from "./harness/server.ts";

let browser: Browser;
let server: Server;
let eve: Account;
let group: string;
let direct: string;

declare global {
  interface Window {
    axe: typeof axe;
  }
}

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
  eve = await Account.create(server.url, "eve", "Eve with a name that is much longer than any line has room for");
  const ana = await Account.create(server.url, "ana", "Ana Amsel");
  const fritz = await Account.create(server.url, "fritz", "فريتز");
  direct = ana.with(eve);
  await ana.say(direct, "Hello Eve");
  const question = await eve.say(direct, "Hello **Ana**, see `code`, https://example.org and\n\n```\nmake run\n```\n\n> said before\n\n- one\n- two");
  await ana.send(direct, { kind: "message", text: "A reply", reply_to: question });
  await ana.send(direct, { kind: "reaction", target: question, emoji: "🎉", op: "add" });
  const edited = await ana.say(direct, "Befor");
  await ana.send(direct, { kind: "edit", target: edited, text: "Before" });
  await ana.send(direct, { kind: "pin", target: question, op: "add" });
  const deleted = await ana.say(direct, "Gone");
  await ana.send(direct, { kind: "delete", target: deleted });
  await eve.say(direct, "Donaudampfschifffahrtsgesellschaftskapitän".repeat(6));
  group = await ana.group("Stage", [eve, fritz]);
  const root = await eve.say(group, "A question");
  await eve.send(group, { kind: "message", text: "In the thread", thread: root });
  await eve.send(group, { kind: "message", text: "@ana look", mentions: [ana.user] });
  await fritz.say(group, "مرحبا");
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** What axe finds in what is on the screen. All views are looked at before a test fails. */
async function look(person: Person, view: string, found: string[]): Promise<void> {
  // What moves is at rest: colours in between are nobody's choice.
  await person.page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.finished.catch(() => undefined))));
  const violations = await person.page.evaluate(async () => {
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await window.axe.run(document, { runOnly: tags, resultTypes: ["violations"] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target.join(" ")} ${node.failureSummary}`).join(" | ")}`);
  });
  found.push(...violations.map((violation) => `${view}: ${violation}`));
}

describe.each([
  { language: "en", theme: "light", width: 1280, height: 800 },
  { language: "de", theme: "dark", width: 1280, height: 800 },
  { language: "de", theme: "light", width: 360, height: 740 },
  { language: "en", theme: "dark", width: 360, height: 740 },
] as const)("axe: $language, $theme, $width wide", (seat) => {
  test("no violation in any view", async () => {
    const ana = await Person.sit(browser, server, { ...seat, prepare: axe.source });
    const { page } = ana;
    const found: string[] = [];
    const check = (person: Person, view: string): Promise<void> => look(person, view, found);
    const go = async (place: string, there: Locator): Promise<void> => {
      await page.evaluate((hash) => void (location.hash = hash), place);
      await there.first().waitFor();
    };
    await page.getByLabel(ana.words("field.handle")).waitFor();
    await check(ana, "log in");
    await ana.button("login.toSignUp").click();
    await ana.button("signup.submit").click();
    await check(ana, "sign up, with mistakes");
    await ana.button("signup.toLogin").click();
    await ana.logIn("ana");
    await ana.row("Stage").waitFor();
    await ana.inbox().getByRole("link").filter({ hasText: "Eve with" }).waitFor();
    await check(ana, "inbox");
    await go(`#/c/${direct}`, ana.message("A reply"));
    await check(ana, "direct conversation");
    await ana.item("A reply").press("Enter");
    await page.getByRole("menuitem", { name: ana.words("message.reply") }).waitFor();
    await check(ana, "menu of a message");
    await page.getByRole("menuitem", { name: ana.words("message.reply") }).click();
    await check(ana, "replying");
    await go(`#/c/${group}`, ana.log().getByText("مرحبا"));
    await check(ana, "group");
    await go(`#/c/${group}/details`, page.getByRole("complementary"));
    await page.getByText("فريتز").last().waitFor();
    await check(ana, "details");
    await page.keyboard.press("Escape");
    const root = await ana.message("A question").first().evaluate((one) => one.closest<HTMLElement>("[data-seq]")!.dataset["seq"]!);
    await go(`#/c/${group}/t/${root}`, page.getByRole("log", { name: ana.words("conversation.thread.log") }).getByText("In the thread"));
    await check(ana, "thread");
    await go("#/search?q=hello", page.getByRole("main").getByText(/Hello/));
    await check(ana, "search");
    await go("#/mentions", page.getByRole("main").getByText(/look/));
    await check(ana, "mentions");
    await go("#/settings", page.getByRole("main").getByText(ana.words("settings.devices")));
    await check(ana, "settings");
    await page.keyboard.press("Control+k");
    await page.getByRole("dialog", { name: ana.words("switcher.title") }).waitFor();
    await check(ana, "switcher");
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+/");
    await page.getByRole("dialog", { name: ana.words("shortcuts.title") }).waitFor();
    await check(ana, "shortcuts");
    await page.keyboard.press("Escape");
    await go("#/", ana.row("Stage"));
    await ana.menu("inbox.newGroup");
    await page.getByRole("dialog", { name: ana.words("group.title") }).waitFor();
    await check(ana, "new group");
    await page.keyboard.press("Escape");
    await go(`#/c/${direct}`, ana.message("A reply"));
    await ana.item("A reply").press("+");
    await page.getByRole("dialog", { name: ana.words("emoji.title") }).waitFor();
    await check(ana, "emoji");
    await page.keyboard.press("Escape");
    await ana.context.setOffline(true);
    await ana.say("Waiting");
    await ana.connectionLine().waitFor();
    await check(ana, "without a connection");
    await ana.context.setOffline(false);
    await ana.connectionLine().waitFor({ state: "detached" });
    expect(found).toEqual([]);
    await ana.leave();
  }, 180_000);
});

describe("by keys alone", () => {
  /** Goes on by Tab until it is there: what cannot be reached is a failure. */
  async function tabTo(person: Person, target: Locator): Promise<void> {
    for (let steps = 0; steps < 60; steps++) {
      if (await target.evaluate((one) => one === document.activeElement)) return expectFocusShown(person);
      await person.page.keyboard.press("Tab");
    }
    throw new Error(`Tab does not lead to ${target.toString()}`);
  }

  /** What has the focus is on the screen, and looks so. */
  async function expectFocusShown(person: Person): Promise<void> {
    const shown = await person.page.evaluate(() => {
      const active = document.activeElement;
      if (!(active instanceof HTMLElement) || active === document.body) return "nothing has the focus";
      const box = active.getBoundingClientRect();
      if (box.bottom < 0 || box.top > innerHeight || box.width === 0) return "the focus is off the screen";
      return "";
    });
    expect(shown).toBe("");
  }

  test("a whole conversation", async () => {
    const person = await Person.sit(browser, server);
    const { page } = person;
    const keys = page.keyboard;
    const type = (text: string): Promise<void> => keys.type(text);
    await tabTo(person, person.button("login.toSignUp"));
    await keys.press("Enter");
    await person.button("signup.submit").waitFor();
    await tabTo(person, page.getByLabel(person.words("field.handle")));
    await type("keys");
    await tabTo(person, page.getByLabel(person.words("field.password")));
    await type("correct horse battery");
    await keys.press("Enter");
    await person.inbox().waitFor();

    // To somebody, by the switcher.
    await keys.press("Control+k");
    const switcher = page.getByRole("dialog", { name: person.words("switcher.title") });
    await switcher.waitFor();
    await type("eve");
    await switcher.getByRole("option").filter({ hasText: "eve" }).first().waitFor();
    await keys.press("Enter");
    await person.composer().waitFor();
    await expect.poll(() => person.composer().evaluate((one) => one === document.activeElement)).toBe(true);
    await type("by keys alone");
    await keys.press("Enter");
    const me = await Account.logIn(server.url, "keys");
    await person.mark("by keys alone", "sent").or(person.mark("by keys alone", "delivered")).first().waitFor();
    const answer = await eve.say(eve.with(me), "an answer");
    await person.message("an answer").waitFor();
    expect(answer).toBeGreaterThan(0);

    // The last of one's own, by the arrow.
    await keys.press("ArrowUp");
    await expect.poll(() => person.composer().inputValue()).toBe("by keys alone");
    await type(", edited");
    await keys.press("Enter");
    await person.message("by keys alone, edited").waitFor();

    // Through the messages, a reply, a reaction, a thread.
    await keys.press("Shift+Tab");
    for (let steps = 0; steps < 40 && !(await person.item("an answer").evaluate((one) => one === document.activeElement)); steps++) {
      const inLog = await person.log().evaluate((log) => log.contains(document.activeElement));
      await keys.press(inLog ? "ArrowUp" : "Shift+Tab");
    }
    await expect.poll(() => person.item("an answer").evaluate((one) => one === document.activeElement)).toBe(true);
    await expectFocusShown(person);
    await keys.press("r");
    await expect.poll(() => person.composer().evaluate((one) => one === document.activeElement)).toBe(true);
    await type("a reply");
    await keys.press("Enter");
    await person.message("a reply").getByText("an answer").waitFor();

    await tabBackTo(person, "an answer");
    await keys.press("+");
    const emoji = page.getByRole("dialog", { name: person.words("emoji.title") });
    await emoji.waitFor();
    await type("tada");
    await emoji.getByRole("option", { name: /tada|party/i }).or(emoji.getByRole("button", { name: /🎉/ })).or(emoji.getByRole("gridcell", { name: /🎉|party/i })).first().waitFor();
    await keys.press("Enter");
    await person.message("an answer").getByRole("button", { name: /🎉/ }).waitFor();

    await tabBackTo(person, "an answer");
    await keys.press("t");
    const thread = page.getByRole("textbox", { name: person.words("composer.thread.label") });
    await expect.poll(() => thread.evaluate((one) => one === document.activeElement)).toBe(true);
    await type("in the thread");
    await keys.press("Enter");
    await page.getByRole("log", { name: person.words("conversation.thread.log") }).getByText("in the thread").waitFor();
    await keys.press("Escape");
    await page.getByRole("log", { name: person.words("conversation.thread.log") }).waitFor({ state: "detached" });
    await expectFocusShown(person);

    // Search, and back.
    await keys.press("Control+Shift+f");
    await page.getByRole("main").getByRole("combobox").or(page.getByRole("main").getByRole("searchbox")).first().waitFor();
    await expectFocusShown(person);
    await keys.press("Escape");
    await keys.press("Control+/");
    await page.getByRole("dialog", { name: person.words("shortcuts.title") }).waitFor();
    await keys.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await person.leave();
  });

  /** From wherever the focus is into the messages, by the key for regions, and up to one of them. */
  async function tabBackTo(person: Person, text: string): Promise<void> {
    const { page } = person;
    for (let steps = 0; steps < 40; steps++) {
      if (await person.item(text).evaluate((one) => one === document.activeElement)) return;
      const inLog = await person.log().evaluate((log) => log.contains(document.activeElement));
      await page.keyboard.press(inLog ? "ArrowUp" : "Shift+Tab");
    }
    throw new Error(`keys do not lead to ${text}`);
  }
});

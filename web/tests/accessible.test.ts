/** Everybody can use it: axe finds nothing in any view, light and dark, in both languages; and keys are enough. */
import axe from "axe-core";
import type { Browser, Locator } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Account } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { png, wav } from "./harness/files.ts";
import { Server } from "./harness/server.ts";

let browser: Browser;
let server: Server;
let eve: Account;
let group: string;
let direct: string;
/** In which there is a picture and a voice note. */
let files: string;
/** Whose owner takes ana out of it. */
let left: string;

declare global {
  interface Window {
    axe: typeof axe;
  }
}

beforeAll(async () => {
  [browser, server] = await Promise.all([launch("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"), Server.start()]);
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
  files = ana.with(fritz);
  await fritz.show(files, "Look", [
    { name: "a sea.png", type: "image/png", bytes: png(640, 400, [20, 90, 160], [230, 240, 250]), alt: "The sea, calm" },
    { name: "a dune.png", type: "image/png", bytes: png(640, 400, [240, 220, 160]) },
    { name: "notes.txt", type: "text/plain", bytes: Buffer.from("notes") },
    { name: "voice-1.wav", type: "audio/wav", bytes: wav(2) },
  ]);
  left = await eve.group("Elsewhere", [ana]);
  await eve.say(left, "Welcome");
  await Account.create(server.url, "nobody", "Nobody Yet");
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

const WIDE = { width: 1280, height: 800 };
const PHONE = { width: 360, height: 740 };

/** What axe finds in what is on the screen now. */
async function violations({ page }: Person): Promise<string[]> {
  return page.evaluate(async () => {
    // What moves is at rest: colours in between are nobody's choice.
    await Promise.all(document.getAnimations().map((one) => one.finished.catch(() => undefined)));
    const tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"];
    const { violations } = await window.axe.run(document, { runOnly: tags, rules: { "target-size": { enabled: true } }, resultTypes: ["violations"] });
    return violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => `${node.target.join(" ")} ${node.failureSummary}`).join(" | ")}`);
  });
}

/** As if another tab had changed the settings. */
async function dress({ page }: Person, values: { readonly language: "en" | "de"; readonly theme: "light" | "dark" }): Promise<void> {
  await page.evaluate((values) => {
    const before = JSON.parse(localStorage.getItem("hansard.settings") ?? "{}") as object;
    localStorage.setItem("hansard.settings", JSON.stringify({ ...before, ...values }));
    const channel = new BroadcastChannel("hansard.settings");
    channel.postMessage("changed");
    channel.close();
  }, values);
  const { language, theme } = values;
  await page.waitForFunction(([language, theme]) => document.documentElement.lang === language && document.documentElement.dataset["theme"] === theme, [language, theme]);
}

/** Looks at a view in both sizes, themes and languages; all views are looked at before a test fails. */
class Looks {
  readonly found: string[] = [];

  constructor(private readonly person: Person) {}

  /** `there` is what the view has in each of its forms; what a change of size closes, `open` opens again. */
  async at(view: string, there: Locator, open?: () => Promise<void>): Promise<void> {
    const { page } = this.person;
    const shown = there.filter({ visible: true }).first();
    for (const size of [PHONE, WIDE]) {
      await page.setViewportSize(size);
      // What a change of size closes is closed with the frame that follows.
      await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      if (open && !(await shown.isVisible())) await open();
      await shown.waitFor();
      for (const language of ["de", "en"] as const) {
        for (const theme of ["dark", "light"] as const) {
          await dress(this.person, { language, theme });
          const as = `${view}, ${size.width} wide, ${language}, ${theme}`;
          this.found.push(...(await violations(this.person)).map((violation) => `${as}: ${violation}`));
        }
      }
    }
  }
}

describe("axe finds nothing, in both sizes, themes and languages", () => {
  test("before somebody is logged in, and where nothing is yet", async () => {
    const person = await Person.sit(browser, server, { prepare: axe.source });
    const { page } = person;
    const looks = new Looks(person);
    const form = page.getByRole("main").locator("form");
    await looks.at("log in", form);
    await page.getByLabel(person.words("field.handle")).fill("nobody");
    await page.getByLabel(person.words("field.password")).fill("not the password");
    await person.button("login.submit").click();
    await page.getByRole("alert").filter({ hasText: person.words("error.unauthorized") }).waitFor();
    await looks.at("a wrong password", page.getByRole("alert"));
    await person.button("login.toSignUp").click();
    await person.button("signup.submit").click();
    await looks.at("sign up, with mistakes", form);
    await person.button("signup.toLogin").click();
    await person.logIn("nobody");
    await looks.at("an empty inbox", page.getByRole("navigation"));
    const go = (place: string): Promise<void> => page.evaluate((hash) => void (location.hash = hash), place);
    const main = page.getByRole("main");
    const self = (await Account.logIn(server.url, "nobody")).user;
    await go(`#/c/${[self, eve.user].sort().join(".")}`);
    await looks.at("a conversation in which nothing was said", main.getByText(/No messages yet|Noch keine/).or(page.getByRole("log")));
    await go("#/mentions");
    await looks.at("no mentions", main.locator("h2, h3, p"));
    await go("#/search");
    await looks.at("nothing searched", main.getByRole("combobox"));
    await go("#/search?q=zeppelin");
    await main.getByText(person.words("search.empty")).first().waitFor();
    await looks.at("nothing found", main.getByRole("combobox"));
    await go("#/search?q=from:nobodyatall");
    await main.getByRole("alert").waitFor();
    await looks.at("a search that cannot be read", main.getByRole("alert"));
    await go("#/c/g.m3vz7qk2wd5xr4nb6hty");
    await main.getByText(person.words("conversation.gone")).waitFor();
    await looks.at("a conversation that is not there", main.locator("h2, h3, p"));
    await person.context.setOffline(true);
    await person.connectionLine().waitFor();
    await go("#/search?q=anything");
    await main.getByText(person.words("search.offline")).first().waitFor();
    await looks.at("a search without a connection", main.getByRole("combobox"));
    expect(looks.found).toEqual([]);
    await person.leave();
  }, 300_000);

  test("in conversations and all that opens from them", async () => {
    const ana = await Person.sit(browser, server, { prepare: axe.source });
    const { page } = ana;
    const looks = new Looks(ana);
    const go = async (place: string, there: Locator): Promise<void> => {
      await page.evaluate((hash) => void (location.hash = hash), place);
      await there.first().waitFor();
    };
    await ana.logIn("ana");
    await ana.row("Stage").waitFor();
    await ana.inbox().getByRole("link").filter({ hasText: "Eve with" }).first().waitFor();
    await page.evaluate(() => void (location.hash = "#/"));
    await looks.at("inbox", page.getByRole("navigation"));
    const menu = page.getByRole("menu");
    const options = async (): Promise<void> => ana.row("Stage").click({ button: "right" });
    await looks.at("options of a conversation", menu, options);
    await page.keyboard.press("Escape");
    await go(`#/c/${direct}`, ana.message("A reply"));
    await looks.at("direct conversation", page.getByRole("log"));
    await looks.at("menu of a message", menu, () => ana.item("A reply").press("Enter"));
    await page.getByRole("menuitem", { name: ana.words("message.reply") }).click();
    await looks.at("replying", ana.button("composer.replying.stop").or(page.getByRole("textbox")));
    await ana.button("composer.replying.stop").click();
    await looks.at("emoji", page.getByRole("dialog").getByRole("gridcell"), () => ana.button("composer.emoji").click());
    await page.getByRole("searchbox").first().waitFor();
    await page.keyboard.press("Escape");
    await ana.item("A reply").press("e");
    await looks.at("editing", page.getByRole("textbox"));
    await page.keyboard.press("Escape");
    await ana.item("A reply").press("Delete");
    await looks.at("a question before deleting", page.getByRole("dialog"));
    await page.keyboard.press("Escape");
    await go(`#/c/${group}`, ana.log().getByText("مرحبا"));
    await looks.at("group", page.getByRole("log"));
    await ana.composer().fill("@");
    await ana.composer().press("End");
    await looks.at("mentions to choose from", page.getByRole("option").first(), async () => {
      await ana.composer().fill("");
      await ana.composer().pressSequentially("@");
    });
    await ana.composer().fill("");
    await go(`#/c/${group}/details`, page.getByRole("complementary"));
    await page.getByText("فريتز").last().waitFor();
    await looks.at("details", page.getByRole("complementary"));
    const root = await ana.log().locator("[data-seq]").filter({ hasText: "A question" }).first().getAttribute("data-seq");
    await go(`#/c/${group}/t/${root}`, page.getByRole("log", { name: ana.words("conversation.thread.log") }).getByText("In the thread"));
    await looks.at("thread", page.getByRole("complementary"));
    await go(`#/c/${files}`, ana.log().getByRole("button", { name: /a sea/ }));
    await looks.at("files", page.getByRole("log"));
    await ana.log().getByRole("button", { name: /a sea/ }).click();
    await page.getByRole("dialog").locator("img.loaded").waitFor();
    await looks.at("lightbox", page.getByRole("dialog"));
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.locator("input[type=file]").first().setInputFiles({ name: "attached.png", mimeType: "image/png", buffer: png(64, 64, [0, 0, 0]) });
    const attached = page.getByRole("list", { name: /Attached files|Angehängte/ });
    await looks.at("an attached picture", attached);
    await attached.getByRole("button", { name: /^Description/ }).click();
    await looks.at("describing a picture", page.getByRole("dialog"));
    await page.keyboard.press("Escape");
    await ana.button("media.upload.cancel", { name: "attached.png" }).click();
    await ana.button("composer.record").click();
    await page.getByRole("timer").waitFor();
    await looks.at("recorder", page.getByRole("timer"));
    await ana.button("record.cancel").click();
    expect(looks.found).toEqual([]);
    await ana.leave();
  }, 400_000);

  test("beside conversations, and when something fails", async () => {
    const ana = await Person.sit(browser, server, { prepare: axe.source });
    const { page } = ana;
    const looks = new Looks(ana);
    const main = page.getByRole("main");
    const dialog = page.getByRole("dialog");
    const go = async (place: string, there: Locator): Promise<void> => {
      await page.evaluate((hash) => void (location.hash = hash), place);
      await there.first().waitFor();
    };
    await ana.logIn("ana");
    await ana.row("Stage").waitFor();
    await go("#/search?q=hello", main.getByText(/Hello/));
    await looks.at("search", main.getByText(/Hello/));
    await main.getByRole("combobox").fill("hello from:");
    await looks.at("suggestions", page.getByRole("option").first(), async () => {
      await main.getByRole("combobox").press("End");
      await main.getByRole("combobox").fill("hello from:e");
    });
    await page.keyboard.press("Escape");
    await go("#/mentions", main.getByText(/look/));
    await looks.at("mentions", main.getByText(/look/));
    await go("#/settings", main.getByText(ana.words("settings.devices.current")));
    await looks.at("settings and devices", main.locator("h2").last());
    const revoke = ana.button("settings.devices.revoke", { name: "test" }, main).first();
    await revoke.click();
    await looks.at("a question before a device is logged out", dialog);
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+k");
    await looks.at("switcher", dialog);
    await dialog.getByRole("combobox").fill("eve");
    await dialog.getByRole("option").first().waitFor();
    await looks.at("switcher, with people", dialog.getByRole("option"));
    await page.keyboard.press("Escape");
    await page.keyboard.press("Control+/");
    await looks.at("shortcuts", dialog);
    await page.keyboard.press("Escape");
    await go("#/", ana.row("Stage"));
    await looks.at("the menu", page.getByRole("menu"), () => page.getByRole("button", { name: /^(Menu|Menü)$/ }).click());
    await page.keyboard.press("Escape");
    await ana.menu("inbox.newGroup");
    await looks.at("new group", dialog);
    await page.keyboard.press("Escape");
    await ana.menu("shell.logout");
    await looks.at("a question before logging out", dialog);
    await page.keyboard.press("Escape");
    await go(`#/c/${left}`, ana.message("Welcome"));
    await ana.context.setOffline(true);
    await ana.connectionLine().waitFor();
    await ana.say("Waiting");
    await ana.mark("Waiting", "pending").waitFor();
    await looks.at("without a connection", page.getByRole("log"));
    const me = await Account.logIn(server.url, "ana");
    await eve.send(left, { kind: "member", user: me.user, op: "remove" });
    await ana.context.setOffline(false);
    await ana.button("action.discard").waitFor();
    await ana.page.getByText(ana.words("composer.removed")).waitFor();
    await looks.at("a message that was refused", page.getByRole("log"));
    expect(looks.found).toEqual([]);
    await ana.leave();
  }, 300_000);
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

  test("Tab goes from the list through the conversation to writing, and nothing covers what has the focus", async () => {
    const ana = await Person.sit(browser, server);
    const { page } = ana;
    await ana.logIn("ana");
    await page.evaluate((hash) => void (location.hash = hash), `#/c/${group}`);
    await ana.log().getByText("مرحبا").waitFor();
    await ana.composer().waitFor();
    await page.evaluate(() => {
      (document.activeElement as HTMLElement | null)?.blur();
      getSelection()?.removeAllRanges();
      document.querySelector<HTMLElement>(".skip")!.focus();
    });
    const visited: string[] = [];
    const covered: string[] = [];
    for (let steps = 0; steps < 60 && visited.at(-1) !== "outside"; steps++) {
      const at = await page.evaluate(() => {
        const active = document.activeElement as HTMLElement;
        if (active === document.body) return { region: "outside", covered: "" };
        const region = active.closest("[role=log]") ?? active.closest(".skip, .side, header, .composer");
        const box = active.getBoundingClientRect();
        const top = document.elementFromPoint(box.left + box.width / 2, box.top + Math.min(box.height, 40) / 2);
        const isSeen = top !== null && (active.contains(top) || top.contains(active));
        return { region: region?.getAttribute("role") ?? region?.classList[0] ?? region?.tagName ?? "", covered: isSeen ? "" : active.outerHTML.slice(0, 120) };
      });
      if (visited.at(-1) !== at.region) visited.push(at.region);
      if (at.covered !== "") covered.push(at.covered);
      await page.keyboard.press("Tab");
    }
    expect(visited.slice(0, 5).map((one) => one.toLowerCase().replace(/^svelte.*/, "header"))).toEqual(["skip", "region", "header", "log", "composer"]);
    expect(covered).toEqual([]);
    await ana.leave();
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

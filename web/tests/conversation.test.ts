/** Two people in two browsers do what people do in a chat, and each sees what the other did. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Account } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { Server } from "./harness/server.ts";

let browser: Browser;
let server: Server;
let ana: Person;
let bo: Person;

beforeAll(async () => {
  [browser, server] = await Promise.all([launch("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"), Server.start()]);
  [ana, bo] = await Promise.all([Person.sit(browser, server), Person.sit(browser, server)]);
  await ana.signUp("ana", "Ana Amsel");
  await bo.signUp("bo", "Bo Buchfink");
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test("they find each other and talk: marks, unread, typing, presence", async () => {
  await ana.openDirect("bo");
  await ana.say("Hello Bo");
  await ana.mark("Hello Bo", "delivered").waitFor();
  // What is not open is unread.
  await bo.row("Ana Amsel").getByText("1", { exact: true }).waitFor();
  await expect.poll(() => bo.page.title()).toMatch(/^\(1\)/);
  await bo.open("Ana Amsel");
  await bo.message("Hello Bo").waitFor();
  await ana.mark("Hello Bo", "read").waitFor();
  await expect.poll(() => bo.page.title()).not.toMatch(/^\(1\)/);
  await ana.page.getByText(ana.words("presence.online")).first().waitFor();
  await bo.composer().pressSequentially("Hi");
  await ana.page.getByText(ana.words("typing.short")).first().waitFor();
  await bo.composer().press("Enter");
  await ana.message("Hi").waitFor();
  expect(await ana.texts()).toEqual(["Hello Bo", "Hi"]);
  expect(await bo.texts()).toEqual(["Hello Bo", "Hi"]);
});

test("reply, edit, delete, reaction and pin are seen by the other", async () => {
  await ana.say("Tea at four?");
  await bo.message("Tea at four?").waitFor();
  await bo.act("Tea at four?", "message.reply");
  await bo.say("At five");
  await ana.message("At five").getByText("Tea at four?").waitFor();

  await bo.composer().press("ArrowUp");
  await expect.poll(() => bo.composer().inputValue()).toBe("At five");
  await bo.say("At half past five");
  await ana.message("At half past five").getByText(ana.words("message.edited")).waitFor();
  expect(await ana.message("At five").count()).toBe(0);

  await ana.item("At half past five").press("+");
  await ana.pickEmoji("tada");
  await bo.message("At half past five").getByRole("button", { name: /🎉/ }).waitFor();
  await bo.message("At half past five").getByRole("button", { name: /🎉/ }).click();
  await ana.message("At half past five").getByRole("button", { name: /🎉, 2/ }).waitFor();

  await ana.act("Tea at four?", "message.pin");
  await bo.message("Tea at four?").getByText(bo.words("message.pinned")).or(bo.message("Tea at four?").getByLabel(bo.words("message.pinned"))).first().waitFor();
  await bo.page.goto(bo.page.url().replace(/\/details$/, "") + "/details");
  await bo.page.getByText("Tea at four?").nth(1).waitFor();

  await bo.say("Never mind");
  await ana.message("Never mind").waitFor();
  // It may be seen there before it is known here that it was stored.
  await bo.mark("Never mind", "read").waitFor();
  await bo.act("Never mind", "message.delete");
  await bo.page.getByRole("dialog").getByRole("button", { name: bo.words("message.delete") }).click();
  await ana.log().getByRole("article", { name: /: Message deleted/ }).waitFor();
  expect(await ana.message("Never mind").count()).toBe(0);
});

test("a thread is beside the conversation", async () => {
  await ana.say("What about the boiler?");
  await bo.message("What about the boiler?").waitFor();
  await bo.act("What about the boiler?", "message.thread");
  const answer = bo.page.getByRole("textbox", { name: bo.words("composer.thread.label") });
  await answer.fill("It hums");
  await answer.press("Enter");
  await bo.page.getByRole("log", { name: bo.words("conversation.thread.log") }).getByText("It hums").waitFor();
  await ana.message("What about the boiler?").getByRole("button", { name: ana.words("message.thread.count", { count: 1 }) }).or(ana.message("What about the boiler?").getByRole("link", { name: ana.words("message.thread.count", { count: 1 }) })).click();
  await ana.page.getByRole("log", { name: ana.words("conversation.thread.log") }).getByText("It hums").waitFor();
  await ana.page.keyboard.press("Escape");
  await bo.page.keyboard.press("Escape");
});

test("Markdown is shown, code as it is, and links are safe", async () => {
  await bo.say("**bold** and `code` and https://example.org/a?b=c and [named](https://example.org/)");
  const message = ana.log().getByRole("article").last();
  await message.locator("strong", { hasText: "bold" }).waitFor();
  await message.locator("code", { hasText: "code" }).waitFor();
  for (const link of await message.getByRole("link", { name: /example\.org|named/ }).all()) {
    expect(await link.getAttribute("rel")).toContain("noopener");
    expect(await link.getAttribute("target")).toBe("_blank");
  }
  await bo.composer().fill("```\nmake run\n  make test\n```");
  await bo.composer().press("Enter");
  await expect.poll(() => ana.log().locator("pre").last().innerText()).toContain("make run\n  make test");
});

test("a group: members, mentions with completion, roles, title, receipts, leaving", async () => {
  const cleo = await Account.create(server.url, "cleo", "Cleo Cormoran");
  await ana.found("Stage", ["bo", "cleo"]);
  await ana.composer().pressSequentially("Look @cl");
  await ana.page.getByRole("option", { name: /Cleo/ }).waitFor();
  await ana.composer().press("Enter");
  await expect.poll(() => ana.composer().inputValue()).toMatch(/@cleo\s*$/);
  await ana.composer().press("Enter");
  await bo.open("Stage");
  await bo.log().getByText("@cleo").or(bo.log().getByText("Cleo")).first().waitFor();
  await bo.say("Hello @ana ");
  await ana.log().getByText(/Hello/).waitFor();
  await ana.button("shell.mentions").click();
  await ana.page.getByRole("main").getByText(/Hello/).waitFor();
  await ana.open("Stage");

  await ana.options("conversation.details");
  const details = ana.page.getByRole("complementary", { name: ana.words("details.title") });
  await details.getByText("Cleo Cormoran").waitFor();
  await details.getByRole("button", { name: ana.words("details.member.options", { name: "Cleo Cormoran" }) }).click();
  await ana.page.getByRole("menuitem", { name: ana.words("details.member.remove") }).click();
  await ana.page.getByRole("dialog").getByRole("button", { name: ana.words("details.member.remove") }).click();
  await bo.log().getByText(bo.words("event.remove", { user: "Cleo Cormoran" })).waitFor();
  await expect(cleo.say(new URL(ana.page.url()).hash.split("/")[2]!, "still here?")).rejects.toThrow("not_a_member");

  await bo.options("conversation.details");
  await bo.page.getByRole("complementary").getByRole("button", { name: bo.words("details.leave") }).click();
  await bo.page.getByRole("dialog").getByRole("button", { name: bo.words("details.leave") }).click();
  await ana.log().getByText(ana.words("event.leave")).waitFor();
  await bo.open("Stage");
  await bo.page.getByText(bo.words("composer.removed")).or(bo.page.getByText(bo.words("conversation.removed"))).first().waitFor();
  expect(await bo.composer().count()).toBe(0);
});

test("the inbox: mute, pin, archive, filters and the quick switcher", async () => {
  await bo.inbox().getByRole("link").first().waitFor();
  const option = async (title: string, entry: Parameters<Person["words"]>[0]): Promise<void> => {
    await bo.row(title).click({ button: "right" });
    await bo.page.getByRole("menuitem", { name: bo.words(entry) }).click();
  };
  await option("Ana Amsel", "inbox.mute.forever");
  await bo.row("Ana Amsel").getByText(bo.words("inbox.muted")).waitFor({ state: "attached" });
  await option("Ana Amsel", "inbox.pin");
  await bo.row("Ana Amsel").getByText(bo.words("inbox.pinned")).waitFor({ state: "attached" });
  await option("Ana Amsel", "inbox.archive");
  await bo.row("Ana Amsel").waitFor({ state: "detached" });
  await bo.button("inbox.filter.archived").click();
  await option("Ana Amsel", "inbox.unarchive");
  await bo.button("inbox.filter.all").click();
  await option("Ana Amsel", "inbox.unmute");
  await bo.page.keyboard.press("Control+k");
  const switcher = bo.page.getByRole("dialog", { name: bo.words("switcher.title") });
  await switcher.getByRole("combobox").fill("amsel");
  await switcher.getByRole("option", { name: /Ana Amsel/ }).waitFor();
  await bo.page.keyboard.press("Enter");
  await bo.composer().waitFor();
  await bo.page.getByRole("main").getByRole("heading", { level: 1, name: "Ana Amsel" }).waitFor({ state: "attached" });
});

test("search finds, shows what was around it, and leads to the message", async () => {
  await ana.open("Bo Buchfink");
  await bo.open("Ana Amsel");
  for (let number = 0; number < 60; number++) await (number % 2 ? ana : bo).say(`filler ${number}`);
  await ana.message("filler 58").waitFor();
  await ana.page.keyboard.press("Control+Shift+f");
  const field = ana.page.getByRole("main").getByRole("searchbox").or(ana.page.getByRole("main").getByRole("combobox")).first();
  await field.fill("from:bo half past");
  await field.press("Enter");
  const hit = ana.page.getByRole("main").getByText(/half past/).first();
  await expect
    .poll(async () => {
      // What was just said is searchable a moment later.
      if ((await hit.count()) === 0) await field.press("Enter");
      return hit.count();
    })
    .toBeGreaterThan(0);
  await hit.click();
  await ana.message("At half past five").waitFor();
  await expect.poll(() => ana.message("At half past five").evaluate((one) => one.getBoundingClientRect().top > 0 && one.getBoundingClientRect().bottom < innerHeight)).toBe(true);
  await ana.toNewest();
  await ana.toDate(new Date());
  await ana.message("Hello Bo").waitFor();
});

test("a picture is sent, and the other sees it", async () => {
  const chooser = ana.page.waitForEvent("filechooser");
  await ana.button("composer.attach").click();
  const png = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");
  await (await chooser).setFiles({ name: "a dot.png", mimeType: "image/png", buffer: png });
  await expect.poll(() => ana.button("composer.send").isEnabled()).toBe(true);
  await ana.composer().press("Enter");
  const picture = bo.log().getByRole("button", { name: /a dot/ }).locator("img").last();
  await expect.poll(async () => ((await picture.count()) === 0 ? 0 : picture.evaluate((one: HTMLImageElement) => one.naturalWidth))).toBeGreaterThan(0);
});

test("settings: language, theme, devices; logging out leaves nothing behind", async () => {
  await bo.menu("shell.settings");
  const main = bo.page.getByRole("main");
  await main.getByText("Deutsch", { exact: true }).click();
  await expect.poll(() => bo.page.evaluate(() => document.documentElement.lang)).toBe("de");
  await main.getByText("English", { exact: true }).click();
  await expect.poll(() => bo.page.evaluate(() => document.documentElement.lang)).toBe("en");
  await main.getByText(bo.words("settings.devices.current")).first().waitFor();
  await bo.menu("shell.logout");
  await bo.page.getByRole("dialog").getByRole("button", { name: bo.words("shell.logout") }).click();
  await bo.page.getByLabel(bo.words("field.handle")).waitFor();
  const left = () => bo.page.evaluate(async () => (await indexedDB.databases()).map((database) => database.name));
  await expect.poll(async () => (await left()).filter((name) => name?.startsWith("hansard."))).toEqual([]);
  await bo.logIn("bo");
  await bo.row("Ana Amsel").waitFor();
  await Promise.all([ana.leave(), bo.leave()]);
});

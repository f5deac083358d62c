/** Habits that people bring along from other chats: to type wherever they are, to finish with Enter, to press a name. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Account } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { png } from "./harness/files.ts";
import { Server } from "./harness/server.ts";

let browser: Browser;
let server: Server;
let ana: Person;
let group: string;

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
  const own = await Account.create(server.url, "ana", "Ana Amsel");
  const bo = await Account.create(server.url, "bo", "Bo Buchfink");
  group = await own.group("Stage", [bo]);
  await bo.say(group, "Hello");
  const colours = [[200, 60, 60], [60, 200, 60], [60, 60, 200]] as const;
  await bo.show(group, "Three", colours.map((colour, number) => ({ name: `${number}.png`, type: "image/png", bytes: png(300, 200, colour) })));
  ana = await Person.sit(browser, server);
  await ana.logIn("ana");
  await ana.open("Stage");
  await ana.message("Hello").waitFor();
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test("whoever presses a message and types is writing; with the keys, letters are commands", async () => {
  const { page } = ana;
  await ana.message("Hello").locator("[data-text]").click();
  // Each of these would have done something to the message.
  await page.keyboard.type("pet rabbit");
  await expect.poll(() => ana.composer().inputValue()).toBe("pet rabbit");
  expect(await ana.message("Hello").getByText(ana.words("message.pinned")).count()).toBe(0);
  await ana.composer().fill("");
  await page.evaluate(() => void (document.activeElement as HTMLElement).blur());
  await page.keyboard.type("anywhere");
  await expect.poll(() => ana.composer().inputValue()).toBe("anywhere");
  await ana.composer().fill("");
  await page.keyboard.press("Shift+Tab");
  for (let steps = 0; steps < 20 && !(await ana.item("Hello").evaluate((one) => one === document.activeElement)); steps++) {
    await page.keyboard.press((await ana.log().evaluate((log) => log.contains(document.activeElement))) ? "ArrowUp" : "Shift+Tab");
  }
  await page.keyboard.press("r");
  await page.getByText(ana.words("composer.replying", { name: "Bo Buchfink" })).waitFor();
  expect(await ana.composer().inputValue()).toBe("");
  await page.keyboard.press("Escape");
});

test("a handle that is typed to its end needs no completion: Enter sends", async () => {
  await ana.composer().pressSequentially("Welcome @bo");
  await ana.page.getByRole("option", { name: /Bo/ }).waitFor();
  await ana.composer().press("Enter");
  await ana.log().getByText("Welcome").waitFor();
  await expect.poll(() => ana.composer().inputValue()).toBe("");
});

test("bold and italics by keys, and undone", async () => {
  const field = ana.composer();
  await field.fill("make bold");
  await field.press("Control+a");
  await field.press("Control+b");
  expect(await field.inputValue()).toBe("**make bold**");
  await field.press("Control+i");
  expect(await field.inputValue()).toBe("***make bold***");
  await field.press("Control+z");
  expect(await field.inputValue()).toBe("**make bold**");
  await field.press("Enter");
  await ana.log().locator("strong", { hasText: "make bold" }).waitFor();
});

test("three pictures leave no hole, and a name leads to the person", async () => {
  const tiles = ana.message("Three").locator(".tiles > button");
  await expect.poll(() => tiles.count()).toBe(3);
  const [first, second, third] = await tiles.evaluateAll((all) => all.map((one) => one.getBoundingClientRect()));
  expect(Math.round(third!.width)).toBe(Math.round(second!.right - first!.left));
  await ana.log().getByRole("link", { name: "Bo Buchfink" }).first().click();
  await ana.page.getByRole("region", { name: "Bo Buchfink" }).waitFor();
  await ana.leave();
});

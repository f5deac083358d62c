/** What a device has not seen happen: pins of long ago, and who reacted then. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Account } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { Server } from "./harness/server.ts";

let browser: Browser;
let server: Server;
let ana: Person;
let bo: Account;
let group: string;
let first: number;

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
  const own = await Account.create(server.url, "ana", "Ana Amsel");
  bo = await Account.create(server.url, "bo", "Bo Buchfink");
  const gone = await Account.create(server.url, "cleo", "Cleo Cormoran");
  group = await bo.group("Stage", [own, gone]);
  first = await bo.say(group, "The rules of the house");
  await bo.send(group, { kind: "pin", target: first, op: "add" });
  const second = await bo.say(group, "The code of the door");
  await bo.send(group, { kind: "pin", target: second, op: "add" });
  await bo.send(group, { kind: "pin", target: await bo.say(group, "No longer"), op: "add" });
  for (const account of [bo, gone, own]) await account.send(group, { kind: "reaction", target: first, emoji: "🎉", op: "add" });
  // She is no member any more: nothing else tells her name.
  await gone.send(group, { kind: "member", op: "leave", user: gone.user });
  for (let number = 0; number < 150; number++) await bo.say(group, `filler ${number}`);
  const undone = (await bo.history(group)).find(({ text }) => text === "No longer")!.seq;
  await bo.send(group, { kind: "pin", target: undone, op: "remove" });
  ana = await Person.sit(browser, server);
  await ana.logIn("ana");
  await ana.open("Stage");
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test("pins of before this device was there are listed, and lead to their messages; who reacted is told by name", async () => {
  await ana.toNewest();
  await ana.message("filler 149").waitFor();
  await ana.options("conversation.details");
  const details = ana.page.getByRole("complementary");
  const pins = details.locator("section").filter({ hasText: "Pinned messages" }).getByRole("listitem");
  await pins.filter({ hasText: "The rules of the house" }).waitFor();
  const texts = (await pins.allInnerTexts()).map((text) => text.split("\n").at(-1));
  expect(texts).toEqual(["The code of the door", "The rules of the house"]);
  // One that comes while the list is open.
  const next = await bo.say(group, "And this");
  await bo.send(group, { kind: "pin", target: next, op: "add" });
  await expect.poll(() => pins.count()).toBe(3);
  await pins.filter({ hasText: "The rules of the house" }).getByRole("button").click();
  await ana.message("The rules of the house").waitFor();

  const reaction = ana.message("The rules of the house").getByRole("button", { name: /🎉/ });
  expect(await reaction.getAttribute("title")).not.toContain("Cleo");
  await reaction.hover();
  await expect.poll(() => reaction.getAttribute("title")).toBe("Ana Amsel, Bo Buchfink, Cleo Cormoran");
  await expect.poll(() => reaction.getAttribute("aria-label")).toContain("Cleo Cormoran");
  await ana.leave();
});

/** Not a test: makes the pictures in docs/screenshots, to be looked at. `npm run screenshots` */
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, describe, test } from "vitest";
import { Account } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { png } from "./harness/files.ts";
import { Server } from "./harness/server.ts";

const FOLDER = resolve("../docs/screenshots");
const QUALITY = 0.82;

let browser: Browser;
let server: Server;
let direct: string;
let group: string;
let long: string;
let arabic: string;
let root: number;

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
  await mkdir(FOLDER, { recursive: true });
  const ana = await Account.create(server.url, "ana", "Ana Amsel");
  const bo = await Account.create(server.url, "bo", "Bo Buchfink");
  const cleo = await Account.create(server.url, "cleo", "Cleopatra Bartholomäa von und zu Hohenstein-Wackerbarth");
  const fritz = await Account.create(server.url, "farid", "فريد منصور");
  await Account.create(server.url, "new.here", "New Here");
  direct = ana.with(bo);
  await bo.say(direct, "Hello Ana! The lease is **signed**.");
  const keys = await ana.say(direct, "Wonderful. Who has the second key?");
  await bo.send(direct, { kind: "message", text: "Dilan. The plan is at https://example.org/plan", reply_to: keys });
  await ana.say(direct, "This is how to open it:\n\n```sh\nmake run\nopen http://127.0.0.1:8080\n```");
  const party = await bo.say(direct, "Then we begin on Monday");
  await ana.send(direct, { kind: "reaction", target: party, emoji: "🎉", op: "add" });
  await bo.send(direct, { kind: "reaction", target: party, emoji: "🎉", op: "add" });
  await ana.send(direct, { kind: "reaction", target: party, emoji: "👍", op: "add" });
  await ana.send(direct, { kind: "pin", target: party, op: "add" });
  const wrong = await ana.say(direct, "At nien?");
  await ana.send(direct, { kind: "edit", target: wrong, text: "At nine?" });
  await bo.send(direct, { kind: "delete", target: await bo.say(direct, "Gone") });
  await bo.show(direct, "", [
    { name: "The sea in the evening.png", type: "image/png", bytes: png(1_600, 1_000, [250, 190, 120], [40, 70, 120]), alt: "The sea in the evening, quite calm" },
    { name: "plan.pdf", type: "application/pdf", bytes: Buffer.alloc(48_000, "plan") },
  ]);
  await ana.say(direct, "I bring the Donaudampfschifffahrtsgesellschaftskapitänsmützenhalterung, and something without any place to break it: " + "x".repeat(120));
  group = await bo.group("Stage", [ana, cleo, fritz]);
  await cleo.say(group, "Does anybody know why the boiler hums?");
  await fritz.say(group, "مرحبا، سأكون هناك في الساعة التاسعة");
  root = await ana.say(group, "What do we need for the opening?");
  for (const text of ["Chairs, forty", "And a ramp", "I ask the neighbours"]) await bo.send(group, { kind: "message", text, thread: root });
  await bo.send(group, { kind: "message", text: "@ana can you bring the ladder?", mentions: [ana.user] });
  await bo.group("An association with a title that is longer than any list of conversations has room for", [ana]);
  await cleo.say(ana.with(cleo), "Ok");
  arabic = ana.with(fritz);
  await fritz.say(arabic, "مرحبا آنا! هل المفتاح الثاني معك؟");
  const answer = await ana.say(arabic, "لا، المفتاح مع Dilan. شكرًا!");
  await fritz.send(arabic, { kind: "message", text: "حسنًا، سأسأله (غدًا في 9:30)", reply_to: answer });
  await ana.send(arabic, { kind: "reaction", target: answer, emoji: "👍", op: "add" });
  await fritz.say(arabic, "שלום and hello and مرحبا");
  const folder = await mkdtemp(join(tmpdir(), "hansard-pictures-"));
  const line = (number: number): string => JSON.stringify({ ts: new Date(Date.UTC(2025, 0, 1) + number * 60_000).toISOString(), nick: `nick${number % 9}`, text: `Message ${number} of very many` });
  await writeFile(join(folder, "chat.jsonl"), Array.from({ length: 1_000 }, (_, number) => line(number)).join("\n"));
  await server.command("import", "--jsonl", join(folder, "chat.jsonl"), "--group", "Thousand unread", "--owner", "ana");
  await rm(folder, { recursive: true });
  const list = (await ana.request("GET", "/v1/conversations")) as { items: { conversation: string; title?: string }[] };
  long = list.items.find((row) => row.title === "Thousand unread")!.conversation;
}, 240_000);
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** A picture of the screen, as WebP: a tenth of the bytes of a PNG. */
async function picture(person: Person, name: string): Promise<void> {
  const { page } = person;
  await page.evaluate(() => Promise.all(document.getAnimations().map((one) => one.finished.catch(() => undefined))));
  const png = await page.screenshot();
  const workshop = await browser.newPage();
  const base64 = await workshop.evaluate(
    async ({ source, quality }) => {
      const bitmap = await createImageBitmap(await (await fetch(source)).blob());
      const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
      canvas.getContext("2d")!.drawImage(bitmap, 0, 0);
      const blob = await canvas.convertToBlob({ type: "image/webp", quality });
      return btoa(Array.from(new Uint8Array(await blob.arrayBuffer()), (byte) => String.fromCharCode(byte)).join(""));
    },
    { source: `data:image/png;base64,${png.toString("base64")}`, quality: QUALITY },
  );
  await workshop.close();
  await writeFile(join(FOLDER, `${name}.webp`), Buffer.from(base64, "base64"));
}

describe.each([
  { size: "phone", width: 360, height: 740, theme: "light" },
  { size: "phone", width: 360, height: 740, theme: "dark" },
  { size: "desktop", width: 1440, height: 900, theme: "light" },
  { size: "desktop", width: 1440, height: 900, theme: "dark" },
] as const)("$size, $theme", ({ size, width, height, theme }) => {
  test("pictures of the main views", async () => {
    const shot = (person: Person, view: string): Promise<void> => picture(person, `${view}-${size}-${theme}`);
    const seat = { width, height, theme };
    const ana = await Person.sit(browser, server, seat);
    const { page } = ana;
    const go = async (place: string): Promise<void> => page.evaluate((hash) => void (location.hash = hash), place);
    await page.getByLabel(ana.words("field.handle")).waitFor();
    await shot(ana, "login");
    await ana.logIn("ana");
    await ana.row("Thousand unread").getByText("nick0:").waitFor();
    await ana.row("Stage").getByText("Bo Buchfink:").waitFor();
    await ana.row("Bo Buchfink").waitFor();
    await shot(ana, "inbox");
    await go(`#/c/${direct}`);
    await ana.message("Then we begin on Monday").waitFor();
    await shot(ana, "conversation");
    await go(`#/c/${long}`);
    await ana.log().getByText(ana.words("conversation.unreadLine")).waitFor();
    await shot(ana, "unread");
    await go(`#/c/${direct}`);
    await ana.log().getByRole("button", { name: /The sea/ }).click();
    await page.locator("dialog img.loaded").waitFor();
    await shot(ana, "lightbox");
    await page.keyboard.press("Escape");
    // There is no such language yet; whoever adds one finds the interface ready.
    await page.evaluate(() => void (document.documentElement.dir = "rtl"));
    await go(`#/c/${arabic}`);
    await ana.log().getByText("شكرًا").last().waitFor();
    await shot(ana, "rtl");
    await page.evaluate(() => void (document.documentElement.dir = "ltr"));
    await go(`#/c/${group}/details`);
    await page.getByRole("complementary").getByText("فريد منصور").waitFor();
    await shot(ana, "details");
    await go(`#/c/${group}/t/${root}`);
    await page.getByRole("log", { name: ana.words("conversation.thread.log") }).getByText("I ask the neighbours").waitFor();
    await shot(ana, "thread");
    await go("#/search?q=key");
    await page.getByRole("main").getByText(/second/).first().waitFor();
    await shot(ana, "search");
    await go("#/settings");
    await page.getByRole("main").getByText(ana.words("settings.devices")).first().waitFor();
    await shot(ana, "settings");
    await ana.leave();
    const stranger = await Person.sit(browser, server, seat);
    await stranger.logIn("new.here");
    await stranger.page.getByText(stranger.words("inbox.empty")).waitFor();
    await shot(stranger, "empty");
    await stranger.leave();
  }, 120_000);
});

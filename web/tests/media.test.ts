/** Files from hand to eye: pictures large, voice notes, an avatar, pasting and dragging, and uploads that do not go well. */
import type { Browser, Locator, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Account } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { png, wav } from "./harness/files.ts";
import { Server } from "./harness/server.ts";

const LARGE = Buffer.alloc(3 << 20, "x");

let browser: Browser;
let server: Server;
let ana: Person;
let bo: Person;
let conversation: string;
let boAccount: Account;

beforeAll(async () => {
  [browser, server] = await Promise.all([
    launch("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream", "--autoplay-policy=no-user-gesture-required"),
    Server.start(["--upload-max", "2MiB"]),
  ]);
  [ana, bo] = await Promise.all([Person.sit(browser, server), Person.sit(browser, server)]);
  await ana.signUp("ana", "Ana Amsel");
  await bo.signUp("bo", "Bo Buchfink");
  boAccount = await Account.logIn(server.url, "bo");
  conversation = boAccount.with(await Account.logIn(server.url, "ana"));
  await boAccount.say(conversation, "Hello");
  await ana.open("Bo Buchfink");
  await bo.open("Ana Amsel");
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

function attached(person: Person): Locator {
  return person.page.getByRole("list", { name: person.words("composer.attachments") });
}

function choose(person: Person, file: { name: string; mimeType: string; buffer: Buffer }): Promise<void> {
  return person.page.locator("input[type=file]").first().setInputFiles(file);
}

/** Gives files to the page as the clipboard or a drag does. */
async function hand(page: Page, target: Locator, kind: "paste" | "dragenter" | "dragover" | "drop", name: string, type: string): Promise<boolean> {
  const bytes = [...png(8, 8, [200, 30, 30])];
  const element = await target.elementHandle();
  return page.evaluate(
    ([element, kind, name, type, bytes]) => {
      const data = new DataTransfer();
      data.items.add(new File([new Uint8Array(bytes)], name, { type }));
      const event =
        kind === "paste"
          ? new ClipboardEvent(kind, { clipboardData: data, bubbles: true, cancelable: true })
          : new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
      // False: the page took it, and the browser does nothing by itself.
      return element!.dispatchEvent(event);
    },
    [element, kind, name, type, bytes] as const,
  );
}

test("pictures are seen large: forth and back, full size, and the focus is where it was", async () => {
  const sea = png(2_400, 1_500, [20, 90, 160], [230, 240, 250]);
  await boAccount.show(conversation, "Look", [
    { name: "sea.png", type: "image/png", bytes: sea, alt: "The sea, calm" },
    { name: "dune.png", type: "image/png", bytes: png(400, 640, [240, 220, 160]) },
  ]);
  const tile = ana.log().getByRole("button", { name: /sea\.png, The sea, calm/ });
  // Once the server has made what tiles show, a page that is new knows no address of the files themselves.
  const isSmall = (name: RegExp) => expect.poll(() => ana.log().getByRole("button", { name }).locator("img").getAttribute("src")).toContain("variant=preview");
  await Promise.all([isSmall(/sea\.png/), isSmall(/dune\.png/)]);
  await ana.page.reload();
  await Promise.all([isSmall(/sea\.png/), isSmall(/dune\.png/)]);
  await tile.click();
  const lightbox = ana.page.getByRole("dialog", { name: "sea.png" });
  const picture = lightbox.locator("img");
  await expect.poll(() => picture.evaluate((one: HTMLImageElement) => one.complete && one.naturalWidth)).toBe(2_400);
  expect(await picture.getAttribute("alt")).toBe("The sea, calm");
  await lightbox.getByText("The sea, calm").waitFor();
  const width = (): Promise<number> => picture.evaluate((one) => one.getBoundingClientRect().width);
  expect(await width()).toBeLessThanOrEqual(1_280);
  await ana.button("media.zoom", {}, lightbox).click();
  await expect.poll(width).toBeGreaterThan(1_280);
  await ana.page.keyboard.press("-");
  await expect.poll(width).toBeLessThanOrEqual(1_280);

  // While the address of the next one is on its way, the one before is not shown under its name.
  const address = await picture.getAttribute("src");
  let arrive = (): void => {};
  const arrived = new Promise<void>((resolve) => (arrive = resolve));
  const addresses = /\/v1\/media\/[^/]+\/url$/;
  await ana.page.route(addresses, async (route) => (await arrived, route.continue()));
  await ana.page.keyboard.press("ArrowRight");
  const second = ana.page.getByRole("dialog", { name: "dune.png" });
  await second.getByText(ana.words("media.count", { index: 2, count: 2 })).waitFor();
  expect(await second.locator(`img[src="${address}"]`).count()).toBe(0);
  const zoom = ana.button("media.zoom", {}, second);
  expect(await zoom.getAttribute("aria-disabled")).toBe("true");
  await expect.poll(() => zoom.evaluate((one) => one === document.activeElement), { message: "the keyboard is where it was" }).toBe(true);
  arrive();
  await expect.poll(() => second.locator("img").evaluate((one: HTMLImageElement) => one.naturalWidth)).toBe(400);
  await ana.page.unroute(addresses);
  await expect.poll(() => ana.button("media.next", {}, second).getAttribute("aria-disabled")).toBe("true");
  await ana.button("media.previous", {}, second).click();
  await lightbox.waitFor();
  await ana.page.keyboard.press("Escape");
  await lightbox.waitFor({ state: "detached" });
  await expect.poll(() => tile.evaluate((one) => one === document.activeElement)).toBe(true);
});

test("a picture is looked at while others come and go, until it goes itself", async () => {
  const seqs: number[] = [];
  for (const name of ["first.png", "second.png", "third.png"]) {
    seqs.push(await boAccount.show(conversation, name, [{ name, type: "image/png", bytes: png(40, 40, [90, 60, 30]) }]));
  }
  await ana.log().getByRole("button", { name: /third\.png/ }).waitFor();
  const count = await ana.log().getByRole("button", { name: /\.png/ }).count();
  await ana.log().getByRole("button", { name: /second\.png/ }).click();
  const lightbox = ana.page.getByRole("dialog", { name: "second.png" });
  const remove = (index: number): Promise<number> => boAccount.send(conversation, { kind: "delete", target: seqs[index] });
  await lightbox.getByText(ana.words("media.count", { index: count - 1, count })).waitFor();
  await remove(0);
  await lightbox.getByText(ana.words("media.count", { index: count - 2, count: count - 1 })).waitFor();
  await remove(1);
  await ana.page.getByRole("dialog").waitFor({ state: "detached" });
  await remove(2);
  await ana.log().getByRole("button", { name: /third\.png/ }).waitFor({ state: "detached" });
});

test("a picture whose address is of no use any more is loaded from a new one", async () => {
  const refused = new Set<string>();
  const asked = new Set<string>();
  await ana.page.route(/\/v1\/media\//, (route) => {
    const request = route.request();
    if (request.resourceType() !== "image") return route.continue();
    // Of each picture, small and large, the first address.
    const { pathname, searchParams } = new URL(request.url());
    const picture = `${pathname} ${searchParams.get("variant")}`;
    if (!asked.has(picture)) refused.add(request.url());
    asked.add(picture);
    return refused.has(request.url()) ? route.fulfill({ status: 403 }) : route.continue();
  });
  await ana.page.reload();
  const tile = ana.log().getByRole("button", { name: /sea\.png, The sea, calm/ });
  await expect.poll(() => tile.locator("img").evaluate((one: HTMLImageElement) => one.naturalWidth)).toBeGreaterThan(0);
  expect(refused.size).toBeGreaterThan(0);
  const before = refused.size;
  await tile.click();
  const large = ana.page.getByRole("dialog", { name: "sea.png" }).locator("img");
  await expect.poll(() => large.evaluate((one: HTMLImageElement) => one.naturalWidth)).toBe(2_400);
  expect(refused.size).toBe(before + 1);
  await ana.page.keyboard.press("Escape");
  await ana.page.unrouteAll({ behavior: "wait" });
});

test("a picture is described before it is sent, and read out to whoever cannot see it", async () => {
  await choose(ana, { name: "hill.png", mimeType: "image/png", buffer: png(320, 200, [40, 120, 60]) });
  const describe = attached(ana).getByRole("button", { name: /^Description.*hill\.png$/ });
  await describe.click();
  const field = ana.page.getByRole("dialog", { name: "hill.png" }).getByRole("textbox");
  await field.fill("A green hill");
  await field.press("Enter");
  await describe.click();
  expect(await field.inputValue()).toBe("A green hill");
  await field.press("Escape");
  await ana.say("Here");
  await bo.message("Here").getByRole("button", { name: /hill\.png, A green hill/ }).click();
  await bo.page.getByRole("dialog").getByRole("img", { name: "A green hill" }).waitFor();
  await bo.page.keyboard.press("Escape");
});

test("a voice note is recorded, sent, and heard by the other", async () => {
  await ana.button("composer.record").click();
  const recorder = ana.page.getByRole("group", { name: ana.words("record.recording") });
  await expect.poll(() => recorder.getByRole("timer").innerText()).toBe("0:01");
  await ana.button("record.send").click();
  await ana.composer().waitFor();
  const own = ana.log().getByRole("group", { name: ana.words("kind.voice") });
  await own.waitFor();
  const player = bo.log().getByRole("group", { name: bo.words("kind.voice") });
  await player.getByText(/^0:0[12]$/).waitFor();
  const position = player.getByRole("slider", { name: bo.words("media.seek") });
  await bo.button("media.play", {}, player).click();
  await expect.poll(async () => Number(await position.inputValue())).toBeGreaterThan(300);
  // It ends by itself, and can be heard again.
  await bo.button("media.play", {}, player).waitFor();
  expect(Number(await position.inputValue())).toBe(0);
});

/** Lets the first address of a file give the first half of it, as if it expired then; counts the addresses. */
async function expire(page: Page, file: string, bytes: Buffer): Promise<() => number> {
  let addresses = 0;
  await page.route(`**/v1/media/${file}/url*`, async (route) => {
    // Of a file that has just been told of there may be none yet.
    const response = await route.fetch();
    if (response.ok()) addresses++;
    await route.fulfill({ response });
  });
  const half = bytes.length >> 1;
  await page.route(`**/v1/media/${file}?*`, async (route) => {
    if (addresses > 1) return route.continue();
    const from = Number(/bytes=(\d+)-/.exec(route.request().headers()["range"] ?? "")?.[1] ?? 0);
    if (from >= half) return route.fulfill({ status: 401, json: { error: { code: "unauthorized" } } });
    const headers = { "content-range": `bytes ${from}-${half - 1}/${bytes.length}`, "accept-ranges": "bytes" };
    await route.fulfill({ status: 206, contentType: "audio/wav", headers, body: bytes.subarray(from, half) });
  });
  return () => addresses;
}

test.each([
  { name: "tune.wav", type: "audio/wav", tag: "audio" },
  // Such an element plays a tune, too.
  { name: "film.webm", type: "video/webm", tag: "video" },
])("$tag whose address expires while it is played goes on where one is", async ({ name, type, tag }) => {
  const bytes = wav(60);
  const id = await boAccount.upload(name, type, bytes);
  const addresses = await expire(ana.page, id, bytes);
  const seq = await boAccount.send(conversation, { kind: "message", text: name, media: [{ id, name, type, size: bytes.length }] });
  const message = ana.message(name);
  await message.getByRole("button", { name: /^Play/ }).click();
  const element = message.locator(tag);
  const place = (): Promise<number> => element.evaluate((one: HTMLMediaElement) => one.currentTime);
  await expect.poll(place).toBeGreaterThan(0.2);
  if (tag === "video") expect(await element.evaluate((one) => one === document.activeElement)).toBe(true);
  expect(addresses()).toBe(1);
  await element.evaluate((one: HTMLMediaElement) => {
    one.dataset["loads"] = "0";
    one.addEventListener("loadstart", () => (one.dataset["loads"] = `${Number(one.dataset["loads"]) + 1}`));
    one.muted = true;
    one.currentTime = 40;
  });
  await expect.poll(addresses).toBe(2);
  await expect.poll(place).toBeGreaterThan(40.2);
  // What happens to the message meanwhile changes nothing.
  await boAccount.send(conversation, { kind: "reaction", target: seq, emoji: "🎉", op: "add" });
  await message.getByRole("button", { name: /🎉/ }).waitFor();
  const then = await place();
  await expect.poll(place).toBeGreaterThan(then + 0.2);
  expect(await element.evaluate((one: HTMLMediaElement) => [one.muted, one.paused, one.dataset["loads"]])).toEqual([true, false, "1"]);
  const end = element.evaluate((one: HTMLMediaElement) => new Promise<boolean>((ended) => one.addEventListener("ended", () => ended(true))));
  await element.evaluate((one: HTMLMediaElement) => void (one.currentTime = one.duration - 0.5));
  expect(await end).toBe(true);
  expect(addresses()).toBe(2);
});

test("what could not be had without a connection comes with the next one", async () => {
  const bytes = wav(2);
  const id = await boAccount.upload("later.webm", "video/webm", bytes);
  await boAccount.send(conversation, { kind: "message", text: "later", media: [{ id, name: "later.webm", type: "video/webm", size: bytes.length }] });
  const message = ana.message("later");
  await message.waitFor();
  await ana.context.setOffline(true);
  await ana.connectionLine().waitFor();
  await message.getByRole("button", { name: /^Play/ }).click();
  await message.getByRole("button", { name: "Try again: later.webm" }).waitFor();
  await ana.composer().fill("meanwhile");
  await ana.context.setOffline(false);
  await expect.poll(() => message.locator("video").evaluate((one: HTMLVideoElement) => one.readyState)).toBeGreaterThan(0);
  expect(await ana.composer().evaluate((one) => one === document.activeElement), "nothing is taken from whoever writes").toBe(true);
  await ana.composer().fill("");
});

test("a new avatar is seen by the other", async () => {
  await ana.page.evaluate(() => void (location.hash = "#/settings"));
  const chooser = ana.page.waitForEvent("filechooser");
  await ana.button("settings.picture.choose").click();
  await (await chooser).setFiles({ name: "me.png", mimeType: "image/png", buffer: png(300, 200, [120, 40, 140]) });
  await ana.page.getByText(ana.words("settings.profile.saved")).first().waitFor();
  const avatar = bo.row("Ana Amsel").locator("img");
  await expect.poll(async () => ((await avatar.count()) === 0 ? 0 : avatar.first().evaluate((one: HTMLImageElement) => one.naturalWidth))).toBeGreaterThan(0);
  // It is a square of the middle of what was chosen.
  expect(await avatar.first().evaluate((one: HTMLImageElement) => one.naturalWidth - one.naturalHeight)).toBe(0);
  await ana.open("Bo Buchfink");
});

test("what is pasted and what is dragged is attached; beside the conversation nothing happens to the page", async () => {
  const { page } = ana;
  expect(await hand(page, ana.composer(), "paste", "pasted.png", "image/png")).toBe(false);
  await attached(ana).getByText("pasted.png").waitFor();
  const section = page.getByRole("region", { name: "Bo Buchfink" });
  await hand(page, section, "dragenter", "dragged.png", "image/png");
  await page.getByText(ana.words("composer.drop")).waitFor();
  await hand(page, section, "drop", "dragged.png", "image/png");
  await page.getByText(ana.words("composer.drop")).waitFor({ state: "detached" });
  await attached(ana).getByText("dragged.png").waitFor();
  // Else the browser would leave the page and show the file.
  for (const kind of ["dragover", "drop"] as const) expect(await hand(page, ana.inbox(), kind, "missed.png", "image/png"), kind).toBe(false);
  expect(await attached(ana).getByRole("listitem").count()).toBe(2);
  await ana.say("Two of them");
  await bo.message("Two of them").getByRole("button", { name: /pasted\.png/ }).waitFor();
  await bo.message("Two of them").getByRole("button", { name: /dragged\.png/ }).waitFor();
});

test("an upload shows how far it is, and can be taken back", async () => {
  const network = await ana.context.newCDPSession(ana.page);
  const slow = { offline: false, latency: 0, downloadThroughput: -1, uploadThroughput: 150_000 };
  await network.send("Network.emulateNetworkConditions", slow);
  await choose(ana, { name: "slow.bin", mimeType: "application/octet-stream", buffer: Buffer.alloc(1 << 20, "s") });
  const bar = attached(ana).getByRole("progressbar");
  await expect.poll(async () => Number(await bar.getAttribute("aria-valuenow"))).toBeGreaterThan(0);
  expect(Number(await bar.getAttribute("aria-valuenow"))).toBeLessThan(100);
  // One button does both: the keyboard stays on it.
  await ana.button("media.upload.pause", { name: "slow.bin" }).focus();
  await ana.page.keyboard.press("Enter");
  const resume = ana.button("media.upload.resume", { name: "slow.bin" });
  await resume.waitFor();
  await expect.poll(() => resume.evaluate((one) => one === document.activeElement)).toBe(true);
  await ana.page.keyboard.press("Enter");
  await ana.button("media.upload.pause", { name: "slow.bin" }).waitFor();
  await ana.button("media.upload.cancel", { name: "slow.bin" }).click();
  await attached(ana).waitFor({ state: "detached" });
  await network.send("Network.emulateNetworkConditions", { ...slow, uploadThroughput: -1 });
  expect(await ana.button("composer.send").isEnabled()).toBe(false);
});

test("a message whose file cannot be uploaded says so: it goes without the file, again, or not at all", async () => {
  const tooLarge = (name: string) => ({ name, mimeType: "application/octet-stream", buffer: LARGE });
  await choose(ana, tooLarge("first.bin"));
  await ana.say("without the file");
  await ana.mark("without the file", "failed").waitFor();
  await ana.page.getByText(ana.words("message.failed", { reason: "That is too large." })).waitFor();
  await ana.button("media.upload.cancel", { name: "first.bin" }, ana.message("without the file")).click();
  await bo.message("without the file").waitFor();

  await choose(ana, tooLarge("second.bin"));
  await ana.say("not at all");
  await ana.mark("not at all", "failed").waitFor();
  // What was written after it went out.
  await ana.say("meanwhile");
  await bo.message("meanwhile").waitFor();
  await ana.page.reload();
  await ana.mark("not at all", "failed").waitFor();
  await ana.button("action.discard").click();
  await ana.message("not at all").waitFor({ state: "detached" });

  // Something between that does not speak the contract refuses it once.
  await ana.page.route("**/v1/media", (route) => route.fulfill({ status: 404, body: "" }), { times: 1 });
  await choose(ana, { name: "third.txt", mimeType: "text/plain", buffer: Buffer.from("third") });
  await ana.say("again");
  await ana.mark("again", "failed").waitFor();
  await ana.button("action.retry").click();
  await bo.message("again").getByText("third.txt").waitFor();
  expect(await bo.texts()).not.toContain("not at all");
  // A file alone, taken back, leaves no empty message.
  const count = await ana.log().getByRole("article").count();
  await choose(ana, tooLarge("fourth.bin"));
  await ana.composer().press("Enter");
  await ana.marks("failed").waitFor();
  await ana.button("media.upload.cancel", { name: "fourth.bin" }).click();
  await ana.marks("failed").waitFor({ state: "detached" });
  await expect.poll(() => ana.log().getByRole("article").count()).toBe(count);
  await Promise.all([ana.leave(), bo.leave()]);
});

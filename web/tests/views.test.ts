/** What stands beside the conversations: settings, search with suggestions, emoji, voice notes, and what a browser installs. */
import type { Browser, Locator } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Account } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { Server } from "./harness/server.ts";

let browser: Browser;
let server: Server;
let ana: Person;
let bo: Account;

beforeAll(async () => {
  [browser, server] = await Promise.all([launch("--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream"), Server.start()]);
  bo = await Account.create(server.url, "bo", "Bo Buchfink");
  ana = await Person.sit(browser, server);
  await ana.signUp("ana", "Ana Amsel");
  const conversation = bo.with(await Account.logIn(server.url, "ana"));
  await bo.say(conversation, "The printer is at https://example.org/printer");
  await bo.say(conversation, "The printer has no paper");
  await ana.row("Bo Buchfink").waitFor();
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

function main(): Locator {
  return ana.page.getByRole("main");
}

async function go(place: string): Promise<void> {
  await ana.page.evaluate((hash) => void (location.hash = hash), place);
}

test("settings: a name that others see, privacy that the server keeps, a device that is logged out", async () => {
  const other = await Account.logIn(server.url, "ana");
  await go("#/settings");
  const name = main().getByLabel(ana.words("field.name"));
  await name.fill("  ");
  await name.press("Enter");
  await main().getByText(ana.words("settings.name.error")).waitFor();
  await name.fill("Ana Zaunkönig");
  await ana.button("action.save", {}, main()).click();
  await expect.poll(async () => ((await bo.request("GET", "/v1/users?handle=ana")) as { items: { name: string }[] }).items[0]?.name).toBe("Ana Zaunkönig");

  const receipts = main().getByRole("switch", { name: ana.words("settings.readReceipts") });
  await expect.poll(() => receipts.isChecked()).toBe(true);
  await receipts.click();
  await expect.poll(async () => ((await other.request("GET", "/v1/users/me")) as { read_receipts?: string }).read_receipts).toBe("nobody");
  await ana.page.reload();
  await expect.poll(() => receipts.isChecked()).toBe(false);
  await receipts.click();
  await expect.poll(() => receipts.isEnabled()).toBe(true);

  const revoke = ana.button("settings.devices.revoke", { name: "test" }, main());
  const before = await revoke.count().then(async (count) => count || (await revoke.first().waitFor(), revoke.count()));
  // The newest of them is first, and that is `other`.
  await revoke.first().click();
  await ana.page.getByRole("dialog").getByRole("button", { name: ana.words("settings.devices.revoke.short") }).click();
  await expect.poll(() => revoke.count()).toBe(before - 1);
  await expect(other.request("GET", "/v1/users/me")).rejects.toThrow();
});

test("search: suggestions by keys, filters by buttons, mistakes said where they are", async () => {
  await go("#/search");
  const field = main().getByRole("combobox");
  await field.pressSequentially("printer from:b");
  await main().getByRole("option").filter({ hasText: "from:bo" }).first().waitFor();
  // The search itself, which begins by a pause in typing, takes neither the field nor what is suggested away.
  await field.evaluate((one) => void (one.dataset["same"] = "yes"));
  await expect.poll(() => ana.page.evaluate(() => decodeURIComponent(location.hash))).toContain("from:b");
  await main().getByRole("option").filter({ hasText: "from:bo" }).first().waitFor();
  await field.press("ArrowDown");
  await main().getByRole("option", { selected: true }).filter({ hasText: "from:bo" }).waitFor();
  await main().getByText(ana.words("search.empty")).or(main().getByRole("alert")).or(main().locator("article")).first().waitFor();
  expect(await main().getByRole("option", { selected: true }).count()).toBe(1);
  await field.press("Enter");
  await expect.poll(() => field.inputValue()).toBe("printer from:bo ");
  expect(await field.getAttribute("data-same"), "it is the same field").toBe("yes");
  // What was just said is found a moment later.
  const hits = main().locator("article");
  await expect.poll(async () => (await field.press("Enter"), hits.count())).toBe(2);
  expect(new Set(await hits.locator("mark").allInnerTexts())).toEqual(new Set(["printer"]));

  await ana.button("search.narrow.link", {}, main()).click();
  await expect.poll(() => field.inputValue()).toBe("printer from:bo has:link ");
  await expect.poll(() => hits.count()).toBe(1);
  await expect.poll(() => ana.page.evaluate(() => decodeURIComponent(location.hash))).toContain("has:link");
  await ana.button("search.context", {}, hits.first()).click();
  await hits.first().getByText("The printer has no paper").waitFor();

  await field.fill("from:nobodyatall");
  await field.press("Enter");
  await main().getByRole("alert").filter({ hasText: "nobodyatall" }).waitFor();
  expect(await field.getAttribute("aria-invalid")).toBe("true");
  await field.press("Escape");
  await expect.poll(() => field.inputValue()).toBe("");
});

test("emoji go into what is being written, by keys, and the focus comes back", async () => {
  await ana.open("Bo Buchfink");
  await ana.composer().fill("Party ");
  await ana.button("composer.emoji").press("Enter");
  const picker = ana.page.getByRole("dialog", { name: ana.words("emoji.title") });
  await picker.getByRole("searchbox").pressSequentially("tada");
  await picker.getByRole("gridcell", { name: "party popper" }).waitFor();
  await ana.page.keyboard.press("ArrowDown");
  await ana.page.keyboard.press("Enter");
  await expect.poll(() => ana.composer().inputValue()).toBe("Party 🎉");
  await picker.waitFor({ state: "detached" });
  await ana.button("composer.emoji").press("Enter");
  await picker.getByRole("searchbox").press("Escape");
  await picker.waitFor({ state: "detached" });
  await expect.poll(() => ana.button("composer.emoji").evaluate((one) => one === document.activeElement)).toBe(true);
  await ana.composer().fill("");
});

test("a voice note: paused, discarded; and one that was being recorded is not lost by going elsewhere", async () => {
  await ana.open("Bo Buchfink");
  const recorder = ana.page.getByRole("group", { name: ana.words("record.recording") });
  await ana.button("composer.record").click();
  await expect.poll(() => recorder.getByRole("timer").innerText()).toBe("0:01");
  await ana.button("record.pause").click();
  await ana.page.keyboard.press("Escape");
  await ana.button("record.resume").click();
  await expect.poll(() => recorder.getByRole("timer").innerText()).toBe("0:02");
  await ana.button("record.cancel").click();
  await ana.composer().waitFor();
  expect(await ana.page.getByRole("list", { name: ana.words("composer.attachments") }).count()).toBe(0);

  await ana.button("composer.record").click();
  await expect.poll(() => recorder.getByRole("timer").innerText()).toBe("0:01");
  await go("#/settings");
  await main().getByText(ana.words("settings.devices")).first().waitFor();
  await ana.open("Bo Buchfink");
  await ana.page.getByRole("list", { name: ana.words("composer.attachments") }).getByText(ana.words("kind.voice")).waitFor();
});

test("what a browser installs is there", async () => {
  const manifest = (await (await fetch(`${server.url}/manifest.webmanifest`)).json()) as { icons: { src: string; type: string; sizes: string }[] };
  for (const { src, type, sizes } of manifest.icons) {
    const icon = await fetch(new URL(src, server.url));
    expect([icon.status, icon.headers.get("content-type")], src).toEqual([200, type]);
    if (type !== "image/png") continue;
    const bytes = Buffer.from(await icon.arrayBuffer());
    expect(`${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}`, src).toBe(sizes);
  }
  await ana.shellIsKept();
  await ana.leave();
});

/** What large letters, narrow windows and the other direction of writing do: nothing is cut off, and nothing scrolls sideways. */
import type { Browser, Locator } from "playwright-core";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Account } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { png } from "./harness/files.ts";
import { Server } from "./harness/server.ts";

const LONG_WORD = "Donaudampfschifffahrtsgesellschaftskapitänsmützenhalterung".repeat(3);
const LONG_NAME = "Cleopatra Bartholomäa von und zu Hohenstein-Wackerbarth";

let browser: Browser;
let server: Server;
let ana: Person;
let direct: string;
let group: string;
let root: number;

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
  const own = await Account.create(server.url, "ana", "Ana Amsel");
  const cleo = await Account.create(server.url, "cleo", LONG_NAME);
  const farid = await Account.create(server.url, "farid", "فريد منصور الطويل الاسم جدا");
  direct = cleo.with(own);
  const said = await cleo.say(direct, `Hello ${LONG_WORD}`);
  await own.send(direct, { kind: "message", text: "A reply", reply_to: said });
  await cleo.say(direct, `\`\`\`\n${"code ".repeat(60)}\n\`\`\``);
  await own.send(direct, { kind: "reaction", target: said, emoji: "🎉", op: "add" });
  await own.send(direct, { kind: "pin", target: said, op: "add" });
  await cleo.show(direct, "Look", [{ name: `${LONG_WORD}.png`, type: "image/png", bytes: png(640, 400, [20, 90, 160]) }, { name: `${LONG_WORD}.txt`, type: "text/plain", bytes: Buffer.from("x") }]);
  group = await own.group(`An association for ${LONG_WORD}`, [cleo, farid]);
  root = await farid.say(group, "مرحبا، سأكون هناك في الساعة التاسعة with English (in brackets)!");
  await farid.send(group, { kind: "message", text: "@ana שלום", mentions: [own.user] });
  await own.send(group, { kind: "message", text: "In the thread", thread: root });
  ana = await Person.sit(browser, server);
  await ana.logIn("ana");
  await ana.inbox().getByRole("link").nth(1).waitFor();
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/** What reaches over the edges of the window, and is in nothing that scrolls or cuts it off on purpose. */
function beyond(): Promise<string[]> {
  return ana.page.evaluate(() => {
    const found: string[] = [];
    const width = document.documentElement.clientWidth;
    if (document.scrollingElement!.scrollWidth > width) found.push(`the page is ${document.scrollingElement!.scrollWidth} wide`);
    const isHeld = (one: Element): boolean => {
      for (let at = one.parentElement; at && at !== document.body; at = at.parentElement) {
        const { overflowX } = getComputedStyle(at);
        const box = at.getBoundingClientRect();
        if (overflowX !== "visible" && box.left >= -1 && box.right <= width + 1) return true;
      }
      return false;
    };
    for (const one of document.querySelectorAll<HTMLElement>("body *")) {
      const box = one.getBoundingClientRect();
      if (box.width === 0 || box.height === 0 || !one.checkVisibility() || one.closest(".hidden-visually, .skip")) continue;
      if ((box.left < -1 || box.right > width + 1) && !isHeld(one)) {
        found.push(`${one.tagName}.${one.className} from ${Math.round(box.left)} to ${Math.round(box.right)}: ${one.textContent.slice(0, 40)}`);
      }
    }
    return found.slice(0, 5);
  });
}

/** Goes through the views, and says what of them is not within the window. */
async function look(check: (view: string) => Promise<void>): Promise<void> {
  const { page } = ana;
  const views: [string, Locator][] = [
    ["#/", page.getByRole("navigation")],
    [`#/c/${direct}`, page.getByRole("log").getByText("A reply")],
    [`#/c/${direct}/details`, page.getByRole("complementary").getByText("A reply").or(page.getByRole("complementary"))],
    [`#/c/${group}`, page.getByRole("log").getByText("مرحبا")],
    [`#/c/${group}/details`, page.getByRole("complementary").getByText("@farid").or(page.getByRole("complementary"))],
    [`#/c/${group}/t/${root}`, page.getByRole("complementary").getByText("In the thread")],
    ["#/search?q=hello", page.getByRole("main").locator("article")],
    ["#/mentions", page.getByRole("main").getByText("שלום")],
    ["#/settings", page.getByRole("main").locator("h2")],
  ];
  for (const [place, there] of views) {
    await page.evaluate((hash) => void (location.hash = hash), place);
    await there.first().waitFor();
    await check(place);
  }
}

async function inputsAreWithin(view: string, found: string[]): Promise<void> {
  const composer = ana.page.getByRole("textbox").filter({ visible: true });
  for (const one of await composer.all()) {
    const box = await one.boundingBox();
    const { width, height } = ana.page.viewportSize()!;
    if (box && (box.width < 80 || box.x < -1 || box.x + box.width > width + 1 || box.y + box.height > height + 1)) {
      // What is further down in a page that scrolls is no matter; the composer never is.
      if (view.startsWith("#/c/") && !view.endsWith("details")) found.push(`${view}: a field of ${box.width} at ${box.x}, ${box.y}`);
    }
  }
}

describe.each([
  { what: "320 CSS pixels", width: 320, height: 640, letters: "100%", dir: "ltr" },
  { what: "a window at 200 %", width: 640, height: 400, letters: "100%", dir: "ltr" },
  { what: "letters twice as large", width: 1280, height: 800, letters: "200%", dir: "ltr" },
  { what: "letters twice as large on a phone", width: 360, height: 740, letters: "200%", dir: "ltr" },
  { what: "from right to left", width: 1280, height: 800, letters: "100%", dir: "rtl" },
  { what: "from right to left on a phone", width: 360, height: 740, letters: "100%", dir: "rtl" },
])("$what", ({ width, height, letters, dir }) => {
  test("everything is within the window", async () => {
    await ana.page.setViewportSize({ width, height });
    await ana.page.evaluate(([letters, dir]) => {
      document.documentElement.style.fontSize = letters;
      document.documentElement.dir = dir;
    }, [letters, dir] as const);
    const found: string[] = [];
    await look(async (view) => {
      found.push(...(await beyond()).map((one) => `${view}: ${one}`));
      await inputsAreWithin(view, found);
    });
    expect(found).toEqual([]);
  });
});

test("from right to left the interface is mirrored, and each text has its own direction", async () => {
  const { page } = ana;
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.evaluate(() => {
    document.documentElement.style.fontSize = "";
    document.documentElement.dir = "rtl";
    location.hash = "#/";
  });
  await page.evaluate((hash) => void (location.hash = hash), `#/c/${group}`);
  const arabic = ana.log().getByRole("article").filter({ hasText: "مرحبا" });
  await arabic.waitFor();
  const middle = (one: Locator): Promise<number> => one.first().evaluate((at) => (at.getBoundingClientRect().left + at.getBoundingClientRect().right) / 2);
  expect(await middle(page.getByRole("navigation")), "the list is on the right").toBeGreaterThan(800);
  expect(await middle(ana.button("composer.send")), "sending is on the left").toBeLessThan(await middle(ana.composer()));
  // Those of others begin where lines begin: now on the right.
  const bubble = (one: Locator): Promise<{ left: number; right: number }> => one.locator(".bubble").evaluate((at) => at.getBoundingClientRect()) as Promise<{ left: number; right: number }>;
  const log = (await ana.log().boundingBox())!;
  const { left, right } = await bubble(arabic);
  expect(log.x + log.width - right, "closer to the right").toBeLessThan(left - log.x);
  const direction = (one: Locator): Promise<string> => one.evaluate((at) => getComputedStyle(at).direction);
  expect(await direction(arabic.locator("[data-text] p").first())).toBe("rtl");
  // A long name that is written from left to right is cut off at its end, on the right.
  const name = page.getByRole("navigation").locator("bdi").getByText(LONG_NAME, { exact: true });
  expect(await name.evaluate((at) => [getComputedStyle(at).direction, at.scrollWidth > at.clientWidth, at.scrollLeft])).toEqual(["ltr", true, 0]);
  const beginning = await name.evaluate((at) => {
    const range = document.createRange();
    range.setStart(at.firstChild!, 0);
    range.setEnd(at.firstChild!, 1);
    const [letter, box] = [range.getBoundingClientRect(), at.getBoundingClientRect()];
    return letter.left >= box.left - 1 && letter.right <= box.right + 1;
  });
  expect(beginning, "its first letter is seen").toBe(true);
  await page.evaluate((hash) => void (location.hash = hash), `#/c/${direct}`);
  await ana.message("A reply").waitFor();
  expect(await direction(ana.message("A reply").locator("[data-text] p").first())).toBe("ltr");
  await page.evaluate(() => void (document.documentElement.dir = "ltr"));
  await page.evaluate((hash) => void (location.hash = hash), `#/c/${group}`);
  await arabic.waitFor();
  expect(await direction(arabic.locator("[data-text] p").first())).toBe("rtl");
  // In a list a name that is written from right to left begins where the others do.
  await page.evaluate((hash) => void (location.hash = hash), `#/c/${group}/details`);
  const leftOf = (text: string): Promise<number> =>
    page
      .getByRole("complementary")
      .locator("bdi")
      .getByText(text, { exact: true })
      .evaluate((at) => {
        const range = document.createRange();
        range.selectNodeContents(at);
        return Math.round(range.getBoundingClientRect().left);
      });
  await page.getByRole("complementary").getByText("@farid").waitFor();
  expect(await leftOf("فريد منصور الطويل الاسم جدا")).toBe(await leftOf("@farid"));
  await ana.leave();
});

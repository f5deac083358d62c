/** What is on the screen stays on the screen, and where it is: looked at in every frame, and after every change. */
import type { Browser, Page, Route } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Account } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { png } from "./harness/picture.ts";
import { Server } from "./harness/server.ts";

declare global {
  interface Window {
    steady?: { looks: number; faults: string[]; /** Where the wheel moves the rows, in CSS pixels, at most in a frame. */ by?: number };
    /** Of everything in the log that got the focus, whether it was a message and whole on the screen. */
    focused?: boolean[];
  }
}

let browser: Browser;
let server: Server;

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

/**
 * Notes which messages were there and are not, are there twice, or are another element than before. A tab that is behind
 * another has few frames: what changed is looked at, too, before it could be painted.
 */
function watchMessages(): void {
  const steady = { looks: 0, faults: [] as string[] };
  window.steady = steady;
  const known = new Map<string, Element>();
  const look = (): void => {
    steady.looks += 1;
    const now = new Map<string, Element>();
    for (const article of document.querySelectorAll("[role=log] article")) {
      const text = article.querySelector("[data-text]")?.textContent?.trim() ?? "";
      if (now.has(text)) steady.faults.push(`${steady.looks}: ${text} is there twice`);
      now.set(text, article);
    }
    for (const [text, article] of known) {
      const is = now.get(text);
      if (!is) steady.faults.push(`${steady.looks}: ${text} is missing`);
      else if (is !== article) steady.faults.push(`${steady.looks}: ${text} is another element`);
    }
    for (const [text, article] of now) known.set(text, article);
  };
  const frame = (): void => {
    look();
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  new MutationObserver(look).observe(document.body, { childList: true, subtree: true });
}

test("a message that was sent is there from then on in every frame, once and as the same element, in both tabs", async () => {
  const [ana, bo] = [await Person.sit(browser, server, { height: 4_000 }), await Person.sit(browser, server)];
  await ana.signUp("steady.ana");
  await bo.signUp("steady.bo");
  await ana.openDirect("steady.bo");
  await bo.openDirect("steady.ana");
  const second = await ana.tab(new URL(ana.page.url()).hash);
  await second.setViewportSize({ width: 1_280, height: 4_000 });
  await ana.composer(second).waitFor();
  const tabs: Page[] = [ana.page, second];
  for (const tab of tabs) await tab.evaluate(watchMessages);
  const said: string[] = [];
  for (let number = 0; number < 40; number++) {
    const text = `message ${number}`;
    said.push(text);
    await ana.say(text, tabs[number % 2]);
    // Receipts, typing and answers come in the middle of it.
    if (number % 5 === 0) {
      await bo.composer().pressSequentially(`answer ${number}`);
      await bo.composer().press("Enter");
      said.push(`answer ${number}`);
    }
  }
  for (const tab of tabs) await expect.poll(async () => [...(await ana.texts(tab))].sort()).toEqual([...said].sort());
  await expect.poll(() => ana.marks("read").count()).toBe(40);
  for (const tab of tabs) {
    const { looks, faults } = await tab.evaluate(() => window.steady!);
    expect(looks).toBeGreaterThan(said.length);
    expect(faults).toEqual([]);
  }
  await Promise.all([ana.leave(), bo.leave()]);
});

/**
 * Notes rows that move against the others that one sees, and any that move otherwise than by the wheel. It looks after everything that reacts to sizes has done so in
 * this frame: by an observer of sizes that is younger than those of the page.
 */
function watchRows(): void {
  const steady = { looks: 0, faults: [] as string[], by: 0 };
  window.steady = steady;
  const scroller = document.querySelector("[role=log]")!;
  let before = new Map<string, number>();
  const look = (): void => {
    steady.looks += 1;
    const box = scroller.getBoundingClientRect();
    const now = new Map<string, number>();
    for (const row of scroller.querySelectorAll("[data-key]")) {
      const { top, bottom } = row.getBoundingClientRect();
      if (top >= box.top && bottom <= box.bottom) now.set(row.getAttribute("data-key")!, top);
    }
    const moved = [...now].flatMap(([key, top]) => (before.has(key) ? [top - before.get(key)!] : []));
    const [least, most] = [Math.min(...moved), Math.max(...moved)];
    if (before.size > 0 && moved.length === 0) steady.faults.push(`${steady.looks}: other rows`);
    else if (most - least > 1.5) steady.faults.push(`${steady.looks}: from ${least} to ${most} px`);
    else if (least < Math.min(steady.by, 0) - 1 || most > Math.max(steady.by, 0) + 1) steady.faults.push(`${steady.looks}: ${most} px by itself`);
    before = now;
  };
  const probe = document.body.appendChild(document.createElement("div"));
  probe.style.cssText = "position: fixed; inline-size: 1px; block-size: 1px; visibility: hidden";
  new ResizeObserver(look).observe(probe);
  const frame = (): void => {
    probe.style.inlineSize = probe.style.inlineSize === "1px" ? "2px" : "1px";
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

test("scrolling both ways among pictures of known and unknown sizes moves nothing that one reads but by the wheel", async () => {
  const bo = await Account.create(server.url, "place.bo");
  const conversation = bo.with(await Account.create(server.url, "place.ana"));
  const seqs: number[] = [];
  for (let number = 0; number < 150; number++) {
    const event: Record<string, unknown> = { kind: "message", text: `message ${number}` };
    if (number % 3 === 0) {
      const [width, height] = [200 + (number % 7) * 40, 900 - number * 4];
      const bytes = png(width, height, 50 + number);
      const id = await bo.upload(`${number}.png`, "image/png", bytes);
      // Of every second one the sender says how large it is.
      const size = number % 2 === 0 ? { width, height } : {};
      event["media"] = [{ id, name: `${number}.png`, type: "image/png", size: bytes.length, ...size }];
    }
    seqs.push(await bo.send(conversation, event));
  }
  // She was not there to be told of the files when they were processed, and asks when she sees them.
  const ana = await Person.sit(browser, server);
  await ana.logIn("place.ana");
  await ana.row("place.bo").waitFor();

  // What the server knows of the pictures comes when the test lets it.
  const held: Route[] = [];
  let known = 0;
  await ana.context.route("**/v1/media/*/info", (route) => void held.push(route));
  const release = async (): Promise<void> => {
    for (const route of held.splice(0)) {
      await route.continue();
      known += 1;
    }
  };
  await ana.page.goto(`${server.url}/#/c/${conversation}/m/${seqs[75]!}`);
  await ana.message("message 75").waitFor();
  await expect.poll(() => ana.log().getAttribute("aria-busy")).toBe("false");
  await expect.poll(() => held.length).toBeGreaterThan(3);
  const top = (): Promise<number> => ana.message("message 75").evaluate((one) => one.getBoundingClientRect().top);
  await expect.poll(async () => (await top()) > 100 && (await top()) < 700, { message: "the jump" }).toBe(true);
  // Some are to come on both sides.
  expect(await ana.log().locator("[data-key]").count()).toBeLessThan(120);
  await ana.page.evaluate(watchRows);
  const before = await top();
  const loaded = ana.message("message 75").locator("img.loaded");
  await release();
  await loaded.waitFor();
  // Less than a pixel is no movement.
  await expect.poll(async () => Math.abs((await top()) - before)).toBeLessThan(1);

  const frame = (): Promise<unknown> => ana.page.evaluate(() => new Promise(requestAnimationFrame));
  await ana.log().hover();
  for (const by of [-120, 120]) {
    // Two turns of the wheel may come in one frame.
    await ana.page.evaluate((most) => void (window.steady!.by = most), -2 * by);
    const end = by < 0 ? "message 0" : "message 149";
    const isThere = (): Promise<boolean> => ana.message(end).evaluateAll(([one]) => one !== undefined && one.getBoundingClientRect().top >= 0 && one.getBoundingClientRect().top < innerHeight);
    for (let steps = 0; !(await isThere()); steps++) {
      expect(steps).toBeLessThan(600);
      await ana.page.mouse.wheel(0, by);
      await frame();
      // They come one step late: for rows on the screen, and for rows that have left it.
      if (steps % 3 === 2) await release();
    }
    // The last turn is over before the wheel goes the other way.
    for (let frames = 0; frames < 3; frames++) await frame();
  }
  expect(known).toBeGreaterThan(10);
  const { looks, faults } = await ana.page.evaluate(() => window.steady!);
  expect(looks).toBeGreaterThan(50);
  expect(faults).toEqual([]);
  await ana.context.unroute("**/v1/media/*/info");
  await ana.leave();
}, 150_000);

test("hundreds of messages that come, and more than are told of after a while offline, move nothing that one reads", async () => {
  const bo = await Account.create(server.url, "flood.bo");
  const conversation = bo.with(await Account.create(server.url, "flood.ana"));
  let said = 0;
  let middle = 0;
  const say = async (to: number): Promise<void> => {
    for (; said < to; said++) {
      const seq = await bo.say(conversation, `message ${said}`);
      if (said === 60) middle = seq;
    }
  };
  await say(120);
  // Tall enough for more rows than a page of history has before a message.
  const ana = await Person.sit(browser, server, { height: 2_400 });
  await ana.logIn("flood.ana");
  await ana.row("flood.bo").waitFor();
  await ana.page.goto(`${server.url}/#/c/${conversation}/m/${middle}`);
  await ana.message("message 60").waitFor();
  await expect.poll(() => ana.log().getAttribute("aria-busy")).toBe("false");
  const top = (): Promise<number> => ana.message("message 60").evaluate((one) => one.getBoundingClientRect().top);
  const rows = (): Promise<number> => ana.log().locator("[data-key]").count();
  const before = await top();
  const isSteady = () => expect.poll(async () => Math.abs((await top()) - before)).toBeLessThan(1);
  await say(480);
  // The inbox knows of all of them, and the timeline keeps its limit.
  await expect.poll(() => ana.row("flood.bo").innerText()).toContain("message 479");
  expect(await rows()).toBeLessThanOrEqual(360);
  await isSteady();

  await ana.context.setOffline(true);
  await ana.connectionLine().waitFor();
  await say(700);
  const read = ana.page.waitForResponse((response) => /\/messages\?.*around=/.test(response.url()));
  await ana.context.setOffline(false);
  await read;
  await expect.poll(() => ana.row("flood.bo").innerText()).toContain("message 699");
  await expect.poll(() => ana.log().getAttribute("aria-busy")).toBe("false");
  await isSteady();
  expect(await rows()).toBeLessThanOrEqual(360);
  // From there to the end nothing is left out.
  await ana.toNewest();
  await ana.message("message 699").waitFor();
  await ana.leave();
}, 150_000);

test("the focus stays where one reads when the message that has it goes out of memory", async () => {
  const bo = await Account.create(server.url, "focus.bo");
  const conversation = bo.with(await Account.create(server.url, "focus.ana"));
  for (let number = 0; number < 330; number++) await bo.say(conversation, `message ${number}`);
  const ana = await Person.sit(browser, server);
  await ana.logIn("focus.ana");
  await ana.open("focus.bo");
  await ana.toNewest();
  await ana.item("message 329").focus();
  // Where it was when it got the focus: the wheel may still be moving what is seen.
  await ana.log().evaluate((log) => {
    window.focused = [];
    log.addEventListener("focusin", ({ target }) => {
      const [box, { top, bottom }] = [log.getBoundingClientRect(), (target as Element).getBoundingClientRect()];
      window.focused!.push((target as Element).matches("[data-item]") && top >= box.top && bottom <= box.bottom);
    });
  });
  await ana.log().hover();
  await expect
    .poll(async () => {
      await ana.page.mouse.wheel(0, -600);
      return ana.message("message 329").count();
    })
    .toBe(0);
  expect(await ana.page.evaluate(() => window.focused)).toEqual([true]);
  const rests = (): Promise<boolean> =>
    ana.log().evaluate(async (log) => {
      const before = log.scrollTop;
      for (let frames = 0; frames < 3; frames++) await new Promise(requestAnimationFrame);
      return log.scrollTop === before;
    });
  await expect.poll(rests).toBe(true);
  await ana.page.keyboard.press("ArrowDown");
  const isSeen = (): Promise<boolean> =>
    ana.log().evaluate((log) => {
      const [focused, box] = [document.activeElement!, log.getBoundingClientRect()];
      const { top, bottom } = focused.getBoundingClientRect();
      return focused.matches("[data-item]") && log.contains(focused) && top >= box.top && bottom <= box.bottom;
    });
  await expect.poll(isSeen).toBe(true);
  await ana.leave();
}, 150_000);

/** What is on the screen stays on the screen, and where it is: looked at in every frame, and after every change. */
import type { Browser, Page } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Person, launch } from "./harness/browser.ts";
import { Server } from "./harness/server.ts";

declare global {
  interface Window {
    steady?: { looks: number; faults: string[] };
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

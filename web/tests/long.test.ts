/**
 * A conversation that nobody scrolls through. In `make test` it has some thousand messages that are made up here;
 * `LONG_JSONL` names a chat as `hansard import` reads it, also compressed by gzip, for the full size.
 */
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Account } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { watchFrames } from "./harness/clock.ts";
import { record } from "./harness/record.ts";
import { Server } from "./harness/server.ts";
import { type Cost, costOf } from "./harness/tasks.ts";

const STRICT = process.env["BARS"] === "strict";
const MESSAGES = 4_000;
const SCROLLED = 2_000;
const SCROLLED_BACK = 300;
/** Before anything was said anywhere. */
const LONG_AGO = new Date(Date.UTC(2004, 10, 15));

let browser: Browser;
let server: Server;

/** Messages of the lengths that people write: most are short, a few are long, some have code. */
function madeUp(): string {
  const words = "the lease is signed and nobody knows who has the second key to the boiler room behind the stage".split(" ");
  const lines: string[] = [];
  for (let number = 0; number < MESSAGES; number++) {
    const length = number % 53 === 0 ? 180 : 1 + ((number * 7) % 24);
    const said = Array.from({ length }, (_, at) => words[(number * 31 + at * 17) % words.length]).join(" ");
    const text = number % 41 === 0 ? `${said}\n\`\`\`\nmake run # ${number}\n\`\`\`` : said;
    const ts = new Date(Date.UTC(2024, 0, 1) + number * 60_000).toISOString();
    lines.push(JSON.stringify({ ts, channel: "stage", nick: `nick${number % 40}`, text }));
  }
  return lines.join("\n");
}

async function chat(): Promise<string> {
  const path = process.env["LONG_JSONL"];
  if (path === undefined) return madeUp();
  const bytes = await readFile(path);
  return (path.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString("utf8").trimEnd();
}

beforeAll(async () => {
  [browser, server] = await Promise.all([launch("--enable-precise-memory-info", "--js-flags=--expose-gc"), Server.start(["--group-limit", "20000"])]);
  const folder = await mkdtemp(join(tmpdir(), "hansard-chat-"));
  const file = join(folder, "chat.jsonl");
  const lines = await chat();
  await writeFile(file, lines);
  const ana = await Account.create(server.url, "long.ana");
  const said = await server.command("import", "--jsonl", file, "--group", "The long one", "--owner", "long.ana", "--group-limit", "20000");
  await rm(folder, { recursive: true, force: true });
  const conversation = /\bg\.\w+/.exec(said)![0];
  const { text } = JSON.parse(lines.slice(lines.lastIndexOf("\n") + 1)) as { text: string };
  // What was imported is in the log, and a moment later in what people read.
  await vi.waitFor(async () => expect(await ana.newest(conversation)).toBe(text), { timeout: 600_000, interval: 200 });
}, 900_000);
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test("opening it, scrolling both ways and going to a date keeps the main thread free and the memory small", async () => {
  const ana = await Person.sit(browser, server, { prepare: watchFrames });
  const { page } = ana;
  await ana.logIn("long.ana");
  await ana.row("The long one").waitFor();
  const devtools = await ana.context.newCDPSession(page);
  await devtools.send("Performance.enable");
  const rows = ana.log().locator("[data-key]");
  const edge = (which: "first" | "last"): Promise<number> => rows[which]().evaluate((row) => Number(row.getAttribute("data-seq")));
  const scroll = async (by: number, until: (first: number, last: number) => boolean): Promise<void> => {
    await ana.log().hover();
    let [low, high] = [await edge("first"), await edge("last")];
    for (let waits = 0; !until(low, high); ) {
      await page.mouse.wheel(0, by);
      await page.evaluate(() => new Promise(requestAnimationFrame));
      const [top, bottom] = [await edge("first"), await edge("last")];
      // What is in memory never goes the other way while one scrolls.
      if (by < 0) expect(top).toBeLessThanOrEqual(low);
      else expect(bottom).toBeGreaterThanOrEqual(high);
      waits = top === low && bottom === high ? waits + 1 : 0;
      expect(waits, `stuck at ${low} to ${high}`).toBeLessThan(600);
      [low, high] = [top, bottom];
    }
  };
  const costs: Record<string, Cost> = {};
  const measure = async (what: string, work: () => Promise<void>): Promise<void> => {
    costs[what] = await costOf(browser, page, devtools, work);
  };

  await measure("opening", async () => {
    await ana.open("The long one");
    await rows.first().waitFor();
  });
  await measure("to the end", () => ana.toNewest());
  const newest = await edge("last");
  await measure("scrolling up", () => scroll(-1_200, (first) => first <= newest - SCROLLED));
  const low = await edge("first");
  await measure("to a date", async () => {
    await ana.toDate(LONG_AGO);
    await expect.poll(() => edge("first"), { timeout: 60_000 }).toBeLessThan(low);
  });
  const early = await edge("last");
  await measure("scrolling down", () => scroll(1_200, (_, last) => last >= early + SCROLLED_BACK));
  await measure("back to the end", async () => {
    await ana.toNewest();
    await expect.poll(() => edge("last"), { timeout: 60_000 }).toBe(newest);
  });

  await record({ "long conversation": { newest, ...costs } });
  for (const [what, { longest, cpu, heapMiB }] of Object.entries(costs)) {
    expect(heapMiB, what).toBeLessThanOrEqual(150);
    // By the processor's time it is asked of busy machines, too.
    expect(cpu, what).toBeLessThanOrEqual(STRICT ? 100 : 300);
    if (STRICT) expect(longest, what).toBeLessThanOrEqual(100);
  }
  await ana.leave();
}, 300_000);

/**
 * A conversation that nobody scrolls through. In `make test` it has some thousand messages that are made up here;
 * `LONG_JSONL` names a chat as `hansard import` reads it, for the full size.
 */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Person, launch } from "./harness/browser.ts";
import { quantile, rounded, times, watchTimes } from "./harness/clock.ts";
import { Server } from "./harness/server.ts";

const STRICT = process.env["BARS"] === "strict";
const MESSAGES = 4_000;
const SCROLLED = 2_000;
const MIB = 1024 * 1024;

let browser: Browser;
let server: Server;
let chat: string;

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

beforeAll(async () => {
  [browser, server] = await Promise.all([launch("--enable-precise-memory-info", "--js-flags=--expose-gc"), Server.start(["--group-limit", "20000"])]);
  const folder = await mkdtemp(join(tmpdir(), "hansard-chat-"));
  chat = process.env["LONG_JSONL"] ?? join(folder, "chat.jsonl");
  if (process.env["LONG_JSONL"] === undefined) await writeFile(chat, madeUp());
  const ana = await Person.sit(browser, server);
  await ana.signUp("long.ana");
  await ana.leave();
  await server.command("import", "--jsonl", chat, "--group", "The long one", "--owner", "long.ana", "--group-limit", "20000");
  await rm(folder, { recursive: true, force: true });
}, 900_000);
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test("opening it, scrolling up and going to a date keeps the main thread free and the memory small", async () => {
  const ana = await Person.sit(browser, server, { prepare: watchTimes });
  const { page } = ana;
  await ana.logIn("long.ana");
  await ana.row("The long one").waitFor();
  await page.evaluate(() => window.seen!.tasks.splice(0));
  const started = performance.now();
  await ana.open("The long one");
  const article = ana.log().locator("article[data-seq]");
  await article.first().waitFor();
  await ana.toNewest();
  const opened = performance.now() - started;
  const first = async (): Promise<number> => Number(await article.first().getAttribute("data-seq"));
  const newest = Number(await article.last().getAttribute("data-seq"));
  const afterOpening = (await times(page)).tasks;

  await ana.log().hover();
  await page.evaluate(() => {
    window.seen!.tasks.splice(0);
    window.seen!.frames.splice(0);
  });
  let low = newest;
  let waits = 0;
  while (newest - low < SCROLLED) {
    await page.mouse.wheel(0, -1_200);
    await page.evaluate(() => new Promise(requestAnimationFrame));
    const top = await first();
    // What is on the screen never goes the other way while one scrolls up.
    expect(top).toBeLessThanOrEqual(low);
    waits = top === low ? waits + 1 : 0;
    expect(waits, `stuck at ${low}`).toBeLessThan(600);
    low = top;
  }
  const scrolling = await times(page);
  const dropped = scrolling.frames.filter((ms) => ms > 34).length;

  await page.evaluate(() => window.seen!.tasks.splice(0));
  await ana.toDate(new Date());
  await expect.poll(first, { timeout: 60_000 }).toBeLessThan(low);
  const jumping = (await times(page)).tasks;

  const devtools = await ana.context.newCDPSession(page);
  await devtools.send("HeapProfiler.collectGarbage");
  const { metrics } = await devtools.send("Performance.enable").then(() => devtools.send("Performance.getMetrics"));
  const heap = metrics.find((metric) => metric.name === "JSHeapUsedSize")!.value;
  const longest = (tasks: readonly number[]): number => rounded(Math.max(0, ...tasks));
  const line = {
    messages: newest,
    "opening, ms": rounded(opened),
    "longest task, ms": { opening: longest(afterOpening), scrolling: longest(scrolling.tasks), "to a date": longest(jumping) },
    "frames while scrolling": { all: scrolling.frames.length, "over 34 ms": dropped, "p99, ms": rounded(quantile(scrolling.frames, 0.99)) },
    "heap, MiB": rounded(heap / MIB),
  };
  console.log(JSON.stringify({ "long conversation": line }));
  expect(heap).toBeLessThanOrEqual(150 * MIB);
  const worst = Math.max(longest(afterOpening), longest(scrolling.tasks), longest(jumping));
  expect(worst).toBeLessThanOrEqual(STRICT ? 100 : 10_000);
  await ana.leave();
}, 300_000);

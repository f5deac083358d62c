/**
 * Bytes and times. What is asserted holds on a busy machine; `BARS=strict` asserts the goals themselves, for a machine
 * that does nothing else. Each test prints one line of JSON, and adds it to `test-results/measured.jsonl`.
 */
import { type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Account, PASSWORD } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { quantile, rounded, times, watchTimes } from "./harness/clock.ts";
import { record } from "./harness/record.ts";
import { Server } from "./harness/server.ts";

const STRICT = process.env["BARS"] === "strict";
/** Of so many, two may be above the p99. */
const SENDS = Number(process.env["SENDS"] ?? 200);
/** These come first and are not counted: they find everything cold. */
const COLD = 5;
const KIB = 1024;

let browser: Browser;
let server: Server;

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start()]);
});
afterAll(async () => {
  await browser?.close();
  await server?.stop();
});

test("the first load is small, and soon there is something to type into", async () => {
  const ana = await Person.sit(browser, server);
  await ana.signUp("first.ana");
  const bo = await Account.create(server.url, "first.bo");
  await ana.openDirect("first.bo");
  await bo.say(bo.with(await Account.logIn(server.url, "first.ana")), "hello");
  await ana.message("hello").waitFor();
  const address = ana.page.url();

  const stranger = await Person.sit(browser, server, { prepare: "" });
  const cold = async (person: Person, load: () => Promise<void>): Promise<{ bytes: number; requests: number; ms: number }> => {
    const devtools = await person.context.newCDPSession(person.page);
    await devtools.send("Network.enable");
    await devtools.send("Network.clearBrowserCache");
    let bytes = 0;
    let requests = 0;
    devtools.on("Network.loadingFinished", ({ encodedDataLength }) => {
      bytes += encodedDataLength;
      requests += 1;
    });
    const started = performance.now();
    await load();
    const ms = performance.now() - started;
    await devtools.detach();
    return { bytes, requests, ms };
  };
  // Without anything kept, as at the very first visit.
  const login = await cold(stranger, async () => {
    await stranger.page.goto("about:blank");
    await stranger.page.goto(server.url);
    await stranger.page.getByLabel(stranger.words("field.handle")).waitFor();
  });
  // With the files not kept, and somebody who is logged in: until what was typed is on the screen.
  const typed = await cold(ana, async () => {
    await ana.page.evaluate(async () => {
      for (const one of await navigator.serviceWorker.getRegistrations()) await one.unregister();
      for (const name of await caches.keys()) await caches.delete(name);
    });
    await ana.page.goto("about:blank");
    await ana.page.goto(address);
    await ana.say("the first thing that is typed");
    await ana.message("the first thing that is typed").waitFor();
  });
  const line = {
    login: { KiB: rounded(login.bytes / KIB), requests: login.requests, ms: rounded(login.ms) },
    typed: { KiB: rounded(typed.bytes / KIB), requests: typed.requests, ms: rounded(typed.ms) },
  };
  await record({ "first load": line });
  expect(login.bytes).toBeLessThanOrEqual(200 * KIB);
  expect(typed.bytes).toBeLessThanOrEqual(300 * KIB);
  expect(typed.ms).toBeLessThanOrEqual(STRICT ? 2_000 : 60_000);
  await Promise.all([ana.leave(), stranger.leave()]);
});

test("what is typed is on the screen at once, and at the other soon", async () => {
  const seat = { prepare: watchTimes };
  const [ana, bo] = [await Person.sit(browser, server, seat), await Person.sit(browser, server, seat)];
  await ana.signUp("quick.ana");
  await bo.signUp("quick.bo");
  await ana.openDirect("quick.bo");
  await bo.openDirect("quick.ana");
  const said: string[] = [];
  for (let number = 0; number < SENDS + COLD; number++) {
    const text = `message ${number}`;
    await ana.say(text);
    await bo.message(text).waitFor();
    if (number >= COLD) said.push(text);
  }
  const [here, there] = await Promise.all([times(ana.page), times(bo.page)]);
  expect(said.length).toBe(SENDS);
  const echo = said.map((text) => here.shown[text]! - here.pressed[text]!);
  const shown = said.map((text) => there.shown[text]! - here.pressed[text]!);
  const of = (values: readonly number[]): Record<string, number> => ({
    p50: rounded(quantile(values, 0.5)),
    p99: rounded(quantile(values, 0.99)),
  });
  const terminal = await inTerminals();
  const line = { echo: of(echo), "shown at the other": of(shown), "line to shown at the other, in terminals": of(terminal), sends: said.length };
  await record({ "from the key, ms": line });
  expect(quantile(echo, STRICT ? 0.99 : 0.5)).toBeLessThanOrEqual(STRICT ? 50 : 1_000);
  expect(quantile(shown, STRICT ? 0.99 : 0.5)).toBeLessThanOrEqual(STRICT ? 150 : 3_000);
  await Promise.all([ana.leave(), bo.leave()]);
}, 300_000);

/** The same between two people at terminals: from the line that is written to the line that the other's prints. */
async function inTerminals(): Promise<number[]> {
  await Promise.all([Account.create(server.url, "term.ana"), Account.create(server.url, "term.bo")]);
  const [ana, bo] = [server.terminal("term.ana", PASSWORD), server.terminal("term.bo", PASSWORD)];
  const printed = new Map<string, () => void>();
  const seen = (text: string): Promise<void> => new Promise((found) => printed.set(text, found));
  createInterface({ input: bo.stdout! }).on("line", (line) => {
    for (const [text, found] of printed) if (line.endsWith(`: ${text}`)) found();
  });
  bo.stdin!.write("/open term.ana\n");
  ana.stdin!.write("/open term.bo\n");
  const took: number[] = [];
  for (let number = 0; number < SENDS + COLD; number++) {
    const text = `line ${number}`;
    const shown = seen(text);
    const started = performance.now();
    ana.stdin!.write(`${text}\n`);
    await shown;
    if (number >= COLD) took.push(performance.now() - started);
    printed.delete(text);
  }
  const ended = (terminal: ChildProcess): Promise<unknown> => {
    terminal.stdin!.end();
    return once(terminal, "exit");
  };
  await Promise.all([ana, bo].map(ended));
  return took;
}

/** Whatever people write where others see it, nothing of it runs. */
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Account } from "./harness/api.ts";
import { Person, launch } from "./harness/browser.ts";
import { PAYLOADS, asName } from "./harness/payloads.ts";
import { Server } from "./harness/server.ts";

let browser: Browser;
let server: Server;
let victim: Person;
let attacker: Account;
let victims: Account;

declare global {
  interface Window {
    violations?: string[];
  }
}

/** Keeps what the policy reports: it reports also what it prevents. */
function watch(): void {
  window.violations = [];
  document.addEventListener("securitypolicyviolation", (event) => {
    window.violations?.push(`${event.effectiveDirective} ${event.blockedURI} ${event.sample}`);
  });
}

beforeAll(async () => {
  [browser, server] = await Promise.all([launch(), Server.start(["--group-limit", "300", "--sends-per-second", "1000", "--send-burst", "4000"])]);
  victim = await Person.sit(browser, server, { prepare: watch, height: 2_000 });
  await victim.signUp("victim");
  attacker = await Account.create(server.url, "attacker", asName(PAYLOADS[0]!));
  victims = await Account.logIn(server.url, "victim");
});
afterAll(async () => {
  try {
    await victim?.leave();
  } finally {
    await browser?.close();
    await server?.stop();
  }
});

/** No elements and attributes but those of the client itself, no links but good ones, and no word of the policy. */
async function nothingRan(): Promise<void> {
  const found = await victim.page.evaluate(() => {
    const bad: string[] = [];
    const isOwn = (element: Element): boolean => element.matches('script[src^="/assets/"]');
    for (const element of document.querySelectorAll("script, iframe, object, embed, base, form[action], portal, template[shadowrootmode]")) {
      if (!isOwn(element)) bad.push(element.outerHTML.slice(0, 200));
    }
    for (const element of document.querySelectorAll("*")) {
      for (const attribute of element.attributes) {
        if (attribute.name.startsWith("on") || attribute.name === "srcdoc") bad.push(`${element.tagName} ${attribute.name}=${attribute.value}`);
        const isUrl = ["href", "src", "action", "formaction", "xlink:href", "data", "poster"].includes(attribute.name);
        if (isUrl && !/^(?:https?:|mailto:|blob:|#|\/(?!\/))/i.test(attribute.value)) bad.push(`${element.tagName} ${attribute.name}=${attribute.value}`);
      }
      if (element instanceof HTMLAnchorElement && element.host !== "" && element.host !== location.host) {
        const rel = element.rel.split(" ");
        if (!rel.includes("noopener") || !rel.includes("noreferrer") || element.target !== "_blank") bad.push(`link ${element.href}`);
      }
    }
    return bad;
  });
  expect(found).toEqual([]);
  expect(await victim.page.evaluate(() => window.violations)).toEqual([]);
  expect(victim.faults).toEqual([]);
}

/** Goes through a whole conversation, from the newest message to the first. */
async function readThrough(count: number): Promise<void> {
  const seen = new Set<string>();
  const messages = victim.log().locator("article[data-seq]");
  await messages.first().waitFor();
  await victim.toNewest();
  const deadline = Date.now() + 60_000;
  while (seen.size < count) {
    expect(Date.now(), `${seen.size} of ${count} seen`).toBeLessThan(deadline);
    const before = seen.size;
    for (const seq of await messages.evaluateAll((all) => all.map((one) => (one as HTMLElement).dataset["seq"]!))) seen.add(seq);
    if (seen.size > before) await nothingRan();
    await messages.first().evaluate((first) => first.scrollIntoView({ block: "end" }));
    await victim.page.evaluate(() => new Promise(requestAnimationFrame));
  }
}

test("there are enough of them", () => {
  expect(PAYLOADS.length).toBeGreaterThanOrEqual(200);
});

test("in messages and in the texts of links", async () => {
  const conversation = attacker.with(victims);
  for (const payload of PAYLOADS) await attacker.say(conversation, payload);
  for (const payload of PAYLOADS) await attacker.say(conversation, `[${payload}](https://example.org/) **${payload}**`);
  await victim.page.goto(`${server.url}/#/c/${conversation}`);
  await readThrough(PAYLOADS.length * 2);
});

test("in the names of files", async () => {
  const group = await attacker.group("files", [victims]);
  // Messages name a file as they like; the server keeps what its uploader called it besides.
  const id = await attacker.upload(asName(PAYLOADS[0]!), "image/svg+xml", new TextEncoder().encode("<svg onload=alert(1)/>"));
  for (const payload of PAYLOADS) {
    const name = asName(payload);
    const kinds = ["image/png", "audio/ogg", "video/mp4", "application/pdf", "image/svg+xml", "text/html"];
    const type = kinds[payload.length % kinds.length];
    await attacker.send(group, { kind: "message", text: "", media: [{ id, name, type, size: 1_000, alt: name }] });
  }
  await victim.page.goto(`${server.url}/#/c/${group}`);
  await readThrough(PAYLOADS.length);
});

test("in names and titles, in the list, in details, in search and in the switcher", async () => {
  const { page } = victim;
  const crowd = await Promise.all(
    PAYLOADS.slice(0, 40).map((payload, number) => Account.create(server.url, `crowd.${number}`, asName(payload))),
  );
  const titled = await attacker.group("crowd", [victims, ...crowd]);
  for (const member of crowd) await member.say(titled, `by ${member.handle}`);
  // A founder makes a hundred groups at once.
  for (const [number, payload] of PAYLOADS.entries()) {
    const founder = crowd[number % crowd.length]!;
    await founder.group(asName(payload), [victims]);
  }
  await page.goto(`${server.url}/#/c/${titled}/details`);
  await readThrough(crowd.length);
  const list = victim.inbox();
  await list.getByRole("link").first().focus();
  for (let step = 0; step < PAYLOADS.length; step += 20) {
    for (let key = 0; key < 20; key++) await page.keyboard.press("ArrowDown");
    await nothingRan();
  }
  for (const payload of PAYLOADS.slice(0, 40)) {
    await page.getByRole("searchbox", { name: victim.words("inbox.search") }).fill(payload.replace(/\s+/g, " "));
    await nothingRan();
  }
  await page.getByRole("searchbox", { name: victim.words("inbox.search") }).fill("");
  for (const payload of PAYLOADS.slice(0, 40)) {
    await page.goto(`${server.url}/#/search?q=${encodeURIComponent(payload)}`);
    await nothingRan();
    await page.goto(`${server.url}/#/c/${encodeURIComponent(payload)}`);
    await nothingRan();
  }
});

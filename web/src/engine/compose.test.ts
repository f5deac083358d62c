import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Composer } from "./compose.ts";
import type { Core } from "./core.ts";
import { History } from "./history.ts";
import { Quotes } from "./quotes.ts";
import { coreOf, endOf } from "./testing.core.ts";

let core: Core;
let composer: Composer;

beforeEach(async () => {
  core = await coreOf();
  composer = new Composer({
    core,
    conversation: "g.a",
    thread: undefined,
    quotes: new Quotes(core, new History(core, "g.a"), () => {}),
    mentionsIn: () => [],
    item: () => undefined,
    onSend: () => {},
  });
});
afterEach(() => {
  composer.close();
  endOf(core);
});

const attach = (name: string) => composer.attach({ blob: new Blob([name]), name, type: "text/plain" });

test("of thirty files that are chosen at once a message takes twenty, and each of the others is refused", async () => {
  const done = await Promise.allSettled(Array.from({ length: 30 }, (_, at) => attach(`${at}.txt`)));
  expect(composer.draft.get().uploads.map(({ name }) => name)).toEqual(Array.from({ length: 20 }, (_, at) => `${at}.txt`));
  const refused = done.flatMap((one) => (one.status === "rejected" ? [(one.reason as { code: string }).code] : []));
  expect(refused).toEqual(Array.from({ length: 10 }, () => "too_large"));
  expect(await core.db.count("uploads"), "nothing is kept of those").toBe(20);
  await expect(attach("one more.txt")).rejects.toMatchObject({ code: "too_large" });
  composer.detach(composer.draft.get().uploads[0]?.key ?? "");
  await attach("in its place.txt");
  expect(composer.draft.get().uploads.at(-1)?.name).toBe("in its place.txt");
});

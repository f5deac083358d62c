import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Composer } from "./compose.ts";
import type { Core } from "./core.ts";
import { unknownConversation } from "./counts.ts";
import { History } from "./history.ts";
import { Quotes } from "./quotes.ts";
import { ME, coreOf, endOf } from "./testing.core.ts";
import { intercepted, until } from "./testing.ts";

let core: Core;
let composer: Composer;
/** Runs whenever a draft is about to be read. */
let beforeRead: () => void = () => {};
/** Runs whenever a file is about to be written down. */
let beforePut: () => void = () => {};

beforeEach(async () => {
  core = await coreOf(undefined, (db) =>
    intercepted(
      intercepted(db, "get", (store) => store === "drafts" && beforeRead()),
      "put",
      (store) => store === "uploads" && beforePut(),
    ),
  );
  await core.db.put("conversations", { ...unknownConversation("g.a", ME), role: "member" });
  core.changed({ conversations: ["g.a"] });
  await until("oneself is a member", () => core.row("g.a")?.role === "member");
  composer = compose();
});
afterEach(() => {
  beforeRead = () => {};
  beforePut = () => {};
  composer.close();
  endOf(core);
});

function compose(): Composer {
  return new Composer({
    core,
    conversation: "g.a",
    thread: undefined,
    quotes: new Quotes(core, new History(core, "g.a"), () => {}),
    mentionsIn: () => [],
    item: () => undefined,
    onSend: () => {},
  });
}

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

test("what is typed while the end of the draft before is being read stays in the field", async () => {
  let refreshed = 0;
  core.add({
    refresh: ({ drafts }) => {
      if (drafts) refreshed += 1;
      composer.refresh();
    },
  });
  composer.setText("hello");
  await until("it is kept", () => refreshed > 0);
  // Somebody else has the database for a while: a leader that catches up.
  let isBusy = true;
  beforeRead = () => {
    beforeRead = () => {};
    const { store } = core.db.transaction("drafts", "readwrite");
    const hold = (): unknown => isBusy && store.count().then(hold);
    hold();
    queueMicrotask(() => {
      composer.setText("next words");
      // Which flushes them.
      composer.close();
      isBusy = false;
    });
  };
  const before = refreshed;
  composer.send();
  await until("both ends of it were read", () => refreshed >= before + 2);
  expect((await core.db.get("drafts", "g.a"))?.text).toBe("next words");
  expect(composer.draft.get().text).toBe("next words");
});

const kept = () => core.db.get("drafts", "g.a");

test("a file that arrives when one has left and come back is in what is being written there by then", async () => {
  composer.setText("old");
  const attaching = attach("x.txt");
  composer.close();
  composer = compose();
  composer.setText("new words");
  await attaching;
  expect(composer.draft.get()).toMatchObject({ text: "new words", uploads: [{ name: "x.txt" }] });
  await until("it is kept", async () => (await kept())?.uploads.length === 1);
  expect(await kept()).toMatchObject({ text: "new words" });
});

test("a file that arrives where nobody writes any more waits in the draft", async () => {
  const attaching = attach("x.txt");
  composer.close();
  const inBetween = compose();
  inBetween.setText("words of the second time");
  inBetween.close();
  await attaching;
  expect(await kept()).toMatchObject({ text: "words of the second time", uploads: [expect.any(String)] });
  composer = compose();
  expect(composer.draft.get()).toMatchObject({ text: "words of the second time", uploads: [{ name: "x.txt" }] });
});

test("what is sent while a file arrives goes with the file", async () => {
  composer.setText("look");
  const attaching = attach("x.txt");
  composer.send();
  expect(core.outbox).toEqual([]);
  expect(composer.draft.get().text, "and stays in the field so long").toBe("look");
  await attaching;
  expect(core.outbox).toMatchObject([{ event: { text: "look" }, uploads: [expect.any(String)] }]);
  expect(composer.draft.get()).toMatchObject({ text: "", uploads: [] });
});

test("so does what is sent after one has left and come back", async () => {
  const attaching = attach("x.txt");
  composer.close();
  composer = compose();
  composer.setText("look");
  composer.send();
  await attaching;
  expect(core.outbox).toMatchObject([{ event: { text: "look" }, uploads: [expect.any(String)] }]);
});

test("whoever goes on writing while a file arrives has not finished, and a file that does not arrive sends nothing", async () => {
  composer.setText("loo");
  const attaching = attach("x.txt");
  composer.send();
  composer.setText("look");
  await attaching;
  expect(core.outbox).toEqual([]);
  beforePut = () => {
    throw new DOMException("full", "QuotaExceededError");
  };
  const failing = attach("y.txt");
  composer.send();
  await expect(failing).rejects.toThrow("full");
  expect(core.outbox).toEqual([]);
  composer.send();
  expect(core.outbox).toMatchObject([{ event: { text: "look" }, uploads: [expect.any(String)] }]);
});

test("whether one may write in a group is unknown until the server has said it", async () => {
  const write = async (more: object): Promise<void> => {
    await core.db.put("conversations", { ...unknownConversation("g.a", ME), ...more });
    core.changed({ conversations: ["g.a"] });
  };
  const told = (obstacle: string): Promise<void> =>
    until(obstacle, () => {
      composer.refresh();
      return composer.obstacle.get() === obstacle;
    });
  await write({});
  await told("unknown");
  await write({ title: "The house", role: "member" });
  await told("empty");
  await write({ title: "The house" });
  await told("not_a_member");
});

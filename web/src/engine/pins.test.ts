import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { EventFrame, ServerFrame } from "../protocol/types.ts";
import type { Core } from "./core.ts";
import { History } from "./history.ts";
import { ingest } from "./ingest.ts";
import { Pins } from "./pins.ts";
import { Quotes } from "./quotes.ts";
import { frame } from "./testing.ts";
import { coreOf, endOf, ME } from "./testing.core.ts";

let core: Core;
let pins: Pins;
let asked: string[] = [];
let isOnline = true;
/** What the server has, newest first, in pages of two; and up to where it knows. */
let pinned: number[] = [];
let asOf = 0;
/** Happens while an answer is on its way. */
let meanwhile: (() => Promise<unknown>) | undefined;

const message = (seq: number): EventFrame => ({ ...frame(seq, { kind: "message", text: `m${seq}` }), state: { pinned: true } }) as EventFrame;

async function answer(input: Parameters<typeof fetch>[0]): Promise<Response> {
  if (!isOnline) throw new TypeError("no network");
  const { searchParams } = new URL(String(input), "http://server");
  const from = Number(searchParams.get("cursor") ?? 0);
  asked.push(String(from));
  const body = { as_of: asOf, items: pinned.slice(from, from + 2).map(message), ...(from + 2 < pinned.length ? { next: String(from + 2) } : {}) };
  const happens = meanwhile;
  meanwhile = undefined;
  await happens?.();
  return Response.json(body);
}

beforeEach(async () => {
  asked = [];
  isOnline = true;
  pinned = [9, 7, 5, 3, 1];
  asOf = 10;
  core = await coreOf(answer);
  const history = new History(core, "g.a");
  pins = new Pins(core, history, new Quotes(core, history, () => {}));
  await take({ type: "event", ...frame(10, { kind: "message", text: "m10" }, { prev: 9 }) });
});
afterEach(() => endOf(core));

const take = (...frames: ServerFrame[]) => ingest(core.db, core.http, ME, frames);
const shown = () => ({ seqs: pins.cell.get().items.map(({ seq }) => seq), complete: pins.cell.get().complete });

/** The device was away for long: what it had is gone. */
async function gap(to: number): Promise<void> {
  await take({ type: "gap", conversation: "g.a", from: 10, to });
  asOf = to;
}

test("all pages are read once", async () => {
  await pins.load();
  expect(shown()).toEqual({ seqs: [9, 7, 5, 3, 1], complete: true });
  await pins.load();
  expect(asked).toEqual(["0", "2", "4"]);
});

test("after a gap they are looked for again, if somebody had looked", async () => {
  await gap(20);
  await pins.lost();
  expect([asked, shown()]).toEqual([[], { seqs: [], complete: false }]);
  await pins.load();
  await gap(30);
  pinned = [25, ...pinned];
  await pins.lost();
  expect(shown()).toEqual({ seqs: [25, 9, 7, 5, 3, 1], complete: true });
});

test("a gap while they are read takes the pages before it: they are read from the beginning", async () => {
  asOf = 20;
  meanwhile = async () => {
    meanwhile = async () => {
      await gap(20);
      void pins.lost();
    };
  };
  await pins.load();
  expect(shown()).toEqual({ seqs: [9, 7, 5, 3, 1], complete: true });
  expect(asked).toEqual(["0", "2", "4", "0", "2", "4"]);
});

test("an answer that is older than the chain is not all", async () => {
  pinned = [9, 7, 5];
  let times = 0;
  const each = async () => {
    times += 1;
    meanwhile = each;
  };
  meanwhile = each;
  await gap(20);
  asOf = 15;
  await pins.load();
  expect(shown()).toEqual({ seqs: [], complete: false });
  expect(times, "and is asked for no more than a few times").toBe(4);
});

test("offline nothing is known; back online it is looked for again", async () => {
  isOnline = false;
  await expect(pins.load()).rejects.toMatchObject({ code: "offline" });
  await pins.again();
  expect(shown().complete).toBe(false);
  isOnline = true;
  await pins.again();
  expect(shown()).toEqual({ seqs: [9, 7, 5, 3, 1], complete: true });
});

import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { ServerFrame } from "../protocol/types.ts";
import type { Core } from "./core.ts";
import { History } from "./history.ts";
import { ingest } from "./ingest.ts";
import { frame } from "./testing.ts";
import { coreOf, endOf, ME } from "./testing.core.ts";

let core: Core;
let history: History;
let asked = 0;
/** Up to where the server knows, when it is asked for the so manieth time. */
let asOf = (_time: number) => 0;

beforeEach(async () => {
  asked = 0;
  core = await coreOf(async (input) => {
    asked += 1;
    const { searchParams } = new URL(String(input), "http://server");
    const seq = Number(searchParams.get("before") ?? 12) - 1;
    const items = [{ ...frame(seq, { kind: "message", text: `m${seq}` }), state: {} }];
    return Response.json({ items, as_of: asOf(asked), more_before: false, more_after: false });
  });
  history = new History(core, "g.a");
  // What is before 10 may have been changed by what a gap left out.
  await take({ type: "gap", conversation: "g.a", from: 1, to: 9 });
  await take({ type: "event", ...frame(10, { kind: "message", text: "m10" }) });
});
afterEach(() => endOf(core));

const take = (...frames: ServerFrame[]) => ingest(core.db, core.http, ME, frames);

test("a page that is older than the chain is asked for again", async () => {
  asOf = (time) => (time < 3 ? 8 : 10);
  expect(await history.before(10)).toMatchObject({ rows: [{ seq: 9 }], atStart: true });
  expect(asked).toBe(3);
});

test("where every page is older, nothing is said about what is there", async () => {
  asOf = () => 8;
  for (const read of [() => history.before(10), () => history.after(4), () => history.around(4), () => history.newest(), () => history.fetchThread(4)]) {
    asked = 0;
    await expect(read()).rejects.toMatchObject({ code: "unavailable" });
    expect(asked).toBe(4);
  }
});

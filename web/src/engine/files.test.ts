import "fake-indexeddb/auto";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { Core } from "./core.ts";
import { Files } from "./files.ts";
import { coreOf, endOf } from "./testing.core.ts";

let core: Core;
let asked: string[] = [];

beforeEach(async () => {
  asked = [];
  core = await coreOf(async (input) => {
    asked.push(String(input));
    return Response.json({ url: `/signed/${asked.length}`, expires_at: new Date(Date.now() + 3_600_000).toISOString() });
  });
});
afterEach(() => endOf(core));

test("an address is asked for once, until it is said to be of no use", async () => {
  const files = new Files(core);
  expect([await files.url("a"), await files.url("a"), await files.url("a", "thumb"), await files.url("b")]).toEqual([
    "/signed/1",
    "/signed/1",
    "/signed/2",
    "/signed/3",
  ]);
  files.forget("a");
  expect([await files.url("a"), await files.url("a", "thumb"), await files.url("b")]).toEqual(["/signed/4", "/signed/5", "/signed/3"]);
});

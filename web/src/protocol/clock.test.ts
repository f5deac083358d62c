import { expect, test } from "vitest";
import { millisOf, ServerClock } from "./clock.ts";

test("ids rise, also within a millisecond, and are on the server's time", () => {
  const clock = new ServerClock();
  clock.hear(new Date(Date.now() + 60_000).toISOString());
  const ids = Array.from({ length: 5_000 }, () => clock.mint());
  expect([...ids].sort()).toEqual(ids);
  expect(new Set(ids).size).toBe(ids.length);
  expect(Math.abs(millisOf(ids[0] ?? "") - Date.now() - 60_000)).toBeLessThan(2_000);
  expect(ids[0]).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
});

test("ids of a clock that ran ahead do not pull later ones along", () => {
  const clock = new ServerClock(3_600_000);
  const early = clock.mint();
  clock.hear(new Date().toISOString());
  expect(clock.isAhead(early)).toBe(true);
  expect(clock.isAhead(clock.mint())).toBe(false);
});

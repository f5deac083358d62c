import { expect, test } from "vitest";
import { cut, holding, join, type Range } from "./ranges.ts";

test("pieces that touch or overlap become one, others stay apart", () => {
  let ranges: Range[] = [];
  ranges = join(ranges, { from: 10, to: 20 });
  ranges = join(ranges, { from: 30, to: 40 });
  expect(ranges).toEqual([{ from: 10, to: 20 }, { from: 30, to: 40 }]);
  ranges = join(ranges, { from: 21, to: 25 });
  expect(ranges).toEqual([{ from: 10, to: 25 }, { from: 30, to: 40 }]);
  ranges = join(ranges, { from: 24, to: 31 });
  expect(ranges).toEqual([{ from: 10, to: 40 }]);
  expect(join(ranges, { from: 5, to: 4 }), "nothing").toEqual(ranges);
});

test("any order of pieces gives the same whole", () => {
  // A sequence from a seed, so that a failure can be repeated.
  let seed = 7;
  const random = (below: number) => (seed = (seed * 48_271) % 2_147_483_647) % below;
  for (let round = 0; round < 200; round += 1) {
    const seen = new Set<number>();
    let ranges: Range[] = [];
    for (let at = 0; at < 12; at += 1) {
      const from = random(80);
      const to = from + random(9);
      ranges = join(ranges, { from, to });
      for (let seq = from; seq <= to; seq += 1) seen.add(seq);
    }
    for (let seq = 0; seq < 100; seq += 1) expect(holding(ranges, seq) !== undefined).toBe(seen.has(seq));
    for (let at = 1; at < ranges.length; at += 1) {
      expect(ranges[at]?.from).toBeGreaterThan((ranges[at - 1]?.to ?? 0) + 1);
    }
  }
});

test("there is a limit, and the newest and the one just added stay", () => {
  let ranges: Range[] = [{ from: 10_000, to: 10_000 }];
  for (let at = 0; at < 100; at += 1) ranges = join(ranges, { from: at * 10, to: at * 10 + 1 });
  expect(ranges.length).toBeLessThanOrEqual(24);
  expect(holding(ranges, 10_000)).toBeDefined();
  expect(holding(ranges, 990)).toBeDefined();
});

test("what is cut off is forgotten", () => {
  expect(cut([{ from: 0, to: 5 }, { from: 8, to: 20 }], 10)).toEqual([{ from: 10, to: 20 }]);
});

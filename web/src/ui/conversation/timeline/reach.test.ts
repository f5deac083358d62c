import { expect, test } from "vitest";
import type { WindowState } from "../../../engine/api.ts";
import { isFar, needed, readUpTo } from "./reach.ts";
import type { Row, Surface } from "./surface.ts";

/** A screen of 400 px, scrolled so far, over rows whose edges are given in px from the beginning; so many are stored. */
function surface(above: number, edges: readonly number[], stored = Infinity): Surface {
  const row = (at: number): Row | undefined => {
    const [top, bottom] = [edges[at], edges[at + 1]];
    return top === undefined || bottom === undefined ? undefined : { key: `${at}`, seq: at < stored ? at + 1 : undefined, top: top - above, bottom: bottom - above };
  };
  return { height: 400, size: edges.at(-1) ?? 0, above, count: edges.length - 1, row, find: () => undefined, scrollTo: () => {} };
}

const rest: WindowState = { items: [], hasOlder: true, hasNewer: true, loading: undefined, failure: undefined, anchor: undefined };

test("a message is read when all of it was on the screen, or the middle of the screen is in it", () => {
  const edges = [0, 100, 200, 1_000, 1_100];
  expect(readUpTo(surface(0, edges)), "the third begins in the upper half").toBe(3);
  expect(readUpTo(surface(0, [0, 100, 300, 1_000])), "and here in the lower half").toBe(2);
  expect(readUpTo(surface(700, edges)), "the last to its end").toBe(4);
  expect(readUpTo(surface(700, edges, 2)), "what is not stored was not read").toBe(2);
  expect(readUpTo(surface(700, edges, 0))).toBeUndefined();
  expect(readUpTo(surface(0, [0])), "nothing is there").toBeUndefined();
});

test("more is asked for at the side that is near, one thing at a time, and not again after a failure", () => {
  const edges = Array.from({ length: 201 }, (_, at) => at * 50);
  expect(needed(surface(1_000, edges), rest)).toBe("older");
  expect(needed(surface(5_000, edges), rest)).toBeUndefined();
  expect(needed(surface(9_000, edges), rest)).toBe("newer");
  expect(needed(surface(1_000, edges), { ...rest, hasOlder: false })).toBeUndefined();
  expect(needed(surface(1_000, edges), { ...rest, loading: "newer" })).toBeUndefined();
  expect(needed(surface(1_000, edges), { ...rest, failure: "unavailable" })).toBeUndefined();
});

test("the newest is far when it is not loaded, and when it is out of sight", () => {
  const edges = [0, 500, 1_000];
  expect([isFar(surface(600, edges), false), isFar(surface(600, edges), true), isFar(surface(0, edges), false)]).toEqual([false, true, true]);
});

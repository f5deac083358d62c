import { expect, test } from "vitest";
import type { MessageRow } from "./rows.ts";
import { ROWS_MAX, Stretch } from "./stretch.ts";

function rows(from: number, count: number): MessageRow[] {
  return Array.from({ length: count }, (_, at) => {
    return { c: "g.a", seq: from + at, ts: 0, sender: "ana", event: { kind: "message", text: "" }, reactions: [], asOf: 0 } as MessageRow;
  });
}
const ends = (stretch: Stretch) => [stretch.rows[0]?.seq, stretch.rows.at(-1)?.seq, stretch.rows.length];

test("older ones push out the newest, newer ones the oldest", () => {
  const stretch = new Stretch();
  stretch.take({ rows: rows(1_000, ROWS_MAX - 10), atStart: false, atEnd: true });
  stretch.prepend({ rows: rows(980, 20), atStart: true, atEnd: false });
  expect(ends(stretch)).toEqual([980, 979 + ROWS_MAX, ROWS_MAX]);
  expect([stretch.atStart, stretch.atEnd]).toEqual([true, false]);
  stretch.append({ rows: rows(980 + ROWS_MAX, 20), atStart: false, atEnd: true });
  expect(ends(stretch)).toEqual([1_000, 999 + ROWS_MAX, ROWS_MAX]);
  expect([stretch.atStart, stretch.atEnd]).toEqual([false, true]);
});

test("what comes is held inside it, and after it only where it reaches the end", () => {
  const stretch = new Stretch();
  expect(stretch.holds(7), "an empty conversation").toBe(true);
  stretch.take({ rows: rows(10, 5), atStart: false, atEnd: false });
  expect([9, 10, 14, 15].map((seq) => stretch.holds(seq))).toEqual([false, true, true, false]);
  stretch.append({ rows: rows(15, 1), atStart: false, atEnd: true });
  expect(stretch.holds(16)).toBe(true);
});

test("what changed replaces the same seq, in order, and a flood has a limit", () => {
  const stretch = new Stretch();
  stretch.take({ rows: rows(10, 3), atStart: true, atEnd: true });
  const changed = { ...rows(11, 1)[0]!, asOf: 20 };
  stretch.put([rows(14, 1)[0]!, changed]);
  expect(stretch.rows.map(({ seq, asOf }) => [seq, asOf])).toEqual([[10, 0], [11, 20], [12, 0], [14, 0]]);
  stretch.put(rows(20, ROWS_MAX * 2));
  expect(ends(stretch)).toEqual([20 + ROWS_MAX, 19 + ROWS_MAX * 2, ROWS_MAX]);
  expect(stretch.atStart).toBe(false);
});

test("in a flood those stay that are around what is read", () => {
  const stretch = new Stretch();
  stretch.take({ rows: rows(0, ROWS_MAX), atStart: true, atEnd: true });
  const flood = rows(ROWS_MAX, 130);
  stretch.put(flood.slice(0, 120), 40);
  expect(ends(stretch), "so many more are kept").toEqual([0, ROWS_MAX + 119, ROWS_MAX + 120]);
  stretch.put(flood, 40);
  expect(ends(stretch)).toEqual([0, ROWS_MAX - 1, ROWS_MAX]);
  expect([stretch.atStart, stretch.atEnd]).toEqual([true, false]);

  stretch.take({ rows: rows(0, ROWS_MAX + 120), atStart: true, atEnd: true });
  stretch.put(rows(ROWS_MAX + 120, 1), 200);
  expect(ends(stretch), "in the middle on both sides").toEqual([20, 19 + ROWS_MAX, ROWS_MAX]);
  expect([stretch.atStart, stretch.atEnd]).toEqual([false, false]);

  stretch.take({ rows: rows(0, ROWS_MAX + 120), atStart: true, atEnd: true });
  stretch.put(rows(ROWS_MAX + 120, 1), ROWS_MAX + 61);
  expect(ends(stretch), "near the end all that is new").toEqual([121, ROWS_MAX + 120, ROWS_MAX]);
  expect([stretch.atStart, stretch.atEnd]).toEqual([false, true]);
});

test("after a gap nothing is known of what is before or after, until it is read again", () => {
  const stretch = new Stretch();
  stretch.take({ rows: rows(10, 5), atStart: true, atEnd: true });
  stretch.cutOff();
  expect([stretch.atStart, stretch.atEnd]).toEqual([false, false]);
  expect([9, 10, 14, 15].map((seq) => stretch.holds(seq))).toEqual([false, true, true, false]);
  stretch.take({ rows: [], atStart: true, atEnd: true });
  stretch.cutOff();
  expect(stretch.holds(7)).toBe(false);
});

import { expect, test } from "vitest";
import { Place } from "./place.ts";
import { Rows } from "./testing.ts";

/** Somewhere in the middle, with row 20 cut off by the upper edge. */
function reading(): { rows: Rows; place: Place } {
  const rows = new Rows(Rows.many(0, 60));
  const place = new Place(rows);
  place.settle(true);
  rows.scrollTo(1_030);
  place.scrolled(true);
  return { rows, place };
}

test("at the end it stays at the end, whatever comes and grows", () => {
  const rows = new Rows(Rows.many(0, 30));
  const place = new Place(rows);
  place.settle(true);
  rows.rows.push({ key: "30", px: 300 });
  place.settle(true);
  expect(rows.above).toBe(rows.size - 400);
  rows.grow("12", 500);
  place.settle(true);
  expect(rows.above).toBe(rows.size - 400);
});

test("rows that come above, go below and grow above move nothing that is read", () => {
  const { rows, place } = reading();
  const before = rows.top("24");
  rows.rows = [...Rows.many(-20, 20, 37), ...rows.rows.slice(0, 40)];
  place.settle(false);
  expect(rows.top("24")).toBe(before);
  rows.grow("3", 400);
  place.settle(false);
  expect(rows.top("24")).toBe(before);
  expect(place.atEnd).toBe(false);
});

test("a row that is cut off at the top grows out of sight", () => {
  const { rows, place } = reading();
  const before = rows.top("21");
  rows.grow("20", 330);
  place.settle(true);
  expect(rows.top("21")).toBe(before);
});

test("what is scrolled in the frame in which rows grow is scrolled, and no more", () => {
  const { rows, place } = reading();
  const before = rows.top("24");
  rows.grow("5", 250);
  rows.scrollTo(rows.above - 40);
  place.scrolled(true);
  expect(rows.top("24")).toBe(before + 40);
});

test("one who scrolls up is not taken back to the end by what comes in the same frame", () => {
  const rows = new Rows(Rows.many(0, 60));
  const place = new Place(rows);
  place.settle(true);
  rows.rows.push({ key: "60", px: 100 });
  rows.scrollTo(rows.above - 120);
  const before = rows.top("52");
  place.scrolled(true);
  expect(place.atEnd).toBe(false);
  expect(rows.top("52")).toBe(before);
});

test("a jump arrives once there is enough below its row, and a scroll of the person ends it", () => {
  const rows = new Rows(Rows.many(0, 25));
  const place = new Place(rows);
  expect(place.goTo({ key: "22", align: "start", turn: 1 }, false)).toBe(true);
  expect(rows.top("22"), "the end of what is there").toBe(250);
  rows.rows.push(...Rows.many(25, 20));
  place.settle(false);
  expect(rows.top("22")).toBe(0);

  place.goTo({ key: "40", align: "start", turn: 2 }, false);
  rows.scrollTo(rows.above - 100);
  place.scrolled(false);
  const before = rows.top("30");
  rows.rows.push(...Rows.many(45, 20));
  place.settle(false);
  expect(rows.top("30")).toBe(before);

  // Also where rows come in the same frame.
  place.goTo({ key: "60", align: "start", turn: 3 }, false);
  const going = rows.top("60");
  rows.rows.push(...Rows.many(65, 20));
  rows.scrollTo(rows.above - 100);
  place.scrolled(false);
  expect(rows.top("60")).toBe(going + 100);
});

test("a jump to the middle puts the row into the middle; one to a row that is not there is not made", () => {
  const { rows, place } = reading();
  expect(place.goTo({ key: "40", align: "center", turn: 1 }, true)).toBe(true);
  expect(rows.top("40")).toBe(175);
  expect(place.goTo({ key: "nowhere", align: "center", turn: 2 }, true)).toBe(false);
  expect(rows.top("40")).toBe(175);
});

test("a jump to the last row follows the end", () => {
  const { rows, place } = reading();
  place.goTo({ key: "59", align: "end", turn: 1 }, true);
  expect(place.atEnd).toBe(true);
  expect(rows.above).toBe(rows.size - 400);
});

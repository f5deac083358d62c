import { expect, test } from "vitest";
import type { WindowState } from "../../../engine/api.ts";
import { Scrolling } from "./scrolling.svelte.ts";
import { Rows } from "./testing.ts";

function timeline(state: Partial<WindowState> = {}) {
  const rows = new Rows(Rows.many(1, 100));
  const asked: string[] = [];
  const window: WindowState = { items: [], hasOlder: true, hasNewer: false, loading: undefined, failure: undefined, anchor: undefined, ...state };
  const seen = { it: true };
  const stays: (number | undefined)[] = [];
  const scrolling = new Scrolling(rows, {
    window: () => window,
    isSeen: () => seen.it,
    onstay: (seq) => void stays.push(seq),
    onseen: (seq) => void asked.push(`seen ${seq}`),
    onolder: () => void asked.push("older"),
    onnewer: () => void asked.push("newer"),
  });
  return { rows, asked, seen, stays, scrolling };
}

test("at the end everything is read; up there more is asked for, and the button to the newest is of use", () => {
  const { rows, asked, scrolling } = timeline();
  scrolling.settle();
  expect(asked.splice(0)).toEqual(["seen 100"]);
  expect(scrolling.far).toBe(false);
  rows.scrollTo(1_000);
  scrolling.scrolled();
  expect(asked).toEqual(["seen 28", "older"]);
  expect(scrolling.far).toBe(true);
});

test("what nobody sees is not read", () => {
  const { asked, seen, scrolling } = timeline();
  seen.it = false;
  scrolling.settle();
  expect(asked).toEqual([]);
});

test("it says where it stays, seen or not: at a message, or at the end and what is nearly there", () => {
  const { rows, seen, stays, scrolling } = timeline();
  seen.it = false;
  scrolling.settle();
  rows.scrollTo(1_000);
  scrolling.scrolled();
  rows.scrollTo(rows.size - rows.height - 20);
  scrolling.scrolled();
  expect(stays).toEqual([undefined, 28, undefined]);
});

test("a jump is made once, and tells which row one looked for", () => {
  const { rows, scrolling } = timeline();
  expect(scrolling.follow({ key: "50", align: "start", turn: 1 })).toBeUndefined();
  expect(rows.top("50")).toBe(0);
  expect(scrolling.follow({ key: "60", align: "center", turn: 2 })).toBe("60");
  rows.scrollTo(0);
  expect(scrolling.follow({ key: "60", align: "center", turn: 2 })).toBeUndefined();
  expect(rows.above).toBe(0);
});

test("while it is not laid out it keeps its place, and asks for nothing", () => {
  const { rows, asked, scrolling } = timeline();
  scrolling.settle();
  rows.scrollTo(2_000);
  scrolling.scrolled();
  asked.length = 0;
  const laidOut = rows.rows;
  [rows.height, rows.rows] = [0, []];
  scrolling.settle();
  scrolling.scrolled();
  expect(asked).toEqual([]);
  [rows.height, rows.rows] = [400, laidOut];
  rows.scrollTo(2_000);
  scrolling.settle();
  expect(rows.above).toBe(2_000);
});

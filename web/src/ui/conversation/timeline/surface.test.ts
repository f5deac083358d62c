import { expect, test } from "vitest";
import { firstBelow, firstWhole } from "./surface.ts";
import { Rows } from "./testing.ts";

test("the first row is found by what reaches into the screen, or is whole on it", () => {
  const surface = new Rows(Rows.many(1, 20));
  const first = (above: number): [number, number] => {
    surface.scrollTo(above);
    return [firstBelow(surface, 0), firstWhole(surface)];
  };
  expect(first(0)).toEqual([0, 0]);
  expect(first(100), "exactly at its upper edge").toEqual([2, 2]);
  expect(first(149.5), "half a pixel of one").toEqual([2, 3]);
});

test("where no row is whole, the first is the one that is seen", () => {
  const surface = new Rows([{ key: "1", px: 900 }, { key: "2", px: 300 }, { key: "3", px: 50 }]);
  surface.scrollTo(100);
  expect(firstWhole(surface), "it fills the screen").toBe(0);
  surface.scrollTo(700);
  expect(firstWhole(surface), "the next is cut at the lower edge").toBe(0);
  surface.scrollTo(800);
  expect(firstWhole(surface)).toBe(1);
  surface.rows = [];
  expect(firstWhole(surface), "nothing is there").toBe(0);
});

import { describe, expect, it } from "vitest";
import { boxOf } from "./box.ts";

describe("the box of a picture", () => {
  it("keeps the ratio and fits", () => {
    expect(boxOf(4000, 2000)).toEqual({ width: 360, ratio: 2 });
    expect(boxOf(1000, 2000)).toEqual({ width: 180, ratio: 0.5 });
  });

  it("is not larger than a small picture, and can be touched", () => {
    expect(boxOf(200, 200).width).toBe(200);
    expect(boxOf(1, 1).width).toBe(120);
  });

  it("crops what is very long", () => {
    expect(boxOf(10, 10_000).ratio).toBeCloseTo(1 / 3);
    expect(boxOf(10_000, 10).ratio).toBe(3);
  });

  it("has a size when nothing is known", () => {
    expect(boxOf(undefined, 5)).toEqual({ width: 360, ratio: 4 / 3 });
    expect(boxOf(0, 0)).toEqual({ width: 360, ratio: 4 / 3 });
  });
});

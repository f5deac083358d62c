import { describe, expect, it } from "vitest";
import { barsOf, levelOf } from "./waveform.ts";

describe("bars of a recording", () => {
  it("are as many as asked for, from few values and from many", () => {
    expect(barsOf([255], 4)).toEqual([1, 1, 1, 1]);
    expect(barsOf(Array.from({ length: 1000 }, () => 100), 7)).toEqual([1, 1, 1, 1, 1, 1, 1]);
  });

  it("show the loudest of their part, and silence", () => {
    expect(barsOf([0, 200, 0, 0], 2)).toEqual([1, 0.12]);
  });

  it("are even without a waveform", () => {
    expect(new Set(barsOf(undefined)).size).toBe(1);
    expect(new Set(barsOf([])).size).toBe(1);
  });
});

describe("a level", () => {
  it("is low for silence and at most whole", () => {
    expect(levelOf(new Float32Array(64))).toBe(0.12);
    expect(levelOf(new Float32Array(64).fill(1))).toBe(1);
    expect(levelOf(new Float32Array(0))).toBe(0.12);
  });
});

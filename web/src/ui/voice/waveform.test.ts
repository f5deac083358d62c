import { describe, expect, it } from "vitest";
import { peaksOf } from "./peaks.ts";
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

describe("peaks", () => {
  it("are the loudest of each part, whatever the sign", () => {
    expect(peaksOf(new Float32Array([0, -1, 0.2, 0.1]), 2)).toEqual([255, 51]);
  });

  it("are no more than samples, and none of nothing", () => {
    expect(peaksOf(new Float32Array([1]), 96)).toEqual([255]);
    expect(peaksOf(new Float32Array(0))).toEqual([]);
  });
});

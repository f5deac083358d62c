import { describe, expect, it } from "vitest";
import { seekTo } from "./seek.ts";

describe("seeking by keys", () => {
  it("goes by steps, and no further than the ends", () => {
    expect(seekTo("ArrowRight", 1_000, 60_000, false)).toBe(6_000);
    expect(seekTo("ArrowLeft", 1_000, 60_000, false)).toBe(0);
    expect(seekTo("PageUp", 50_000, 60_000, false)).toBe(60_000);
    expect(seekTo("Home", 50_000, 60_000, false)).toBe(0);
    expect(seekTo("End", 50_000, 60_000, false)).toBe(60_000);
    expect(seekTo("a", 50_000, 60_000, false)).toBeUndefined();
  });

  it("follows the direction of the text, up and down do not", () => {
    expect(seekTo("ArrowLeft", 1_000, 60_000, true)).toBe(6_000);
    expect(seekTo("ArrowRight", 6_000, 60_000, true)).toBe(1_000);
    expect(seekTo("ArrowUp", 1_000, 60_000, true)).toBe(6_000);
  });
});

import { describe, expect, it } from "vitest";
import { percent } from "./percent.ts";

describe("a percentage", () => {
  it("is whole only when everything is there", () => {
    expect(percent(0.999)).toBe("99%");
    expect(percent(1)).toBe("100%");
    expect(percent(0)).toBe("0%");
    expect(percent(-1)).toBe("0%");
  });
});

import { describe, expect, it } from "vitest";
import { nameOf } from "./name.ts";

describe("a name", () => {
  it("is counted in bytes, without the spaces around it", () => {
    expect(nameOf("  Ana Lima ")).toBe("Ana Lima");
    expect(nameOf("é".repeat(64))).toBe("é".repeat(64));
    expect(nameOf("é".repeat(65))).toBeUndefined();
    expect(nameOf("   ")).toBeUndefined();
  });
});

import { describe, expect, it } from "vitest";
import { nameOf } from "./name.ts";

describe("a name", () => {
  it("is counted in bytes, without the spaces around it", () => {
    expect(nameOf("  Ana Lima ")).toBe("Ana Lima");
    expect(nameOf("é".repeat(128))).toBe("é".repeat(128));
    expect(nameOf("é".repeat(129))).toBeUndefined();
    expect(nameOf("   ")).toBeUndefined();
  });
});

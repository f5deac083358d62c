import { expect, it } from "vitest";
import { hueOf, initials } from "./initials.ts";

it("takes the first characters of the first and the last word", () => {
  expect(initials("Ana Lima")).toBe("AL");
  expect(initials("  ada  king lovelace ")).toBe("AL");
  expect(initials("bo")).toBe("B");
  expect(initials("jo.anna-x")).toBe("JX");
  expect(initials("“Émile” (Zola)")).toBe("ÉZ");
  expect(initials("👩‍👧 family")).toBe("👩‍👧F");
  expect(initials("…")).toBe("?");
});

it("gives an id one of eight colours", () => {
  const hues = new Set(Array.from({ length: 200 }, (_, index) => hueOf(`id${index}`)));
  expect([...hues].sort()).toEqual([0, 1, 2, 3, 4, 5, 6, 7]);
});

import { expect, test } from "vitest";
import { references } from "./references.ts";

test("what makes no sense is left out, and what is too much is cut", () => {
  expect(references("media")).toEqual([]);
  expect(references([null, 7, "x", {}, { id: 5 }, { id: "../x" }])).toEqual([]);
  const hostile = { id: "b2f6", name: 3, type: null, size: -1, width: Infinity, height: "9", placeholder: "x".repeat(1e6), alt: {} };
  expect(references([hostile])).toEqual([{ id: "b2f6", name: "b2f6", type: "application/octet-stream", size: 0 }]);
  expect(references(Array.from({ length: 50 }, () => hostile))).toHaveLength(20);
  const plain = { id: "b2f6", name: "plan.png", type: "image/png", size: 9, width: 12, height: 8, alt: "The plan" };
  expect(references([{ ...plain, unknown: 1 }])).toEqual([plain]);
});

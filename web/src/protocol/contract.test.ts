import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { contract } from "./generate.mjs";

test("the types are those of the documents", async () => {
  const written = readFileSync(new URL("contract.ts", import.meta.url), "utf8");
  expect(await contract()).toBe(written);
});

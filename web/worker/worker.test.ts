import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { fill } from "./plugin.ts";

const template = readFileSync(new URL("worker.js", import.meta.url), "utf8");

describe("the service worker", () => {
  it("gets its version and its files, and is a script", () => {
    const filled = fill(template, "0123", ["/", "/assets/a.js"]);
    expect(filled).toContain('const VERSION = "0123";');
    expect(filled).toContain('const SHELL = ["/","/assets/a.js"];');
    expect(() => new Function("self", "caches", filled)).not.toThrow();
  });

  it("is not made from a template without its marks", () => {
    expect(() => fill("// @version@", "1", [])).toThrow();
  });
});

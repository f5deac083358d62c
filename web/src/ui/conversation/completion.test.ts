import { describe, expect, it } from "vitest";
import { complete, inCode, unfinishedMention } from "./completion.ts";

describe("completion of a mention", () => {
  it("begins at an @ that begins a word", () => {
    expect(unfinishedMention("@", 1)).toEqual({ from: 0, prefix: "" });
    expect(unfinishedMention("hi @bo.l", 8)).toEqual({ from: 3, prefix: "bo.l" });
    expect(unfinishedMention("hi @bo there", 6)).toEqual({ from: 3, prefix: "bo" });
    expect(unfinishedMention("a@b", 3)).toBeUndefined();
    expect(unfinishedMention("@bo ", 4)).toBeUndefined();
  });

  it("leaves code alone", () => {
    expect(inCode("```\n@", 5)).toBe(true);
    expect(unfinishedMention("```\n@dec", 8)).toBeUndefined();
    expect(unfinishedMention("```\nx\n```\n@bo", 13)).toEqual({ from: 10, prefix: "bo" });
  });

  it("puts the name and one space", () => {
    expect(complete("hi @b", 5, { from: 3, prefix: "b" }, "bo")).toEqual({ text: "hi @bo ", caret: 7 });
    expect(complete("@b you", 2, { from: 0, prefix: "b" }, "bo")).toEqual({ text: "@bo you", caret: 3 });
  });
});

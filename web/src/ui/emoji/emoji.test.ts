import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { emojiOf, findEmoji, GROUPS } from "./data.ts";
import { ranked } from "./recent.ts";

const all = (language: string) =>
  emojiOf(JSON.parse(readFileSync(new URL(`../../../node_modules/emoji-picker-element-data/${language}/cldr-native/data.json`, import.meta.url), "utf8")));

describe("emoji", () => {
  it.each(["en", "de"])("of every group have a name (%s)", (language) => {
    const emoji = all(language);
    for (const group of GROUPS) expect(emoji.filter((one) => one.group === group).length).toBeGreaterThan(50);
    expect(emoji.every(({ name, words }) => name !== "" && words.length > 0)).toBe(true);
    expect(new Set(emoji.map((one) => one.emoji)).size).toBe(emoji.length);
  });

  it("are found by beginnings of words in the language", () => {
    expect(findEmoji(all("en"), "thumbs u").map((one) => one.emoji)).toContain("👍️");
    expect(findEmoji(all("de"), "daumen hoch")[0]?.emoji).toContain("👍");
    expect(findEmoji(all("en"), "zzzzz")).toEqual([]);
    expect(findEmoji(all("en"), "thumbs zebra")).toEqual([]);
    expect(findEmoji(all("en"), "  ")).toEqual([]);
  });
});

describe("often used emoji", () => {
  it("are those of the last picks, the most frequent first, without doubles", () => {
    expect(ranked(["a", "b", "a", "c"], 2)).toEqual(["a", "c"]);
    expect(ranked([], 5)).toEqual([]);
  });
});

import { describe, expect, it } from "vitest";
import { filterOf, isSameWord, onlyLeavesOut, searchable, take, withFilter } from "./query.ts";

describe("a suggestion that is taken", () => {
  it("stands where the typed part was, with a space", () => {
    expect(take("printer ad", 10, { replaces: [8, 10], text: "from:ada" })).toEqual({ text: "printer from:ada ", caret: 17 });
  });

  it("takes the place of what was typed since it was asked for", () => {
    expect(take("printer ada l", 11, { replaces: [8, 10], text: "from:ada" })).toEqual({ text: "printer from:ada l", caret: 17 });
  });

  it("fits the word that it was asked for, longer or shorter, and no other", () => {
    expect(isSameWord("printer from:a", "printer from:ada")).toBe(true);
    expect(isSameWord("printer from:ada", "printer from:")).toBe(true);
    expect(isSameWord("printer from:ada", "printer from:ada b")).toBe(false);
    expect(isSameWord("printer from:ada", "printer from:b")).toBe(false);
    expect(isSameWord("", "printer")).toBe(true);
  });

  it("leaves what is behind the caret", () => {
    expect(take("from:ad printer", 7, { replaces: [0, 7], text: "from:ada" })).toEqual({ text: "from:ada printer", caret: 9 });
    expect(take("from:ad,x", 7, { replaces: [0, 7], text: "from:ada" }).text).toBe("from:ada ,x");
  });
});

describe("a filter", () => {
  it("is put behind the words, once", () => {
    expect(withFilter("printer", "has:link")).toEqual({ text: "printer has:link ", caret: 17 });
    expect(withFilter("printer has:link ", "has:link").text).toBe("printer has:link ");
    expect(withFilter("", "from:")).toEqual({ text: "from:", caret: 5 });
  });

  it("without its name is not searched for", () => {
    expect(searchable("printer from:")).toBe("printer");
    expect(searchable("from:")).toBe("");
    expect(searchable('in:"')).toBe("");
    expect(searchable("from:ada")).toBe("from:ada");
    expect(searchable("see https://a.example ")).toBe("see https://a.example");
  });

  it("of a suggestion is told by its text", () => {
    expect(filterOf({ text: "from:ada" })).toBe("from");
    expect(filterOf({ text: 'in:"the house"' })).toBe("in");
    expect(filterOf({ text: "else" })).toBeUndefined();
  });
});

describe("a query that only leaves out", () => {
  it("is known by its dashes", () => {
    expect(onlyLeavesOut("-usb")).toBe(true);
    expect(onlyLeavesOut('-usb -"no paper" -from:bo')).toBe(true);
    expect(onlyLeavesOut("printer -usb")).toBe(false);
    expect(onlyLeavesOut("-")).toBe(false);
    expect(onlyLeavesOut("")).toBe(false);
  });
});

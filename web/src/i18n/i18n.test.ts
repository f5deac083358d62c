import { describe, expect, it } from "vitest";
import de from "./de.ts";
import en from "./en.ts";
import { format, isolate, type Message } from "./message.ts";

const plurals = new Intl.PluralRules("en");
const numbers = new Intl.NumberFormat("en");

function texts(message: Message): string[] {
  return typeof message === "string" ? [message] : Object.values(message);
}

function parameters(message: Message): string[] {
  const found = texts(message).flatMap((text) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1] ?? ""));
  return [...new Set(found)].sort();
}

describe("every language", () => {
  it("has all messages, and no others", () => {
    expect(Object.keys(de).sort()).toEqual(Object.keys(en).sort());
  });

  it("says something everywhere, with the same parameters", () => {
    for (const [key, message] of Object.entries(en) as [keyof typeof en, Message][]) {
      for (const text of texts(de[key])) expect(text.trim(), key).not.toBe("");
      expect(parameters(de[key]), key).toEqual(parameters(message));
    }
  });

  it("has a text for each plural category of whole numbers", () => {
    for (const [language, messages] of [["en", en], ["de", de]] as const) {
      const categories = new Intl.PluralRules(language).resolvedOptions().pluralCategories;
      for (const [key, message] of Object.entries(messages) as [string, Message][]) {
        if (typeof message !== "string") expect(Object.keys(message).sort(), key).toEqual([...categories].sort());
      }
    }
  });
});

describe("a message", () => {
  it("takes the plural that its count asks for", () => {
    const message: Message = { one: "{count} reply", other: "{count} replies" };
    expect(format(message, { count: 1 }, plurals, numbers)).toBe("1 reply");
    expect(format(message, { count: 1200 }, plurals, numbers)).toBe("1,200 replies");
  });

  it("does not take a parameter's braces for its own", () => {
    expect(format("{a} {b}", { a: "{b}", b: "x" }, plurals, numbers)).toBe("{b} x");
  });

  it("isolates what runs from the right, and closes what it opened", () => {
    expect(isolate("Bo")).toBe("Bo");
    expect(isolate("שלום")).toBe("\u2068שלום\u2069");
    expect(isolate("a\u202eb\u2069c")).toBe("\u2068a\u202ebc\u2069");
  });
});

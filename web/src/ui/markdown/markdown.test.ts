import { describe, expect, it } from "vitest";
import { safeAddress } from "./links.ts";
import { handlesIn, withMentions } from "./mentions.ts";
import { parse, plain, type Nodes } from "./parse.ts";

function types(node: Nodes | undefined): Set<string> {
  if (!node) return new Set();
  const found = new Set<string>([node.type]);
  if ("children" in node) for (const child of node.children) for (const type of types(child)) found.add(type);
  return found;
}

describe("parsing", () => {
  it("leaves plain text alone", () => {
    expect(parse("Good morning, is it 7:30 already?")).toBeUndefined();
  });

  it("knows the subset", () => {
    const found = types(parse("**a** _b_ ~~c~~ `d` [e](https://e.example)\n\n> f\n\n- g\n\n```\nh\n```"));
    for (const type of ["strong", "emphasis", "delete", "inlineCode", "link", "blockquote", "list", "code"]) {
      expect(found, type).toContain(type);
    }
  });

  it("makes neither HTML, pictures, headings nor rules", () => {
    const found = types(parse("# a\n\n<b>x</b>\n\n![y](https://y.example/z.png)\n\n---\n\n[z]: https://z.example\n\n<script>1</script>"));
    for (const type of ["html", "image", "heading", "thematicBreak", "definition"]) {
      expect(found, type).not.toContain(type);
    }
  });

  it("finds bare links", () => {
    expect(types(parse("see https://a.example/b_c_d, please"))).toContain("link");
  });

  it("keeps what was written in previews", () => {
    expect(plain("**The** lease\n\nis `signed` <b>")).toBe("The lease is signed <b>");
    expect(plain("😀".repeat(10), 5)).toBe("😀😀…");
  });
});

describe("links", () => {
  it("lead to the web or to mail, and nowhere else", () => {
    expect(safeAddress("https://a.example/?q=1")).toBe("https://a.example/?q=1");
    expect(safeAddress("mailto:a@b.example")).toBe("mailto:a@b.example");
    for (const address of [
      "javascript:alert(1)",
      "JaVaScRiPt:alert(1)",
      "java\nscript:alert(1)",
      " javascript:alert(1)",
      "data:text/html,<script>alert(1)</script>",
      "vbscript:x",
      "blob:https://a.example/1",
      "file:///etc/passwd",
      "//a.example",
      "/v1/users/me",
      "#/settings",
      "",
    ]) {
      expect(safeAddress(address), address).toBeUndefined();
    }
  });
});

describe("mentions", () => {
  const mentioned = new Map([["bo", "u1"], ["bo.lee", "u2"], ["all", "all"]]);

  it("are found whole, and only of those who are mentioned", () => {
    expect(withMentions("@Bo. and @bo.lee, not @cy or x@bo", mentioned)).toEqual([
      { text: "@Bo", user: "u1" },
      { text: ". and " },
      { text: "@bo.lee", user: "u2" },
      { text: ", not @cy or x@bo" },
    ]);
  });

  it("are collected when a text is sent", () => {
    expect(handlesIn("@bo hi @Bo, a@b.c @bo.lee @all")).toEqual(["bo", "bo.lee", "all"]);
  });
});

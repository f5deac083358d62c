import { describe, expect, it } from "vitest";
import { addressOf, parseRoute, type Route } from "./route.ts";

describe("an address", () => {
  it("is read back as it was written", () => {
    const routes: Route[] = [
      { view: "inbox" },
      { view: "conversation", id: "g.m3vz7qk2wd5xr4nb6hty" },
      { view: "conversation", id: "a.b", seq: 57 },
      { view: "conversation", id: "a.b", panel: { kind: "details" } },
      { view: "conversation", id: "a.b", panel: { kind: "thread", root: 17 } },
      { view: "search", query: "" },
      { view: "search", query: "a?b&c=d #é in:\"x y\"" },
      { view: "mentions" },
      { view: "settings" },
    ];
    for (const route of routes) expect(parseRoute(addressOf(route))).toEqual(route);
  });

  it("leads to the inbox when it is none of ours", () => {
    for (const hash of ["", "#", "#/", "#/x", "#/c", "#/c/A%20B", "#/c/%zz", "#/c/<b>", "#javascript:alert(1)"]) {
      expect(parseRoute(hash), hash).toEqual({ view: "inbox" });
    }
  });

  it("leaves out a position that is none", () => {
    for (const seq of ["0", "-1", "1.5", "x", "99999999999999999"]) {
      expect(parseRoute(`#/c/a.b/m/${seq}`)).toEqual({ view: "conversation", id: "a.b" });
    }
  });
});

import { describe, expect, it } from "vitest";
import type { InboxRow, Person } from "../../engine/api.ts";
import { candidates } from "./candidates.ts";

const person = (id: string, handle: string, name = handle): Person => ({ id, handle, name });
const row = (id: string, title: string, more: Partial<InboxRow> = {}): InboxRow => ({
  id, kind: "group", title, memberCount: 2, activity: 0, unread: 0, mentions: 0, muted: false, pinned: false, archived: false, typing: [], failed: 0, ...more,
});
const around = { me: "me", current: undefined, notes: "Notes to self" };
const keys = (found: { key: string }[]) => found.map(({ key }) => key);

describe("candidates of the switcher", () => {
  it("are the unread first when nothing is typed, the open one last, nothing archived", () => {
    const rows = [row("open", "A"), row("quiet", "B"), row("unread", "C", { unread: 2 }), row("mention", "D", { unread: 1, mentions: 1 }), row("old", "E", { archived: true })];
    expect(keys(candidates(rows, [], "", { ...around, current: "open" }))).toEqual(["mention", "unread", "quiet", "open"]);
  });

  it("begin with the whole name, then its beginning, then a later word, then the archive", () => {
    const rows = [row("later", "The house"), row("archived", "house party", { archived: true }), row("start", "Houses"), row("whole", "house")];
    expect(keys(candidates(rows, [], "House", around))).toEqual(["whole", "start", "later", "archived"]);
  });

  it("take accents and an @ as no difference, and find notes by their name", () => {
    const rows = [row("cafe", "Café"), row("me.me", "Ana", { kind: "notes", with: person("me", "ana") })];
    expect(keys(candidates(rows, [], "@cafe", around))).toEqual(["cafe"]);
    expect(keys(candidates(rows, [], "notes", around))).toEqual(["me.me"]);
  });

  it("have each person once, and not oneself", () => {
    const bo = person("bo", "bo");
    const rows = [row("me.bo", "bo", { kind: "direct", with: bo })];
    expect(keys(candidates(rows, [bo, person("me", "b"), person("bob", "bob")], "bo", around))).toEqual(["me.bo", "bob"]);
  });
});

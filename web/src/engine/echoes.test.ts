import { expect, test } from "vitest";
import { Echoes } from "./echoes.ts";
import type { OutboxRow } from "./rows.ts";

function row(order: number, event: OutboxRow["event"] = { kind: "message", text: `${order}` }): OutboxRow {
  return { key: `k${order}`, c: "g.a", id: `i${order}`, order, event, attempted: true, state: { kind: "ready" }, ts: 0, uploads: [] };
}
const none = new Set<string>();
const keys = (rows: readonly OutboxRow[]) => rows.map(({ key }) => key);

test("what left the outbox is shown until it was looked for", async () => {
  const looked: string[][] = [];
  let found = (): void => {};
  const echoes = new Echoes((left) => {
    looked.push(keys(left));
    return new Promise((resolve) => (found = resolve));
  });
  expect(keys(echoes.of([row(1), row(2)], none).sent)).toEqual(["k1", "k2"]);
  const { sent, looked: done } = echoes.of([row(2), row(3)], none);
  expect(keys(sent), "in its place").toEqual(["k1", "k2", "k3"]);
  // Meanwhile more is shown, and nothing is looked for twice.
  expect(echoes.of([row(3)], none).looked).toBeUndefined();
  found();
  await done;
  const after = echoes.of([row(3)], new Set(["i1"]));
  expect(keys(after.sent), "the second has left since, and is looked for now").toEqual(["k2", "k3"]);
  expect(looked).toEqual([["k1"], ["k2"]]);
  found();
  await after.looked;
  expect(keys(echoes.of([row(3)], none).sent), "taken back: it is nowhere").toEqual(["k3"]);
});

test("what is among the rows already is not looked for; a reaction is, since its target may be as it was", () => {
  const echoes = new Echoes(() => new Promise(() => {}));
  const reaction = row(2, { kind: "reaction", target: 7, emoji: "🎉", op: "add" });
  echoes.of([row(1), reaction], none);
  expect(keys(echoes.of([reaction], new Set(["i1"])).sent)).toEqual(["k2"]);
  const { sent, looked } = echoes.of([], new Set(["i1"]));
  expect(keys(sent)).toEqual(["k2"]);
  expect(looked).toBeDefined();
});

test("a message that goes out under another id keeps its name", () => {
  const echoes = new Echoes(() => new Promise(() => {}));
  echoes.of([row(1)], none);
  expect(echoes.keyOf("i1"), "its first id is the name").toBe("k1");
  echoes.of([{ ...row(1), id: "again" }], none);
  expect(echoes.keyOf("again")).toBe("k1");
  echoes.of([], new Set(["again"]));
  expect(echoes.keyOf("again"), "also when it is stored").toBe("k1");
  echoes.of([], new Set(["again", "k1"]));
  expect(echoes.keyOf("again"), "unless both are").toBe("again");
  expect(echoes.keyOf("of another device")).toBe("of another device");
});

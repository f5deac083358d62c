import { expect, test } from "vitest";
import type { MessageItem } from "../../../engine/api.ts";
import { commandOf } from "./commands.ts";

const may = { edit: true, delete: true, pin: true, react: true, reply: true };
const none = { edit: false, delete: false, pin: false, react: false, reply: false };
const mine = { seq: 7, mine: true, may } as MessageItem;
const pending = { mine: true, may: none } as MessageItem;

test("each key has its command, in capitals, too", () => {
  const keys = ["Enter", " ", "ContextMenu", "r", "T", "+", "e", "Delete", "p", "c", "I"];
  const commands = ["menu", "menu", "menu", "reply", "thread", "react", "edit", "delete", "pin", "copy", "receipts"];
  expect(keys.map((key) => commandOf(key, mine, false))).toEqual(commands);
});

test("a key that the message does not allow does nothing, and one of nobody is left to the browser", () => {
  for (const key of ["r", "t", "+", "e", "Delete", "p", "i"]) expect(commandOf(key, pending, false), key).toBe(false);
  expect(commandOf("t", mine, true), "in a thread already").toBe(false);
  for (const key of ["x", "Tab", "PageDown", "Escape"]) expect(commandOf(key, mine, false), key).toBeUndefined();
});

/** What the keys mean on a message. Pure. */
import type { MessageItem } from "../../../engine/api.ts";

export type Command = "menu" | "reply" | "thread" | "react" | "edit" | "delete" | "pin" | "copy" | "receipts";

/** What a key does on a message; `undefined`: it is no key of messages. `false`: it is, and this message does not allow it. */
export function commandOf(key: string, item: MessageItem, inThread: boolean): Command | false | undefined {
  const isStored = item.seq !== undefined;
  switch (key.toLowerCase()) {
    case "enter":
    case " ":
    case "contextmenu":
      return "menu";
    case "r":
      return item.may.reply && "reply";
    case "t":
      return isStored && !inThread && "thread";
    case "+":
      return item.may.react && "react";
    case "e":
      return item.may.edit && "edit";
    case "delete":
      return item.may.delete && "delete";
    case "p":
      return item.may.pin && isStored && "pin";
    case "c":
      return "copy";
    case "i":
      return item.mine && isStored && "receipts";
    default:
      return undefined;
  }
}

import type { ConversationId, Quote } from "./api.ts";
import type { Core } from "./core.ts";
import type { Scene } from "./items.ts";

/** What items of a conversation are made with. */
export function sceneOf(core: Core, id: ConversationId, quote: (seq: number) => Quote, keyOf: Scene["keyOf"] = (sent) => sent): Scene {
  return {
    me: core.me,
    row: core.row(id) ?? core.rowOrUnknown(id),
    person: (user) => core.people.get(user),
    outbox: core.outboxOf(id),
    upload: (key) => core.upload(key),
    receipts: core.receiptsOf(id),
    quote,
    keyOf,
  };
}

/** Where quotes are not looked up. */
export function quoteless(seq: number): Quote {
  return { seq };
}

/** Who reacted to a message: a page counts reactions and names nobody. */
import type { ConversationId, Seq } from "./api.ts";
import type { Core } from "./core.ts";
import { named } from "./fold.ts";

/** Asks who they are, where somebody is counted whom this device does not know; their names follow in one batch. */
export async function nameReactors(core: Core, c: ConversationId, seq: Seq): Promise<void> {
  const known = await core.db.get("messages", [c, seq]);
  const isWhole = known?.reactions.every(({ count, me, people }) => people.length + (me ? 1 : 0) >= count) ?? true;
  if (isWhole) return;
  const { items } = await core.http.reactions(c, seq);
  const tx = core.db.transaction("messages", "readwrite");
  // As it is now: it may have changed while the answer was on its way.
  const row = await tx.store.get([c, seq]);
  if (row) {
    // Later ones are still to come as events, which count them: whoever is named already counts no more.
    const counted = items.filter((one) => one.seq <= row.asOf);
    await tx.store.put({ ...row, reactions: named(row.reactions, counted, core.me) });
  }
  await tx.done;
  if (row) core.changed({ messages: { [c]: [seq] } });
}

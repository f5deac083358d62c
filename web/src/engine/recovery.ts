/** What a page that was left in the middle could not write: the next one finds it in the journal. */
import type { Database } from "./database.ts";
import type { Journal } from "./journal.ts";
import type { Change, DraftRow, OutboxRow } from "./rows.ts";

/** Puts it into the database, and says what changed by that. */
export async function recover(db: Database, unsent: Journal<OutboxRow>, undrafted: Journal<DraftRow>): Promise<Change | undefined> {
  const rows = unsent.all();
  const drafts = undrafted.all();
  if (rows.length === 0 && drafts.length === 0) return undefined;
  const tx = db.transaction(["outbox", "drafts"], "readwrite");
  for (const { value } of rows) {
    const isThere = (await tx.objectStore("outbox").getKey(value.key)) !== undefined;
    if (!isThere) await tx.objectStore("outbox").put(value);
    // The draft that it was, if its end was not written either.
    if (value.event.kind !== "message") continue;
    const { text, thread } = value.event;
    const place = thread === undefined ? value.c : `${value.c}#${thread}`;
    const draft = await tx.objectStore("drafts").get(place);
    if (draft?.text.trim() === text) await tx.objectStore("drafts").delete(place);
  }
  for (const { key, value } of drafts) {
    const known = await tx.objectStore("drafts").get(key);
    if (known && known.ts >= value.ts) continue;
    if (value.text === "" && value.uploads.length === 0) await tx.objectStore("drafts").delete(key);
    else await tx.objectStore("drafts").put(value);
  }
  await tx.done;
  for (const { key } of rows) unsent.remove(key);
  for (const { key } of drafts) undrafted.remove(key);
  return { outbox: true, drafts: drafts.map(({ key }) => key) };
}

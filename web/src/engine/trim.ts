/** The cache has a limit: per conversation, and in all. */
import { type Database, within } from "./database.ts";
import { cut } from "./ranges.ts";

/** Messages kept of a conversation: the newest. */
const PER_CONVERSATION_MAX = 2_000;
/** Messages kept in all; those of conversations that were not opened for longest go first. */
const IN_ALL_MAX = 60_000;
/** People kept; beyond, all are forgotten, and asked for again where they are shown. */
const PEOPLE_MAX = 20_000;

/** `open`: conversations that are on screen, of which nothing goes. */
export async function trim(
  db: Database,
  open: ReadonlySet<string>,
  { each = PER_CONVERSATION_MAX, all = IN_ALL_MAX } = {},
): Promise<void> {
  const rows = (await db.getAll("conversations")).sort((a, b) => b.opened - a.opened || b.activity - a.activity);
  let kept = 0;
  for (const { id } of rows) {
    const count = await db.count("messages", within(id));
    const room = open.has(id) ? count : Math.max(0, Math.min(each, all - kept));
    kept += Math.min(count, room);
    if (count > room) await keepNewest(db, id, room);
  }
  if ((await db.count("people")) > PEOPLE_MAX) await db.clear("people");
}

async function keepNewest(db: Database, id: string, room: number): Promise<void> {
  const tx = db.transaction(["messages", "conversations"], "readwrite");
  const messages = tx.objectStore("messages");
  const keys = await messages.getAllKeys(within(id));
  const first = keys[keys.length - room]?.[1] ?? Infinity;
  await messages.delete(IDBKeyRange.bound([id, -Infinity], [id, first], false, true));
  const row = await tx.objectStore("conversations").get(id);
  if (row) await tx.objectStore("conversations").put({ ...row, ranges: cut(row.ranges, first) });
  await tx.done;
}

/** Everything that came from the server; what the person wrote stays. */
export async function forgetEverythingCached(db: Database): Promise<void> {
  const stores = ["conversations", "messages", "modifiers", "receipts", "marks", "meta"] as const;
  const tx = db.transaction(stores, "readwrite");
  for (const name of stores) await tx.objectStore(name).clear();
  await tx.done;
}

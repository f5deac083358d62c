/** What a page that was left in the middle could not write: the next one finds it in the journal. */
import type { IDBPTransaction } from "idb";
import type { Database, Schema } from "./database.ts";
import { endDraft, later } from "./drafts.ts";
import type { Journal } from "./journal.ts";
import type { Change, DraftRow, OutboxRow } from "./rows.ts";

export interface Recovered {
  /** What is in the database now. */
  readonly change?: Change;
  /** Messages that could not be written this time either: they, and drafts like them, are still in the journal. */
  readonly unwritten: readonly OutboxRow[];
}

type Stores = ["outbox", "drafts", "uploads"];
const STORES: Stores = ["outbox", "drafts", "uploads"];

/** Puts it into the database. A disk that is still full is no reason to show nothing. */
export async function recover(db: Database, unsent: Journal<OutboxRow>, undrafted: Journal<DraftRow>): Promise<Recovered> {
  const rows = unsent.all().map(({ value }) => value);
  const drafts = undrafted.all().map(({ value }) => value);
  if (rows.length === 0 && drafts.length === 0) return { unwritten: [] };
  try {
    await write(db, rows, drafts);
  } catch {
    return { unwritten: await missing(db.transaction(STORES), rows) };
  }
  for (const { key } of rows) unsent.remove(key);
  for (const { place } of drafts) undrafted.remove(place);
  const ended = rows.flatMap(({ draft }) => draft?.place ?? []);
  return { change: { outbox: true, drafts: [...drafts.map(({ place }) => place), ...ended] }, unwritten: [] };
}

async function write(db: Database, rows: readonly OutboxRow[], drafts: readonly DraftRow[]): Promise<void> {
  const tx = db.transaction(STORES, "readwrite");
  const work = async () => {
    for (const row of await missing(tx, rows)) await tx.objectStore("outbox").put(row);
    // The drafts that they were, if their end was not written either.
    for (const { draft } of rows) if (draft) await endDraft(tx.objectStore("drafts"), draft);
    for (const rescued of drafts) {
      const { place } = rescued;
      const row = later(await tx.objectStore("drafts").get(place), rescued);
      await (row ? tx.objectStore("drafts").put(row) : tx.objectStore("drafts").delete(place));
    }
  };
  await Promise.all([work(), tx.done]);
}

/**
 * Those of them that are not in the database and were not there before. Files are written before their message, and
 * leave with it: without any of its files a message was there, and has been stored, or taken back.
 */
async function missing(
  tx: IDBPTransaction<Schema, Stores, "readonly" | "readwrite">,
  rows: readonly OutboxRow[],
): Promise<OutboxRow[]> {
  const found: OutboxRow[] = [];
  for (const row of rows) {
    if ((await tx.objectStore("outbox").getKey(row.key)) !== undefined) continue;
    const files = await Promise.all(row.uploads.map((key) => tx.objectStore("uploads").getKey(key)));
    if (files.length === 0 || files.some((key) => key !== undefined)) found.push(row);
  }
  return found;
}

import { type DBSchema, type IDBPDatabase, type IDBPTransaction, type OpenDBCallbacks, deleteDB, openDB } from "idb";
import type {
  ConversationRow,
  DraftRow,
  MarksRow,
  MessageRow,
  Meta,
  ModifierRow,
  OutboxRow,
  PersonRow,
  ReceiptRow,
  UploadRow,
} from "./rows.ts";

/** What is kept of one person on this device. */
export interface Schema extends DBSchema {
  meta: { key: string; value: Meta[keyof Meta] };
  conversations: { key: string; value: ConversationRow };
  messages: {
    key: [string, number];
    value: MessageRow;
    indexes: { thread: [string, number, number]; pin: [string, number] };
  };
  modifiers: { key: [string, number]; value: ModifierRow };
  outbox: { key: string; value: OutboxRow; indexes: { id: string } };
  drafts: { key: string; value: DraftRow };
  uploads: { key: string; value: UploadRow };
  people: { key: string; value: PersonRow };
  receipts: { key: [string, string]; value: ReceiptRow };
  marks: { key: string; value: MarksRow };
}

export const STORES = [
  "meta",
  "conversations",
  "messages",
  "modifiers",
  "outbox",
  "drafts",
  "uploads",
  "people",
  "receipts",
  "marks",
] as const;
export type StoreName = (typeof STORES)[number];

export type Database = IDBPDatabase<Schema>;
export type Writing<S extends StoreName[] = StoreName[]> = IDBPTransaction<Schema, S, "readwrite">;

const VERSION = 1;

/** Of the database of somebody; `key` is theirs on this device until they log out, and nobody's after that. */
function databaseName(scope: string, key: string): string {
  return `${scope}.${key}`;
}

/** `onGone`: another tab deletes it (`true`), or the browser closed it; there is nothing to keep open. */
export function openDatabase(scope: string, key: string, onGone: (isDeleted: boolean) => void): Promise<Database> {
  return opened(scope, key, {
    blocking(_current, wanted, event) {
      (event.target as IDBDatabase).close();
      onGone(wanted === null);
    },
    terminated: () => onGone(false),
  });
}

function opened(scope: string, key: string, on: Pick<OpenDBCallbacks<Schema>, "blocking" | "terminated">): Promise<Database> {
  return openDB<Schema>(databaseName(scope, key), VERSION, {
    upgrade(db) {
      db.createObjectStore("meta");
      db.createObjectStore("conversations", { keyPath: "id" });
      const messages = db.createObjectStore("messages", { keyPath: ["c", "seq"] });
      messages.createIndex("thread", ["c", "thread", "seq"]);
      messages.createIndex("pin", ["c", "pin"]);
      db.createObjectStore("modifiers", { keyPath: ["c", "seq"] });
      const outbox = db.createObjectStore("outbox", { keyPath: "key" });
      outbox.createIndex("id", "id");
      db.createObjectStore("drafts", { keyPath: "place" });
      db.createObjectStore("uploads", { keyPath: "key" });
      db.createObjectStore("people", { keyPath: "user" });
      db.createObjectStore("receipts", { keyPath: ["c", "user"] });
      db.createObjectStore("marks", { keyPath: "c" });
    },
    ...on,
  });
}

/**
 * Deletes it, and empties it first: a deletion waits for all who have it open, and a tab may be suspended for days.
 * Resolves when it is empty; `onDeleted` is called when it is gone.
 */
export async function eraseDatabase(scope: string, key: string, onDeleted: () => void): Promise<void> {
  let told = () => {};
  const othersAreTold = new Promise<void>((resolve) => (told = resolve));
  const db = await opened(scope, key, { blocking: told, terminated: told });
  try {
    // One that fails leaves it there, empty, for the next who tries.
    void deleteDB(databaseName(scope, key)).then(onDeleted, told);
    // Tabs that run have closed theirs by then: nothing is written after it was emptied.
    await othersAreTold;
    const tx = db.transaction([...STORES], "readwrite");
    for (const name of STORES) void tx.objectStore(name).clear();
    await tx.done;
  } finally {
    db.close();
  }
}

export async function readMeta<K extends keyof Meta>(db: Database, key: K): Promise<Meta[K] | undefined> {
  return (await db.get("meta", key)) as Meta[K] | undefined;
}

/** Every key of a conversation in a store whose keys begin with it. */
export function within(c: string, from = -Infinity, to = Infinity): IDBKeyRange {
  return IDBKeyRange.bound([c, from], [c, to]);
}

/** Every key of a conversation in a store whose second part is text. */
export function ofConversation(c: string): IDBKeyRange {
  return IDBKeyRange.bound([c], [c, []]);
}

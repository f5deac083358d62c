/** Who is logged in on this device: kept in the database of this origin, the same in all tabs. */
import { type DBSchema, type IDBPDatabase, type IDBPObjectStore, openDB } from "idb";
import { ServerClock } from "../protocol/clock.ts";
import { Http } from "../protocol/http.ts";
import { Refused } from "../protocol/refusal.ts";
import type { SessionState, UserId } from "./api.ts";
import { Cell } from "./cell.ts";
import { eraseDatabase, openDatabase } from "./database.ts";
import { Journal } from "./journal.ts";
import { isUnsent } from "./outbox.ts";
import type { Channel, Platform } from "./platform.ts";
import type { DraftRow, OutboxRow } from "./rows.ts";

/** A token with less than this left is exchanged for a new one, in milliseconds. */
const REFRESH_BEFORE_MS = 20 * 86_400_000;

/** What names a session. */
export interface SessionKey {
  readonly user: UserId;
  readonly device: string;
}

export interface SessionRow extends SessionKey {
  /** Absent once it is no longer good. */
  token?: string;
  handle: string;
  name: string;
  /** The key of the database; without it (of an earlier version) the id of the person. */
  database?: string;
  expiresAt: string;
  ended?: "revoked" | "expired";
}

/** Somebody of whom there is a database on this device. */
interface KeptRow {
  user: UserId;
  handle: string;
  /** As in the session. */
  database?: string;
  /** When they logged in last, in milliseconds since the epoch. */
  at: number;
}

/** A database that nobody opens any more, and that may not be deleted yet. */
interface LeftRow {
  user: UserId;
  database: string;
}

interface Schema extends DBSchema {
  /**
   * Under `current` who is logged in; under `kept` and an id, whose database is here; under `left` and its key, a
   * database that is to be deleted.
   */
  session: { key: string; value: SessionRow | KeptRow | LeftRow };
}

type Store = IDBPObjectStore<Schema, ["session"], "session", "readwrite">;

const KEY = "current";
/** What the keys of those begin with whose database is here. */
const KEPT = "kept.";
/** What the keys of databases begin with that are to be deleted. */
const LEFT = "left.";
/** People whose caches and unsent messages a device keeps. */
const KEPT_MAX = 4;
/** What a database says that was closed: between two transactions, and within one. */
const CLOSED = new Set(["InvalidStateError", "AbortError"]);

export class Sessions {
  readonly #channel: Channel;
  #db: Promise<IDBPDatabase<Schema>> | undefined;
  #isClosed = false;
  row: SessionRow | undefined;
  readonly http: Http;
  readonly clock = new ServerClock();
  /** Done when nothing can be read here any more of who logged out last. */
  forgotten: Promise<void> = Promise.resolve();
  /** Called when another session begins or ends, in whatever tab. */
  onChange: (() => void) | undefined;
  /** Called when another tab has changed it: to be read again. */
  onNews: (() => void) | undefined;

  constructor(
    private readonly platform: Platform,
    readonly state: Cell<SessionState>,
  ) {
    this.http = new Http(platform.base, () => this.row?.token, platform.fetch);
    this.#channel = platform.channel(platform.scope);
    this.#channel.onmessage = () => this.onNews?.();
  }

  async start(): Promise<void> {
    await this.#change(async (now, store) => {
      // One who logged in with an earlier version.
      if (now && (await store.getKey(KEPT + now.user)) === undefined) await keep(store, now);
      return now;
    });
    const left = (await this.#using((db) => db.getAll("session", all(LEFT)))) as LeftRow[];
    void this.#forget(left).catch(() => {});
  }

  close(): void {
    this.#isClosed = true;
    this.#channel.close();
    void this.#db?.then(
      (db) => db.close(),
      () => {},
    );
  }

  async signUp(account: { handle: string; password: string; name?: string }): Promise<void> {
    const handle = account.handle.trim().replace(/^@/, "").toLowerCase();
    const { password } = account;
    // An account that nobody could use here is not made.
    await this.#leaving(handle);
    const name = account.name?.trim();
    const id = this.clock.mint();
    const ask = (id: string) => this.http.createUser({ id, handle, password, ...(name ? { name } : {}) });
    try {
      await ask(id);
    } catch (cause) {
      const isClock = cause instanceof Refused && cause.code === "clock_ahead" && cause.serverTime !== undefined;
      if (!isClock) throw cause;
      this.clock.hear(cause.serverTime ?? "");
      await ask(this.clock.mint());
    }
    await this.logIn({ handle, password });
  }

  async logIn(credentials: { handle: string; password: string; deviceName?: string }): Promise<void> {
    const handle = credentials.handle.trim().replace(/^@/, "").toLowerCase();
    const device_name = credentials.deviceName ?? this.platform.deviceName;
    const opened = await this.http.openSession({ handle, password: credentials.password, device_name });
    const { user, device, token, expires_at } = opened;
    // Not before the password was right: whoever guesses at one must not make the device forget anybody.
    let left: LeftRow[] = [];
    try {
      const leaving = await this.#leaving(handle);
      await this.#change(async (_now, store) => {
        left = [];
        for (const one of leaving) left.push(...(await leave(store, one)));
        // What is there of somebody else stays: they may have written what is not sent yet.
        const kept = (await store.get(KEPT + user)) as KeptRow | undefined;
        // Named for the session that begins it: the one before may not be deleted yet.
        const database = kept ? databaseOf(kept) : `${user}.${device}`;
        await keep(store, { user, handle, database });
        return { user, device, token, handle, name: handle, database, expiresAt: expires_at };
      });
    } catch (cause) {
      await this.#closeUnused(device, token);
      throw cause;
    }
    // What cannot be deleted now is there to be deleted by the next page.
    void this.#forget(left).catch(() => {});
  }

  /** A session that could not be kept here. One that cannot be closed either ends by itself. */
  async #closeUnused(device: string, token: string): Promise<void> {
    await this.#httpWith(token).closeSession(device).catch(() => {});
  }

  /** The server no longer takes the token of this one; what is unsent waits for the next log-in. */
  async ended(reason: "revoked" | "expired", of: SessionKey): Promise<void> {
    await this.#change((now) => {
      if (!isOf(now, of) || now.token === undefined) return now;
      const { token: _token, ...rest } = now;
      return { ...rest, ended: reason };
    });
  }

  /** Resolves when the session has ended; see `forgotten`. */
  async logOut(): Promise<void> {
    const row = this.row;
    if (!row) return;
    if (row.token) {
      try {
        await this.#httpWith(row.token).closeSession(row.device);
      } catch (cause) {
        // Offline: the device is logged out all the same; the person can end the session elsewhere.
        if (!(cause instanceof Refused)) throw cause;
      }
    }
    let left: LeftRow[] = [];
    await this.#change(async (now, store) => {
      const isBack = now?.user === row.user && now.device !== row.device;
      left = isBack ? [] : await leave(store, row.user);
      return isOf(now, row) ? undefined : now;
    });
    this.forgotten = this.#forget(left);
    this.forgotten.catch(() => {});
  }

  /** Exchanges a token that has not long to live. */
  async refresh(): Promise<void> {
    const row = this.row;
    if (!row?.token || Date.parse(row.expiresAt) - Date.now() > REFRESH_BEFORE_MS) return;
    try {
      const { token, expires_at } = await this.#httpWith(row.token).refreshSession();
      await this.#change((now) => (now && now.token === row.token ? { ...now, token, expiresAt: expires_at } : now));
    } catch (cause) {
      if (!(cause instanceof Refused)) throw cause;
    }
  }

  /** The token of this session, while it is the one of this device. */
  tokenOf(of: SessionKey): string | undefined {
    return isOf(this.row, of) ? this.row.token : undefined;
  }

  /** Asks as this session, whoever is logged in by then. */
  httpOf(of: SessionKey): Http {
    return new Http(this.platform.base, () => this.tokenOf(of), this.platform.fetch);
  }

  #httpWith(token: string): Http {
    return new Http(this.platform.base, () => token, this.platform.fetch);
  }

  /**
   * Who is forgotten when this one comes: those who were here longest ago and have nothing unsent.
   * Throws `quota_exceeded` when all of them have: nobody's words are deleted for somebody else.
   */
  async #leaving(handle: string): Promise<UserId[]> {
    const rows = (await this.#using((db) => db.getAll("session", all(KEPT)))) as KeptRow[];
    const others = rows.filter((row) => row.handle !== handle).sort((a, b) => a.at - b.at);
    const excess = others.length - (KEPT_MAX - 1);
    const leaving: UserId[] = [];
    for (const row of others) {
      if (leaving.length >= excess) return leaving;
      if (!(await this.#hasUnsent(row))) leaving.push(row.user);
    }
    if (leaving.length < excess) throw new Refused("quota_exceeded", "everybody whose messages are kept here has unsent ones");
    return leaving;
  }

  /** Whether there is anything that they wrote and the server does not have, sent or not. */
  async #hasUnsent(row: KeptRow): Promise<boolean> {
    const { scope, values } = this.platform;
    const { user } = row;
    if (new Journal<OutboxRow>(values, scope, user, "unsent").all().length > 0) return true;
    if (new Journal<DraftRow>(values, scope, user, "draft").all().some(({ value }) => hasWords(value))) return true;
    const db = await openDatabase(scope, databaseOf(row), () => {});
    try {
      return (await db.getAll("outbox")).some(isUnsent) || (await db.getAll("drafts")).some(hasWords);
    } finally {
      db.close();
    }
  }

  /** Everything on this device of those who left. Resolves when nothing of it can be read; it is deleted when it can be. */
  async #forget(left: readonly LeftRow[]): Promise<void> {
    const { scope, values } = this.platform;
    const kept = await this.#using((db) => db.getAllKeys("session", all(KEPT)));
    for (const { user } of left) {
      // Whoever is back has a journal again.
      if (kept.includes(KEPT + user)) continue;
      for (const key of values.keys()) if (key.startsWith(`${scope}.${user}.`)) values.remove(key);
    }
    const erase = ({ database }: LeftRow) =>
      eraseDatabase(scope, database, () => {
        void this.#using((db) => db.delete("session", LEFT + database)).catch(() => {});
      });
    await Promise.all(left.map(erase));
  }

  /** Another tab may have changed it meanwhile: what it is now decides what it becomes. */
  async #change(
    change: (now: SessionRow | undefined, store: Store) => SessionRow | undefined | Promise<SessionRow | undefined>,
  ): Promise<void> {
    const [before, after] = await this.#using(async (db) => {
      const tx = db.transaction("session", "readwrite");
      const now = (await tx.store.get(KEY)) as SessionRow | undefined;
      const next = await change(now, tx.store);
      if (next === undefined) await tx.store.delete(KEY);
      else if (next !== now) await tx.store.put(next, KEY);
      await tx.done;
      return [now, next] as const;
    });
    if (after !== before) this.#channel.postMessage("changed");
    this.#take(after);
  }

  /** What the database says now; another tab may have changed it. */
  async reread(): Promise<void> {
    this.#take((await this.#using((db) => db.get("session", KEY))) as SessionRow | undefined);
  }

  /** The browser may close a database at any time, as when it is short of memory: then it is opened again, once. */
  async #using<T>(run: (db: IDBPDatabase<Schema>) => Promise<T>): Promise<T> {
    const opening = this.#open();
    try {
      return await run(await opening);
    } catch (cause) {
      if (!(cause instanceof DOMException && CLOSED.has(cause.name))) throw cause;
      this.#lost(opening);
      return run(await this.#open());
    }
  }

  #open(): Promise<IDBPDatabase<Schema>> {
    if (this.#db) return this.#db;
    if (this.#isClosed) return Promise.reject(new Refused("cancelled", "this tab has ended"));
    const opening = openDB<Schema>(this.platform.scope, 1, {
      upgrade(db) {
        db.createObjectStore("session");
      },
      terminated: () => this.#lost(opening),
    });
    this.#db = opening;
    opening.catch(() => this.#lost(opening));
    return opening;
  }

  #lost(opening: Promise<unknown>): void {
    if (this.#db === opening) this.#db = undefined;
  }

  #take(row: SessionRow | undefined): void {
    this.row = row;
    this.onChange?.();
  }
}

function isOf(row: SessionRow | undefined, { user, device }: SessionKey): row is SessionRow {
  return row?.user === user && row.device === device;
}

/** The key of the database of a person. */
export function databaseOf({ user, database }: { user: UserId; database?: string }): string {
  return database ?? user;
}

async function keep(store: Store, row: Pick<SessionRow, "user" | "handle" | "database">): Promise<void> {
  const { user, handle } = row;
  await store.put({ user, handle, database: databaseOf(row), at: Date.now() }, KEPT + user);
}

/** Nobody opens their database from now on. Nothing, if another tab did the same. */
async function leave(store: Store, user: UserId): Promise<LeftRow[]> {
  const kept = (await store.get(KEPT + user)) as KeptRow | undefined;
  if (!kept) return [];
  const left = { user, database: databaseOf(kept) };
  await store.delete(KEPT + user);
  await store.put(left, LEFT + left.database);
  return [left];
}

/** Every key that begins so. */
function all(prefix: string): IDBKeyRange {
  return IDBKeyRange.bound(prefix, `${prefix}\uffff`);
}

function hasWords({ text, beforeEditing, uploads }: DraftRow): boolean {
  return text.trim() !== "" || (beforeEditing ?? "").trim() !== "" || uploads.length > 0;
}

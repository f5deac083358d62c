/** Who is logged in on this device: kept in the database of this origin, the same in all tabs. */
import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import { ServerClock } from "../protocol/clock.ts";
import { Http } from "../protocol/http.ts";
import { Refused } from "../protocol/refusal.ts";
import type { SessionState, UserId } from "./api.ts";
import { Cell } from "./cell.ts";
import { deleteDatabase, openDatabase } from "./database.ts";
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
  expiresAt: string;
  ended?: "revoked" | "expired";
}

/** Somebody of whom there is a database on this device. */
interface KeptRow {
  user: UserId;
  handle: string;
  /** When they logged in last, in milliseconds since the epoch. */
  at: number;
}

interface Schema extends DBSchema {
  /** Under `current` who is logged in; under `kept` and an id, whose database is here. */
  session: { key: string; value: SessionRow | KeptRow };
}

const KEY = "current";
/** What the keys of those begin with whose database is here. */
const KEPT = "kept.";
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
    await this.reread();
    const { row } = this;
    if (!row) return;
    // One who logged in with an earlier version.
    const key = await this.#using((db) => db.getKey("session", KEPT + row.user));
    if (key === undefined) await this.#keep(row);
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
    let leaving: UserId[];
    try {
      leaving = await this.#leaving(handle);
      // What is there of somebody else stays: they may have written what is not sent yet.
      await this.#keep({ user, handle });
      await this.#change(() => ({ user, device, token, handle, name: handle, expiresAt: expires_at }));
    } catch (cause) {
      await this.#closeUnused(device, token);
      throw cause;
    }
    // One that cannot be forgotten now is there to be forgotten by the next.
    for (const one of leaving) await this.#forget(one).catch(() => {});
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
    await this.#change((now) => (isOf(now, row) ? undefined : now));
    // Unless they are back already, in another tab.
    if (this.row?.user !== row.user) await this.#forget(row.user);
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

  async #keep({ user, handle }: { user: UserId; handle: string }): Promise<void> {
    await this.#using((db) => db.put("session", { user, handle, at: Date.now() }, KEPT + user));
  }

  /**
   * Who is forgotten when this one comes: those who were here longest ago and have nothing unsent.
   * Throws `quota_exceeded` when all of them have: nobody's words are deleted for somebody else.
   */
  async #leaving(handle: string): Promise<UserId[]> {
    const rows = (await this.#using((db) => db.getAll("session", IDBKeyRange.bound(KEPT, `${KEPT}\uffff`)))) as KeptRow[];
    const others = rows.filter((row) => row.handle !== handle).sort((a, b) => a.at - b.at);
    const excess = others.length - (KEPT_MAX - 1);
    const leaving: UserId[] = [];
    for (const { user } of others) {
      if (leaving.length >= excess) return leaving;
      if (!(await this.#hasUnsent(user))) leaving.push(user);
    }
    if (leaving.length < excess) throw new Refused("quota_exceeded", "everybody whose messages are kept here has unsent ones");
    return leaving;
  }

  /** Whether there is anything that they wrote and the server does not have, sent or not. */
  async #hasUnsent(user: UserId): Promise<boolean> {
    const { scope, values } = this.platform;
    if (new Journal<OutboxRow>(values, scope, user, "unsent").all().length > 0) return true;
    if (new Journal<DraftRow>(values, scope, user, "draft").all().some(({ value }) => hasWords(value))) return true;
    const db = await openDatabase(scope, user, () => {});
    try {
      return (await db.getAll("outbox")).some(isUnsent) || (await db.getAll("drafts")).some(hasWords);
    } finally {
      db.close();
    }
  }

  /** Everything of somebody on this device. */
  async #forget(user: UserId): Promise<void> {
    const { scope, values } = this.platform;
    for (const key of values.keys()) if (key.startsWith(`${scope}.${user}.`)) values.remove(key);
    await deleteDatabase(scope, user);
    await this.#using((db) => db.delete("session", KEPT + user));
  }

  /** Another tab may have changed it meanwhile: what it is now decides what it becomes. */
  async #change(change: (now: SessionRow | undefined) => SessionRow | undefined): Promise<void> {
    const [before, after] = await this.#using(async (db) => {
      const tx = db.transaction("session", "readwrite");
      const now = (await tx.store.get(KEY)) as SessionRow | undefined;
      const next = change(now);
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

function hasWords({ text, beforeEditing, uploads }: DraftRow): boolean {
  return text.trim() !== "" || (beforeEditing ?? "").trim() !== "" || uploads.length > 0;
}

/** Who is logged in on this device: kept in the database of this origin, the same in all tabs. */
import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import { ServerClock } from "../protocol/clock.ts";
import { Http } from "../protocol/http.ts";
import { Refused } from "../protocol/refusal.ts";
import type { SessionState, UserId } from "./api.ts";
import { Cell } from "./cell.ts";
import { deleteDatabase } from "./database.ts";
import type { Channel, Platform } from "./platform.ts";

/** A token with less than this left is exchanged for a new one, in milliseconds. */
const REFRESH_BEFORE_MS = 20 * 86_400_000;

export interface SessionRow {
  user: UserId;
  device: string;
  /** Absent once it is no longer good. */
  token?: string;
  handle: string;
  name: string;
  expiresAt: string;
  ended?: "revoked" | "expired";
}

interface Schema extends DBSchema {
  session: { key: string; value: SessionRow };
}

const KEY = "current";

export class Sessions {
  readonly #channel: Channel;
  #db: IDBPDatabase<Schema> | undefined;
  row: SessionRow | undefined;
  readonly http: Http;
  readonly clock = new ServerClock();
  /** Called when another session begins or ends, in whatever tab. */
  onChange: (() => void) | undefined;

  constructor(
    private readonly platform: Platform,
    readonly state: Cell<SessionState>,
  ) {
    this.http = new Http(platform.base, () => this.row?.token, platform.fetch);
    this.#channel = platform.channel(platform.scope);
    this.#channel.onmessage = () => void this.reread();
  }

  async start(): Promise<void> {
    this.#db = await openDB<Schema>(this.platform.scope, 1, {
      upgrade(db) {
        db.createObjectStore("session");
      },
    });
    await this.reread();
  }

  close(): void {
    this.#channel.close();
    this.#db?.close();
  }

  async signUp(account: { handle: string; password: string; name?: string }): Promise<void> {
    const handle = account.handle.trim().replace(/^@/, "").toLowerCase();
    const { password } = account;
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
    const before = this.row;
    // Another person on this device: nothing of the one before is left behind.
    if (before && before.user !== user) await this.#forget(before.user);
    await this.#write({ user, device, token, handle, name: handle, expiresAt: expires_at });
  }

  /** The server no longer takes the token; what is unsent waits for the next log-in. */
  async ended(reason: "revoked" | "expired"): Promise<void> {
    if (!this.row?.token) return;
    const { token: _token, ...rest } = this.row;
    await this.#write({ ...rest, ended: reason });
  }

  async logOut(): Promise<void> {
    const row = this.row;
    if (!row) return;
    if (row.token) {
      try {
        await this.http.closeSession(row.device);
      } catch (cause) {
        // Offline: the device is logged out all the same; the person can end the session elsewhere.
        if (!(cause instanceof Refused)) throw cause;
      }
    }
    await this.#write(undefined);
    await this.#forget(row.user);
  }

  /** Exchanges a token that has not long to live. */
  async refresh(): Promise<void> {
    const row = this.row;
    if (!row?.token || Date.parse(row.expiresAt) - Date.now() > REFRESH_BEFORE_MS) return;
    try {
      const { token, expires_at } = await this.http.refreshSession();
      if (this.row?.device === row.device) await this.#write({ ...row, token, expiresAt: expires_at });
    } catch (cause) {
      if (!(cause instanceof Refused)) throw cause;
    }
  }

  /** Everything of somebody on this device. */
  async #forget(user: UserId): Promise<void> {
    const { scope, values } = this.platform;
    for (const key of values.keys()) if (key.startsWith(`${scope}.${user}.`)) values.remove(key);
    await deleteDatabase(scope, user);
  }

  async #write(row: SessionRow | undefined): Promise<void> {
    if (row) await this.#db?.put("session", row, KEY);
    else await this.#db?.delete("session", KEY);
    this.#channel.postMessage("changed");
    this.#take(row);
  }

  /** What the database says now; another tab may have changed it. */
  async reread(): Promise<void> {
    this.#take(await this.#db?.get("session", KEY));
  }

  #take(row: SessionRow | undefined): void {
    this.row = row;
    this.onChange?.();
  }
}

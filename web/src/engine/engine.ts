/**
 * The engine of a tab: a session, and while there is one, everything that belongs to a person.
 *
 * Reading order: `api.ts` (what the interface sees), `rows.ts` and `database.ts` (what is kept), `fold.ts`, `counts.ts`
 * and `ranges.ts` (pure: what events make of it), `ingest.ts` (a batch of frames is one transaction), `outbox.ts`,
 * `marks.ts`, `uploads.ts`, `showing.ts` (what goes out), `leader.ts` (the tab with the connection puts these together),
 * `tabs.ts` (what tabs tell each other), `core.ts` (what a tab has in memory, and how it follows the database),
 * `history.ts`, `window.ts`, `thread.ts`, `inbox.ts`, `compose.ts` (what is shown and written), then this file.
 *
 * One way: socket, leader, one transaction with events and cursor, a notice, every tab reads again what changed, screen.
 * Invariant: what the person sent is in the database, or in the journal, before anything is said to the server.
 * Invariant: an event is shown once; one's own is known by its id, pending or stored.
 */
import { Backoff } from "../protocol/backoff.ts";
import { Refused } from "../protocol/refusal.ts";
import type {
  ConnectionState,
  ConversationId,
  ConversationWindow,
  Engine,
  Notification,
  Own,
  Place,
  Problem,
  Seq,
  SessionApi,
  SessionState,
  ThreadWindow,
  UserId,
} from "./api.ts";
import { Bell, Cell } from "./cell.ts";
import { Core } from "./core.ts";
import { openDatabase, type Database } from "./database.ts";
import { Files } from "./files.ts";
import { Groups } from "./groups.ts";
import { Inbox } from "./inbox.ts";
import { stored } from "./items.ts";
import { lead } from "./leader.ts";
import { Members } from "./members.ts";
import { isUnsent } from "./outbox.ts";
import { browser, type Platform } from "./platform.ts";
import { personOf } from "./people.ts";
import type { MessageRow } from "./rows.ts";
import { quoteless, sceneOf } from "./scene.ts";
import { PeopleSearch, Search } from "./search.ts";
import { Sessions, type SessionRow, databaseOf } from "./session.ts";
import { DeviceSettings } from "./settings.ts";
import { elect, Tabs } from "./tabs.ts";
import { Thread } from "./thread.ts";
import { Window } from "./window.ts";

/** A tab says what it shows at least this often, in milliseconds: one that crashed is forgotten. */
const SAY_AGAIN_MS = 60_000;

/** A tab may stay open for months: how often its token is looked at, in milliseconds. */
const REFRESH_EVERY_MS = 6 * 3_600_000;

/** A database that was closed, or could not be opened, is tried again within this; at last within that. In milliseconds. */
const REOPEN_MS = 1_000;
const REOPEN_MAX_MS = 30_000;

/** Opens the engine of this tab. */
export async function openEngine(platform: Platform = browser()): Promise<Engine> {
  const engine = new TabEngine(platform);
  await engine.start();
  return engine;
}

/** The same, at once: the session is `starting` until the database is open. */
export function beginEngine(platform: Platform = browser()): Engine {
  const engine = new TabEngine(platform);
  void engine.start().catch((cause: unknown) => {
    engine.cannotStart(cause);
  });
  return engine;
}

/** Everything of one person in this tab. */
interface Life {
  readonly row: SessionRow;
  readonly core: Core;
  readonly db: Database;
  readonly tabs: Tabs;
  readonly inbox: Inbox;
  readonly members: Members;
  readonly people: PeopleSearch;
  readonly groups: Groups;
  readonly search: Search;
  readonly media: Files;
  readonly ends: AbortController;
  readonly leading: Promise<void>;
}

class TabEngine implements Engine {
  readonly settings: DeviceSettings;
  readonly problems = new Bell<Problem>();
  readonly notifications = { arrivals: new Bell<Notification>() };
  readonly session: SessionApi;
  readonly #state = new Cell<SessionState>({ kind: "starting" });
  readonly #connection = new Cell<ConnectionState>({ kind: "connecting" });
  readonly #isLeader = new Cell(false);
  readonly connection;
  readonly #sessions: Sessions;
  readonly #windows = new Set<Window>();
  readonly #threads = new Set<Thread>();
  #life: Life | undefined;
  /** Beginnings and ends of lives, one after the other; it never rejects. */
  #turn: Promise<unknown> = Promise.resolve();
  readonly #reopening = new Backoff(REOPEN_MS, REOPEN_MAX_MS);
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** A database could not be had, and was not since. */
  #isFailing = false;
  #leave: (() => void)[] = [];
  #isClosed = false;

  constructor(private readonly platform: Platform) {
    this.settings = new DeviceSettings(platform);
    this.#sessions = new Sessions(platform, this.#state);
    this.connection = {
      state: this.#connection,
      leader: this.#isLeader,
      retryNow: () => this.#life?.tabs.post({ type: "retry" }),
    };
    this.session = this.#sessionApi();
  }

  async start(): Promise<void> {
    this.#sessions.onChange = () => void this.#follow();
    this.#sessions.onNews = () => void this.#reread();
    this.#leave.push(this.platform.onChange(() => this.#says()));
    this.#leave.push(this.settings.values.subscribe(() => this.#says()));
    const again = setInterval(() => this.#says(), SAY_AGAIN_MS);
    this.#leave.push(() => clearInterval(again));
    await this.#sessions.start();
    await this.#turn;
  }

  /** No database now, or never, as in some private windows: a log-in is offered meanwhile, and says that it fails. */
  cannotStart(cause: unknown): void {
    if (this.#state.get().kind === "starting") this.#state.set({ kind: "signed-out" });
    this.#failed(cause);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    clearTimeout(this.#timer);
    for (const leave of this.#leave) leave();
    await this.#inTurn(() => this.#end());
    this.#sessions.close();
    this.settings.close();
  }

  get inbox(): Inbox {
    return this.#living().inbox;
  }

  get people(): PeopleSearch {
    return this.#living().people;
  }

  get groups(): Groups {
    return this.#living().groups;
  }

  get search(): Search {
    return this.#living().search;
  }

  get media(): Files {
    return this.#living().media;
  }

  now(): number {
    return this.#life?.core.clock.now() ?? Date.now();
  }

  open(conversation: ConversationId, at: Place = { kind: "unread" }): ConversationWindow {
    const { core, inbox, members } = this.#living();
    const ports = {
      core,
      inbox,
      members,
      onClose: () => {
        this.#windows.delete(window);
        this.#says();
      },
    };
    const window: Window = new Window(conversation, ports, at);
    this.#windows.add(window);
    this.#says();
    return window;
  }

  openThread(conversation: ConversationId, root: Seq): ThreadWindow {
    const { core, members } = this.#living();
    const thread: Thread = new Thread(conversation, root, { core, members, onClose: () => void this.#threads.delete(thread) });
    this.#threads.add(thread);
    return thread;
  }

  directWith(user: UserId): ConversationId {
    return [this.#living().core.me, user].sort().join(".");
  }

  // ---- lives

  #living(): Life {
    if (!this.#life) throw new Refused("unauthorized", "nobody is logged in");
    return this.#life;
  }

  /** After what was begun before, whatever became of that. */
  #inTurn<T>(what: () => Promise<T>): Promise<T> {
    const done = this.#turn.then(what);
    this.#turn = done.catch(() => {});
    return done;
  }

  /** The session is another one: so is the life. */
  #follow(): Promise<void> {
    return this.#inTurn(async () => {
      const row = this.#sessions.row;
      const isSame = row?.token !== undefined && this.#life?.row.user === row.user && this.#life.row.device === row.device;
      try {
        if (!isSame) await this.#end();
        if (!isSame && row?.token && !this.#isClosed) await this.#begin(row);
        this.#isFailing = false;
      } catch (cause) {
        this.#failed(cause);
      }
      this.#showSession();
    });
  }

  async #reread(): Promise<void> {
    try {
      await this.#sessions.reread();
    } catch (cause) {
      this.#failed(cause);
    }
  }

  /** A database cannot be had: the person is told once, and it is tried again. */
  #failed(cause: unknown): void {
    if (this.#isClosed) return;
    console.error("hansard: no database", cause);
    if (!this.#isFailing) this.problems.ring({ code: "unavailable", what: "storage" });
    this.#isFailing = true;
    this.#again();
  }

  /** Looks in a moment who is logged in, and begins anew; later each time, until a connection was had in between. */
  #again(): void {
    clearTimeout(this.#timer);
    if (!this.#isClosed) this.#timer = setTimeout(() => void this.#reread(), this.#reopening.next());
  }

  async #begin(row: SessionRow): Promise<void> {
    const { platform } = this;
    const ends = new AbortController();
    const key = databaseOf(row);
    const db = await openDatabase(platform.scope, key, (isDeleted) => {
      if (isDeleted) core.forget();
      void this.#gone(ends);
    });
    const tabs = new Tabs(platform, key);
    const core = new Core(db, this.#sessions.httpOf(row), row.user, platform, tabs);
    try {
      await core.start();
    } catch (cause) {
      core.close();
      tabs.close();
      db.close();
      throw cause;
    }
    const members = new Members(core);
    const leading = elect(platform, key, ends.signal, async (signal) => {
      this.#isLeader.set(true);
      const refreshing = setInterval(() => void this.#sessions.refresh().catch(() => {}), REFRESH_EVERY_MS);
      try {
        await this.#sessions.refresh();
        await lead(
          {
            db,
            http: core.http,
            me: row.user,
            clock: core.clock,
            platform,
            tabs,
            token: () => this.#sessions.tokenOf(row),
            // What cannot be written down is heard again by the next life: this one has no connection any more.
            onEnded: (reason) => void this.#sessions.ended(reason, row).catch((cause: unknown) => this.#gone(ends, cause)),
            onArrivals: (rows) => this.#arrived(core, rows),
          },
          signal,
        );
      } finally {
        clearInterval(refreshing);
        this.#isLeader.set(false);
      }
    }).catch((cause: unknown) => void this.#gone(ends, cause));
    this.#life = {
      row,
      core,
      db,
      tabs,
      members,
      inbox: new Inbox(core),
      people: new PeopleSearch(core),
      groups: new Groups(core, members),
      search: new Search(core),
      media: new Files(core),
      ends,
      leading,
    };
    core.problems.listen((problem) => this.problems.ring(problem));
    core.people.onWatched = () => this.#says();
    core.link.subscribe((state) => {
      this.#connection.set(connectionOf(state));
      if (state.kind === "waiting") core.people.forgetPresence();
      if (state.kind === "online") this.#reopening.reset();
    });
    core.own.subscribe(() => this.#showSession());
    tabs.listen((notice) => {
      if (notice.type === "who") this.#says();
      if (notice.type === "reset") void this.#gone(ends);
    });
    tabs.post({ type: "who" });
    this.#says();
  }

  async #end(): Promise<void> {
    const life = this.#life;
    if (!life) return;
    this.#life = undefined;
    // Before anything is closed: nobody is to write into what is gone.
    this.#state.set({ kind: "starting" });
    try {
      for (const shown of [...this.#windows, ...this.#threads]) shown.close();
      life.tabs.post({ type: "shows", tab: life.core.tab, shows: undefined });
      life.ends.abort();
      await life.leading;
    } finally {
      life.inbox.close();
      life.core.close();
      life.tabs.close();
      life.db.close();
      this.#connection.set({ kind: "connecting" });
    }
  }

  /**
   * The database was closed under this tab (another one logged out, or the browser had to), or what was read of it is
   * not true any more. Or leading failed: `cause`.
   */
  async #gone(ends: AbortController, cause?: unknown): Promise<void> {
    try {
      await this.#inTurn(async () => {
        if (this.#life?.ends === ends) await this.#end();
      });
      if (cause !== undefined) throw cause;
      this.#again();
    } catch (failure) {
      this.#failed(failure);
    }
  }

  /** What this tab shows, for the leader. */
  #says(): void {
    const life = this.#life;
    if (!life) return;
    // The one that was opened last is in front.
    const conversations = [...this.#windows].map(({ conversation }) => conversation).reverse();
    const shows = {
      visible: this.platform.isVisible(),
      conversations,
      users: life.core.people.watched(),
      invisible: this.settings.values.get().invisible,
    };
    life.tabs.post({ type: "shows", tab: life.core.tab, shows });
  }

  #arrived(core: Core, rows: readonly MessageRow[]): void {
    for (const row of rows) {
      const inboxRow = this.#life?.inbox.row(row.c).get();
      if (!inboxRow || inboxRow.muted) continue;
      const item = stored(row, sceneOf(core, row.c, quoteless));
      if (item.kind !== "message") continue;
      const { title } = inboxRow;
      this.notifications.arrivals.ring({ conversation: row.c, title, item, mention: item.mentionsMe });
    }
  }

  // ---- session

  #showSession(): void {
    const row = this.#sessions.row;
    if (!row) this.#state.set({ kind: "signed-out" });
    else if (row.ended) this.#state.set({ kind: "ended", reason: row.ended, handle: row.handle });
    // Without a life there is nothing to show: it is about to begin, or its database could not be opened.
    else if (!this.#life) this.#state.set({ kind: "starting" });
    else this.#state.set({ kind: "signed-in", me: this.#own(row), device: row.device });
  }

  #own(row: SessionRow): Own {
    const own = this.#life?.core.own.get();
    if (!own) return { id: row.user, handle: row.handle, name: row.name };
    const { presence, last_seen: lastSeen, read_receipts: readReceipts } = own;
    return { ...personOf(own), presence, lastSeen, readReceipts };
  }

  #sessionApi(): SessionApi {
    const sessions = this.#sessions;
    return {
      state: this.#state,
      signUp: async (account) => {
        await sessions.signUp(account);
        await this.#turn;
      },
      logIn: async (credentials) => {
        await sessions.logIn(credentials);
        await this.#turn;
      },
      unsent: async () => this.#life?.core.outbox.filter(isUnsent).length ?? 0,
      logOut: async () => {
        try {
          await this.#inTurn(async () => {
            this.#life?.core.forget();
            await this.#end();
            await sessions.logOut();
          });
        } finally {
          await this.#follow();
        }
        // Not in turn: nobody who comes next waits for that.
        await sessions.forgotten;
      },
      devices: async () => (await sessions.http.sessions()).items,
      revoke: (device) => sessions.http.closeSession(device),
      changeOwn: async ({ name, avatar, presence, lastSeen, readReceipts }) => {
        const { core, db } = this.#living();
        const own = await sessions.http.changeMe({
          ...(name === undefined ? {} : { name }),
          ...(avatar === undefined ? {} : { avatar }),
          ...(presence === undefined ? {} : { presence }),
          ...(lastSeen === undefined ? {} : { last_seen: lastSeen }),
          ...(readReceipts === undefined ? {} : { read_receipts: readReceipts }),
        });
        await db.put("meta", own, "me");
        core.changed({ meta: true });
      },
    };
  }
}

function connectionOf(state: Core["link"] extends Cell<infer S> ? S : never): ConnectionState {
  switch (state.kind) {
    case "online":
      return { kind: "online", synced: state.synced };
    case "waiting":
      return { kind: "offline", since: state.since, ...(state.nextTry === undefined ? {} : { nextTry: state.nextTry }) };
    case "stopped":
      return { kind: "offline", since: Date.now() };
    default:
      return { kind: "connecting" };
  }
}

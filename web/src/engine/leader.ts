/** The tab that holds the connection: frames in, batches to the database, the outbox out. */
import type { ServerClock } from "../protocol/clock.ts";
import type { Http } from "../protocol/http.ts";
import { Link, type LinkState } from "../protocol/link.ts";
import { Refused } from "../protocol/refusal.ts";
import type { ClientFrame, ServerFrame, UserId, Welcome } from "../protocol/types.ts";
import { type Database, readMeta } from "./database.ts";
import { type Ingested, ingest, sweep } from "./ingest.ts";
import { Marks } from "./marks.ts";
import { Outbox } from "./outbox.ts";
import type { Platform } from "./platform.ts";
import type { MessageRow } from "./rows.ts";
import { Showing } from "./showing.ts";
import type { Notice, Tabs } from "./tabs.ts";
import { forgetEverythingCached, trim } from "./trim.ts";
import { Uploads } from "./uploads.ts";

/** Events of each conversation in a catch-up: enough to fill a screen or two, and cheap on the first visit. */
const CATCH_UP = 100;
/** Frames of a transaction. */
const BATCH_MAX = 400;
/** Conversations read from the inbox on the first visit. */
const INBOX_MAX = 1_000;
/** Typing is said at most this often, in milliseconds. */
const TYPING_EVERY_MS = 2_500;
/** How often old messages are taken out of the cache, in milliseconds. */
const TRIM_EVERY_MS = 300_000;

export interface LeaderPorts {
  readonly db: Database;
  readonly http: Http;
  readonly me: UserId;
  readonly clock: ServerClock;
  readonly platform: Platform;
  readonly tabs: Tabs;
  token(): string | undefined;
  /** The token is no longer good. */
  onEnded(reason: "revoked" | "expired"): void;
  /** New messages of others, which nobody has on screen. */
  onArrivals(rows: readonly MessageRow[]): void;
}

/** Leads until the signal aborts. */
export async function lead(ports: LeaderPorts, signal: AbortSignal): Promise<void> {
  const leader = new Leader(ports);
  try {
    await leader.start();
    if (!signal.aborted) {
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
    }
  } finally {
    leader.stop();
  }
}

class Leader {
  readonly #link: Link;
  readonly #outbox: Outbox;
  readonly #marks: Marks;
  readonly #uploads: Uploads;
  readonly #showing: Showing;
  readonly #queue: ServerFrame[] = [];
  readonly #typed = new Map<string, number>();
  #isIngesting = false;
  #isStopped = false;
  #ends: (() => void)[] = [];

  constructor(private readonly ports: LeaderPorts) {
    const { db, clock, tabs, platform } = ports;
    const send = (frame: ClientFrame) => this.#link.send(frame);
    this.#link = new Link({
      connect: () => platform.socket(),
      hello: () => this.#hello(),
      onState: (state) => this.#state(state),
      onWelcome: (welcome) => void this.#welcome(welcome).catch((cause) => this.#failed(cause)),
      onFrame: (frame) => this.#frame(frame),
      hasNetwork: () => platform.hasNetwork(),
    });
    this.#outbox = new Outbox({
      db,
      clock,
      send,
      isOpen: () => this.#link.isOpen,
      unanswered: () => this.#link.abandon(),
      changed: () => tabs.post({ type: "changed", change: { outbox: true } }),
      problem: (code, row) => {
        if (row.event.kind === "message" || row.event.kind === "edit") return;
        tabs.post({ type: "problem", problem: { code, conversation: row.c, what: row.event.kind } });
      },
    });
    this.#marks = new Marks({ db, send });
    this.#uploads = new Uploads({
      db,
      base: platform.base,
      token: () => ports.token(),
      carrier: async () => (await import("../protocol/media.ts")).upload,
      changed: (uploads) => tabs.post({ type: "changed", change: { uploads } }),
      progress: (upload, sent) => tabs.post({ type: "progress", upload, sent }),
      done: () => void this.#outbox.reload(),
    });
    this.#showing = new Showing({
      send,
      post: (notice) => tabs.post(notice),
    });
  }

  async start(): Promise<void> {
    const { tabs, platform } = this.ports;
    this.#ends.push(tabs.listen((notice) => this.#notice(notice)));
    this.#ends.push(
      platform.onChange((what) => {
        // Somebody looks: the next try need not wait.
        if (what === "visibility" && platform.isVisible()) this.#link.retryNow();
        if (what !== "network") return;
        if (platform.hasNetwork()) this.#link.retryNow();
        else this.#link.networkLost();
      }),
    );
    await this.#marks.start();
    this.#outbox.start();
    tabs.post({ type: "who" });
    this.#link.start();
    const trimming = setInterval(() => void this.#trim(), TRIM_EVERY_MS);
    this.#ends.push(() => clearInterval(trimming));
  }

  stop(): void {
    this.#isStopped = true;
    for (const end of this.#ends) end();
    this.#link.stop();
    this.#outbox.stop();
    this.#marks.stop();
    this.#uploads.stop();
    this.#showing.stop();
  }

  async #hello() {
    const cursor = await readMeta(this.ports.db, "cursor");
    return {
      token: this.ports.token() ?? "",
      catch_up: CATCH_UP,
      presence: this.#showing.state(),
      ...(cursor === undefined ? {} : { cursor }),
    };
  }

  #state(state: LinkState): void {
    if (state.kind === "waiting" || state.kind === "stopped") {
      this.#outbox.disconnected();
      this.#marks.disconnected();
      this.#uploads.disconnected();
      // What was not written comes again: the cursor is before it.
      this.#queue.length = 0;
    }
    this.ports.tabs.post({ type: "connection", state });
    if (state.kind === "stopped" && state.reason === "revoked") this.ports.onEnded("revoked");
    if (state.kind === "stopped" && state.reason === "unauthorized") this.ports.onEnded("expired");
  }

  async #welcome(welcome: Welcome): Promise<void> {
    const { db, clock } = this.ports;
    clock.hear(welcome.server_time);
    this.#showing.connected();
    this.#marks.connected();
    this.#uploads.connected();
    await this.#outbox.connected(Math.max(1, Math.floor(welcome.limits.in_flight / 2)));
    await db.put("meta", clock.offsetMs ?? 0, "clockOffsetMs");
    await db.put("meta", welcome.limits.text_bytes, "textBytes");
    this.ports.tabs.post({ type: "changed", change: { meta: true } });
    await this.#readMe();
  }

  /** The database did not take it: with the next connection it comes again. */
  #failed(cause: unknown): void {
    if (this.#isStopped) return;
    console.error("hansard: not stored", cause);
    if (cause instanceof DOMException && cause.name === "QuotaExceededError") void this.#makeRoom();
    this.#queue.length = 0;
    this.#link.abandon();
  }

  #frame(frame: ServerFrame): void {
    switch (frame.type) {
      case "typing":
        this.ports.tabs.post({ type: "typing", conversation: frame.conversation, user: frame.user });
        return;
      case "presence":
        this.#showing.heard([frame]);
        return;
      case "presences":
        this.#showing.heard(frame.people);
        return;
      case "ok":
        if (this.#marks.isAnswer(frame.ref)) this.#marks.stored(frame.ref);
        return;
      case "error":
        if (this.#marks.isAnswer(frame.ref)) this.#marks.refused(frame.ref, frame.retry);
        else if (this.#outbox.isAnswer(frame.ref)) void this.#outbox.refused(String(frame.ref), frame);
        return;
      default:
        this.#queue.push(frame);
        void this.#drain();
    }
  }

  async #drain(): Promise<void> {
    if (this.#isIngesting) return;
    this.#isIngesting = true;
    try {
      while (this.#queue.length > 0) await this.#batch(this.#queue.splice(0, BATCH_MAX));
    } catch (cause) {
      this.#failed(cause);
    } finally {
      this.#isIngesting = false;
    }
  }

  async #batch(frames: readonly ServerFrame[]): Promise<void> {
    const synced = frames.find((frame) => frame.type === "synced");
    if (synced?.reset) {
      // The cursor was of another log: nothing of the cache is true any more, nor what tabs made of it.
      await forgetEverythingCached(this.ports.db);
      this.#queue.length = 0;
      this.#link.abandon();
      this.ports.tabs.post({ type: "reset" });
      return;
    }
    const done = await ingest(this.ports.db, this.ports.http, this.ports.me, frames);
    this.ports.tabs.post({ type: "changed", change: done.change });
    this.#outbox.settled(done.settled);
    this.#marks.delivered(done.delivered);
    this.#arrivals(done);
    for (const id of done.unknownConversations) void this.#readConversation(id).catch((cause) => this.#failed(cause));
    // Presence is told of those with whom one shares a conversation: it may begin to be.
    if (done.unknownConversations.length > 0) this.#showing.again();
    if (synced) await this.#synced(synced.complete);
  }

  async #synced(complete: boolean): Promise<void> {
    this.#link.synced(complete);
    if (!complete) return;
    const change = await sweep(this.ports.db);
    if (change) this.ports.tabs.post({ type: "changed", change });
    const isRead = await readMeta(this.ports.db, "inboxComplete");
    if (!isRead) void this.#readInbox().catch((cause) => this.#failed(cause));
  }

  #arrivals({ arrivals }: Ingested): void {
    const fresh = this.ports.clock.now() - 120_000;
    const unseen = arrivals.filter((row) => row.ts > fresh && !this.#showing.isOnScreen(row.c));
    if (unseen.length > 0) this.ports.onArrivals(unseen);
  }

  #notice(notice: Notice): void {
    switch (notice.type) {
      case "retry":
        this.#link.retryNow();
        return;
      case "outbox":
        void this.#outbox.reload();
        return;
      case "uploads":
        this.#uploads.reload();
        return;
      case "pull":
        this.#uploads[notice.what](notice.upload);
        return;
      case "read":
        this.#marks.read(notice.conversation, notice.seq);
        return;
      case "typed":
        this.#typing(notice.conversation);
        return;
      case "who":
        this.ports.tabs.post({ type: "connection", state: this.#link.state });
        return;
      case "shows":
        this.#showing.tab(notice.tab, notice.shows);
        return;
      default:
    }
  }

  #typing(conversation: string): void {
    const last = this.#typed.get(conversation) ?? 0;
    if (Date.now() - last < TYPING_EVERY_MS) return;
    if (this.#typed.size > 100) this.#typed.clear();
    this.#typed.set(conversation, Date.now());
    this.#link.send({ type: "typing", conversation });
  }

  async #readMe(): Promise<void> {
    try {
      const me = await this.ports.http.me();
      await this.ports.db.put("meta", me, "me");
      this.ports.tabs.post({ type: "changed", change: { meta: true } });
    } catch (cause) {
      if (!(cause instanceof Refused)) throw cause;
    }
  }

  /** The rest of the inbox, once: a catch-up without a cursor has the last active ones alone. */
  async #readInbox(): Promise<void> {
    try {
      let cursor: string | undefined;
      for (let read = 0; read < INBOX_MAX; ) {
        const page = await this.ports.http.conversations(cursor, 500);
        for (const view of page.items) this.#queue.push({ ...view, type: "conversation" });
        void this.#drain();
        read += page.items.length;
        cursor = page.next;
        if (cursor === undefined || page.items.length === 0) break;
      }
      await this.ports.db.put("meta", true, "inboxComplete");
      this.ports.tabs.post({ type: "changed", change: { meta: true } });
    } catch (cause) {
      // The next connection tries again.
      if (!(cause instanceof Refused)) throw cause;
    }
  }

  async #readConversation(id: string): Promise<void> {
    try {
      const view = await this.ports.http.conversation(id);
      this.#queue.push({ ...view, type: "conversation" });
      void this.#drain();
    } catch (cause) {
      if (!(cause instanceof Refused)) throw cause;
    }
  }

  /** The device has no room: most of the cache goes, what is unsent stays. */
  async #makeRoom(): Promise<void> {
    this.ports.tabs.post({ type: "problem", problem: { code: "too_large", what: "storage" } });
    await trim(this.ports.db, new Set(), { each: 100, all: 2_000 }).catch(() => {});
  }

  async #trim(): Promise<void> {
    try {
      await trim(this.ports.db, this.#showing.open());
    } catch {
      // Another time.
    }
  }
}

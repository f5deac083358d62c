/**
 * The leader's half of sending: one unanswered send of each conversation, conversations in parallel, again with the
 * same id until there is an answer.
 */
import type { ClientFrame, ErrorBody } from "../protocol/types.ts";
import { Backoff, RETRY_AFTER_MAX_MS } from "../protocol/backoff.ts";
import type { ServerClock } from "../protocol/clock.ts";
import type { Database } from "./database.ts";
import type { MediaReference } from "./api.ts";
import type { OutboxRow, OutgoingEvent, UploadRow } from "./rows.ts";

/** A send without an answer for this long, in milliseconds: the connection is taken for dead. */
const ANSWER_TIMEOUT_MS = 20_000;
/** Of `ref`: what answers a send. */
const REF = "s:";

interface Lane {
  /** The one that is unanswered. */
  inFlight: string | undefined;
  /** Not before, on the clock of this device. */
  notBefore: number;
  backoff: Backoff;
}

export interface OutboxPorts {
  readonly db: Database;
  readonly clock: ServerClock;
  send(frame: ClientFrame): boolean;
  isOpen(): boolean;
  /** No answer came in time. */
  unanswered(): void;
  /** Rows changed. */
  changed(): void;
  problem(code: string, row: OutboxRow): void;
}

export class Outbox {
  #rows: OutboxRow[] = [];
  /** Files on their way. One that is gone is not waited for: the message was sent, or somebody took it out. */
  #awaited: ReadonlySet<string> = new Set();
  readonly #lanes = new Map<string, Lane>();
  readonly #sentAt = new Map<string, number>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watch: ReturnType<typeof setInterval> | undefined;
  /** Reads of the database, one after the other. */
  #turn: Promise<void> = Promise.resolve();
  #inFlightMax = 64;

  constructor(private readonly ports: OutboxPorts) {}

  start(): void {
    this.#watch = setInterval(() => this.#lookForUnanswered(), 1_000);
    this.reload();
  }

  stop(): void {
    clearInterval(this.#watch);
    clearTimeout(this.#timer);
  }

  /** A tab wrote a row, or took one out. */
  reload(): Promise<void> {
    this.#turn = this.#turn
      .then(async () => {
        const tx = this.ports.db.transaction(["outbox", "uploads"]);
        const rows = (await tx.objectStore("outbox").getAll()).filter(({ state }) => state.kind === "ready");
        const awaited = new Set<string>();
        for (const key of rows.flatMap(({ uploads }) => uploads)) {
          const upload = await tx.objectStore("uploads").get(key);
          if (upload && upload.media === undefined) awaited.add(key);
        }
        await tx.done;
        this.#rows = rows.sort(inOrder);
        this.#awaited = awaited;
        await this.#pump();
      })
      .catch(() => {
        // The database is gone: this leader ends soon.
      });
    return this.#turn;
  }

  /** A new connection: what was unanswered goes out again. */
  async connected(inFlightMax: number): Promise<void> {
    this.#inFlightMax = inFlightMax;
    this.disconnected();
    await this.#renameAhead();
    await this.reload();
  }

  disconnected(): void {
    this.#sentAt.clear();
    for (const lane of this.#lanes.values()) {
      lane.inFlight = undefined;
      lane.notBefore = 0;
    }
  }

  /** Answered, by an ack or by its event. */
  settled(keys: readonly string[]): void {
    if (keys.length === 0) return;
    const gone = new Set(keys);
    this.#rows = this.#rows.filter(({ key }) => !gone.has(key));
    for (const key of keys) this.#release(key)?.backoff.reset();
    void this.#pump();
  }

  /** Whether an error answers one of these. */
  isAnswer(ref: unknown): boolean {
    return typeof ref === "string" && ref.startsWith(REF);
  }

  async refused(ref: string, error: ErrorBody): Promise<void> {
    const key = ref.slice(REF.length);
    const row = this.#rows.find((one) => one.key === key);
    const lane = this.#release(key);
    if (!row || !lane) return;
    const backoff = lane.backoff.next();
    let delay = Math.min(error.retry_after_ms ?? 0, RETRY_AFTER_MAX_MS) + backoff;
    if (error.retry === "never") {
      this.#rows = this.#rows.filter((one) => one !== row);
      await this.#fail(row, error.code);
      delay = 0;
    } else if (error.retry === "new_id" && error.server_time !== undefined) {
      this.ports.clock.hear(error.server_time);
      // It may be in the log under its id: its time will come.
      delay = Math.max(delay, 5_000);
    }
    lane.notBefore = Date.now() + delay;
    await this.#pump();
  }

  async #fail(row: OutboxRow, code: string): Promise<void> {
    const carriesWords = row.event.kind === "message" || row.event.kind === "edit";
    if (carriesWords) await this.ports.db.put("outbox", { ...row, state: { kind: "failed", code } });
    else await this.ports.db.delete("outbox", row.key);
    this.ports.changed();
    this.ports.problem(code, row);
  }

  #release(key: string): Lane | undefined {
    this.#sentAt.delete(key);
    for (const lane of this.#lanes.values()) {
      if (lane.inFlight !== key) continue;
      lane.inFlight = undefined;
      return lane;
    }
    return undefined;
  }

  async #pump(): Promise<void> {
    if (!this.ports.isOpen()) return;
    clearTimeout(this.#timer);
    const now = Date.now();
    let wake = Infinity;
    const seen = new Set<string>();
    for (const row of this.#rows) {
      if (this.#sentAt.size >= this.#inFlightMax) break;
      // A message that waits for its files does not hold up what was written after it.
      const isWaiting = !row.attempted && row.uploads.some((key) => this.#awaited.has(key));
      if (isWaiting || seen.has(row.c)) continue;
      seen.add(row.c);
      const lane = this.#lane(row.c);
      if (lane.inFlight !== undefined) continue;
      if (lane.notBefore > now) {
        wake = Math.min(wake, lane.notBefore);
        continue;
      }
      // It may have been answered while the one before was written down.
      if (!this.#rows.some(({ key }) => key === row.key)) continue;
      lane.inFlight = row.key;
      this.#sentAt.set(row.key, now);
      await this.#transmit(row);
    }
    if (wake < Infinity) this.#timer = setTimeout(() => void this.#pump(), wake - now);
  }

  async #transmit(row: OutboxRow): Promise<void> {
    if (!row.attempted) {
      const written = await this.#writeDown(row.key);
      if (!written) {
        // What was written after it is next.
        this.#release(row.key);
        void this.reload();
        return;
      }
      Object.assign(row, written);
    }
    const { key, c: conversation, id, event } = row;
    const frame = { type: "send", ref: REF + key, conversation, id, event } as ClientFrame;
    if (!this.ports.send(frame)) this.#release(key);
  }

  /**
   * Content never changes under an id: what goes out is written down first. `undefined`: it was taken back meanwhile, or
   * answered, or its files are gone and there is nothing else to say.
   */
  async #writeDown(key: string): Promise<OutboxRow | undefined> {
    // One transaction: nobody takes it back, or a file out of it, between the look and the mark.
    const tx = this.ports.db.transaction(["outbox", "uploads"], "readwrite");
    const outbox = tx.objectStore("outbox");
    const known = await outbox.get(key);
    const uploads = await Promise.all((known?.uploads ?? []).map((one) => tx.objectStore("uploads").get(one)));
    const row = known?.state.kind === "ready" ? { ...known, attempted: true, event: complete(known, uploads) } : undefined;
    const isEmpty = row !== undefined && saysNothing(row.event);
    if (isEmpty) await outbox.delete(key);
    else if (row) await outbox.put(row);
    await tx.done;
    if (!isEmpty) return row;
    this.ports.changed();
    return undefined;
  }

  #lane(conversation: string): Lane {
    let lane = this.#lanes.get(conversation);
    if (!lane) {
      lane = { inFlight: undefined, notBefore: 0, backoff: new Backoff(500, 30_000) };
      this.#lanes.set(conversation, lane);
    }
    return lane;
  }

  #lookForUnanswered(): void {
    const oldest = Math.min(...this.#sentAt.values());
    if (this.ports.isOpen() && Date.now() - oldest > ANSWER_TIMEOUT_MS) this.ports.unanswered();
  }

  /** New ids for what never went out, and whose ids the server would take for ones from the future. */
  async #renameAhead(): Promise<void> {
    const tx = this.ports.db.transaction("outbox", "readwrite");
    let renamed = false;
    for (const row of (await tx.store.getAll()).sort(inOrder)) {
      if (row.attempted || row.state.kind !== "ready" || !this.ports.clock.isAhead(row.id)) continue;
      await tx.store.put({ ...row, id: this.ports.clock.mint() });
      renamed = true;
    }
    await tx.done;
    if (renamed) this.ports.changed();
  }
}

/** Words that the server does not have yet: lost with the database. */
export function isUnsent({ event, state }: OutboxRow): boolean {
  return state.kind !== "stored" && (event.kind === "message" || event.kind === "edit");
}

/** With its files. */
function complete({ event }: OutboxRow, uploads: readonly (UploadRow | undefined)[]): OutgoingEvent {
  if (event.kind !== "message" || event.media) return event;
  const media = uploads.flatMap((upload) => (upload?.media === undefined ? [] : [reference(upload, upload.media)]));
  return media.length === 0 ? event : { ...event, media };
}

function saysNothing(event: OutgoingEvent): boolean {
  return event.kind === "message" && event.text === "" && !event.media?.length;
}

export function inOrder(a: OutboxRow, b: OutboxRow): number {
  return a.order - b.order || (a.key < b.key ? -1 : 1);
}

export function reference(upload: UploadRow, id: string): MediaReference {
  const { name, type, size, width, height, durationMs, alt } = upload;
  return {
    id,
    name,
    type,
    size,
    ...(width === undefined ? {} : { width }),
    ...(height === undefined ? {} : { height }),
    ...(durationMs === undefined ? {} : { duration_ms: durationMs }),
    ...(alt ? { alt } : {}),
  };
}

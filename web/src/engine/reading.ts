/** Where somebody reads in a conversation: the messages that are loaded there, and how they follow what happens. */
import { Refused } from "../protocol/refusal.ts";
import type { Place, Seq, WindowState } from "./api.ts";
import type { Core } from "./core.ts";
import { targetOf } from "./echoes.ts";
import type { History } from "./history.ts";
import { openings } from "./opening.ts";
import type { MessageRow, OutboxRow } from "./rows.ts";
import { BEFORE_READ, Stretch } from "./stretch.ts";

export interface ReadingPorts {
  readonly core: Core;
  readonly history: History;
  /** What a message is called in lists. */
  keyOf(row: MessageRow): string;
  /** Something is other than it was. */
  onChange(): void;
}

/**
 * What a window owes whoever reads there. As long as it owes anything, nobody has chosen to pass over what is between
 * the last that was read and its rows: it does not count as read.
 */
interface Owed {
  /** What was asked for last: the rows, if there are any, are the end, which stands in for it. */
  readonly place: Place | undefined;
  /** The rows are of before a gap: what has happened since is not in them. */
  readonly isStale: boolean;
}

export class Reading {
  readonly #stretch = new Stretch();
  /** `undefined`: the rows are what was asked for. */
  #owed: Owed | undefined = { place: { kind: "unread" }, isStale: false };
  #loading: WindowState["loading"] = "opening";
  #failure: WindowState["failure"];
  #anchor: WindowState["anchor"];
  #firstUnread: Seq | undefined;
  /** The last message on the screen, which stays there; `undefined`: the view is at the end, and stays at the end. */
  #read: Seq | undefined;
  #turn: Promise<unknown> = Promise.resolve();
  #turns = 0;
  #isClosed = false;

  constructor(private readonly ports: ReadingPorts) {}

  /** Ascending, without gaps. */
  get rows(): readonly MessageRow[] {
    return this.#stretch.rows;
  }

  /** Nothing is after the last. */
  get atEnd(): boolean {
    return this.#stretch.atEnd;
  }

  /** What is sent belongs after the last, or can be shown nowhere else for now. */
  get takesSent(): boolean {
    return this.atEnd || this.#owed?.isStale === true;
  }

  get firstUnread(): Seq | undefined {
    return this.#firstUnread;
  }

  /** What is on the screen counts as read, and all before it: that was chosen, or follows without a gap on what was read. */
  get counts(): boolean {
    return !this.#owed || this.#isJoined;
  }

  get #isJoined(): boolean {
    const { core, history } = this.ports;
    const first = this.rows[0]?.seq ?? Infinity;
    return this.#stretch.atStart || first <= (core.row(history.id)?.read ?? 0) + 1;
  }

  get state(): Omit<WindowState, "items"> {
    return {
      hasOlder: !this.#stretch.atStart,
      hasNewer: !this.#stretch.atEnd,
      loading: this.#loading,
      failure: this.#failure,
      anchor: this.#anchor,
    };
  }

  close(): void {
    this.#isClosed = true;
  }

  // ---- moving

  jumpTo(place: Place): Promise<void> {
    return this.#enqueue(() => this.#open(place));
  }

  loadOlder(): Promise<void> {
    return this.#enqueue(async () => {
      if (await this.#makeGood()) return;
      const first = this.rows[0];
      if (!first || this.#stretch.atStart) return;
      await this.#load("older", async () => this.#stretch.prepend(await this.ports.history.before(first.seq)));
    });
  }

  loadNewer(): Promise<void> {
    return this.#enqueue(async () => {
      if (await this.#makeGood()) return;
      const last = this.rows.at(-1);
      if (!last || this.#stretch.atEnd) return;
      await this.#load("newer", async () => this.#stretch.append(await this.ports.history.after(last.seq)));
    });
  }

  /** The view is there: `seq` is the last on the screen; `undefined`: it stays at the end. */
  stay(seq: Seq | undefined): void {
    this.#read = seq;
  }

  /** What could not be had offline is tried again: here, what is owed; the rest by the view, which stays where it is. */
  again(): Promise<void> {
    return this.#enqueue(async () => {
      if ((await this.#makeGood()) || !this.#failure) return;
      this.#failure = undefined;
      this.ports.onChange();
    });
  }

  /** What is owed comes before anything else. False: there is nothing to do for it. */
  async #makeGood(): Promise<boolean> {
    const owed = this.#owed;
    if (owed?.place && this.#read === undefined) {
      await this.#open(owed.place);
    } else if (owed?.isStale) {
      await this.#reload();
    } else {
      // Whoever reads on in what stands in for a place stays there.
      if (owed) this.#owed = { ...owed, place: undefined };
      return false;
    }
    return true;
  }

  async #open(place: Place): Promise<void> {
    const { core, history } = this.ports;
    if (this.#owed?.place) this.#owed = { ...this.#owed, place };
    await this.#load("opening", async () => {
      for await (const { slice, at, firstUnread } of openings(history, place, core.row(history.id), core.me)) {
        this.#stretch.take(slice);
        this.#owed = undefined;
        if (firstUnread !== undefined) this.#firstUnread = firstUnread;
        if (at) this.#anchorAt(at.seq, at.align);
        else this.#anchorAtEnd();
        this.ports.onChange();
      }
    });
  }

  #anchorAt(seq: Seq, align: "start" | "center"): void {
    const row = this.rows.find((one) => one.seq >= seq) ?? this.rows.at(-1);
    this.#read = row?.seq;
    if (row) this.#goTo(row, align);
  }

  #anchorAtEnd(): void {
    const row = this.rows.at(-1);
    this.#read = undefined;
    if (row) this.#goTo(row, "end");
    else this.#anchor = undefined;
  }

  #goTo(row: MessageRow, align: "start" | "center" | "end"): void {
    this.#turns += 1;
    this.#anchor = { key: this.ports.keyOf(row), align, turn: this.#turns };
  }

  async #load(what: NonNullable<WindowState["loading"]>, work: () => Promise<void>): Promise<void> {
    this.#loading = what;
    this.#failure = undefined;
    this.ports.onChange();
    try {
      await work();
    } catch (cause) {
      if (!(cause instanceof Refused)) throw cause;
      this.#failure = cause.code;
      if (what === "opening") await this.#showWhatIsThere();
    } finally {
      // What was missed is next to these rows: nothing else may be put there.
      if (this.#owed?.isStale) this.#stretch.cutOff();
      else if (!this.#owed?.place && this.#isJoined) this.#owed = undefined;
      this.#loading = undefined;
      this.ports.onChange();
    }
  }

  /** Offline, and the place is not cached: the newest that is. */
  async #showWhatIsThere(): Promise<void> {
    if (this.rows.length > 0) return;
    const cached = await this.ports.history.newestCached();
    if (!cached) return;
    this.#stretch.take(cached);
    this.#owed = { place: this.#owed?.place, isStale: false };
    this.#anchorAtEnd();
  }

  /** One thing at a time: what is loaded depends on what was. */
  #enqueue(work: () => Promise<void>): Promise<void> {
    const done = this.#turn.then(() => (this.#isClosed ? undefined : work()));
    this.#turn = done.catch(() => {});
    return done;
  }

  // ---- following

  /** These changed in the cache, or all of it is gone. */
  follow(changed: readonly Seq[] | "all"): Promise<void> {
    return this.#enqueue(async () => {
      if (changed === "all") {
        this.#owed = { place: this.#owed?.place, isStale: true };
        await this.#makeGood();
      } else if (this.rows.length > 0 || !(await this.#makeGood())) {
        await this.#reread(changed);
        this.ports.onChange();
      }
    });
  }

  /** They are no longer in the outbox: what became of them is in the cache, if not among the rows. */
  lookFor(left: readonly OutboxRow[]): Promise<void> {
    return this.#enqueue(async () => {
      await this.#reread(left.flatMap((sent) => targetOf(sent) ?? []));
      if (!this.atEnd || !left.some((sent) => targetOf(sent) === undefined)) return;
      this.#stretch.put(await this.ports.history.followingCached(this.rows.at(-1)?.seq ?? 0), this.#read);
    });
  }

  async #reread(seqs: readonly Seq[]): Promise<void> {
    const rows: MessageRow[] = [];
    for (const seq of seqs) {
      const row = this.#stretch.holds(seq) ? await this.ports.history.row(seq) : undefined;
      if (row) rows.push(row);
    }
    this.#stretch.put(rows, this.#read);
  }

  /** The same place again, with all that may be on the screen. */
  async #reload(): Promise<void> {
    const { history } = this.ports;
    await this.#load("newer", async () => {
      const read = this.#read;
      this.#stretch.take(read === undefined ? await history.newest() : await history.around(read, BEFORE_READ));
      this.#owed = { place: undefined, isStale: false };
    });
  }
}

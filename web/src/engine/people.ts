/** Names, avatars and presence of people, as far as this tab has looked at them. */
import type { Http } from "../protocol/http.ts";
import { Refused } from "../protocol/refusal.ts";
import type { User, UserId } from "../protocol/types.ts";
import type { Person, Presence } from "./api.ts";
import { Cells } from "./cell.ts";
import type { Database } from "./database.ts";
import type { PresenceNews } from "./tabs.ts";

/** People in memory; beyond, those that nobody looks at are forgotten. */
const CELLS_MAX = 5_000;
/** People that are read from the database at the start; the others when they are looked at. */
const AT_START_MAX = 5_000;
/** People known to a tab; beyond, they are looked up again. */
const KNOWN_MAX = 20_000;
/** What one request may ask for. */
const ASK_MAX = 200;
/** Requests for names are gathered this long, in milliseconds. */
const GATHER_MS = 20;
/** After a failure names are asked for again after this, in milliseconds. */
const RETRY_MS = 5_000;

const UNKNOWN: Presence = { state: "unknown" };

export class People {
  readonly persons = new Cells<Person>((id) => this.get(id), CELLS_MAX);
  readonly presences = new Cells<Presence>(
    () => UNKNOWN,
    CELLS_MAX,
    () => this.onWatched?.(),
  );
  /** Somebody else's presence is on screen. */
  onWatched: (() => void) | undefined;
  readonly #known = new Map<UserId, Person>();
  readonly #wanted = new Set<UserId>();
  /** Of whom the server knows nothing. */
  readonly #nobody = new Set<UserId>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly db: Database,
    private readonly http: Http,
    private readonly me: UserId,
    private readonly changed: (ids: UserId[]) => void,
  ) {}

  async start(): Promise<void> {
    for (const user of await this.db.getAll("people", null, AT_START_MAX)) this.#known.set(user.user, personOf(user));
  }

  close(): void {
    clearTimeout(this.#timer);
  }

  /** What is known now; the rest is asked for. */
  get(id: UserId): Person {
    const known = this.#known.get(id);
    if (known) return known;
    // Nobody reads an id as a name; it stands there only for somebody of whom the server knows nothing.
    const placeholder: Person = { id, handle: "", name: this.#nobody.has(id) ? id.slice(0, 6) : "…" };
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(id, placeholder);
    if (id !== "") this.#want(id);
    return placeholder;
  }

  all(): Iterable<Person> {
    return this.#known.values();
  }

  async learn(users: readonly User[]): Promise<void> {
    const news = users.filter((user) => {
      const known = this.#known.get(user.user);
      return !known || known.handle !== user.handle || known.name !== user.name || known.avatar !== user.avatar;
    });
    if (news.length === 0) return;
    const tx = this.db.transaction("people", "readwrite");
    for (const { user, handle, name, avatar } of news) {
      await tx.store.put({ user, handle, name, ...(avatar === undefined ? {} : { avatar }) });
    }
    await tx.done;
    this.changed(news.map(({ user }) => user));
  }

  /** The database has news. */
  async reread(ids: readonly UserId[]): Promise<void> {
    for (const id of ids) {
      const user = await this.db.get("people", id);
      if (!user) continue;
      const person = personOf(user);
      this.#known.set(id, person);
      this.persons.set(id, person);
    }
  }

  present(news: readonly PresenceNews[]): void {
    for (const { user, state, lastSeen } of news) {
      this.presences.set(user, { state, ...(lastSeen === undefined ? {} : { lastSeen }) });
    }
  }

  /** Nobody is told of while there is no connection. */
  forgetPresence(): void {
    for (const id of this.presences.keys()) this.presences.set(id, UNKNOWN);
  }

  watched(): UserId[] {
    return this.presences.used().filter((id) => id !== this.me);
  }

  /** The server knows nothing of them, and will not. */
  #giveUp(id: UserId): void {
    this.#nobody.add(id);
    const person: Person = { id, handle: "", name: id.slice(0, 6) };
    this.#known.set(id, person);
    this.persons.set(id, person);
  }

  #want(id: UserId): void {
    if (this.#nobody.has(id)) return;
    this.#wanted.add(id);
    this.#timer ??= setTimeout(() => void this.#ask(), GATHER_MS);
  }

  async #ask(): Promise<void> {
    const ids = [...this.#wanted].slice(0, ASK_MAX);
    let delay = GATHER_MS;
    try {
      const here = (await Promise.all(ids.map((id) => this.db.get("people", id)))).flatMap((user) => user?.user ?? []);
      for (const id of here) this.#wanted.delete(id);
      if (here.length > 0) this.changed(here);
      const away = ids.filter((id) => this.#wanted.has(id));
      const { items } = away.length > 0 ? await this.http.users(away) : { items: [] };
      for (const id of ids) this.#wanted.delete(id);
      const found = new Set(items.map(({ user }) => user));
      const unknown = away.filter((id) => !found.has(id));
      for (const id of unknown) this.#giveUp(id);
      if (unknown.length > 0) this.changed(unknown);
      await this.learn(items);
    } catch (cause) {
      if (!(cause instanceof Refused)) return;
      delay = RETRY_MS;
      // A bad id among them would keep the others from being found.
      if (cause.retry === "never") for (const id of ids) this.#wanted.delete(id);
    }
    this.#timer = undefined;
    if (this.#wanted.size > 0) this.#timer = setTimeout(() => void this.#ask(), delay);
  }
}

export function personOf({ user, handle, name, avatar }: User): Person {
  return { id: user, handle, name: name || handle, ...(avatar === undefined ? {} : { avatar }) };
}

/** What all tabs of this device show, and what the server is told of it: whom to watch, and how the person is shown. */
import type { ClientFrame, PresenceOfOthers } from "../protocol/types.ts";
import type { Notice, PresenceNews, Shows } from "./tabs.ts";

/** What the server takes. */
const CONVERSATIONS_MAX = 4;
const USERS_MAX = 200;
/** Changes are gathered this long, in milliseconds. */
const GATHER_MS = 150;
/** The server takes a change of how a person is shown this often, in milliseconds. */
const STATE_EVERY_MS = 1_100;
/** A tab that said nothing for this long is gone, in milliseconds; tabs say it each minute. */
const GONE_AFTER_MS = 200_000;

export interface ShowingPorts {
  send(frame: ClientFrame): boolean;
  post(notice: Notice): void;
}

export class Showing {
  readonly #tabs = new Map<string, { shows: Shows; at: number }>();
  /** Of people who are watched. */
  readonly #known = new Map<string, PresenceNews>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #watched = "";
  #said: string | undefined;
  #saidAt = 0;

  constructor(private readonly ports: ShowingPorts) {}

  stop(): void {
    clearTimeout(this.#timer);
  }

  tab(tab: string, shows: Shows | undefined): void {
    if (shows) this.#tabs.set(tab, { shows, at: Date.now() });
    else this.#tabs.delete(tab);
    const known = shows?.users.flatMap((user) => this.#known.get(user) ?? []) ?? [];
    if (known.length > 0) this.ports.post({ type: "presence", people: known });
    this.#soon(GATHER_MS);
  }

  connected(): void {
    this.#watched = "";
    this.#said = this.state();
    this.#saidAt = Date.now();
    this.#known.clear();
    this.#say();
  }

  /** There may be more to be told of those who are watched. */
  again(): void {
    this.#watched = "";
    this.#soon(GATHER_MS);
  }

  heard(people: readonly Omit<PresenceOfOthers, "type">[]): void {
    const news = people.map(({ user, state, last_seen }) => ({
      user,
      state,
      ...(last_seen === undefined ? {} : { lastSeen: Date.parse(last_seen) }),
    }));
    for (const one of news) this.#known.set(one.user, one);
    this.ports.post({ type: "presence", people: news });
  }

  isOnScreen(conversation: string): boolean {
    return this.#shows().some(({ visible, conversations }) => visible && conversations[0] === conversation);
  }

  open(): ReadonlySet<string> {
    return new Set(this.#shows().flatMap(({ conversations }) => conversations));
  }

  state(): "online" | "away" | "invisible" {
    const all = this.#shows();
    if (all.some(({ invisible }) => invisible)) return "invisible";
    return all.length === 0 || all.some(({ visible }) => visible) ? "online" : "away";
  }

  #shows(): Shows[] {
    const since = Date.now() - GONE_AFTER_MS;
    for (const [tab, { at }] of this.#tabs) if (at < since) this.#tabs.delete(tab);
    // Those in front first: they are watched when there are too many.
    return [...this.#tabs.values()].map(({ shows }) => shows).sort((a, b) => Number(b.visible) - Number(a.visible));
  }

  #soon(delay: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#say(), delay);
  }

  #say(): void {
    const shows = this.#shows();
    const conversations = unique(shows.flatMap((one) => one.conversations), CONVERSATIONS_MAX);
    const users = unique(shows.flatMap((one) => one.users), USERS_MAX);
    const watched = JSON.stringify([conversations, users]);
    if (watched !== this.#watched && this.ports.send({ type: "watch", conversations, users, batch: true })) {
      this.#watched = watched;
      const still = new Set(users);
      for (const user of this.#known.keys()) if (!still.has(user)) this.#known.delete(user);
    }
    const state = this.state();
    if (state === this.#said) return;
    const wait = this.#saidAt + STATE_EVERY_MS - Date.now();
    if (wait > 0) {
      this.#soon(wait);
    } else if (this.ports.send({ type: "presence", state })) {
      this.#said = state;
      this.#saidAt = Date.now();
    }
  }
}

function unique(all: readonly string[], max: number): string[] {
  return [...new Set(all)].slice(0, max);
}

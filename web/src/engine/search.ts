import type { ConversationId, Page, Person, PeopleApi, Presence, SearchApi, SearchHit, Seq, TimelineItem, UserId } from "./api.ts";
import type { Cell } from "./cell.ts";
import type { Core } from "./core.ts";
import { History } from "./history.ts";
import { laidOut, stored } from "./items.ts";
import { personOf } from "./people.ts";
import { quoteless, sceneOf } from "./scene.ts";

/** Hits of a page. */
const PAGE = 20;
/** Messages before and after a hit. */
const CONTEXT = 3;
/** People found. */
const PEOPLE_MAX = 30;

export class Search implements SearchApi {
  constructor(private readonly core: Core) {}

  async messages(
    query: string,
    options: { sort?: "relevance" | "time"; cursor?: string; signal?: AbortSignal } = {},
  ): Promise<Page<SearchHit>> {
    const { sort, cursor, signal } = options;
    const asked = {
      q: query,
      limit: PAGE,
      utc_offset: -new Date().getTimezoneOffset(),
      ...(sort === undefined ? {} : { sort }),
      ...(cursor === undefined ? {} : { cursor }),
    };
    const page = await this.core.http.search(asked, signal);
    const items = page.items.map((hit) => ({
      conversation: hit.conversation,
      title: this.#title(hit.conversation),
      seq: hit.seq,
      ts: Date.parse(hit.ts),
      sender: this.core.people.get(hit.sender),
      snippet: pieces(hit.snippet.text, hit.snippet.highlights),
      cutBefore: (hit.snippet.starts_at ?? 0) > 0,
      cutAfter: hit.snippet.goes_on === true,
    }));
    return {
      items,
      ...(page.next === undefined ? {} : { next: page.next }),
      ...(page.partial === undefined ? {} : { partial: page.partial }),
    };
  }

  async suggestions(query: string, options: { limit?: number; signal?: AbortSignal } = {}) {
    const { items } = await this.core.http.suggestions(query, options.limit ?? 8, options.signal);
    return items;
  }

  async context(conversation: ConversationId, seq: Seq): Promise<readonly TimelineItem[]> {
    const { rows } = await new History(this.core, conversation).around(seq);
    const at = rows.findIndex((row) => row.seq >= seq);
    const near = rows.slice(Math.max(at - CONTEXT, 0), at + CONTEXT + 1);
    const scene = sceneOf(this.core, conversation, quoteless);
    return laidOut(near.map((row) => stored(row, scene)), undefined);
  }

  #title(id: ConversationId): string {
    const row = this.core.rowOrUnknown(id);
    return row.kind === "group" ? (row.title ?? "") : this.core.people.get(row.with ?? "").name;
  }
}

/** A text in pieces, those that were found marked. Offsets are in UTF-16 code units, ascending. */
export function pieces(text: string, highlights: readonly (readonly number[])[]): { text: string; found: boolean }[] {
  const all: { text: string; found: boolean }[] = [];
  let at = 0;
  for (const [from = 0, to = 0] of highlights) {
    if (from > at) all.push({ text: text.slice(at, from), found: false });
    if (to > from) all.push({ text: text.slice(from, to), found: true });
    at = Math.max(at, to);
  }
  if (at < text.length) all.push({ text: text.slice(at), found: false });
  return all;
}

export class PeopleSearch implements PeopleApi {
  constructor(private readonly core: Core) {}

  person(id: UserId): Cell<Person> {
    return this.core.people.persons.of(id);
  }

  presence(id: UserId): Cell<Presence> {
    return this.core.people.presences.of(id);
  }

  async find(text: string): Promise<readonly Person[]> {
    const typed = text.trim().replace(/^@/, "").toLowerCase();
    if (typed === "") return [];
    const found = new Map<UserId, Person>();
    for (const person of this.core.people.all()) {
      if (person.handle !== "" && fits(person, typed)) found.set(person.id, person);
    }
    const answer = await this.core.maybe(() => this.core.http.usersBeginning(typed, PEOPLE_MAX));
    await this.core.people.learn(answer?.items ?? []);
    for (const user of answer?.items ?? []) found.set(user.user, personOf(user));
    return [...found.values()].slice(0, PEOPLE_MAX);
  }

  async byHandle(handle: string): Promise<Person | undefined> {
    const { items } = await this.core.http.userByHandle(handle.trim().replace(/^@/, "").toLowerCase());
    await this.core.people.learn(items);
    return items[0] && personOf(items[0]);
  }
}

function fits(person: Person, typed: string): boolean {
  const words = [person.handle, ...person.name.toLowerCase().split(/\s+/u)];
  return words.some((word) => word.startsWith(typed));
}

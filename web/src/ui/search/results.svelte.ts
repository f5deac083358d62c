import type { Refusal, SearchApi, SearchHit } from "../../engine/api.ts";
import { codeOf } from "../refusal.ts";

export type Sort = "relevance" | "time";

export interface Failure {
  readonly code: Refusal["code"] | undefined;
  /** The part of the query that it is about. */
  readonly part?: string;
}

/** Hits that are kept in a list; who wants more narrows the search. */
const HITS_MAX = 500;

/** What a search has found so far. */
export class Results {
  hits = $state.raw<readonly SearchHit[]>([]);
  /** The query of the hits; undefined before the first. */
  query = $state<string>();
  busy = $state<"new" | "more">();
  next = $state<string>();
  partial = $state(false);
  failure = $state.raw<Failure>();
  #asking: AbortController | undefined;

  constructor(private readonly search: SearchApi) {}

  /** Begins anew. The old hits stay until the new ones are here. */
  async begin(query: string, sort: Sort): Promise<void> {
    this.#asking?.abort();
    this.failure = undefined;
    if (query === "") {
      this.stop();
      return;
    }
    await this.#ask(query, sort, undefined);
  }

  async more(sort: Sort): Promise<void> {
    if (this.query === undefined || this.next === undefined || this.busy || this.hits.length >= HITS_MAX) return;
    await this.#ask(this.query, sort, this.next);
  }

  stop(): void {
    this.#asking?.abort();
    this.hits = [];
    this.query = undefined;
    this.next = undefined;
    this.partial = false;
    this.busy = undefined;
  }

  async #ask(query: string, sort: Sort, cursor: string | undefined): Promise<void> {
    const asking = new AbortController();
    this.#asking = asking;
    this.busy = cursor === undefined ? "new" : "more";
    try {
      const page = await this.search.messages(query, { sort, signal: asking.signal, ...(cursor === undefined ? {} : { cursor }) });
      if (asking.signal.aborted) return;
      this.hits = cursor === undefined ? page.items : withoutDoubles([...this.hits, ...page.items]);
      this.query = query;
      this.next = this.hits.length < HITS_MAX ? page.next : undefined;
      this.partial = page.partial ?? false;
      this.failure = undefined;
    } catch (error) {
      if (asking.signal.aborted) return;
      const at = (error as Partial<Refusal>).at;
      this.failure = { code: codeOf(error), ...(at ? { part: query.slice(at[0], at[1]) } : {}) };
      if (cursor === undefined) {
        this.hits = [];
        this.query = query;
        this.next = undefined;
      }
    } finally {
      if (!asking.signal.aborted) this.busy = undefined;
    }
  }
}

export function keyOf(hit: Pick<SearchHit, "conversation" | "seq">): string {
  return `${hit.conversation} ${hit.seq}`;
}

/** Pages may overlap when something was said between them. */
function withoutDoubles(hits: readonly SearchHit[]): SearchHit[] {
  return [...new Map(hits.map((hit) => [keyOf(hit), hit])).values()];
}

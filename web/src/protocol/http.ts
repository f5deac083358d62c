import { Refused } from "./refusal.ts";
import type { components } from "./contract.ts";
import type {
  Conversation,
  ConversationId,
  Event,
  EventList,
  MediaInfo,
  MediaVariant,
  Member,
  MemberReceipt,
  MessageId,
  MessageList,
  OwnUser,
  SearchList,
  Seq,
  Session,
  Suggestion,
  User,
  UserId,
} from "./types.ts";

type Schemas = components["schemas"];
type Query = Record<string, string | number | undefined>;

/** How long an answer may take, in milliseconds. */
const ANSWER_TIMEOUT_MS = 20_000;

export interface Listing<T> {
  readonly items: readonly T[];
  readonly next?: string;
}

/** Where in a conversation a page is; without any, the newest. */
export interface PageOf {
  readonly before?: Seq;
  readonly after?: Seq;
  readonly around?: Seq;
  readonly at?: string;
  readonly thread?: Seq;
  readonly limit?: number;
  /** The answer includes this event, or is `unavailable`. */
  readonly atLeast?: Seq;
}

/** The HTTP half of the contract. Everything rejects with `Refused`. */
export class Http {
  /** `base` is a scheme and a host, or empty for the page's own; `token` gives the one of the moment. */
  constructor(
    private readonly base: string,
    private readonly token: () => string | undefined,
    private readonly fetcher: typeof fetch = (...all) => fetch(...all),
  ) {}

  // ---- accounts and sessions
  createUser(body: Schemas["CreateUser"]) {
    return this.#json<User>("POST", "/v1/users", { body });
  }
  openSession(body: Schemas["OpenSession"]) {
    return this.#json<Schemas["OpenedSession"]>("POST", "/v1/sessions", { body });
  }
  refreshSession() {
    return this.#json<Schemas["OpenedSession"]>("POST", "/v1/sessions/refresh");
  }
  sessions() {
    return this.#json<{ items: readonly Session[]; partial?: boolean }>("GET", "/v1/sessions");
  }
  closeSession(device: string) {
    return this.#json<void>("DELETE", `/v1/sessions/${device}`);
  }
  me() {
    return this.#json<OwnUser>("GET", "/v1/users/me");
  }
  changeMe(body: Schemas["PatchUser"]) {
    return this.#json<OwnUser>("PATCH", "/v1/users/me", { body });
  }
  /** At most 200 ids. */
  users(ids: readonly UserId[]) {
    return this.#json<Listing<User>>("GET", "/v1/users", { query: { ids: ids.join(",") } });
  }
  userByHandle(handle: string) {
    return this.#json<Listing<User>>("GET", "/v1/users", { query: { handle } });
  }
  usersBeginning(q: string, limit: number) {
    return this.#json<Listing<User>>("GET", "/v1/users", { query: { q, limit } });
  }

  // ---- conversations
  conversations(cursor: string | undefined, limit: number) {
    return this.#json<Listing<Conversation>>("GET", "/v1/conversations", { query: { cursor, limit } });
  }
  conversation(id: ConversationId, atLeast?: Seq) {
    return this.#json<Conversation>("GET", `/v1/conversations/${id}`, { query: least(id, atLeast) });
  }
  createConversation(body: Schemas["CreateConversation"]) {
    return this.#json<Conversation>("POST", "/v1/conversations", { body });
  }
  changeConversation(id: ConversationId, body: Schemas["PatchConversation"]) {
    return this.#json<Conversation>("PATCH", `/v1/conversations/${id}/me`, { body });
  }
  members(id: ConversationId, cursor: string | undefined, limit: number) {
    return this.#json<Listing<Member>>("GET", `/v1/conversations/${id}/members`, { query: { cursor, limit } });
  }

  // ---- messages
  messages(id: ConversationId, page: PageOf, signal?: AbortSignal) {
    const { atLeast, ...rest } = page;
    const query = { ...rest, ...least(id, atLeast) };
    return this.#json<MessageList>("GET", `/v1/conversations/${id}/messages`, { query, signal });
  }
  events(id: ConversationId, page: { after?: Seq; before?: Seq; limit: number; atLeast?: Seq }) {
    const { atLeast, ...rest } = page;
    const query = { ...rest, ...least(id, atLeast) };
    return this.#json<EventList>("GET", `/v1/conversations/${id}/events`, { query });
  }
  pins(id: ConversationId, page: { limit: number; cursor: string | undefined; atLeast: Seq | undefined }) {
    const { atLeast, ...rest } = page;
    const query = { ...rest, ...least(id, atLeast) };
    return this.#json<Schemas["PinList"]>("GET", `/v1/conversations/${id}/pins`, { query });
  }
  /** Who reacted to a message: the first 500 reactions. */
  reactions(id: ConversationId, seq: Seq) {
    return this.#json<Listing<Schemas["Reaction"]>>("GET", `/v1/conversations/${id}/reactions`, { query: { seq, limit: 500 } });
  }
  send(id: ConversationId, message: MessageId, event: Event) {
    const body = { id: message, event };
    return this.#json<Schemas["SentMessage"]>("POST", `/v1/conversations/${id}/messages`, { body });
  }
  receipts(id: ConversationId, seq: Seq | undefined, cursor?: string) {
    const query = { seq, cursor, limit: 500 };
    return this.#json<{
      items: readonly MemberReceipt[];
      delivered_count: number;
      read_count: number;
      next?: string;
    }>("GET", `/v1/conversations/${id}/receipts`, { query });
  }
  mentions(cursor: string | undefined, limit: number) {
    return this.#json<Listing<Schemas["EventFrame"]>>("GET", "/v1/mentions", { query: { cursor, limit } });
  }
  search(query: { q: string; sort?: string; cursor?: string; limit: number; utc_offset: number }, signal?: AbortSignal) {
    return this.#json<SearchList>("GET", "/v1/search", { query, signal });
  }
  suggestions(q: string, limit: number, signal?: AbortSignal) {
    return this.#json<{ items: readonly Suggestion[] }>("GET", "/v1/search/suggestions", { query: { q, limit }, signal });
  }

  // ---- media
  mediaInfo(id: string) {
    return this.#json<MediaInfo>("GET", `/v1/media/${id}/info`);
  }
  mediaUrl(id: string, variant?: MediaVariant) {
    return this.#json<{ url: string; expires_at: string }>("GET", `/v1/media/${id}/url`, { query: { variant } });
  }
  /** A small file, in one request. */
  async storeMedia(blob: Blob, type: string): Promise<MediaInfo> {
    const answer = await this.#ask("POST", "/v1/media", { blob, type });
    return (await answer.json()) as MediaInfo;
  }
  async media(id: string, variant?: MediaVariant): Promise<Blob> {
    const answer = await this.#ask("GET", `/v1/media/${id}`, { query: { variant } });
    return answer.blob();
  }

  async #json<T>(method: string, path: string, ask: Ask = {}): Promise<T> {
    const answer = await this.#ask(method, path, ask);
    if (answer.status === 204) return undefined as T;
    try {
      return (await answer.json()) as T;
    } catch (cause) {
      throw Refused.offline(cause);
    }
  }

  async #ask(method: string, path: string, { query, body, blob, type, signal }: Ask): Promise<Response> {
    const headers: Record<string, string> = {};
    const token = this.token();
    if (token) headers["authorization"] = `Bearer ${token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    if (blob && type) headers["content-type"] = type;
    const content = blob ?? (body === undefined ? undefined : JSON.stringify(body));
    const timeout = AbortSignal.timeout(ANSWER_TIMEOUT_MS);
    let answer: Response;
    try {
      answer = await this.fetcher(this.base + path + text(query), {
        method,
        headers,
        ...(content === undefined ? {} : { body: content }),
        signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
        cache: "no-store",
        credentials: "omit",
        referrerPolicy: "no-referrer",
      });
    } catch (cause) {
      throw signal?.aborted ? Refused.cancelled() : Refused.offline(cause);
    }
    if (answer.ok) return answer;
    throw await refusal(answer);
  }
}

interface Ask {
  readonly query?: Query | undefined;
  readonly body?: unknown;
  /** In place of a body. */
  readonly blob?: Blob;
  readonly type?: string;
  readonly signal?: AbortSignal | undefined;
}

function least(id: ConversationId, seq: Seq | undefined): Query {
  return seq ? { min_seq: `${id}:${seq}` } : {};
}

function text(query: Query | undefined): string {
  const given = Object.entries(query ?? {}).filter(([, value]) => value !== undefined);
  if (given.length === 0) return "";
  return `?${new URLSearchParams(given.map(([name, value]) => [name, String(value)]))}`;
}

async function refusal(answer: Response): Promise<Refused> {
  try {
    const { error } = (await answer.json()) as Schemas["ErrorResponse"];
    return Refused.of(error);
  } catch {
    // A proxy between: it does not speak the contract.
    return new Refused(answer.status === 404 ? "not_found" : "unavailable", `status ${answer.status}`);
  }
}

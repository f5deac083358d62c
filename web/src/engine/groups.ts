import { Refused } from "../protocol/refusal.ts";
import type { Event } from "../protocol/types.ts";
import type { ConversationId, GroupsApi, Role, UserId } from "./api.ts";
import type { Core } from "./core.ts";
import { viewed } from "./counts.ts";
import { unknownConversation } from "./counts.ts";
import type { Members } from "./members.ts";

/** An answer that was lost is asked for again under the same id, this often. */
const ATTEMPTS_MAX = 3;

/** Groups: each change is one event, and the person waits for the answer. */
export class Groups implements GroupsApi {
  constructor(
    private readonly core: Core,
    private readonly list: Members,
  ) {}

  async create({ title, members }: { title: string; members: readonly UserId[] }): Promise<ConversationId> {
    const { core } = this;
    const body = { kind: "group", id: core.clock.mint(), title: title.trim(), members: [...members] } as const;
    const view = await again(() => core.http.createConversation(body));
    const id = view.conversation;
    // Its frames are on their way; it can be opened now.
    const tx = core.db.transaction("conversations", "readwrite");
    const known = await tx.store.get(id);
    const row = viewed(known ?? { ...unknownConversation(id, core.me), activity: core.clock.now() }, view);
    await tx.store.put(row);
    await tx.done;
    core.conversations.set(id, row);
    this.list.begin(id, members);
    core.changed({ conversations: [id] });
    return id;
  }

  async members(conversation: ConversationId) {
    return this.list.list(conversation);
  }

  add(conversation: ConversationId, user: UserId, role?: Role): Promise<void> {
    return this.#send(conversation, { kind: "member", user, op: "add", ...(role === undefined ? {} : { role }) });
  }

  remove(conversation: ConversationId, user: UserId): Promise<void> {
    return this.#send(conversation, { kind: "member", user, op: "remove" });
  }

  setRole(conversation: ConversationId, user: UserId, role: Role): Promise<void> {
    return this.#send(conversation, { kind: "member", user, op: "role", role });
  }

  setTitle(conversation: ConversationId, title: string): Promise<void> {
    return this.#send(conversation, { kind: "title", title: title.trim() });
  }

  setHistory(conversation: ConversationId, history: "joined" | "all"): Promise<void> {
    return this.#send(conversation, { kind: "settings", history });
  }

  leave(conversation: ConversationId): Promise<void> {
    return this.#send(conversation, { kind: "member", user: this.core.me, op: "leave" });
  }

  async #send(conversation: ConversationId, event: Event): Promise<void> {
    const id = this.core.clock.mint();
    await again(() => this.core.http.send(conversation, id, event));
  }
}

/** The same again while it is unknown whether it was stored. */
async function again<T>(ask: () => Promise<T>): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await ask();
    } catch (cause) {
      const isWorthIt = cause instanceof Refused && cause.retry === "same_id" && cause.code !== "unauthorized";
      if (!isWorthIt || attempt === ATTEMPTS_MAX) throw cause;
      const wait = Math.min(cause.retryAfterMs ?? 300 * attempt, 3_000);
      await new Promise((resolve) => setTimeout(resolve, wait));
    }
  }
}

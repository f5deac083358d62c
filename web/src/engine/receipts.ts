import type { ConversationId, ReceiptDetails, Seq } from "./api.ts";
import type { Core } from "./core.ts";
import type { Members } from "./members.ts";

/** Pages of receipts that are read for one message. */
const PAGES_MAX = 4;

/** Who has got and read a message. */
export async function details(core: Core, members: Members, id: ConversationId, seq: Seq): Promise<ReceiptDetails> {
  const all = [];
  let cursor: string | undefined;
  for (let page = 0; page < PAGES_MAX; page += 1) {
    const answer = await core.http.receipts(id, seq, cursor);
    all.push(...answer.items);
    cursor = answer.next;
    if (cursor === undefined) break;
  }
  const having = new Set(all.map(({ user }) => user));
  const everybody = await members.list(id);
  const person = (user: string) => core.people.get(user);
  return {
    read: all
      .filter(({ read }) => read >= seq)
      .map(({ user, read_ts }) => ({ person: person(user), ...(read_ts ? { at: Date.parse(read_ts) } : {}) })),
    delivered: all
      .filter(({ read }) => read < seq)
      .map(({ user, delivered_ts }) => ({ person: person(user), at: Date.parse(delivered_ts) })),
    waiting: everybody.map(({ person: one }) => one).filter(({ id: user }) => user !== core.me && !having.has(user)),
  };
}

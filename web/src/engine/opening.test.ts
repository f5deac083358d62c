import { expect, test } from "vitest";
import type { Place } from "./api.ts";
import { unknownConversation } from "./counts.ts";
import type { Slice } from "./history.ts";
import { type Opening, openings } from "./opening.ts";
import type { ConversationRow, MessageRow } from "./rows.ts";

function slice(from: number, to: number, of: (seq: number) => Partial<MessageRow> = () => ({})): Slice {
  const rows = Array.from({ length: to - from + 1 }, (_, at) => {
    return { c: "g.a", seq: from + at, ts: 0, sender: "bo", event: { kind: "message", text: "" }, reactions: [], asOf: 0, ...of(from + at) } as MessageRow;
  });
  return { rows, atStart: from === 1, atEnd: false };
}

/** A history of 200 messages of bo's, of which some are ana's or notices; and what was asked of it. */
async function opened(place: Place, row: Partial<ConversationRow>, of?: (seq: number) => Partial<MessageRow>, cached = 0): Promise<{ all: Opening[]; asked: string[] }> {
  const asked: string[] = [];
  const history = {
    around: (seq: number) => (asked.push(`around ${seq}`), Promise.resolve(slice(Math.max(1, seq - 20), seq + 29, of))),
    at: (date: Date) => (asked.push("at"), Promise.resolve({ slice: slice(50, 99, of), seq: date.getTime() > 0 ? undefined : 70 })),
    newest: (count = 30) => (asked.push(`newest ${count}`), Promise.resolve(slice(201 - count, 200, of))),
    newestCached: () => Promise.resolve(cached > 0 ? slice(201 - cached, 200, of) : undefined),
  };
  const all: Opening[] = [];
  for await (const one of openings(history, place, { ...unknownConversation("g.a", "ana"), ...row }, "ana")) all.push(one);
  return { all, asked };
}

test("at the end, what is cached comes first", async () => {
  expect((await opened({ kind: "newest" }, {}, undefined, 12)).all.map(({ slice, at }) => [slice.rows.length, at])).toEqual([[12, undefined], [30, undefined]]);
  expect((await opened({ kind: "newest" }, {})).all).toHaveLength(1);
  expect((await opened({ kind: "unread" }, { unread: 0 })).asked, "nothing is unread").toEqual(["newest 30"]);
});

test("a message is in the middle, a date at the top, and one that is still to come is the end", async () => {
  expect((await opened({ kind: "message", seq: 80 }, {})).all[0]?.at).toEqual({ seq: 80, align: "center" });
  expect((await opened({ kind: "date", date: new Date(0) }, {})).all[0]?.at).toEqual({ seq: 70, align: "start" });
  expect((await opened({ kind: "date", date: new Date(1) }, {})).all[0]?.at).toBeUndefined();
});

test("unread ones begin with the first of somebody else", async () => {
  const mixed = (seq: number): Partial<MessageRow> => (seq === 101 ? { event: { kind: "title", title: "" } as never } : seq === 102 ? { sender: "ana" } : {});
  const { all, asked } = await opened({ kind: "unread" }, { read: 100, unread: 40 }, mixed);
  expect(asked).toEqual(["around 101"]);
  expect(all[0]).toMatchObject({ at: { seq: 103, align: "start" }, firstUnread: 103 });
  const notices = await opened({ kind: "unread" }, { read: 100, unread: 1 }, () => ({ event: { kind: "title", title: "" } as never }));
  expect(notices.all[0]?.firstUnread, "only notices").toBe(101);
});

test("of a conversation that was never read, all that is new is there, up to a page", async () => {
  expect((await opened({ kind: "unread" }, { read: 0, unread: 5 })).asked).toEqual(["newest 30"]);
  expect((await opened({ kind: "unread" }, { read: 0, unread: 45 })).asked).toEqual(["newest 60"]);
});

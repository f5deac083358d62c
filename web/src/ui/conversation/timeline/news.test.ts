import { expect, test } from "vitest";
import type { MessageItem, WindowState } from "../../../engine/api.ts";
import { News } from "./news.ts";

function shows(seqs: readonly number[], more: Partial<WindowState> = {}): WindowState {
  const items = seqs.map((seq) => ({ kind: "message", seq, mine: seq % 10 === 0, deleted: false }) as MessageItem);
  return { items, hasOlder: false, hasNewer: false, loading: undefined, failure: undefined, anchor: undefined, ...more };
}
const seqs = (items: readonly MessageItem[]) => items.map(({ seq }) => seq);

test("what is there at first is not new; what others say then is, once", () => {
  const news = new News();
  expect(seqs(news.since(shows([1, 2], { loading: "opening" })))).toEqual([]);
  expect(seqs(news.since(shows([1, 2, 3])))).toEqual([]);
  expect(seqs(news.since(shows([1, 2, 3, 4, 10, 11])))).toEqual([4, 11]);
  expect(seqs(news.since(shows([1, 2, 3, 4, 10, 11])))).toEqual([]);
});

test("what is loaded on the way to the end is old", () => {
  const news = new News();
  news.since(shows([101]));
  expect(seqs(news.since(shows([1, 2, 3], { hasNewer: true })))).toEqual([]);
  expect(seqs(news.since(shows([99, 101])))).toEqual([]);
  expect(seqs(news.since(shows([99, 101, 102])))).toEqual([102]);
});

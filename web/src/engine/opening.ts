/** Where a window begins, or goes on after a jump. */
import type { Place, Seq, UserId } from "./api.ts";
import type { History, Slice } from "./history.ts";
import { PAGE, SCREEN } from "./history.ts";
import type { ConversationRow } from "./rows.ts";

export interface Opening {
  readonly slice: Slice;
  /** The message at which the view belongs, and where on the screen; `undefined`: the end. */
  readonly at?: { readonly seq: Seq; readonly align: "start" | "center" };
  /** Known where unread ones were asked for. */
  readonly firstUnread?: Seq | undefined;
}

type Reads = Pick<History, "around" | "at" | "newest" | "newestCached">;

/** What is shown at a place: at once what is cached, if it is something, and then all of it. */
export async function* openings(history: Reads, place: Place, row: ConversationRow | undefined, me: UserId): AsyncGenerator<Opening> {
  if (place.kind === "message") {
    yield { slice: await history.around(place.seq), at: { seq: place.seq, align: "center" } };
  } else if (place.kind === "date") {
    const { slice, seq } = await history.at(place.date);
    yield { slice, ...(seq === undefined ? {} : { at: { seq, align: "start" } }) };
  } else if (place.kind === "unread" && row && row.unread > 0) {
    yield await unread(history, row, me);
  } else {
    const cached = await history.newestCached();
    if (cached && cached.rows.length > 0) yield { slice: cached };
    yield { slice: await history.newest() };
  }
}

async function unread(history: Reads, row: ConversationRow, me: UserId): Promise<Opening> {
  const { read } = row;
  // Nothing was ever read: not all of what was said before one came, but what is new, as far as a page goes.
  const slice = read > 0 ? await history.around(read + 1) : await history.newest(row.unread < SCREEN ? SCREEN : PAGE);
  const after = slice.rows.filter(({ seq }) => seq > read);
  // Where only notices follow at first, the line is before them.
  const first = after.find(({ sender, event }) => sender !== me && event.kind === "message") ?? after[0];
  return { slice, firstUnread: first?.seq, ...(first ? { at: { seq: first.seq, align: "start" } } : {}) };
}

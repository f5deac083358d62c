import type { InboxRow, Person } from "../../engine/api.ts";
import { fold, matches } from "../inbox/match.ts";

export type Candidate =
  | { readonly kind: "conversation"; readonly key: string; readonly row: InboxRow }
  | { readonly kind: "person"; readonly key: string; readonly person: Person };

/** As many as can be looked through by arrow keys. */
const CANDIDATES_MAX = 20;

interface Around {
  /** Oneself is reached by the notes. */
  readonly me: string;
  /** The conversation that is open: the last place to go to. */
  readonly current: string | undefined;
  /** What notes to oneself are called. */
  readonly notes: string;
}

/** Where somebody may want to go: conversations, the likeliest first, then people without one. */
export function candidates(rows: readonly InboxRow[], people: readonly Person[], text: string, around: Around): Candidate[] {
  const query = text.trim().replace(/^@/, "");
  const named = (row: InboxRow) => (row.kind === "notes" ? { ...row, title: `${around.notes} ${row.title}` } : row);
  const found = query ? rows.filter((row) => matches(named(row), query)) : rows.filter((row) => !row.archived);
  const start = fold(query);
  const rank = (row: InboxRow): number => {
    if (row.id === around.current) return 5;
    if (!query) return row.mentions > 0 ? 0 : row.unread > 0 && !row.muted ? 1 : 2;
    if (fold(row.title) === start || row.with?.handle === query) return 0;
    return (fold(row.title).startsWith(start) ? 1 : 2) + (row.archived ? 2 : 0);
  };
  // Rows come the last active first, and sorting is stable.
  const conversations = [...found].sort((a, b) => rank(a) - rank(b));
  const withOne = new Set(rows.flatMap((row) => (row.kind === "direct" && row.with ? [row.with.id] : [])));
  const others = query ? people.filter((person) => person.id !== around.me && !withOne.has(person.id)) : [];
  return [
    ...conversations.map((row): Candidate => ({ kind: "conversation", key: row.id, row })),
    ...others.map((person): Candidate => ({ kind: "person", key: person.id, person })),
  ].slice(0, CANDIDATES_MAX);
}

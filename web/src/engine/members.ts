import { Refused } from "../protocol/refusal.ts";
import type { ConversationId, MemberRow, Mentionable, Person, Role } from "./api.ts";
import { Cell } from "./cell.ts";
import type { Core, View } from "./core.ts";
import { kept } from "./items.ts";
import type { Change, Meta } from "./rows.ts";

/** Members that are read of a group. */
const MEMBERS_MAX = 2_000;
/** Groups above this are not read whole by themselves; whoever wrote there is known anyway. */
const BY_ITSELF_MAX = 500;
/** Completions that are offered. */
const OFFERED_MAX = 8;
/** A mention at the beginning of a word; the last dot is the sentence's. */
const MENTION = /(?:^|[^\p{L}\p{N}_@/.])@([a-z0-9_-]+(?:\.[a-z0-9_-]+)*)/giu;

interface Listed {
  readonly person: Person;
  readonly role: Role;
}

/** Members of the conversations that were looked at. */
export class Members implements View {
  readonly #cells = new Map<ConversationId, Cell<readonly MemberRow[]>>();
  readonly #lists = new Map<ConversationId, Meta["members"]>();

  constructor(private readonly core: Core) {
    core.add(this);
  }

  of(id: ConversationId): Cell<readonly MemberRow[]> {
    const known = this.#cells.get(id);
    if (known) return known;
    const cell = new Cell<readonly MemberRow[]>(this.#rows(id));
    cell.onUse = (used) => {
      if (used) this.core.unawaited(this.load(id));
    };
    this.#cells.set(id, cell);
    return cell;
  }

  async list(id: ConversationId): Promise<readonly Listed[]> {
    if (!id.startsWith("g.")) return this.#known(id);
    const all: { user: string; role: Role }[] = [];
    let cursor: string | undefined;
    do {
      const page = await this.core.http.members(id, cursor, 500);
      all.push(...page.items);
      cursor = page.next;
    } while (cursor !== undefined && all.length < MEMBERS_MAX);
    this.#take(id, all);
    await this.core.db.put("meta", all, key(id));
    return this.#known(id);
  }

  /** What is known without asking: a group that was just made. */
  begin(id: ConversationId, users: readonly string[]): void {
    const me = this.core.me;
    const members = [...new Set([me, ...users])].map((user) => ({ user, role: user === me ? "owner" : "member" }) as const);
    this.#take(id, members);
  }

  #take(id: ConversationId, members: Meta["members"]): void {
    this.#lists.set(id, members);
    this.#cells.get(id)?.set(this.#rows(id));
  }

  /** Reads them, unless they are too many to be read without being asked for. */
  async loadIfFew(id: ConversationId): Promise<void> {
    const before = (await this.core.db.get("meta", key(id))) as Meta["members"] | undefined;
    if (before && !this.#lists.has(id)) this.#take(id, before);
    if ((this.core.row(id)?.memberCount ?? 0) <= BY_ITSELF_MAX) await this.load(id);
  }

  async load(id: ConversationId): Promise<void> {
    try {
      await this.list(id);
    } catch (cause) {
      if (!(cause instanceof Refused)) throw cause;
    }
  }

  refresh(change: Change): void {
    for (const [id, cell] of this.#cells) {
      if (change.members?.includes(id)) this.core.unawaited(this.load(id));
      else if (change.people) cell.set(kept(cell.get(), this.#rows(id)));
    }
  }

  mentionables(id: ConversationId, prefix: string): readonly Mentionable[] {
    const typed = prefix.toLowerCase();
    const people = this.#mentionable(id)
      .filter((person) => person.id !== this.core.me && person.handle !== "" && begins(person, typed))
      .sort((a, b) => Number(b.handle.startsWith(typed)) - Number(a.handle.startsWith(typed)) || a.handle.localeCompare(b.handle));
    const offered: Mentionable[] = people.slice(0, OFFERED_MAX).map((person) => ({ kind: "person", person }));
    const isGroup = id.startsWith("g.");
    if (isGroup && "all".startsWith(typed)) offered.push({ kind: "all", count: this.core.row(id)?.memberCount ?? 0 });
    return offered;
  }

  /** The people whom a text mentions by their handles. */
  mentionsIn(id: ConversationId, text: string): string[] {
    const found = new Set<string>();
    const byHandle = new Map(this.#mentionable(id).map((person) => [person.handle, person.id]));
    for (const [, handle = ""] of text.matchAll(MENTION)) {
      const name = handle.toLowerCase();
      if (name === "all" && id.startsWith("g.")) found.add("all");
      const user = byHandle.get(name);
      if (user !== undefined && user !== this.core.me) found.add(user);
    }
    return [...found].slice(0, 100);
  }

  #known(id: ConversationId): Listed[] {
    const people = this.core.people;
    if (!id.startsWith("g.")) {
      return [...new Set(id.split("."))].map((user) => ({ person: people.get(user), role: "member" as const }));
    }
    return (this.#lists.get(id) ?? []).map(({ user, role }) => ({ person: people.get(user), role }));
  }

  /** Members; of a group that was not read whole, everybody whom this device knows. */
  #mentionable(id: ConversationId): Person[] {
    const isWhole = !id.startsWith("g.") || this.#lists.has(id);
    return isWhole ? this.#known(id).map(({ person }) => person) : [...this.core.people.all()];
  }

  #rows(id: ConversationId): MemberRow[] {
    return this.#known(id).map((one) => ({ ...one, presence: this.core.people.presences.of(one.person.id) }));
  }
}

function key(id: ConversationId): string {
  return `members ${id}`;
}

function begins(person: Person, typed: string): boolean {
  if (person.handle.startsWith(typed)) return true;
  return person.name
    .toLowerCase()
    .split(/\s+/u)
    .some((word) => word.startsWith(typed));
}

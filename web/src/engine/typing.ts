/** Who types where, as far as this tab was told. */
import type { ConversationId, UserId } from "./api.ts";

/** A typing person is shown this long, in milliseconds. */
export const TYPING_MS = 6_000;

export class Typing {
  readonly #until = new Map<ConversationId, Map<UserId, number>>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly onChange: (id: ConversationId) => void) {}

  close(): void {
    clearTimeout(this.#timer);
  }

  in(id: ConversationId): UserId[] {
    const now = Date.now();
    return [...(this.#until.get(id) ?? [])].filter(([, until]) => until > now).map(([user]) => user);
  }

  typed(id: ConversationId, user: UserId): void {
    const typing = this.#until.get(id) ?? new Map<UserId, number>();
    typing.set(user, Date.now() + TYPING_MS);
    this.#until.set(id, typing);
    this.onChange(id);
    this.#expire();
  }

  stopped(id: ConversationId, user: UserId): void {
    if (this.#until.get(id)?.delete(user)) this.onChange(id);
  }

  #expire(): void {
    clearTimeout(this.#timer);
    const ends = [...this.#until.values()].flatMap((typing) => [...typing.values()]);
    if (ends.length === 0) return;
    this.#timer = setTimeout(
      () => {
        const now = Date.now();
        for (const [id, typing] of this.#until) {
          for (const [user, until] of typing) if (until <= now) typing.delete(user);
          if (typing.size === 0) this.#until.delete(id);
          this.onChange(id);
        }
        this.#expire();
      },
      Math.max(Math.min(...ends) - Date.now(), 0) + 10,
    );
  }
}

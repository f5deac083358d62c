import { announcer } from "./announce.svelte.ts";

export interface Toast {
  readonly key: number;
  readonly text: string;
  readonly kind: "news" | "problem";
}

/** How long a toast stays; a problem stays long enough to be read twice. */
const STAYS_MS = { news: 4_000, problem: 10_000 } as const;
const TOASTS_MAX = 3;

class Toasts {
  items = $state.raw<readonly Toast[]>([]);
  #last = 0;

  show(text: string, kind: Toast["kind"] = "news"): void {
    announcer.say(text);
    const key = (this.#last += 1);
    this.items = [...this.items.filter((toast) => toast.text !== text), { key, text, kind }].slice(-TOASTS_MAX);
    setTimeout(() => this.dismiss(key), STAYS_MS[kind]);
  }

  dismiss(key: number): void {
    this.items = this.items.filter((toast) => toast.key !== key);
  }
}

export const toasts = new Toasts();

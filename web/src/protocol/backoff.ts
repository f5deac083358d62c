import type { Reconnect } from "./types.ts";

/** What a server may ask for at most, in milliseconds: a mistake must not keep people away for days. */
const BASE_MAX_MS = 60_000;
const CAP_MAX_MS = 600_000;
export const RETRY_AFTER_MAX_MS = 600_000;

/** Full jitter: attempt `i`, from 0, comes after a random time of up to min(base * 2^i, cap). */
export class Backoff {
  #baseMs: number;
  #capMs: number;
  attempt = 0;

  constructor(baseMs = 1_000, capMs = 30_000) {
    this.#baseMs = baseMs;
    this.#capMs = capMs;
  }

  follow(reconnect: Reconnect | undefined): void {
    if (!reconnect) return;
    this.#baseMs = Math.min(reconnect.base_ms, BASE_MAX_MS);
    this.#capMs = Math.min(reconnect.cap_ms, CAP_MAX_MS);
  }

  /** The delay before the next attempt, in milliseconds. */
  next(random: () => number = Math.random): number {
    const most = Math.min(this.#baseMs * 2 ** Math.min(this.attempt, 30), this.#capMs);
    this.attempt += 1;
    return Math.round(random() * most);
  }

  reset(): void {
    this.attempt = 0;
  }
}

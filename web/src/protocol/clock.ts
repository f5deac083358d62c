import { v7 } from "uuid";
import type { MessageId } from "./types.ts";

/** How far ahead of the server's clock an id may be before the server refuses it, less a margin, in milliseconds. */
const AHEAD_MAX_MS = 15_000;

/** The server's time, estimated; and ids minted in it, which rise within one clock. */
export class ServerClock {
  /** The server's clock less this device's, in milliseconds; `undefined`: never heard. */
  offsetMs: number | undefined;
  #lastMs = 0;
  #ordinal = 0;

  constructor(offsetMs?: number) {
    this.offsetMs = offsetMs;
  }

  hear(serverTime: string, localMs: number = Date.now()): void {
    const server = Date.parse(serverTime);
    if (!Number.isFinite(server)) return;
    this.offsetMs = server - localMs;
    // Ids made while this device's clock ran ahead must not pull later ones along.
    this.#lastMs = Math.min(this.#lastMs, server);
  }

  /** Milliseconds since the epoch: the server's clock once it was heard, else this device's. */
  now(localMs: number = Date.now()): number {
    return localMs + (this.offsetMs ?? 0);
  }

  mint(): MessageId {
    const now = this.now();
    if (now > this.#lastMs) {
      this.#lastMs = now;
      this.#ordinal = 0;
    } else {
      this.#ordinal += 1;
    }
    return v7({ msecs: this.#lastMs, seq: this.#ordinal });
  }

  /** The server would refuse this id as one from the future. */
  isAhead(id: MessageId): boolean {
    return millisOf(id) > this.now() + AHEAD_MAX_MS;
  }
}

/** When an id was minted, in milliseconds since the epoch. */
export function millisOf(id: MessageId): number {
  return Number.parseInt(id.slice(0, 8) + id.slice(9, 13), 16);
}

/** Files on their way into a draft. They are written down first, and one may leave the place meanwhile, and come back. */
import type { UploadRow } from "./rows.ts";

/** Whoever writes at a place. */
export interface Taker {
  take(upload: string): void;
  /** One could not be written down. */
  lost(): void;
  /** None is on its way any more. */
  allThere(): void;
}

export interface ArrivalsPorts {
  write(upload: UploadRow): Promise<void>;
  /** Nobody writes there now. */
  leave(place: string, upload: UploadRow): Promise<void>;
}

export class Arrivals {
  readonly #coming = new Map<string, number>();
  readonly #takers = new Map<string, Taker[]>();

  constructor(private readonly ports: ArrivalsPorts) {}

  /** How many are on their way there. */
  at(place: string): number {
    return this.#coming.get(place) ?? 0;
  }

  listen(place: string, taker: Taker): () => void {
    this.#takers.set(place, [...this.#at(place), taker]);
    return () => {
      const others = this.#at(place).filter((one) => one !== taker);
      if (others.length > 0) this.#takers.set(place, others);
      else this.#takers.delete(place);
    };
  }

  /** Throws what writing it down throws; then it is in no draft. */
  async bring(place: string, upload: UploadRow, taker: Taker): Promise<void> {
    this.#coming.set(place, this.at(place) + 1);
    try {
      await this.ports.write(upload);
      const there = this.#at(place);
      const takes = there.includes(taker) ? taker : there.at(-1);
      if (takes) takes.take(upload.key);
      else await this.ports.leave(place, upload);
    } catch (cause) {
      for (const one of this.#at(place)) one.lost();
      throw cause;
    } finally {
      this.#arrived(place);
    }
  }

  #arrived(place: string): void {
    const left = this.at(place) - 1;
    if (left > 0) {
      this.#coming.set(place, left);
      return;
    }
    this.#coming.delete(place);
    for (const one of this.#at(place)) one.allThere();
  }

  #at(place: string): Taker[] {
    return this.#takers.get(place) ?? [];
  }
}

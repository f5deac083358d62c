import type { Happenings, Readable } from "./api.ts";

/** A value that can be subscribed to. */
export class Cell<T> implements Readable<T> {
  #value: T;
  readonly #runs = new Set<(value: T) => void>();
  /** Called when the first subscribes, and when the last has left. */
  onUse: ((used: boolean) => void) | undefined;

  constructor(value: T) {
    this.#value = value;
  }

  get(): T {
    return this.#value;
  }

  set(value: T): void {
    if (Object.is(value, this.#value)) return;
    this.#value = value;
    for (const run of [...this.#runs]) run(value);
  }

  subscribe(run: (value: T) => void): () => void {
    // An own function for each subscription: the same `run` may subscribe twice.
    const own = (value: T) => run(value);
    this.#runs.add(own);
    if (this.#runs.size === 1) this.onUse?.(true);
    run(this.#value);
    return () => {
      if (this.#runs.delete(own) && this.#runs.size === 0) this.onUse?.(false);
    };
  }
}

/** Cells by key, each made when it is first asked for; those that nobody subscribes to are forgotten beyond `max`. */
export class Cells<T> {
  readonly #cells = new Map<string, Cell<T>>();
  readonly #used = new Set<string>();

  constructor(
    private readonly initial: (key: string) => T,
    private readonly max: number,
    private readonly onUse?: (key: string, used: boolean) => void,
  ) {}

  of(key: string): Cell<T> {
    const known = this.#cells.get(key);
    if (known) return known;
    const cell = new Cell(this.initial(key));
    cell.onUse = (used) => {
      if (used) this.#used.add(key);
      else this.#used.delete(key);
      this.onUse?.(key, used);
    };
    this.#cells.set(key, cell);
    if (this.#cells.size > this.max) this.#forget(key);
    return cell;
  }

  /** Only of those that were asked for. */
  set(key: string, value: T): void {
    this.#cells.get(key)?.set(value);
  }

  has(key: string): boolean {
    return this.#cells.has(key);
  }

  keys(): string[] {
    return [...this.#cells.keys()];
  }

  used(): string[] {
    return [...this.#used];
  }

  #forget(except: string): void {
    for (const key of this.#cells.keys()) {
      if (this.#cells.size <= this.max) return;
      if (key !== except && !this.#used.has(key)) this.#cells.delete(key);
    }
  }
}

/** Tells whoever listens. */
export class Bell<T> implements Happenings<T> {
  readonly #runs = new Set<(happening: T) => void>();

  listen(run: (happening: T) => void): () => void {
    const own = (happening: T) => run(happening);
    this.#runs.add(own);
    return () => void this.#runs.delete(own);
  }

  ring(happening: T): void {
    for (const run of [...this.#runs]) run(happening);
  }
}

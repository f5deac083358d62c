/** Nearer than this, in seconds, nothing of it has been played. */
const SAME_S = 1;
/** Whoever has waited longer than this, in milliseconds, has turned to something else: nothing begins to sound by itself. */
const PATIENCE_MS = 30_000;

/** How far something was played whose address may expire while it plays. */
export class Playback {
  /** Where it broke off, in seconds; 0 before that. */
  at = 0;
  #came = true;
  #since = 0;

  constructor(private readonly now: () => number = Date.now) {}

  /** Somebody wants it, or wants it again. */
  begins(): void {
    this.#came = true;
    this.#since = this.now();
  }

  plays(at: number): void {
    if (Math.abs(at - this.at) > SAME_S) this.#came = true;
  }

  /** Whether another address is worth asking for: some of it was played since the last one. */
  broke(at: number): boolean {
    const came = this.#came;
    if (came) {
      // An element that could not begin says 0.
      this.at = at;
      this.#since = this.now();
    }
    this.#came = false;
    return came;
  }

  /** It was to be heard a moment ago: it may begin when it is there. */
  isAwaited(): boolean {
    return this.now() - this.#since < PATIENCE_MS;
  }
}

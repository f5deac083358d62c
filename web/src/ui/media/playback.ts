/** Nearer than this, in seconds, nothing of it has been played. */
const SAME_S = 1;

/** How far something was played whose address may expire while it plays. */
export class Playback {
  /** Where it broke off, in seconds; 0 before that. */
  at = 0;
  #came = true;

  /** Somebody wants it, or wants it again. */
  begins(): void {
    this.#came = true;
  }

  plays(at: number): void {
    if (Math.abs(at - this.at) > SAME_S) this.#came = true;
  }

  /** Whether another address is worth asking for: some of it was played since the last one. */
  broke(at: number): boolean {
    const came = this.#came;
    // An element that could not begin says 0.
    if (came) this.at = at;
    this.#came = false;
    return came;
  }
}

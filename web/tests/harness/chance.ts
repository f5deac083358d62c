/** Chances that can be had again: a test that rolls dice prints its `SEED`, and takes one from the environment. */
export class Dice {
  private state: number;

  constructor(readonly seed = Number(process.env["SEED"] ?? Math.floor(Math.random() * 2 ** 31))) {
    this.state = seed >>> 0;
    console.log(`SEED=${seed}`);
  }

  /** From 0 on, below `end` (mulberry32). */
  below(end: number): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * end);
  }

  pick<T>(of: readonly T[]): T {
    return of[this.below(of.length)]!;
  }
}

/** Where the view is. Rows above and below come, go and grow; what is being read stays where it is. */
import type { WindowState } from "../../../engine/api.ts";
import { type Surface, below, firstBelow } from "./surface.ts";

/** Nearer to the end than this, in CSS pixels, the view stays at the end. */
const END_PX = 32;

export class Place {
  #atEnd = true;
  /** The row that stays, and where its upper edge does. */
  #held: { readonly key: string; readonly top: number } | undefined;
  /** A jump that is not there yet: what has to be beside its row is still being loaded. */
  #isGoing = false;
  /** As it was left the last time: what is other now was scrolled, or became larger or smaller, since. */
  #above = 0;
  #size = 0;

  constructor(private readonly surface: Surface) {}

  /** The view stays at the end, whatever comes there. */
  get atEnd(): boolean {
    return this.#atEnd;
  }

  /** It was scrolled. `isWhole`: nothing is newer than the last row. */
  scrolled(isWhole: boolean): void {
    const { surface } = this;
    const by = surface.above - this.#above;
    // Whoever scrolls on the way to somewhere stays where they scroll to.
    if (surface.size === this.#size || (this.#isGoing && by !== 0)) {
      this.#note(isWhole);
      return;
    }
    // Rows have grown in the same frame: what was scrolled counts, what they moved does not.
    if (by < 0 && below(surface) >= END_PX) this.#atEnd = false;
    if (this.#held) this.#held = { ...this.#held, top: this.#held.top - by };
    this.settle(isWhole);
  }

  /** Puts the view back after rows came, went, grew or shrank; before the browser paints. */
  settle(isWhole: boolean): void {
    if (this.#atEnd && isWhole) {
      this.#toEnd(isWhole);
      return;
    }
    const isFar = this.#approach();
    if (isFar === undefined || (isFar && !this.#isGoing)) {
      this.#note(isWhole);
      return;
    }
    this.#isGoing = isFar;
    this.#remember(isWhole);
  }

  /** Goes to a row, and to where on the screen it belongs. False: it is not there. */
  goTo({ key, align }: NonNullable<WindowState["anchor"]>, isWhole: boolean): boolean {
    const { surface } = this;
    const row = surface.find(key);
    if (!row) return false;
    const isLast = isWhole && surface.row(surface.count - 1)?.key === key;
    if (align === "end" && isLast) {
      this.#toEnd(isWhole);
      return true;
    }
    const room = surface.height - (row.bottom - row.top);
    const top = align === "start" ? 0 : align === "end" ? room : room / 2;
    this.#held = { key, top: Math.max(0, top) };
    this.#atEnd = false;
    this.#isGoing = true;
    this.settle(isWhole);
    return true;
  }

  /** Goes to the end, and stays there. */
  goToEnd(): void {
    this.#toEnd(true);
  }

  #toEnd(isWhole: boolean): void {
    this.surface.scrollTo(this.surface.size);
    this.#note(isWhole);
  }

  /** Moves the row that is held to its place. True: it is not there, as far as it can be; `undefined`: none is held. */
  #approach(): boolean | undefined {
    const { surface } = this;
    const held = this.#held;
    const top = held && surface.find(held.key)?.top;
    if (held === undefined || top === undefined) return undefined;
    if (Math.abs(top - held.top) < 1) return false;
    surface.scrollTo(surface.above + top - held.top);
    return Math.abs((surface.find(held.key)?.top ?? held.top) - held.top) >= 1;
  }

  /**
   * Takes what is read now for what stays. That is the first row that is seen whole: one that is cut off at the top may
   * grow out of sight. Where there is none near the top, it is the one that fills the screen.
   */
  #note(isWhole: boolean): void {
    const { surface } = this;
    const first = firstBelow(surface, 0);
    const cut = surface.row(first);
    const next = surface.row(first + 1);
    const row = cut && cut.top < 0 && next && next.top < surface.height / 2 ? next : cut;
    this.#held = row && { key: row.key, top: row.top };
    this.#isGoing = false;
    this.#remember(isWhole);
  }

  #remember(isWhole: boolean): void {
    this.#atEnd = isWhole && below(this.surface) < END_PX;
    this.#above = this.surface.above;
    this.#size = this.surface.size;
  }
}

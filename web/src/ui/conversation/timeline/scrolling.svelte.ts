/** A timeline in motion: it keeps its place, follows the end, goes where the engine says, and asks for more. */
import { tick } from "svelte";
import type { Seq, WindowState } from "../../../engine/api.ts";
import { Place } from "./place.ts";
import { isFar, needed, readUpTo } from "./reach.ts";
import type { Surface } from "./surface.ts";

export interface ScrollingPorts {
  window(): WindowState;
  /** Whether somebody can see it: what they can see, they have read. */
  isSeen(): boolean;
  onseen(seq: Seq): void;
  /** It is there: `seq` is the last on the screen; `undefined`: it stays at the end. */
  onstay(seq: Seq | undefined): void;
  onolder(): void;
  onnewer(): void;
}

export class Scrolling {
  /** The newest message is out of sight. */
  far = $state(false);
  readonly #place: Place;
  /** The jump that was made last. */
  #turn = -1;

  constructor(
    private readonly surface: Surface,
    private readonly ports: ScrollingPorts,
  ) {
    this.#place = new Place(surface);
  }

  get #isWhole(): boolean {
    return !this.ports.window().hasNewer;
  }

  /** Of what is not laid out, nothing can be measured: it stays where it was left. */
  get #isLaidOut(): boolean {
    return this.surface.height > 0;
  }

  scrolled(): void {
    if (!this.#isLaidOut) return;
    this.#place.scrolled(this.#isWhole);
    this.look();
  }

  /** After sizes or rows changed, before the browser paints. */
  settle(): void {
    if (!this.#isLaidOut) return;
    this.#place.settle(this.#isWhole);
    this.look();
  }

  /** Goes to where a jump leads, once its row is there; the key of a row that one looked for, if it was one. */
  follow(anchor: WindowState["anchor"]): string | undefined {
    if (!anchor || anchor.turn === this.#turn || !this.#place.goTo(anchor, this.#isWhole)) return undefined;
    this.#turn = anchor.turn;
    this.look();
    return anchor.align === "center" ? anchor.key : undefined;
  }

  /** Goes to the end of what is there, with what is being put there. */
  async toEnd(): Promise<void> {
    this.#place.goToEnd();
    await tick();
    this.#place.goToEnd();
  }

  /** What follows from where it is. */
  look(): void {
    const { surface, ports } = this;
    if (!this.#isLaidOut) return;
    const window = ports.window();
    this.far = isFar(surface, window.hasNewer);
    const seq = readUpTo(surface);
    ports.onstay(this.#place.atEnd ? undefined : seq);
    if (seq !== undefined && ports.isSeen()) ports.onseen(seq);
    const side = needed(surface, window);
    if (side === "older") ports.onolder();
    else if (side === "newer") ports.onnewer();
  }
}

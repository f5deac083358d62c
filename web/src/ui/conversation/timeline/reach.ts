/** What follows from where the view is: what was read, and what is needed next. Pure. */
import type { WindowState } from "../../../engine/api.ts";
import { type Surface, below, firstBelow } from "./surface.ts";

/** Nearer to an end than this, in CSS pixels, more is fetched: about two screens. */
const AHEAD_PX = 1_600;
/** From how far above the end, in CSS pixels, the button to the newest is of use. */
const FAR_PX = 320;

/**
 * The seq up to which everything is on the screen or above it. Of a message that is longer than the screen, reaching its
 * middle is enough; what is not stored yet has none.
 */
export function readUpTo(surface: Surface): number | undefined {
  const at = Math.min(firstBelow(surface, surface.height + 1), surface.count - 1);
  const lowest = surface.row(at);
  if (!lowest) return undefined;
  const isCut = lowest.bottom > surface.height + 1 && lowest.top > surface.height / 2;
  for (let index = isCut ? at - 1 : at; index >= 0; index -= 1) {
    const seq = surface.row(index)?.seq;
    if (seq !== undefined) return seq;
  }
  return undefined;
}

/** Which side has little left to scroll. */
export function needed(surface: Surface, { loading, failure, hasOlder, hasNewer }: WindowState): "older" | "newer" | undefined {
  if (loading || failure) return undefined;
  if (hasOlder && surface.above < AHEAD_PX) return "older";
  return hasNewer && below(surface) < AHEAD_PX ? "newer" : undefined;
}

/** The newest message is out of sight. */
export function isFar(surface: Surface, hasNewer: boolean): boolean {
  return hasNewer || below(surface) > FAR_PX;
}

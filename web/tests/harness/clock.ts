/** When things are seen: measured in the page, from the event of the key to the frame in which the words are painted. */
import type { Page } from "playwright-core";

declare global {
  interface Window {
    seen?: { pressed: Record<string, number>; shown: Record<string, number>; tasks: number[]; frames: number[] };
  }
}

/** Runs in every page before its own scripts. Times are milliseconds since the epoch, of one clock for all pages. */
export function watchTimes(): void {
  const seen = { pressed: {} as Record<string, number>, shown: {} as Record<string, number>, tasks: [], frames: [] };
  window.seen = seen;
  addEventListener(
    "keydown",
    (event) => {
      const field = event.target;
      if (event.key === "Enter" && field instanceof HTMLTextAreaElement) seen.pressed[field.value] = performance.timeOrigin + event.timeStamp;
    },
    { capture: true },
  );
  const look = (node: Node): void => {
    if (!(node instanceof Element)) return;
    for (const words of [...node.querySelectorAll("[data-text]"), ...(node.matches("[data-text]") ? [node] : [])]) {
      // Not innerText, which would lay the page out once more.
      const text = words.textContent!.trim();
      if (text in seen.shown) continue;
      seen.shown[text] = Infinity;
      // The frame is painted between its callback and the task after it.
      requestAnimationFrame(() => {
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => (seen.shown[text] = performance.timeOrigin + performance.now());
        port2.postMessage(0);
      });
    }
  };
  new MutationObserver((records) => {
    for (const record of records) for (const node of record.addedNodes) look(node);
  }).observe(document, { childList: true, subtree: true });
}

/**
 * Runs in every page before its own scripts: how long tasks took, where they took more than 50 ms, and frames, in
 * milliseconds. It looks at nothing in the page: what it measures costs nothing of it.
 */
export function watchFrames(): void {
  const seen = { pressed: {}, shown: {}, tasks: [] as number[], frames: [] as number[] };
  window.seen = seen;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) seen.tasks.push(entry.duration);
  }).observe({ type: "longtask", buffered: true });
  let last = performance.now();
  const frame = (now: number): void => {
    seen.frames.push(now - last);
    if (seen.frames.length > 20_000) seen.frames.shift();
    last = now;
    requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
}

export const times = (page: Page): Promise<NonNullable<Window["seen"]>> => page.evaluate(() => window.seen!);

/** The value that a part of all, from 0 to 1, does not exceed. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = [...values].sort((one, other) => one - other);
  return sorted[Math.max(0, Math.ceil(part * sorted.length) - 1)] ?? NaN;
}

export const rounded = (value: number): number => Math.round(value * 10) / 10;

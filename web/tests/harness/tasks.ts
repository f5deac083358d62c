/** What a piece of work costs a page: its main thread, its frames and its memory. */
import type { Browser, CDPSession, Page } from "playwright-core";
import { quantile, rounded, times } from "./clock.ts";

const MIB = 1024 * 1024;
/** A frame that came later than this, in milliseconds, was dropped at 60 a second. */
const DROPPED_MS = 34;

export interface Cost {
  /** From the first action to what was waited for. */
  readonly ms: number;
  /** The longest task of the main thread, as a clock at the wall saw it; 0: none of more than 50 ms. */
  readonly longest: number;
  /** The longest by the time of the processor alone: whatever else the machine does is not in it. */
  readonly cpu: number;
  /** Tasks of more than 50 ms. */
  readonly long: number;
  readonly frames: { readonly all: number; readonly dropped: number; readonly p99: number };
  /** What is alive afterwards. */
  readonly heapMiB: number;
}

interface TraceEvent {
  readonly name: string;
  readonly ph: string;
  readonly pid: number;
  readonly tid: number;
  /** Microseconds. */
  readonly tdur?: number;
  readonly args: { readonly name?: string };
}

/** Does something in a page that has `watchFrames`. All times are milliseconds. */
export async function costOf(browser: Browser, page: Page, devtools: CDPSession, work: () => Promise<void>): Promise<Cost> {
  await page.evaluate(() => {
    window.seen!.tasks.splice(0);
    window.seen!.frames.splice(0);
  });
  await browser.startTracing(page, { categories: ["-*", "__metadata", "disabled-by-default-devtools.timeline"] });
  const started = performance.now();
  await work();
  const ms = performance.now() - started;
  // Tasks are told of after they ended.
  await page.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  const { tasks, frames } = await times(page);
  const cpu = longestOf((await browser.stopTracing()).toString());
  await devtools.send("HeapProfiler.collectGarbage");
  const { metrics } = await devtools.send("Performance.getMetrics");
  const heap = metrics.find(({ name }) => name === "JSHeapUsedSize")!.value;
  return {
    ms: rounded(ms),
    longest: rounded(Math.max(0, ...tasks)),
    cpu: rounded(cpu),
    long: tasks.length,
    frames: { all: frames.length, dropped: frames.filter((one) => one > DROPPED_MS).length, p99: rounded(quantile(frames, 0.99)) },
    heapMiB: rounded(heap / MIB),
  };
}

function longestOf(trace: string): number {
  const { traceEvents } = JSON.parse(trace) as { traceEvents: TraceEvent[] };
  const thread = ({ pid, tid }: TraceEvent): string => `${pid}.${tid}`;
  const mains = new Set(traceEvents.filter(({ name, args }) => name === "thread_name" && args.name === "CrRendererMain").map(thread));
  const tasks = traceEvents.filter((event) => event.name === "RunTask" && event.ph === "X" && mains.has(thread(event)));
  if (tasks.length === 0) throw new Error("the trace has no tasks");
  return tasks.reduce((longest, { tdur = 0 }) => Math.max(longest, tdur / 1_000), 0);
}

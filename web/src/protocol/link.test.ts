import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Link, type LinkState, type Socket } from "./link.ts";
import type { ServerFrame } from "./types.ts";

class Wire implements Socket {
  static all: Wire[] = [];
  readonly sent: { type: string }[] = [];
  onopen: Socket["onopen"] = null;
  onmessage: Socket["onmessage"] = null;
  onclose: Socket["onclose"] = null;
  onerror: Socket["onerror"] = null;
  constructor() {
    Wire.all.push(this);
  }
  send(text: string): void {
    this.sent.push(JSON.parse(text) as { type: string });
  }
  close(): void {}
  open(): void {
    this.onopen?.({} as never);
  }
  frame(frame: object): void {
    this.onmessage?.({ data: JSON.stringify(frame) });
  }
}

const WELCOME = {
  type: "welcome",
  user: "u",
  device: "d",
  server_time: "2025-11-19T07:55:26.402Z",
  heartbeat_s: 30,
  durability: "os",
  limits: { text_bytes: 16384, frame_bytes: 65536, group: 100, catch_up: 1000, page: 500, in_flight: 256 },
  features: [],
  reconnect: { base_ms: 1000, cap_ms: 30000 },
};

let states: LinkState[] = [];
let frames: ServerFrame[] = [];
let link: Link;

beforeEach(() => {
  vi.useFakeTimers({ now: 0 });
  Wire.all = [];
  states = [];
  frames = [];
  link = new Link({
    connect: () => new Wire(),
    hello: () => Promise.resolve({ token: "t" }),
    onState: (state) => void states.push(state),
    onWelcome: () => {},
    onFrame: (frame) => void frames.push(frame),
    // The longest of each wait.
    random: () => 1,
  });
});
afterEach(() => {
  link.stop();
  vi.useRealTimers();
});

const last = () => Wire.all.at(-1) as Wire;

async function online(): Promise<Wire> {
  last().open();
  await vi.advanceTimersByTimeAsync(0);
  last().frame(WELCOME);
  return last();
}

test("hello is the first frame, and nothing else goes before welcome", async () => {
  link.start();
  last().open();
  expect(link.send({ type: "ping" })).toBe(false);
  await vi.advanceTimersByTimeAsync(0);
  expect(last().sent).toEqual([{ type: "hello", token: "t" }]);
  last().frame(WELCOME);
  expect(link.state).toEqual({ kind: "online", synced: false });
  expect(link.send({ type: "ping" })).toBe(true);
});

test("waits double up to the cap, and begin anew after a catch-up that came to its end", async () => {
  link.start();
  const waits = [];
  for (let attempt = 0; attempt < 7; attempt += 1) {
    last().onclose?.({ code: 1006 });
    const state = link.state;
    if (state.kind !== "waiting") throw new Error(state.kind);
    waits.push((state.nextTry ?? 0) - Date.now());
    await vi.advanceTimersByTimeAsync(waits.at(-1) ?? 0);
  }
  expect(waits).toEqual([1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000]);
  await online();
  link.synced(true);
  last().onclose?.({ code: 1012 });
  expect(link.state).toMatchObject({ kind: "waiting", nextTry: Date.now() + 1_000 });
});

test("what the server says to wait is waited", async () => {
  link.start();
  last().open();
  await vi.advanceTimersByTimeAsync(0);
  last().frame({ type: "error", code: "overloaded", message: "", stored: "no", retry: "same_id", retry_after_ms: 5_000 });
  last().onclose?.({ code: 4009 });
  expect(link.state).toMatchObject({ nextTry: Date.now() + 6_000 });
});

test.each([
  [4000, "incompatible"],
  [4001, "unauthorized"],
  [4002, "incompatible"],
  [4003, "revoked"],
] as const)("close code %i stops it: %s", async (code, reason) => {
  link.start();
  await online();
  last().onclose?.({ code });
  expect(link.state).toEqual({ kind: "stopped", reason });
  await vi.advanceTimersByTimeAsync(3_600_000);
  expect(Wire.all).toHaveLength(1);
});

test("a server that does not answer a ping is left", async () => {
  link.start();
  const wire = await online();
  await vi.advanceTimersByTimeAsync(30_000);
  expect(wire.sent.at(-1)).toEqual({ type: "ping" });
  wire.frame({ type: "pong" });
  await vi.advanceTimersByTimeAsync(30_000);
  expect(link.isOpen).toBe(true);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(link.state.kind).toBe("waiting");
});

test("the person does not have to wait, and a late word of an old socket means nothing", async () => {
  link.start();
  const old = await online();
  old.onclose?.({ code: 1006 });
  link.retryNow();
  expect(Wire.all).toHaveLength(2);
  await online();
  old.frame({ type: "ok" });
  old.onclose?.({ code: 4003 });
  expect(frames).toEqual([]);
  expect(link.isOpen).toBe(true);
});

/** Devices for tests: a platform in Node, with tabs that share a database, a channel and a lock. */
import "fake-indexeddb/auto";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { WebSocket } from "ws";
import type { Socket } from "../protocol/link.ts";
import type { EventFrame } from "../protocol/types.ts";
import type { Readable } from "./api.ts";
import type { Channel, Locks, Platform } from "./platform.ts";

/** Waits until it holds; a deadline, and no sleep of a length that somebody guessed. */
export async function until(what: string, holds: () => boolean | Promise<boolean>, ms = 30_000): Promise<void> {
  const end = Date.now() + ms;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error(`not within ${ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

export function value<T>(store: Readable<T>, what: string, holds: (value: T) => boolean, ms?: number): Promise<void> {
  return until(what, () => holds(store.get()), ms);
}

/** An event of a group, a second after the one before. */
export function frame(seq: number, event: object, more: Partial<EventFrame> & { sender?: string; id?: string } = {}): EventFrame {
  const { sender = "other", id, ...rest } = more;
  return {
    type: "event",
    conversation: "g.a",
    seq,
    prev: seq - 1,
    n: seq,
    ts: new Date(Date.UTC(2025, 10, 19) + seq * 1_000).toISOString(),
    body: { v: 1, sender, ...(id ? { id } : {}), event: event as EventFrame["body"]["event"] },
    ...rest,
  };
}

/** A lock as browsers have it, within this process: whoever waits for it can leave. */
export class OneLock implements Locks {
  #queue: Promise<void> = Promise.resolve();

  request(_name: string, { signal }: { signal: AbortSignal }, hold: () => Promise<void>): Promise<void> {
    let isHeld = false;
    const turn = this.#queue.then(() => {
      isHeld = !signal.aborted;
      return isHeld ? hold() : undefined;
    });
    this.#queue = turn.catch(() => {});
    const left = new Promise<never>((_resolve, reject) => {
      signal.addEventListener("abort", () => !isHeld && reject(new DOMException("left", "AbortError")), { once: true });
    });
    return Promise.race([turn, left]);
  }
}

/** A device: its tabs have one database, one channel and one lock. */
export class Device {
  readonly #locks = new OneLock();
  readonly #values = new Map<string, string>();
  readonly #runs = new Set<(what: "visibility" | "network" | "hiding") => void>();
  hasNetwork = true;
  isVisible = true;
  sockets = 0;

  constructor(
    private readonly scope: string,
    public base: () => string,
  ) {}

  setNetwork(there: boolean): void {
    this.hasNetwork = there;
    for (const run of this.#runs) run("network");
  }

  /** As pages do that are being left. */
  hide(): void {
    for (const run of this.#runs) run("hiding");
  }

  tab(): Platform {
    return {
      scope: this.scope,
      base: "",
      fetch: (input, init) => {
        if (!this.hasNetwork) return Promise.reject(new TypeError("no network"));
        return fetch(this.base() + String(input), init);
      },
      socket: () => {
        // Nobody listens on port 1.
        const url = this.hasNetwork ? this.base().replace("http", "ws") : "ws://127.0.0.1:1";
        if (this.hasNetwork) this.sockets += 1;
        return new WebSocket(`${url}/v1/ws`, "hansard.v1") as unknown as Socket;
      },
      locks: this.#locks,
      channel: (name) => {
        const channel = new BroadcastChannel(name);
        (channel as unknown as { unref(): void }).unref();
        return channel as unknown as Channel;
      },
      values: {
        get: (key) => this.#values.get(key) ?? null,
        set: (key, text) => void this.#values.set(key, text),
        remove: (key) => void this.#values.delete(key),
        keys: () => [...this.#values.keys()],
      },
      isVisible: () => this.isVisible,
      hasNetwork: () => this.hasNetwork,
      onChange: (run) => {
        this.#runs.add(run);
        return () => void this.#runs.delete(run);
      },
      deviceName: "test",
    };
  }
}

/** The real binary on a directory of its own. */
export class Server {
  #child: ChildProcess | undefined;
  readonly #data = mkdtempSync(join(tmpdir(), "hansard-web-"));
  url = "";

  constructor(private readonly binary: string) {}

  async start(): Promise<void> {
    const listen = this.url === "" ? "127.0.0.1:0" : new URL(this.url).host;
    // The server refuses variables of its prefix that it does not know.
    const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("HANSARD_")));
    const child = spawn(this.binary, ["serve", "--data", this.#data, "--listen", listen], {
      env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    this.#child = child;
    let said = "";
    const hear = (chunk: Buffer) => void (said += chunk.toString());
    child.stdout.on("data", hear);
    child.stderr.on("data", hear);
    await until(
      "the server listens",
      () => {
        if (child.exitCode !== null) throw new Error(`the server ended: ${said}`);
        const found = /http:\/\/[0-9.]+:[0-9]+/.exec(said);
        if (found) this.url = found[0];
        return found !== null;
      },
      60_000,
    );
  }

  /** As if the power of the process were gone. */
  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => child.once("exit", resolve));
    child.kill(signal);
    await ended;
  }

  async stop(): Promise<void> {
    await this.kill("SIGTERM");
    rmSync(this.#data, { recursive: true, force: true });
  }
}

/** The same object, but `before` runs first whenever the method is called, with what it is given. */
export function intercepted<T extends object>(of: T, method: keyof T & string, before: (...given: unknown[]) => void): T {
  return new Proxy(of, {
    get(target, name) {
      const found: unknown = Reflect.get(target, name);
      if (typeof found !== "function") return found;
      if (name !== method) return found.bind(target) as unknown;
      return (...given: unknown[]) => {
        before(...given);
        return found.apply(target, given) as unknown;
      };
    },
  });
}

import type { Socket } from "../protocol/link.ts";

/** What the engine needs of its surroundings; a browser has it, and a test can give it. */
export interface Platform {
  /** What the names of databases, channels and locks begin with. */
  readonly scope: string;
  /** Scheme and host of the server; empty: the page's own. */
  readonly base: string;
  readonly fetch: typeof fetch;
  socket(): Socket;
  readonly locks: Locks;
  channel(name: string): Channel;
  /** Small values, read and written at once. */
  readonly values: {
    get(key: string): string | null;
    set(key: string, value: string): void;
    remove(key: string): void;
    keys(): string[];
  };
  /** Whether the page is on screen. */
  isVisible(): boolean;
  hasNetwork(): boolean;
  /** Calls when one of the two changes. Returns how to stop. */
  onChange(run: (what: "visibility" | "network" | "hiding") => void): () => void;
  readonly deviceName: string;
}

/** Of Web Locks, what is used here. */
export interface Locks {
  /** Calls `hold` once nobody else holds the name; it is free again when the promise is done, or this tab is gone. */
  request(name: string, options: { signal: AbortSignal }, hold: () => Promise<void>): Promise<unknown>;
}

export interface Channel {
  postMessage(message: unknown): void;
  onmessage: ((event: { data: unknown }) => void) | null;
  close(): void;
}

export function browser(): Platform {
  return {
    scope: "hansard",
    base: "",
    fetch: (...all) => fetch(...all),
    socket() {
      const url = new URL("/v1/ws", location.href);
      url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
      return new WebSocket(url, "hansard.v1") as unknown as Socket;
    },
    // Without Web Locks (a page that is not a secure context) each tab is its own leader.
    locks: (navigator.locks as Locks | undefined) ?? { request: (_name, _options, hold) => hold() },
    channel: (name) => new BroadcastChannel(name) as unknown as Channel,
    values: {
      get: (key) => localStorage.getItem(key),
      set: (key, value) => localStorage.setItem(key, value),
      remove: (key) => localStorage.removeItem(key),
      keys: () => Object.keys(localStorage),
    },
    isVisible: () => document.visibilityState === "visible",
    hasNetwork: () => navigator.onLine,
    onChange(run) {
      const ends = new AbortController();
      const { signal } = ends;
      document.addEventListener("visibilitychange", () => run("visibility"), { signal });
      addEventListener("pagehide", () => run("hiding"), { signal });
      addEventListener("online", () => run("network"), { signal });
      addEventListener("offline", () => run("network"), { signal });
      return () => ends.abort();
    },
    deviceName: deviceName(navigator.userAgent),
  };
}

/** What the person sees in the list of devices: a browser and a system, if they can be told. */
export function deviceName(agent: string): string {
  const browsers: [RegExp, string][] = [
    [/Edg\//, "Edge"],
    [/Firefox\//, "Firefox"],
    [/Chrome\//, "Chrome"],
    [/Safari\//, "Safari"],
  ];
  const systems: [RegExp, string][] = [
    [/Android/, "Android"],
    [/iPhone|iPad/, "iOS"],
    [/Windows/, "Windows"],
    [/Mac OS X/, "macOS"],
    [/CrOS/, "ChromeOS"],
    [/Linux/, "Linux"],
  ];
  const of = (list: [RegExp, string][]) => list.find(([pattern]) => pattern.test(agent))?.[1];
  return [of(browsers) ?? "Browser", of(systems)].filter(Boolean).join(", ");
}

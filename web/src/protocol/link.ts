import { Backoff, RETRY_AFTER_MAX_MS } from "./backoff.ts";
import { Refused } from "./refusal.ts";
import type { ClientFrame, ErrorFrame, Hello, ServerFrame, Welcome } from "./types.ts";

/** Connecting, the upgrade included, may take this long, in milliseconds. */
const CONNECT_TIMEOUT_MS = 10_000;
/** `welcome` may take this long after `hello`, in milliseconds. */
const WELCOME_TIMEOUT_MS = 20_000;
/** A `pong` may take this long, in milliseconds; then the connection is taken for dead. */
const PONG_TIMEOUT_MS = 10_000;

export type LinkState =
  | { readonly kind: "connecting" }
  | { readonly kind: "greeting" }
  | { readonly kind: "online"; readonly synced: boolean }
  /** `nextTry`: on this device's clock; absent while the device says that it has no network. */
  | { readonly kind: "waiting"; readonly nextTry: number | undefined; readonly since: number }
  /** It does not come back by itself. `incompatible`: a fault of this client. */
  | { readonly kind: "stopped"; readonly reason: "closed" | "unauthorized" | "revoked" | "incompatible" };

/** What a `WebSocket` is here; the one of browsers, or of a library. */
export interface Socket {
  send(text: string): void;
  close(code?: number): void;
  onopen: ((event: never) => void) | null;
  onmessage: ((event: { data: unknown }) => void) | null;
  onclose: ((event: { code: number }) => void) | null;
  onerror: ((event: never) => void) | null;
}

export interface LinkOptions {
  readonly connect: () => Socket;
  /** Asked before each `hello`. */
  readonly hello: () => Promise<Omit<Hello, "type">>;
  readonly onState: (state: LinkState) => void;
  readonly onWelcome: (welcome: Welcome) => void;
  readonly onFrame: (frame: ServerFrame) => void;
  readonly random?: () => number;
  /** Whether the device says that it has a network. */
  readonly hasNetwork?: () => boolean;
}

/**
 * One connection at a time, and how to come back to it: hello, back-off with full jitter, what each close code asks for,
 * pings. It knows nothing of what the frames mean.
 */
export class Link {
  #state: LinkState = { kind: "stopped", reason: "closed" };
  #socket: Socket | undefined;
  #backoff = new Backoff();
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pong: ReturnType<typeof setTimeout> | undefined;
  #heartbeatMs = 30_000;
  #retryAfterMs: number | undefined;
  #lostAt: number | undefined;

  constructor(private readonly options: LinkOptions) {}

  get state(): LinkState {
    return this.#state;
  }

  get isOpen(): boolean {
    return this.#state.kind === "online";
  }

  start(): void {
    if (this.#state.kind === "stopped") this.#connect();
  }

  /** Ends it: the server sees a close of 1000 at once. */
  stop(): void {
    this.#drop(1000);
    this.#become({ kind: "stopped", reason: "closed" });
  }

  /** The person asks, or the network came back. */
  retryNow(): void {
    if (this.#state.kind === "waiting") this.#connect();
  }

  /** The device says that the network is gone: the socket may not know for minutes. */
  networkLost(): void {
    if (this.#state.kind !== "stopped") this.#lost();
  }

  /** The server does not answer although the socket is open. */
  abandon(): void {
    if (this.#state.kind !== "stopped") this.#lost();
  }

  /** False: there is no connection; nothing was sent. */
  send(frame: ClientFrame): boolean {
    if (this.#state.kind !== "online" || !this.#socket) return false;
    this.#socket.send(JSON.stringify(frame));
    return true;
  }

  /** The catch-up is over: the next loss is the first again. */
  synced(complete: boolean): void {
    if (this.#state.kind !== "online") return;
    if (!complete) {
      this.#lost();
      return;
    }
    this.#backoff.reset();
    this.#become({ kind: "online", synced: true });
  }

  #become(state: LinkState): void {
    this.#state = state;
    if (state.kind === "online" && state.synced) this.#lostAt = undefined;
    this.options.onState(state);
  }

  #connect(): void {
    this.#drop(1000);
    this.#become({ kind: "connecting" });
    let socket: Socket;
    try {
      socket = this.options.connect();
    } catch {
      this.#lost();
      return;
    }
    this.#socket = socket;
    this.#timer = setTimeout(() => this.#lost(), CONNECT_TIMEOUT_MS);
    socket.onopen = () => void this.#greet(socket);
    socket.onmessage = ({ data }) => {
      if (socket === this.#socket && typeof data === "string") this.#heard(data);
    };
    socket.onclose = ({ code }) => {
      if (socket === this.#socket) this.#closed(code);
    };
    // A close follows each error; the handler keeps libraries from throwing it.
    socket.onerror = () => {};
  }

  async #greet(socket: Socket): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#lost(), WELCOME_TIMEOUT_MS);
    const hello = await this.options.hello();
    if (socket !== this.#socket) return;
    this.#become({ kind: "greeting" });
    socket.send(JSON.stringify({ type: "hello", ...hello }));
  }

  #heard(data: string): void {
    let frame: ServerFrame;
    try {
      frame = JSON.parse(data) as ServerFrame;
    } catch {
      return;
    }
    clearTimeout(this.#pong);
    this.#pong = undefined;
    if (frame.type === "welcome") {
      clearTimeout(this.#timer);
      this.#backoff.follow(frame.reconnect);
      this.#heartbeatMs = Math.max(frame.heartbeat_s, 1) * 1_000;
      this.#become({ kind: "online", synced: false });
      this.#timer = setTimeout(() => this.#ping(), this.#heartbeatMs);
      this.options.onWelcome(frame);
      return;
    }
    if (frame.type === "error" && frame.ref === undefined) this.#heed(frame);
    if (frame.type === "drain") this.#backoff.follow(frame.reconnect);
    this.options.onFrame(frame);
  }

  /** An error that ends the connection. */
  #heed(frame: ErrorFrame): void {
    this.#backoff.follow(frame.reconnect);
    this.#retryAfterMs = Refused.of(frame).retryAfterMs;
  }

  #ping(): void {
    if (!this.send({ type: "ping" })) return;
    this.#pong ??= setTimeout(() => this.#lost(), PONG_TIMEOUT_MS);
    this.#timer = setTimeout(() => this.#ping(), this.#heartbeatMs);
  }

  #closed(code: number): void {
    const stopped = { 4000: "incompatible", 4001: "unauthorized", 4002: "incompatible", 4003: "revoked" } as const;
    const reason = stopped[code as keyof typeof stopped];
    if (reason) {
      this.#drop();
      this.#become({ kind: "stopped", reason });
    } else {
      this.#lost();
    }
  }

  #lost(): void {
    this.#drop(1000);
    this.#lostAt ??= Date.now();
    if (this.options.hasNetwork?.() === false) {
      this.#become({ kind: "waiting", nextTry: undefined, since: this.#lostAt });
      // Some devices are wrong about it: now and then it is tried all the same.
      this.#timer = setTimeout(() => this.#connect(), 60_000);
      return;
    }
    const jitter = this.#backoff.next(this.options.random);
    const delay = Math.min(this.#retryAfterMs ?? 0, RETRY_AFTER_MAX_MS) + jitter;
    this.#retryAfterMs = undefined;
    this.#become({ kind: "waiting", nextTry: Date.now() + delay, since: this.#lostAt });
    this.#timer = setTimeout(() => this.#connect(), delay);
  }

  #drop(code?: number): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#pong);
    this.#pong = undefined;
    const socket = this.#socket;
    this.#socket = undefined;
    try {
      socket?.close(code);
    } catch {
      // It was never open.
    }
  }
}

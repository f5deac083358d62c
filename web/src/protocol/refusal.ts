import type { ErrorBody, ErrorCode } from "./types.ts";

/** Why something was not done. `offline`: the server could not be asked; `cancelled`: the caller gave up. */
export type RefusalCode = ErrorCode | "offline" | "cancelled";

/** What the server said, or that it said nothing. */
export class Refused extends Error {
  readonly code: RefusalCode;
  /** Whether the event may be in the log all the same. */
  readonly stored: "no" | "unknown";
  readonly retry: "never" | "same_id" | "new_id";
  readonly retryAfterMs: number | undefined;
  readonly at: readonly [number, number] | undefined;
  readonly serverTime: string | undefined;

  constructor(code: RefusalCode, message: string, body?: Partial<ErrorBody>) {
    super(message);
    this.name = "Refused";
    this.code = code;
    this.stored = body?.stored ?? "unknown";
    this.retry = body?.retry ?? "same_id";
    this.retryAfterMs = body?.retry_after_ms;
    const [from, to] = body?.at ?? [];
    this.at = from === undefined || to === undefined ? undefined : [from, to];
    this.serverTime = body?.server_time;
  }

  static of(body: ErrorBody): Refused {
    return new Refused(body.code, body.message, body);
  }

  static offline(cause: unknown): Refused {
    return new Refused("offline", cause instanceof Error ? cause.message : String(cause));
  }

  static cancelled(): Refused {
    return new Refused("cancelled", "given up by the caller", { stored: "unknown" });
  }
}

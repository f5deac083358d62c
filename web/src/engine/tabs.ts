/** The tabs of one person on one device: what they tell each other, and which of them holds the connection. */
import type { LinkState } from "../protocol/link.ts";
import type { Channel, Platform } from "./platform.ts";
import type { Change } from "./rows.ts";
import type { PersonState } from "../protocol/types.ts";

export interface PresenceNews {
  readonly user: string;
  readonly state: PersonState;
  readonly lastSeen?: number;
}

export type Notice =
  | { readonly type: "changed"; readonly change: Change }
  | { readonly type: "connection"; readonly state: LinkState }
  | { readonly type: "typing"; readonly conversation: string; readonly user: string }
  | { readonly type: "presence"; readonly people: readonly PresenceNews[] }
  | { readonly type: "progress"; readonly upload: string; readonly sent: number }
  | { readonly type: "problem"; readonly problem: { code: string; conversation?: string; what: string } }
  /** A tab says what it shows; with nothing on screen when it ends. */
  | { readonly type: "shows"; readonly tab: string; readonly shows: Shows | undefined }
  /** A new leader, or a new tab, asks the others to say what they show, and the leader how the connection is. */
  | { readonly type: "who" }
  /** The server has another log: what a tab has in memory is not true any more, and it begins anew. */
  | { readonly type: "reset" }
  /** To the leader. */
  | { readonly type: "retry" }
  | { readonly type: "outbox" }
  | { readonly type: "uploads" }
  | { readonly type: "typed"; readonly conversation: string }
  | { readonly type: "read"; readonly conversation: string; readonly seq: number }
  | { readonly type: "pull"; readonly upload: string; readonly what: "pause" | "resume" | "cancel" };

/** What a tab shows. */
export interface Shows {
  readonly visible: boolean;
  /** Open conversations, the one in front first. */
  readonly conversations: readonly string[];
  /** People whose presence is on screen. */
  readonly users: readonly string[];
  readonly invisible: boolean;
}

/** Posts to the other tabs and to this one alike: whoever listens need not know who spoke. */
export class Tabs {
  readonly #channel: Channel;
  readonly #runs = new Set<(notice: Notice) => void>();
  #isClosed = false;

  /** `database`: the key of what these tabs share. */
  constructor(platform: Platform, database: string) {
    this.#channel = platform.channel(`${platform.scope}.${database}`);
    this.#channel.onmessage = ({ data }) => this.#hear(data as Notice);
  }

  listen(run: (notice: Notice) => void): () => void {
    this.#runs.add(run);
    return () => void this.#runs.delete(run);
  }

  post(notice: Notice): void {
    if (this.#isClosed) return;
    this.#channel.postMessage(notice);
    this.#hear(notice);
  }

  close(): void {
    this.#isClosed = true;
    this.#channel.close();
    this.#runs.clear();
  }

  #hear(notice: Notice): void {
    for (const run of [...this.#runs]) run(notice);
  }
}

/** Leads while `signal` is not aborted: `lead` is called once no other tab does, and is to end when its signal aborts. */
export function elect(
  platform: Platform,
  database: string,
  signal: AbortSignal,
  lead: (signal: AbortSignal) => Promise<void>,
): Promise<void> {
  return platform.locks
    .request(`${platform.scope}.${database}`, { signal }, () => lead(signal))
    .then(
      () => {},
      (cause: unknown) => {
        if (!signal.aborted) throw cause;
      },
    );
}

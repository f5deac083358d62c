import { untrack } from "svelte";
import { fromStore } from "svelte/store";
import type { MediaApi, MediaVariant } from "../../engine/api.ts";

export interface Wanted {
  readonly id: string;
  /** From the one liked best to the one that will do; `undefined` is the file as it was sent. */
  readonly variants: readonly (MediaVariant | undefined)[];
  /** What has become of the file, if it is known: another state is worth another try. */
  readonly state?: string | undefined;
}

/** Whoever has just been told of a file may be told of it before the server knows it well. */
const RETRY_MS = [1_000, 2_000, 4_000, 8_000, 16_000];

/** The address of a file that is being asked for, for as long as the component lives that made it. */
export class Address {
  /** With the file that it is of: never shown for another one. */
  #found = $state.raw<{ readonly id: string; readonly url: string }>();
  /** None of the variants is to be had. It is asked for again by itself: a few times, and with each new connection. */
  failed = $state(false);
  #attempt = $state(0);
  #retries = 0;
  #renewed = false;
  #id: string | undefined;

  /** `wanted` is followed; while it is undefined nothing is asked for. */
  constructor(
    private readonly media: MediaApi,
    private readonly wanted: () => Wanted | undefined,
  ) {
    const key = $derived(JSON.stringify(wanted()));
    const reachable = fromStore(media.reachable);
    $effect(() => {
      if (reachable.current) untrack(() => this.failed && this.again());
    });
    $effect(() => {
      void this.#attempt;
      const now = key === undefined ? undefined : (JSON.parse(key) as { id: string; variants: (MediaVariant | null)[] });
      if (now?.id !== this.#id) [this.#retries, this.#renewed, this.failed] = [0, false, false];
      this.#id = now?.id;
      if (!now) {
        this.#found = undefined;
        return;
      }
      let late = false;
      let timer: ReturnType<typeof setTimeout> | undefined;
      void firstOf(media, now.id, now.variants.map((variant) => variant ?? undefined)).then((url) => {
        if (late) return;
        this.#found = url === undefined ? undefined : { id: now.id, url };
        this.failed = url === undefined;
        const pause = this.failed && reachable.current ? RETRY_MS[this.#retries++] : undefined;
        if (pause !== undefined) timer = setTimeout(() => (this.#attempt += 1), pause);
      });
      return () => {
        late = true;
        clearTimeout(timer);
      };
    });
  }

  get url(): string | undefined {
    return this.#found?.id === this.wanted()?.id ? this.#found?.url : undefined;
  }

  /** What is there cannot be loaded, or not to its end: it may have expired. Asks for another one, if that is `worth` it: once. */
  broken(worth = !this.#renewed): void {
    const id = this.#found?.id;
    if (id !== undefined) this.media.forget(id);
    // An element that has failed loads the same address no more.
    this.#found = undefined;
    if (worth) this.again();
    else this.failed = true;
    this.#renewed = true;
  }

  /** Asks again: the file may be there by now. */
  again(): void {
    [this.#retries, this.#renewed, this.failed] = [0, false, false];
    this.#attempt += 1;
  }
}

async function firstOf(media: MediaApi, id: string, variants: readonly (MediaVariant | undefined)[]): Promise<string | undefined> {
  for (const variant of variants) {
    try {
      return await media.url(id, variant);
    } catch {
      // The next one may be there: a small picture has no variants.
    }
  }
  return undefined;
}

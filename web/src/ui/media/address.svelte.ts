import type { MediaApi, MediaVariant } from "../../engine/api.ts";

export interface Wanted {
  readonly id: string;
  /** From the one liked best to the one that will do; `undefined` is the file as it was sent. */
  readonly variants: readonly (MediaVariant | undefined)[];
}

/** The address of a file that is being asked for, for as long as the component lives that made it. */
export class Address {
  url = $state<string>();
  /** None of the variants is to be had now. */
  failed = $state(false);
  #attempt = $state(0);

  /** `wanted` is followed; while it is undefined nothing is asked for. */
  constructor(media: MediaApi, wanted: () => Wanted | undefined) {
    const key = $derived(JSON.stringify(wanted()));
    $effect(() => {
      void this.#attempt;
      const now = key === undefined ? undefined : (JSON.parse(key) as { id: string; variants: (MediaVariant | null)[] });
      this.failed = false;
      if (!now) {
        this.url = undefined;
        return;
      }
      let late = false;
      void firstOf(media, now.id, now.variants.map((variant) => variant ?? undefined)).then((url) => {
        if (late) return;
        this.url = url;
        this.failed = url === undefined;
      });
      return () => (late = true);
    });
  }

  /** Asks again: the address has expired, or the file may be there by now. */
  again(): void {
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

/** Files of messages: signed addresses, what is known of them; and uploads of this tab. */
import { Refused } from "../protocol/refusal.ts";
import type { Attachment, MediaApi, MediaInfo, MediaVariant, Upload } from "./api.ts";
import { Cell, Cells } from "./cell.ts";
import type { Core, View } from "./core.ts";
import type { Change } from "./rows.ts";

/** Addresses and infos that are remembered. */
const KNOWN_MAX = 500;
/** An address is fetched again this long before it ends, in milliseconds. */
const MARGIN_MS = 60_000;

export class Files implements MediaApi, View {
  readonly #urls = new Map<string, { url: Promise<string>; until: number }>();
  readonly #infos: Cells<MediaInfo | undefined>;
  readonly #uploads: Cells<Upload | undefined>;
  readonly reachable = new Cell(false);

  constructor(private readonly core: Core) {
    this.#infos = new Cells<MediaInfo | undefined>(
      () => undefined,
      KNOWN_MAX,
      (id, used) => {
        if (used) core.unawaited(this.#ask(id));
      },
    );
    this.#uploads = new Cells((key) => core.upload(key), KNOWN_MAX);
    core.add(this);
    core.link.subscribe(({ kind }) => {
      if (kind === "online" && !this.reachable.get()) this.#askAgain();
      this.reachable.set(kind === "online");
    });
  }

  refresh(change: Change): void {
    for (const key of change.uploads ?? []) this.#uploads.set(key, this.core.upload(key));
    // Processing may be done: what was not known may be now.
    if (change.messages) this.#askAgain();
  }

  upload(key: string) {
    return this.#uploads.of(key);
  }

  pause(key: string): void {
    this.core.tabs.post({ type: "pull", upload: key, what: "pause" });
  }

  resume(key: string): void {
    this.core.tabs.post({ type: "pull", upload: key, what: "resume" });
  }

  cancel(key: string): void {
    this.core.unawaited(this.core.dropUpload(key));
  }

  setAlt(key: string, alt: string): void {
    void (async () => {
      const row = await this.core.db.get("uploads", key);
      if (row) await this.core.putUpload({ ...row, alt });
    })();
  }

  url(id: string, variant?: MediaVariant): Promise<string> {
    const key = `${id} ${variant ?? ""}`;
    const known = this.#urls.get(key);
    if (known && known.until > Date.now()) return known.url;
    const asked = this.core.http.mediaUrl(id, variant);
    const entry = { url: asked.then(({ url }) => url), until: Date.now() + MARGIN_MS };
    this.#urls.set(key, entry);
    if (this.#urls.size > KNOWN_MAX) this.#urls.delete(this.#urls.keys().next().value ?? key);
    asked.then(
      ({ expires_at }) => {
        entry.until = Date.parse(expires_at) - (this.core.clock.offsetMs ?? 0) - MARGIN_MS;
      },
      () => {
        if (this.#urls.get(key) === entry) this.#urls.delete(key);
      },
    );
    return entry.url;
  }

  forget(id: string): void {
    for (const key of this.#urls.keys()) if (key.startsWith(`${id} `)) this.#urls.delete(key);
  }

  info(id: string) {
    return this.#infos.of(id);
  }

  async store({ blob, type }: Attachment): Promise<string> {
    const { id } = await this.core.http.storeMedia(blob, type);
    return id;
  }

  fetch(id: string, variant?: MediaVariant): Promise<Blob> {
    return this.core.http.media(id, variant);
  }

  #askAgain(): void {
    for (const id of this.#infos.used()) if (this.#infos.of(id).get()?.state !== "ready") this.core.unawaited(this.#ask(id));
  }

  async #ask(id: string): Promise<void> {
    if (this.#infos.of(id).get()?.state === "ready") return;
    try {
      this.#infos.set(id, await this.core.http.mediaInfo(id));
    } catch (cause) {
      if (!(cause instanceof Refused)) throw cause;
    }
  }
}

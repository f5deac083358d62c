import { Refused } from "../protocol/refusal.ts";
import type { Attachment, Compose, ConversationId, Draft, MessageItem, Seq } from "./api.ts";
import type { Taker } from "./arrivals.ts";
import { Cell } from "./cell.ts";
import type { Core } from "./core.ts";
import { emptyDraft } from "./drafts.ts";
import { kept } from "./items.ts";
import type { Quotes } from "./quotes.ts";
import type { DraftRow, OutgoingEvent, UploadRow } from "./rows.ts";

/** A draft is written down this long after the last change, in milliseconds. */
const WRITE_AFTER_MS = 250;
/** Others are told of typing at most this often, in milliseconds. */
const TYPING_EVERY_MS = 2_500;
/** Files of a message. */
const UPLOADS_MAX = 20;

export interface ComposerPorts {
  readonly core: Core;
  readonly conversation: ConversationId;
  readonly thread: Seq | undefined;
  readonly quotes: Quotes;
  mentionsIn(text: string): string[];
  item(seq: Seq): MessageItem | undefined;
  onSend(): void;
}

/** What is being written in one place; it survives a reload. */
export class Composer implements Compose {
  readonly draft: Cell<Draft>;
  readonly obstacle = new Cell<"empty" | "too_large" | "not_a_member" | "unknown" | undefined>("empty");
  readonly #place: string;
  #row: DraftRow;
  /** The one that is in the database. */
  #kept: DraftRow;
  #turn = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #typedAt = 0;
  /** Sent, once the files that were chosen are there. */
  #isHeld = false;
  readonly #taker: Taker;
  readonly #leave: (() => void)[];

  constructor(private readonly ports: ComposerPorts) {
    const { core, conversation, thread } = ports;
    this.#place = thread === undefined ? conversation : `${conversation}#${thread}`;
    this.#row = core.drafts.get(this.#place) ?? this.#empty();
    this.#kept = this.#row;
    this.draft = new Cell(this.#shown());
    this.#taker = {
      take: (upload) => this.#take(upload),
      lost: () => void (this.#isHeld = false),
      allThere: () => this.#isHeld && this.send(),
    };
    this.#leave = [
      core.arrivals.listen(this.#place, this.#taker),
      core.platform.onChange((what) => {
        if (what === "hiding" && this.#row !== this.#kept) core.drafts.rescue(this.#row);
        if (what !== "network") this.#flush();
      }),
    ];
    this.#check();
  }

  close(): void {
    this.#flush();
    for (const leave of this.#leave) leave();
  }

  setText(text: string): void {
    if (text === this.#row.text) return;
    this.#change({ text });
    const isTyping = text !== "" && this.#row.editing === undefined;
    if (isTyping && Date.now() - this.#typedAt > TYPING_EVERY_MS) {
      this.#typedAt = Date.now();
      this.ports.core.tabs.post({ type: "typed", conversation: this.ports.conversation });
    }
  }

  setReply(seq: Seq | undefined): void {
    const { replyTo: _replyTo, ...rest } = this.#row;
    this.#replace(seq === undefined ? rest : { ...rest, replyTo: seq });
  }

  setEditing(seq: Seq | undefined): void {
    const { editing, beforeEditing, ...rest } = this.#row;
    if (seq === undefined) {
      if (editing === undefined) return;
      this.#turn += 1;
      this.#replace({ ...rest, text: beforeEditing ?? "" });
      return;
    }
    const text = this.ports.item(seq)?.text;
    if (text === undefined) return;
    this.#turn += 1;
    this.#replace({ ...rest, editing: seq, beforeEditing: beforeEditing ?? rest.text, text });
  }

  async attach(file: Attachment): Promise<void> {
    const { core, conversation } = this.ports;
    // Each that is on its way has its place already.
    if (this.#row.uploads.length + core.arrivals.at(this.#place) >= UPLOADS_MAX) {
      throw new Refused("too_large", `more than ${UPLOADS_MAX} files`, { stored: "no", retry: "never" });
    }
    const { blob, name, type, width, height, durationMs, alt, original } = file;
    const row: UploadRow = {
      key: core.clock.mint(),
      c: conversation,
      blob,
      name,
      type: type || "application/octet-stream",
      size: blob.size,
      state: "waiting",
      sent: 0,
      ts: Date.now(),
      ...(width === undefined ? {} : { width }),
      ...(height === undefined ? {} : { height }),
      ...(durationMs === undefined ? {} : { durationMs }),
      ...(alt === undefined ? {} : { alt }),
      ...(original ? { original } : {}),
    };
    await core.arrivals.bring(this.#place, row, this.#taker);
  }

  detach(upload: string): void {
    this.#change({ uploads: this.#row.uploads.filter((key) => key !== upload) });
    this.#flush();
    this.ports.core.unawaited(this.ports.core.dropUpload(upload));
  }

  /** With the files that were chosen: it waits for those that are being written down. */
  send(): void {
    this.#isHeld = false;
    this.#check();
    if (this.obstacle.get() !== undefined) return;
    const { text, editing, replyTo, uploads, beforeEditing } = this.#row;
    if (editing !== undefined) {
      this.edit(editing, text);
      const { editing: _editing, beforeEditing: _before, ...rest } = this.#row;
      this.#turn += 1;
      this.#replace({ ...rest, text: beforeEditing ?? "" });
      this.#flush();
      return;
    }
    const { conversation, thread, core } = this.ports;
    if (core.arrivals.at(this.#place) > 0) {
      this.#isHeld = true;
      return;
    }
    const mentions = this.ports.mentionsIn(text);
    const event: OutgoingEvent = {
      kind: "message",
      text: text.trim(),
      ...(replyTo === undefined ? {} : { reply_to: replyTo }),
      ...(thread === undefined ? {} : { thread }),
      ...(mentions.length > 0 ? { mentions } : {}),
    };
    const draft = { place: this.#place, ts: this.#row.ts };
    if (core.send({ c: conversation, event, uploads, draft }) === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#typedAt = 0;
    this.#turn += 1;
    this.#row = { ...this.#empty(), ts: Date.now() };
    this.#kept = this.#row;
    this.#show();
    this.ports.onSend();
  }

  edit(seq: Seq, text: string): void {
    const { core, conversation } = this.ports;
    const item = this.ports.item(seq);
    if (item && item.text === text.trim()) return;
    const mentions = this.ports.mentionsIn(text);
    // An edit replaces all three: the files stay what they are.
    const event: OutgoingEvent = {
      kind: "edit",
      target: seq,
      text: text.trim(),
      ...(mentions.length > 0 ? { mentions } : {}),
      ...(item && item.media.length > 0 ? { media: [...item.media] } : {}),
    };
    core.send({ c: conversation, event });
  }

  /** Rows changed: of another tab, or of uploads. */
  refresh(): void {
    const { core } = this.ports;
    const row = core.drafts.get(this.#place);
    // Sent or cleared in another tab: nobody is to send it once more from here.
    const isGone = !row && !isEmpty(this.#row);
    const isOfOther = row !== undefined && row.tab !== core.tab && row.ts > this.#row.ts;
    if (this.#timer === undefined && (isGone || isOfOther)) {
      this.#row = row ?? this.#empty();
      this.#kept = this.#row;
      this.#isHeld = false;
      this.#turn += 1;
    }
    this.#show();
  }

  #take(upload: string): void {
    const isHeld = this.#isHeld;
    this.#change({ uploads: [...this.#row.uploads, upload] });
    this.#isHeld = isHeld;
    this.#flush();
  }

  #change(change: Partial<DraftRow>): void {
    this.#replace({ ...this.#row, ...change });
  }

  #replace(row: DraftRow): void {
    // Whoever goes on writing has not finished.
    this.#isHeld = false;
    this.#row = { ...row, ts: Date.now(), tab: this.ports.core.tab };
    this.#show();
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#flush(), WRITE_AFTER_MS);
  }

  #flush(): void {
    if (this.#timer === undefined) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const { core } = this.ports;
    const row = this.#row;
    void core.drafts.put(this.#place, isEmpty(row) ? undefined : row).then(
      () => void (this.#kept = row),
      () => {},
    );
  }

  #show(): void {
    this.draft.set(kept(this.draft.get(), this.#shown()));
    this.#check();
  }

  #shown(): Draft {
    const { text, replyTo, editing, uploads } = this.#row;
    return {
      text,
      uploads: uploads.flatMap((key) => this.ports.core.upload(key) ?? []),
      turn: this.#turn,
      ...(replyTo === undefined ? {} : { replyTo: this.ports.quotes.of(replyTo, []) }),
      ...(editing === undefined ? {} : { editing }),
    };
  }

  #check(): void {
    const { core, conversation } = this.ports;
    const { text, uploads, editing } = this.#row;
    const row = core.rowOrUnknown(conversation);
    const hasMedia = uploads.length > 0 || (editing !== undefined && (this.ports.item(editing)?.media.length ?? 0) > 0);
    // A group that is only known by what was said in it has no title yet.
    if (row.role === undefined) this.obstacle.set(row.title === undefined ? "unknown" : "not_a_member");
    else if (text.trim() === "" && !hasMedia) this.obstacle.set("empty");
    else if (new TextEncoder().encode(text.trim()).length > core.textBytes) this.obstacle.set("too_large");
    else this.obstacle.set(undefined);
  }

  #empty(): DraftRow {
    return emptyDraft(this.#place, this.ports.conversation, this.ports.core.tab);
  }
}

function isEmpty({ text, replyTo, uploads, editing }: DraftRow): boolean {
  return text === "" && replyTo === undefined && uploads.length === 0 && editing === undefined;
}

import { Refused } from "../protocol/refusal.ts";
import type { Compose, ConversationId, Seq, ThreadWindow, TimelineItem, WindowState } from "./api.ts";
import { Cell } from "./cell.ts";
import { Composer } from "./compose.ts";
import type { Core, View } from "./core.ts";
import { Echoes } from "./echoes.ts";
import { History } from "./history.ts";
import { kept, laidOut, pending, stored } from "./items.ts";
import type { Members } from "./members.ts";
import { Quotes } from "./quotes.ts";
import type { Change, MessageRow } from "./rows.ts";
import { sceneOf } from "./scene.ts";
import { OPENING } from "./window.ts";

/** A thread in memory. */
export class Thread implements ThreadWindow, View {
  readonly state = new Cell<WindowState>(OPENING);
  readonly compose: Compose;
  readonly #core: Core;
  readonly #history: History;
  readonly #quotes: Quotes;
  readonly #composer: Composer;
  readonly #leave: () => void;
  readonly #echoes = new Echoes(() => this.#read());
  #rows: MessageRow[] = [];
  #hasOlder = false;
  #loading: WindowState["loading"] = "opening";
  #failure: WindowState["failure"];
  #items = new Map<string, TimelineItem>();
  #isClosed = false;

  constructor(
    readonly conversation: ConversationId,
    readonly root: Seq,
    private readonly ports: { readonly core: Core; readonly members: Members; onClose(): void },
  ) {
    this.#core = ports.core;
    this.#history = new History(ports.core, conversation);
    this.#quotes = new Quotes(ports.core, this.#history, () => this.#show());
    this.#composer = new Composer({
      core: ports.core,
      conversation,
      thread: root,
      quotes: this.#quotes,
      mentionsIn: (text) => ports.members.mentionsIn(conversation, text),
      item: (seq) => {
        const found = this.state.get().items.find((item) => item.seq === seq);
        return found?.kind === "message" ? found : undefined;
      },
      onSend: () => {},
    });
    this.compose = this.#composer;
    this.#leave = this.#core.add(this);
    this.#core.unawaited(this.#open());
  }

  loadOlder(): Promise<void> {
    return this.#fetch("older", this.#rows[1]?.seq);
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#leave();
    this.#composer.close();
    this.#quotes.close();
    this.ports.onClose();
  }

  refresh(change: Change): void {
    if (change.messages?.[this.conversation]) this.#core.unawaited(this.#reread());
    else this.#show();
    if (change.drafts || change.uploads || change.conversations?.includes(this.conversation)) this.#composer.refresh();
  }

  async #open(): Promise<void> {
    await this.#reread();
    await this.#fetch("opening", undefined);
  }

  async #fetch(what: NonNullable<WindowState["loading"]>, before: Seq | undefined): Promise<void> {
    this.#loading = what;
    this.#show();
    try {
      this.#hasOlder = await this.#history.fetchThread(this.root, before);
      this.#failure = undefined;
    } catch (cause) {
      if (!(cause instanceof Refused)) throw cause;
      this.#failure = cause.code;
    } finally {
      this.#loading = undefined;
      await this.#reread();
    }
  }

  async #reread(): Promise<void> {
    await this.#read();
    this.#show();
  }

  async #read(): Promise<void> {
    this.#rows = await this.#history.threadCached(this.root);
  }

  #show(): void {
    if (this.#isClosed) return;
    const own = new Set(this.#rows.flatMap(({ id, sender }) => (id && sender === this.#core.me ? [id] : [])));
    const outbox = new Set(this.#core.outboxOf(this.conversation));
    const { sent, looked } = this.#echoes.of([...outbox], own);
    if (looked) this.#core.unawaited(looked.then(() => this.#show()));
    const scene = { ...sceneOf(this.#core, this.conversation, (seq) => this.#quotes.of(seq, this.#rows), this.#echoes.keyOf), outbox: sent };
    const unsent = sent.flatMap((one) => {
      const isHere = one.event.kind === "message" && one.event.thread === this.root && !own.has(one.id);
      // What has left the outbox looks as it did: its files have left with it.
      const item = outbox.has(one) ? pending(one, scene) : this.#items.get(scene.keyOf(one.id));
      return (isHere && item) || [];
    });
    const items = laidOut([...this.#rows.map((row) => stored(row, scene)), ...unsent], undefined);
    const after = items.map((item) => kept(this.#items.get(item.key), item));
    this.#items = new Map(after.map((item) => [item.key, item]));
    this.state.set({
      items: after,
      hasOlder: this.#hasOlder,
      hasNewer: false,
      loading: this.#loading,
      failure: this.#failure,
      anchor: undefined,
    });
  }
}

/** What is done with the messages of a timeline, and what is open for it. */
import type { Compose, ConversationWindow, MessageItem } from "../../../engine/api.ts";
import { t } from "../../../i18n/index.ts";
import type { Anchor } from "../../blocks/Menu.svelte";
import { addressOf } from "../../route.svelte.ts";
import { toasts } from "../../toasts.svelte.ts";
import type { Command } from "./commands.ts";

export interface ActionPorts {
  readonly chat: ConversationWindow;
  readonly compose: Compose;
  /** The person goes on in the composer. */
  onwrite(): void;
  onthread(item: MessageItem): void;
}

export class Actions {
  menu = $state.raw<{ readonly item: MessageItem; readonly anchor: Anchor }>();
  picking = $state.raw<MessageItem>();
  asking = $state.raw<{ readonly item: MessageItem; readonly what: "delete" | "receipts" }>();
  viewing = $state.raw<{ readonly item: MessageItem; readonly index: number }>();

  constructor(private readonly ports: () => ActionPorts) {}

  /** `element`: that of the message, for what opens beside it. */
  run(command: Command, item: MessageItem, element: HTMLElement): void {
    switch (command) {
      case "menu":
        return this.openMenu(item, element.querySelector<HTMLElement>(".bubble") ?? element);
      case "reply":
        return this.reply(item);
      case "thread":
        return this.thread(item);
      case "react":
        return this.pick(item);
      case "edit":
        return this.edit(item);
      case "delete":
        return this.ask(item, "delete");
      case "pin":
        return this.togglePin(item);
      case "copy":
        return this.copyText(item);
      case "receipts":
        return this.ask(item, "receipts");
    }
  }

  openMenu(item: MessageItem, anchor: Anchor): void {
    if (!item.deleted) this.menu = { item, anchor };
  }

  /** Asks before it deletes, or shows who has it. */
  ask(item: MessageItem, what: "delete" | "receipts"): void {
    this.asking = { item, what };
  }

  pick(item: MessageItem): void {
    this.picking = item;
  }

  view(item: MessageItem, index: number): void {
    this.viewing = { item, index };
  }

  thread(item: MessageItem): void {
    this.ports().onthread(item);
  }

  reply(item: MessageItem): void {
    if (item.seq === undefined) return;
    this.ports().compose.setReply(item.seq);
    this.ports().onwrite();
  }

  edit(item: MessageItem): void {
    if (item.seq === undefined) return;
    this.ports().compose.setEditing(item.seq);
    this.ports().onwrite();
  }

  react(item: MessageItem, emoji: string): void {
    if (item.seq !== undefined) this.ports().chat.toggleReaction(item.seq, emoji);
  }

  togglePin(item: MessageItem): void {
    if (item.seq !== undefined) this.ports().chat.setPinned(item.seq, !item.pinned);
  }

  delete(item: MessageItem): void {
    if (item.seq !== undefined) this.ports().chat.delete(item.seq);
  }

  copyText(item: MessageItem): void {
    void copy(item.text);
  }

  copyLink(item: MessageItem): void {
    const address = addressOf({ view: "conversation", id: this.ports().chat.conversation, seq: item.seq ?? 0 });
    void copy(new URL(address, location.href).href);
  }
}

async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    toasts.show(t("message.copied"));
  } catch {
    toasts.show(t("error.other"), "problem");
  }
}

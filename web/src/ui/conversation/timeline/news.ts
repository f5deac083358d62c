/** What came since the last look, to be read out. */
import type { MessageItem, WindowState } from "../../../engine/api.ts";
import { t } from "../../../i18n/index.ts";
import { plain } from "../../markdown/parse.ts";
import { mediaLabel } from "../../media/kind.ts";

/** More new messages than this at once are counted, not read out. */
const READ_OUT_MAX = 3;

export class News {
  #told: number | undefined;

  /** Messages of others that are new at the end; those that are there at first are not new. */
  since({ loading, hasNewer, items }: WindowState): MessageItem[] {
    if (loading === "opening" || hasNewer) return [];
    const newest = items.findLast((item) => item.seq !== undefined)?.seq ?? 0;
    const before = this.#told ?? newest;
    this.#told = Math.max(before, newest);
    if (newest <= before) return [];
    return items.filter((item): item is MessageItem => item.kind === "message" && !item.mine && !item.deleted && (item.seq ?? 0) > before);
  }
}

/** New messages in words. */
export function inWords(news: readonly MessageItem[]): string {
  if (news.length > READ_OUT_MAX) return t("inbox.unread", { count: news.length });
  return news.map((item) => t("message.announce", { sender: item.sender.name, text: plain(item.text) || mediaLabel(item.media[0]?.type) })).join("\n");
}

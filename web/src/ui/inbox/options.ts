import type { Engine, InboxRow } from "../../engine/api.ts";
import { t } from "../../i18n/index.ts";
import type { Entry } from "../blocks/Menu.svelte";

const HOUR_MS = 3_600_000;
/** Further than anybody will look, and within the times that the server knows. */
const FOREVER = new Date("2200-01-01T00:00:00Z");

/** What can be done with a conversation from outside. */
export function optionsOf(engine: Engine, row: InboxRow): Entry[] {
  const { inbox } = engine;
  const until = (ms: number) => () => inbox.mute(row.id, new Date(engine.now() + ms));
  return [
    ...(row.unread > 0 ? [{ label: t("inbox.markRead"), icon: "check" as const, run: () => inbox.markRead(row.id) }] : []),
    { label: t(row.pinned ? "inbox.unpin" : "inbox.pin"), icon: "pin", run: () => inbox.pin(row.id, !row.pinned) },
    ...(row.muted
      ? [{ label: t("inbox.unmute"), icon: "bell" as const, run: () => inbox.mute(row.id, null) }]
      : [
          { label: t("inbox.mute.hour"), icon: "mute" as const, run: until(HOUR_MS) },
          { label: t("inbox.mute.day"), icon: "mute" as const, run: until(24 * HOUR_MS) },
          { label: t("inbox.mute.forever"), icon: "mute" as const, run: () => inbox.mute(row.id, FOREVER) },
        ]),
    {
      label: t(row.archived ? "inbox.unarchive" : "inbox.archive"),
      icon: "archive",
      run: () => inbox.archive(row.id, !row.archived),
    },
  ];
}

import type { Notification as Arrival, Settings } from "../../engine/api.ts";
import { t } from "../../i18n/index.ts";
import { plain } from "../markdown/parse.ts";
import { mediaLabel } from "../media/kind.ts";
import { addressOf } from "../route.svelte.ts";

/** Notifications of this page that are kept to be closed; older ones the person has seen long ago. */
const SHOWN_MAX = 100;
/** By conversation. */
const shown = new Map<string, Notification>();

/** Tells of a message outside of the page, if the person wants that and the browser lets us. */
export function notifyOf(arrival: Arrival, wanted: Settings["notifications"], open: () => void): void {
  if (!wanted.enabled || !("Notification" in window) || Notification.permission !== "granted") return;
  const { item, title, conversation } = arrival;
  const direct = item.sender.name === title;
  const text = plain(item.text, 160) || mediaLabel(item.media[0]?.type);
  const heading = direct ? title : t("notify.title.group", { sender: item.sender.name, title });
  const options: NotificationOptions = {
    body: wanted.preview ? text : t("notify.body.hidden"),
    // The newest of a conversation takes the place of the one before.
    tag: conversation,
    silent: !wanted.sound,
    icon: "/icon-192.png",
  };
  try {
    const one = new Notification(heading, options);
    one.onclick = () => {
      window.focus();
      open();
      one.close();
    };
    one.onclose = () => {
      if (shown.get(conversation) === one) shown.delete(conversation);
    };
    shown.delete(conversation);
    shown.set(conversation, one);
    if (shown.size > SHOWN_MAX) shown.delete(shown.keys().next().value ?? "");
  } catch {
    // On phones only the service worker may show one; it also opens the conversation.
    const data = { address: addressOf({ view: "conversation", id: conversation }) };
    void navigator.serviceWorker
      ?.getRegistration()
      .then((registration) => registration?.showNotification(heading, { ...options, data }))
      .catch(() => undefined);
  }
}

/** Closes what was told: it is not for whoever comes next. */
export function closeNotifications(): void {
  for (const one of [...shown.values()]) one.close();
  shown.clear();
  void navigator.serviceWorker
    ?.getRegistration()
    .then((registration) => registration?.getNotifications())
    .then((others) => others?.forEach((one) => one.close()))
    .catch(() => undefined);
}

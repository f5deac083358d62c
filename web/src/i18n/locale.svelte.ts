import en, { type Key, type Messages } from "./en.ts";
import { format, type Message, type Parameters } from "./message.ts";

export type Language = "en" | "de";

/** The languages there are, each under its own name. */
export const LANGUAGES: Readonly<Record<Language, string>> = { en: "English", de: "Deutsch" };

const load: Record<Exclude<Language, "en">, () => Promise<{ default: Messages }>> = {
  de: () => import("./de.ts"),
};

interface Locale {
  language: Language;
  messages: Messages;
  plurals: Intl.PluralRules;
  numbers: Intl.NumberFormat;
}

function localeOf(language: Language, messages: Messages): Locale {
  return {
    language,
    messages,
    plurals: new Intl.PluralRules(language),
    numbers: new Intl.NumberFormat(language),
  };
}

let current = $state.raw<Locale>(localeOf("en", en));
let wanted: Language = "en";

/** The language that the browser asks for first, of those there are. */
export function preferredLanguage(preferences: readonly string[] = navigator.languages): Language {
  for (const preference of preferences) {
    const base = preference.toLowerCase().split("-")[0];
    if (base === "en" || base === "de") return base;
  }
  return "en";
}

/** Shows everything in `language`; until its messages are here the old one stays. */
export async function setLanguage(language: Language): Promise<void> {
  wanted = language;
  const messages = language === "en" ? en : (await load[language]()).default;
  // Another may have been chosen while these messages came.
  if (wanted !== language) return;
  current = localeOf(language, messages);
  document.documentElement.lang = language;
  document.documentElement.dir = "ltr";
}

export function language(): Language {
  return current.language;
}

/** The messages without parameters, for tables of them. */
export type PlainKey = { [K in Key]: keyof Parameters<(typeof en)[K]> extends never ? K : never }[Key];

type Rest<K extends Key> = keyof Parameters<(typeof en)[K]> extends never ? [] : [Parameters<(typeof en)[K]>];

/** The text of `key` in the chosen language; read in a template, it follows the choice. */
export function t<K extends Key>(key: K, ...rest: Rest<K>): string {
  const message: Message = current.messages[key];
  return format(message, rest[0] ?? {}, current.plurals, current.numbers);
}

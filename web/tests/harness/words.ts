/** The names of what is on the screen, from the same messages as the interface: a test names the key. */
import de from "../../src/i18n/de.ts";
import en from "../../src/i18n/en.ts";

export type Language = "en" | "de";
export type Key = keyof typeof en;

const LANGUAGES = { en, de };

function escape(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

/** What a message looks like with any parameters, or with those that are given. */
export function words(key: Key, parameters: Readonly<Record<string, string | number>> = {}, language: Language = "en"): RegExp {
  const message: unknown = LANGUAGES[language][key];
  const forms = typeof message === "string" ? [message] : Object.values(message as Record<string, string>);
  const pattern = (form: string): string =>
    form
      .split(/(\{\w+\})/)
      .map((part) => {
        const parameter = /^\{(\w+)\}$/.exec(part)?.[1];
        if (parameter === undefined) return escape(part);
        const value = parameters[parameter];
        return value === undefined ? "[^]*" : `[\\u2066-\\u2069]?${escape(String(value))}[\\u2066-\\u2069]?`;
      })
      .join("");
  // Names of things have no space at their ends.
  const patterns = forms.map((form) => pattern(form).replace(/ \[\^\]\*$/, "(?: [^]*)?"));
  return new RegExp(`^(?:${[...new Set(patterns)].join("|")})$`);
}

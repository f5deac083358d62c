/** What a language has under a key: a text with `{parameters}`, or one for each plural category
    that the language has; the parameter that decides it is `count`. */
export type Message = string | { readonly [category in Intl.LDMLPluralRule]?: string } & { readonly other: string };

type InText<S extends string> = S extends `${string}{${infer P}}${infer Rest}` ? P | InText<Rest> : never;
type InMessage<M> = M extends string ? InText<M> : M extends { other: infer O extends string } ? InText<O> | "count" : never;

/** The parameters that a message wants, read from its text. */
export type Parameters<M> = { [name in InMessage<M>]: string | number };

// Arabic, Hebrew and their neighbours, and the controls of direction.
const FROM_THE_RIGHT = /[\u0590-\u08ff\u200e\u200f\u202a-\u202e\u2066-\u2069\ufb1d-\ufdff\ufe70-\ufefc]/;

/** What people wrote, isolated so that it cannot reorder the sentence around it. */
export function isolate(text: string): string {
  return FROM_THE_RIGHT.test(text) ? `\u2068${text.replace(/[\u2066-\u2069]/g, "")}\u2069` : text;
}

/** Puts parameters into a message; a number is written as the language does. */
export function format(
  message: Message,
  parameters: Readonly<Record<string, string | number>>,
  plurals: Intl.PluralRules,
  numbers: Intl.NumberFormat,
): string {
  let text: string;
  if (typeof message === "string") text = message;
  else text = message[plurals.select(Number(parameters["count"] ?? 0))] ?? message.other;
  return text.replace(/\{(\w+)\}/g, (whole, name: string) => {
    const value = parameters[name];
    if (value === undefined) return whole;
    return typeof value === "number" ? numbers.format(value) : isolate(value);
  });
}

export { LANGUAGES, language, preferredLanguage, setLanguage, t, type Language, type PlainKey } from "./locale.svelte.ts";
export * from "./time.svelte.ts";
export type { Key } from "./en.ts";

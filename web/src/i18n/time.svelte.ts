import { language, t } from "./locale.svelte.ts";

const formats = new Map<string, Intl.DateTimeFormat>();

function formatOf(options: Intl.DateTimeFormatOptions): Intl.DateTimeFormat {
  const key = language() + JSON.stringify(options);
  let found = formats.get(key);
  if (!found) {
    found = new Intl.DateTimeFormat(regional(), options);
    formats.set(key, found);
  }
  return found;
}

/** The language as it is written where the reader is: dates differ between London and New York. */
function regional(): string {
  const chosen = language();
  return navigator.languages.find((tag) => tag.toLowerCase().split("-")[0] === chosen) ?? chosen;
}

const DAY_MS = 86_400_000;

/** The calendar day of a moment where the reader is, as `2025-11-19`. */
export function dayOf(ms: number): string {
  const date = new Date(ms);
  const two = (n: number) => String(n).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

/** How many calendar days lie between two moments where the reader is. */
export function daysBetween(from: number, to: number): number {
  const start = new Date(from).setHours(12, 0, 0, 0);
  const end = new Date(to).setHours(12, 0, 0, 0);
  return Math.round((end - start) / DAY_MS);
}

export function clock(ms: number): string {
  return formatOf({ timeStyle: "short" }).format(ms);
}

/** A day as a heading between messages. */
export function dayHeading(ms: number, now: number): string {
  const days = daysBetween(ms, now);
  if (days === 0) return t("time.today");
  if (days === 1) return t("time.yesterday");
  if (days > 1 && days < 7) return formatOf({ weekday: "long" }).format(ms);
  const sameYear = new Date(ms).getFullYear() === new Date(now).getFullYear();
  return formatOf({ day: "numeric", month: "long", ...(sameYear ? {} : { year: "numeric" }) }).format(ms);
}

/** The shortest that still says when, for a row of the inbox. */
export function shortTime(ms: number, now: number): string {
  const days = daysBetween(ms, now);
  if (days <= 0) return clock(ms);
  if (days === 1) return t("time.yesterday");
  if (days < 7) return formatOf({ weekday: "short" }).format(ms);
  return formatOf({ day: "2-digit", month: "2-digit", year: "2-digit" }).format(ms);
}

/** Everything there is to say about a moment, for tooltips. */
export function fullTime(ms: number): string {
  return formatOf({ dateStyle: "full", timeStyle: "medium" }).format(ms);
}

/** A date and a time of day, short. */
export function dateAndTime(ms: number): string {
  return formatOf({ dateStyle: "medium", timeStyle: "short" }).format(ms);
}

/** When somebody was last there. */
export function lastSeen(ms: number, now: number): string {
  const minutes = Math.floor((now - ms) / 60_000);
  if (minutes < 1) return t("presence.seen.now");
  if (minutes < 60) return t("presence.seen.minutes", { count: minutes });
  if (daysBetween(ms, now) === 0) return t("presence.seen.today", { time: clock(ms) });
  if (daysBetween(ms, now) === 1) return t("presence.seen.yesterday", { time: clock(ms) });
  return t("presence.seen.date", { date: formatOf({ dateStyle: "medium" }).format(ms) });
}

/** A length as `3:07`. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const minutes = Math.floor(seconds / 60) % 60;
  return hours > 0 ? `${hours}:${two(minutes)}:${two(seconds % 60)}` : `${minutes}:${two(seconds % 60)}`;
}

/** A size in the unit that keeps it short. */
export function byteSize(bytes: number): string {
  const units = ["byte", "kilobyte", "megabyte", "gigabyte"] as const;
  let value = bytes;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return new Intl.NumberFormat(language(), {
    style: "unit",
    unit: units[unit] ?? "byte",
    unitDisplay: unit === 0 ? "long" : "short",
    maximumFractionDigits: value < 10 && unit > 0 ? 1 : 0,
  }).format(value);
}

/** A count for a badge: past 999 it says so and no more. */
export function badge(count: number): string {
  const numbers = new Intl.NumberFormat(language());
  return count > 999 ? `${numbers.format(999)}+` : numbers.format(count);
}

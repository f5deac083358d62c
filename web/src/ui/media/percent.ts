import { language } from "../../i18n/index.ts";

/** A part of 1 as a percentage; what is not whole is not 100 %. */
export function percent(part: number): string {
  const whole = part >= 1 ? 1 : Math.floor(Math.max(0, part) * 100) / 100;
  return new Intl.NumberFormat(language(), { style: "percent", maximumFractionDigits: 0 }).format(whole);
}

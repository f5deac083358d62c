import type { Refusal } from "../engine/api.ts";
import { t, type PlainKey } from "../i18n/index.ts";

const TEXTS: Partial<Record<Refusal["code"], PlainKey>> = {
  unauthorized: "error.unauthorized",
  handle_taken: "error.handle_taken",
  offline: "error.offline",
  unavailable: "error.offline",
  overloaded: "error.offline",
  rate_limited: "error.rate_limited",
  not_found: "error.not_found",
  forbidden: "error.forbidden",
  conflict: "error.conflict",
  group_full: "error.group_full",
  too_large: "error.too_large",
  not_a_member: "error.not_a_member",
  unsupported: "error.unsupported",
};

export function codeOf(error: unknown): Refusal["code"] | undefined {
  const code = (error as Partial<Refusal> | undefined)?.code;
  return typeof code === "string" ? code : undefined;
}

/** What a person is told when something was refused. */
export function refusalText(code: Refusal["code"] | undefined): string {
  return t((code && TEXTS[code]) ?? "error.other");
}

import { expect, it } from "vitest";
import type { InboxRow } from "../../engine/api.ts";
import { matches } from "./match.ts";

it("finds conversations by the beginnings of words, whatever their case and accents", () => {
  const row = { title: "Café Réunion (2026)", with: { handle: "ana.lima" } } as InboxRow;
  for (const query of ["cafe", "REUN", "2026 caf", "lima", "@ana"]) expect(matches(row, query), query).toBe(true);
  for (const query of ["afe", "cafe x", "nali"]) expect(matches(row, query), query).toBe(false);
});

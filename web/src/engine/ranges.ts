import type { Seq } from "../protocol/types.ts";

/** Every message with `from <= seq <= to` is there. */
export interface Range {
  from: Seq;
  to: Seq;
}

/** More pieces than this are not worth to be kept; the smallest go. */
const RANGES_MAX = 24;

/** Adds a range; those that touch become one. The result ascends. */
export function join(ranges: readonly Range[], added: Range): Range[] {
  if (added.to < added.from) return [...ranges];
  let merged = { ...added };
  const apart: Range[] = [];
  for (const range of ranges) {
    if (range.to + 1 < merged.from || merged.to + 1 < range.from) apart.push(range);
    else merged = { from: Math.min(range.from, merged.from), to: Math.max(range.to, merged.to) };
  }
  const all = [...apart, merged].sort((a, b) => a.from - b.from);
  if (all.length <= RANGES_MAX) return all;
  const newest = all[all.length - 1];
  const smallest = all
    .filter((range) => range !== newest && range !== merged)
    .reduce((least, range) => (range.to - range.from < least.to - least.from ? range : least));
  return all.filter((range) => range !== smallest);
}

/** The range that holds a seq. */
export function holding(ranges: readonly Range[], seq: Seq): Range | undefined {
  return ranges.find((range) => range.from <= seq && seq <= range.to);
}

/** Forgets everything before a seq. */
export function cut(ranges: readonly Range[], before: Seq): Range[] {
  return ranges
    .filter((range) => range.to >= before)
    .map((range) => ({ from: Math.max(range.from, before), to: range.to }));
}

/** A timeline without a browser, for tests. */
import type { Row, Surface } from "./surface.ts";

/** Rows of given heights on a screen of 400 px, laid out as a browser does, which keeps no place by itself. */
export class Rows implements Surface {
  height = 400;
  above = 0;

  constructor(public rows: { key: string; px: number }[]) {}

  static many(from: number, count: number, px = 50): { key: string; px: number }[] {
    return Array.from({ length: count }, (_, at) => ({ key: `${from + at}`, px }));
  }

  get size(): number {
    return Math.max(this.height, this.rows.reduce((sum, { px }) => sum + px, 0));
  }

  get count(): number {
    return this.rows.length;
  }

  row(index: number): Row | undefined {
    const row = this.rows[index];
    if (!row) return undefined;
    const top = this.rows.slice(0, index).reduce((sum, { px }) => sum + px, 0) - this.above;
    return { key: row.key, seq: Number(row.key), top, bottom: top + row.px };
  }

  find(key: string): Row | undefined {
    return this.row(this.rows.findIndex((row) => row.key === key));
  }

  scrollTo(above: number): void {
    this.above = Math.min(Math.max(0, above), Math.max(0, this.size - this.height));
  }

  grow(key: string, px: number): void {
    this.rows.find((row) => row.key === key)!.px = px;
    this.scrollTo(this.above);
  }

  top(key: string): number {
    return this.find(key)!.top;
  }
}

/** A row as it is laid out: CSS pixels from the upper edge of what is seen. */
export interface Row {
  readonly key: string;
  /** Absent until it is stored. */
  readonly seq: number | undefined;
  readonly top: number;
  readonly bottom: number;
}

/** A scrolled list of rows, in CSS pixels. */
export interface Surface {
  /** Of what is seen. */
  readonly height: number;
  /** Of everything. */
  readonly size: number;
  /** What is scrolled away above. */
  readonly above: number;
  readonly count: number;
  row(index: number): Row | undefined;
  find(key: string): Row | undefined;
  /** Goes as near to it as there is something to scroll. */
  scrollTo(above: number): void;
}

/** What is scrolled away below. */
export function below({ size, above, height }: Surface): number {
  return size - above - height;
}

/** Index of the first row that reaches below `y`; rows are in order, so it is found by halves. */
export function firstBelow(surface: Surface, y: number): number {
  let low = 0;
  let high = surface.count;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((surface.row(middle)?.bottom ?? 0) > y) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** Index of the first row that is on the screen from its top to its bottom; of the first that reaches into it where none is. */
export function firstWhole(surface: Surface): number {
  const first = firstBelow(surface, 0);
  if ((surface.row(first)?.top ?? 0) >= 0) return first;
  const next = surface.row(first + 1);
  return next && next.bottom <= surface.height ? first + 1 : first;
}

/** Rows that are the children of `list`, with their `data-key` and `data-seq`, in an element that scrolls. */
export class ElementSurface implements Surface {
  constructor(
    private readonly scroller: HTMLElement,
    private readonly list: HTMLElement,
  ) {}

  get height(): number {
    return this.scroller.clientHeight;
  }

  get size(): number {
    return this.scroller.scrollHeight;
  }

  get above(): number {
    return this.scroller.scrollTop;
  }

  get count(): number {
    return this.list.children.length;
  }

  row(index: number): Row | undefined {
    const element = this.list.children[index];
    return element && this.#measured(element);
  }

  element(key: string): HTMLElement | null {
    return this.list.querySelector<HTMLElement>(`:scope > [data-key="${CSS.escape(key)}"]`);
  }

  find(key: string): Row | undefined {
    const element = this.element(key);
    return element ? this.#measured(element) : undefined;
  }

  scrollTo(above: number): void {
    this.scroller.scrollTop = above;
  }

  #measured(element: Element): Row {
    const from = this.scroller.getBoundingClientRect().top;
    const { top, bottom } = element.getBoundingClientRect();
    const seq = Number(element.getAttribute("data-seq"));
    return { key: element.getAttribute("data-key") ?? "", seq: seq > 0 ? seq : undefined, top: top - from, bottom: bottom - from };
  }
}

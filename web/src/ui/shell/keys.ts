/** Ctrl, or Command on a Mac, with this key and nothing else but what is given. */
export function isShortcut(event: KeyboardEvent, key: string, with_: { shift?: boolean } = {}): boolean {
  return (
    (event.ctrlKey || event.metaKey) &&
    !event.altKey &&
    event.shiftKey === (with_.shift ?? false) &&
    event.key.toLowerCase() === key
  );
}

/** Whether keys are text where the event came from. */
export function isTyping(target: EventTarget | null): boolean {
  return (
    target instanceof HTMLElement &&
    (target.isContentEditable || target.matches("textarea, select, input:not([type=checkbox], [type=radio], [type=range], [type=button])"))
  );
}

/** A screen on which a keyboard does not cover half of what one wants to read. */
export function hasKeyboard(): boolean {
  return matchMedia("(hover: hover) and (pointer: fine)").matches;
}

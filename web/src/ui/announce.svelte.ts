/** What a screen reader is told that nothing on the screen says by itself. */
class Announcer {
  text = $state("");
  #again = false;

  /** Says it as soon as the reader is quiet; the same words twice are said twice. */
  say(text: string): void {
    this.#again = !this.#again;
    this.text = this.#again ? `${text}\u00a0` : text;
  }

  clear(): void {
    this.text = "";
  }
}

export const announcer = new Announcer();

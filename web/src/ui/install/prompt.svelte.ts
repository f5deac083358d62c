/** What Chromium offers once, early, to whoever keeps it; others install by their own menus. */
interface InstallPrompt extends Event {
  prompt(): Promise<unknown>;
}

class Installer {
  #offer = $state.raw<InstallPrompt>();

  constructor() {
    addEventListener("beforeinstallprompt", (event) => {
      // Asked for in the settings, and not while somebody reads.
      event.preventDefault();
      this.#offer = event as InstallPrompt;
    });
    addEventListener("appinstalled", () => (this.#offer = undefined));
  }

  get isPossible(): boolean {
    return this.#offer !== undefined;
  }

  /** Lets the browser ask; an offer can be taken once. */
  async ask(): Promise<void> {
    const offer = this.#offer;
    this.#offer = undefined;
    await offer?.prompt();
  }
}

export const installer = new Installer();

/** What browsers send that can install the client; no standard has it, so the types of the DOM do not. */
interface InstallEvent extends Event {
  prompt(): Promise<unknown>;
}

/** Keeps the browser's offer to install the client for when the person asks for it. */
class InstallOffer {
  #event = $state.raw<InstallEvent>();

  constructor() {
    addEventListener("beforeinstallprompt", (event) => {
      event.preventDefault();
      this.#event = event as InstallEvent;
    });
    addEventListener("appinstalled", () => (this.#event = undefined));
  }

  get isThere(): boolean {
    return this.#event !== undefined;
  }

  /** Asks the person; an offer is good for once. */
  ask(): void {
    void this.#event?.prompt().catch(() => undefined);
    this.#event = undefined;
  }
}

export const installOffer = new InstallOffer();

import { addressOf, parseRoute, type Route } from "./route.ts";

export { addressOf, parseRoute, type Panel, type Route } from "./route.ts";

class Router {
  current = $state.raw<Route>(parseRoute(location.hash));
  /** Counts visits, also of the same address: a jump to the same message is a jump again. */
  visit = $state(0);

  constructor() {
    addEventListener("hashchange", () => this.#read());
  }

  #read(): void {
    this.current = parseRoute(location.hash);
    this.visit += 1;
  }

  /** Goes there; `replace` leaves no step to come back to. */
  go(route: Route, options: { replace?: boolean } = {}): void {
    const address = addressOf(route);
    if (location.hash === address || (location.hash === "" && address === "#/")) {
      this.#read();
      return;
    }
    if (options.replace) {
      history.replaceState(null, "", address);
      this.#read();
    } else {
      location.hash = address;
    }
  }
}

/** The one router of the tab. */
export const router = new Router();

import type { Settings, SettingsApi } from "./api.ts";
import { Cell } from "./cell.ts";
import type { Channel, Platform } from "./platform.ts";

const KEY = "hansard.settings";

const INITIAL: Settings = {
  theme: "system",
  language: "system",
  notifications: { enabled: false, preview: true, sound: false },
  enterSends: true,
  invisible: false,
};

/** Of this device; read at once, so that the first frame has the right theme and language. */
export class DeviceSettings implements SettingsApi {
  readonly values: Cell<Settings>;
  readonly #channel: Channel;

  constructor(private readonly platform: Platform) {
    this.values = new Cell(read(platform));
    this.#channel = platform.channel(`${platform.scope}.settings`);
    this.#channel.onmessage = () => this.values.set(read(platform));
  }

  change(values: Partial<Settings>): void {
    const next = { ...this.values.get(), ...values };
    try {
      this.platform.values.set(KEY, JSON.stringify(next));
    } catch {
      // No room, or none is given: it holds until the page is closed.
    }
    this.values.set(next);
    this.#channel.postMessage("changed");
  }

  close(): void {
    this.#channel.close();
  }
}

function read(platform: Platform): Settings {
  try {
    const kept = JSON.parse(platform.values.get(KEY) ?? "{}") as Partial<Settings>;
    return { ...INITIAL, ...kept, notifications: { ...INITIAL.notifications, ...kept.notifications } };
  } catch {
    return INITIAL;
  }
}

/** Chromium, and people who sit at it. Everything they do, they do as a person does: by what is on the screen. */
import { type Browser, type BrowserContext, type ConsoleMessage, type Locator, type Page, chromium } from "playwright-core";
import { expect } from "vitest";
import { PASSWORD } from "./api.ts";
import { DEADLINE_MS, type Server } from "./server.ts";
import { type Key, type Language, words } from "./words.ts";

/** Debian's. */
const CHROMIUM = process.env["CHROMIUM"] ?? "/usr/bin/chromium";

export function launch(...more: string[]): Promise<Browser> {
  // Root cannot have Chromium's sandbox, and containers have little shared memory.
  const sandbox = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: CHROMIUM, args: [...sandbox, "--disable-dev-shm-usage", ...more] });
}

export interface Seat {
  readonly language?: Language;
  readonly theme?: "light" | "dark";
  readonly width?: number;
  readonly height?: number;
  /** Runs in every page before its own scripts. */
  readonly prepare?: string | (() => void);
}

export type State = "pending" | "sent" | "delivered" | "read" | "failed";

/** What the network is expected to say while a server is dead or out of reach. */
const NETWORK = /net::ERR_|Failed to load resource|WebSocket connection to|status of \d+/;

/** Those who sit there now. */
export const people = new Set<Person>();

/** One browser profile. */
export class Person {
  /** What went wrong in its pages: errors, violations of the policy, dialogs. Empty in a good test. */
  readonly faults: string[] = [];

  private constructor(
    readonly context: BrowserContext,
    readonly page: Page,
    private readonly url: string,
    readonly language: Language,
  ) {}

  static async sit(browser: Browser, server: Server, seat: Seat = {}): Promise<Person> {
    const language = seat.language ?? "en";
    const context = await browser.newContext({
      locale: language === "de" ? "de-DE" : "en-GB",
      timezoneId: "Europe/Berlin",
      colorScheme: seat.theme ?? "light",
      viewport: { width: seat.width ?? 1280, height: seat.height ?? 800 },
      reducedMotion: "reduce",
      permissions: ["notifications", "clipboard-read", "clipboard-write", "microphone"],
    });
    context.setDefaultTimeout(DEADLINE_MS);
    if (seat.prepare !== undefined) await context.addInitScript(seat.prepare);
    const page = await context.newPage();
    const person = new Person(context, page, server.url, language);
    person.watch(page);
    people.add(person);
    context.once("close", () => people.delete(person));
    await page.goto(server.url);
    return person;
  }

  /** Another tab of the same person, at a place such as `#/settings`. */
  async tab(place = ""): Promise<Page> {
    const page = await this.context.newPage();
    this.watch(page);
    await page.goto(`${this.url}/${place}`);
    return page;
  }

  private watch(page: Page): void {
    page.on("pageerror", (error) => this.faults.push(`error: ${error.stack ?? error.message}`));
    page.on("dialog", (dialog) => {
      this.faults.push(`dialog: ${dialog.message()}`);
      void dialog.dismiss();
    });
    page.on("console", (message: ConsoleMessage) => {
      if (message.type() === "error" && !NETWORK.test(message.text())) this.faults.push(`console: ${message.text()}`);
    });
  }

  words(key: Key, parameters: Readonly<Record<string, string | number>> = {}): RegExp {
    return words(key, parameters, this.language);
  }

  button(key: Key, parameters: Readonly<Record<string, string | number>> = {}, within: Page | Locator = this.page): Locator {
    return within.getByRole("button", { name: this.words(key, parameters) });
  }

  async signUp(handle: string, name?: string): Promise<void> {
    const { page } = this;
    await page.getByRole("button", { name: this.words("login.toSignUp") }).or(page.getByRole("link", { name: this.words("login.toSignUp") })).first().click();
    await page.getByLabel(this.words("field.handle")).fill(handle);
    if (name !== undefined) await page.getByLabel(this.words("field.name")).fill(name);
    await page.getByLabel(this.words("field.password")).fill(PASSWORD);
    await this.button("signup.submit").click();
    await this.inbox().waitFor();
  }

  async logIn(handle: string): Promise<void> {
    await this.page.getByLabel(this.words("field.handle")).fill(handle);
    await this.page.getByLabel(this.words("field.password")).fill(PASSWORD);
    await this.button("login.submit").click();
    await this.inbox().waitFor();
  }

  /** The list of conversations. */
  inbox(page: Page = this.page): Locator {
    return page.getByRole("navigation", { name: this.words("shell.sidebar") });
  }

  row(title: string, page: Page = this.page): Locator {
    const named = page.locator("bdi").getByText(title, { exact: true });
    return this.inbox(page).getByRole("link").filter({ has: named });
  }

  /** Opens what the list has by this title. */
  async open(title: string, page: Page = this.page): Promise<void> {
    await this.row(title, page).click();
    await page.getByRole("region", { name: title }).waitFor();
    await this.log(page).waitFor();
  }

  /** Finds somebody by handle, and opens the conversation with them. */
  async openDirect(handle: string): Promise<void> {
    const { page } = this;
    await page.getByRole("searchbox", { name: this.words("inbox.search") }).fill(handle);
    await this.inbox().getByRole("link").filter({ hasText: `@${handle}` }).click();
    await this.composer().waitFor();
  }

  composer(page: Page = this.page): Locator {
    return page.getByRole("textbox", { name: this.words("composer.label") });
  }

  log(page: Page = this.page): Locator {
    return page.getByRole("log", { name: this.words("conversation.log") });
  }

  /** The message with exactly this text. */
  message(text: string, page: Page = this.page): Locator {
    const words = page.locator("[data-text]").getByText(text, { exact: true });
    return this.log(page).getByRole("article").filter({ has: words });
  }

  async say(text: string, page: Page = this.page): Promise<void> {
    await this.composer(page).fill(text);
    await this.composer(page).press("Enter");
  }

  /** The texts that the timeline shows, from the top. */
  async texts(page: Page = this.page): Promise<string[]> {
    const all = await this.log(page).locator("article [data-text]").allInnerTexts();
    return all.map((text) => text.trim());
  }

  /** What stands beside a message of one's own. */
  mark(text: string, state: State): Locator {
    return this.message(text).getByRole("img", { name: this.words(`message.status.${state}`) });
  }

  /** All messages of one's own in this state. */
  marks(state: State): Locator {
    return this.log().getByRole("img", { name: this.words(`message.status.${state}`) });
  }

  /** Opens the menu of a message by keyboard, and takes an entry. */
  async act(text: string, entry: Key): Promise<void> {
    await this.item(text).press("Enter");
    await this.page.getByRole("menuitem", { name: this.words(entry) }).click();
  }

  /** What has the focus when one goes through the messages by keys. */
  item(text: string): Locator {
    return this.message(text).and(this.page.locator("[data-item]"));
  }

  /** Takes an emoji by its name from the picker that is open. */
  async pickEmoji(name: string): Promise<void> {
    const dialog = this.page.getByRole("dialog", { name: this.words("emoji.title") });
    await dialog.getByLabel(this.words("emoji.search")).fill(name);
    await dialog.getByText("🎉", { exact: true }).first().waitFor();
    await dialog.getByText("🎉", { exact: true }).first().click();
  }

  /** The menu of the whole client. */
  async menu(entry: Key): Promise<void> {
    await this.button("shell.menu").click();
    await this.page.getByRole("menuitem", { name: this.words(entry) }).click();
  }

  /** The menu of the conversation that is open. */
  async options(entry: Key): Promise<void> {
    await this.button("conversation.options").click();
    await this.page.getByRole("menuitem", { name: this.words(entry) }).click();
  }

  /** Makes a group of people, and opens it. */
  async found(title: string, handles: readonly string[]): Promise<void> {
    const { page } = this;
    await this.menu("inbox.newGroup");
    const dialog = page.getByRole("dialog", { name: this.words("group.title") });
    await dialog.getByLabel(this.words("group.name")).fill(title);
    for (const handle of handles) {
      await dialog.getByLabel(this.words("group.people.search")).fill(handle);
      await dialog.getByRole("option").or(dialog.getByRole("button")).filter({ hasText: `@${handle}` }).first().click();
    }
    await dialog.getByRole("button", { name: this.words("group.create") }).click();
    await page.getByRole("region", { name: title }).waitFor();
  }

  /** Goes to the first message of a day. */
  async toDate(day: Date): Promise<void> {
    await this.options("conversation.jumpDate");
    const dialog = this.page.getByRole("dialog", { name: this.words("conversation.jumpDate") });
    const iso = new Intl.DateTimeFormat("sv-SE", { timeZone: "Europe/Berlin" }).format(day);
    await dialog.getByLabel(this.words("conversation.jumpDate.label")).fill(iso);
    await dialog.getByRole("button", { name: this.words("conversation.jumpDate.go") }).click();
  }

  /** Goes to the newest message, if it is not on the screen, of a conversation that has some. */
  async toNewest(): Promise<void> {
    const log = this.log();
    const button = this.button("conversation.toNewest").or(this.button("conversation.toNewest.count"));
    await expect
      .poll(async () => {
        // It may go by itself before it is pressed.
        if (await button.isVisible()) await button.click({ timeout: 1_000 }).catch(() => undefined);
        if ((await log.locator("[data-key]").count()) === 0 || (await log.getAttribute("aria-busy")) !== "false") return false;
        // The button comes with a frame.
        await log.evaluate(() => new Promise((painted) => requestAnimationFrame(() => requestAnimationFrame(painted))));
        return !(await button.isVisible());
      })
      .toBe(true);
  }

  /** The line that says that there is no connection. */
  connectionLine(): Locator {
    return this.page.getByTestId("connection");
  }

  /** Waits until the service worker has the shell. */
  async shellIsKept(): Promise<void> {
    await this.page.evaluate(async () => void (await navigator.serviceWorker.ready));
  }

  async leave(): Promise<void> {
    const { faults } = this;
    await this.context.close();
    expect(faults).toEqual([]);
  }
}

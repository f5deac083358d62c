/** People who are there by HTTP alone: they make what the browsers are to find. */
import { randomBytes } from "node:crypto";

export const PASSWORD = "correct horse battery";

/** A new id: UUID version 7 of now. */
export function mint(): string {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = 0x70 | (bytes[6]! & 0x0f);
  bytes[8] = 0x80 | (bytes[8]! & 0x3f);
  return bytes.toString("hex").replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

export interface Stored {
  readonly seq: number;
  readonly id: string;
  readonly sender: string;
  readonly text: string;
}

export interface Sent {
  readonly name: string;
  readonly type: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** For those who cannot see it. */
  readonly alt?: string;
}

interface Answer {
  readonly error?: { readonly retry_after_ms?: number };
}

export class Account {
  private constructor(
    private readonly url: string,
    readonly user: string,
    readonly handle: string,
    private readonly token: string,
  ) {}

  /** Makes the account and logs it in. */
  static async create(url: string, handle: string, name?: string): Promise<Account> {
    const account = { id: mint(), handle, password: PASSWORD, ...(name === undefined ? {} : { name }) };
    await ask(url, "POST", "/v1/users", undefined, account);
    return Account.logIn(url, handle);
  }

  static async logIn(url: string, handle: string): Promise<Account> {
    const session = { handle, password: PASSWORD, device_name: "test" };
    const opened = (await ask(url, "POST", "/v1/sessions", undefined, session)) as { token: string; user: string };
    return new Account(url, opened.user, handle, opened.token);
  }

  request(method: string, path: string, body?: unknown): Promise<unknown> {
    return ask(this.url, method, path, this.token, body);
  }

  with(other: { user: string }): string {
    return [this.user, other.user].sort().join(".");
  }

  async send(conversation: string, event: Record<string, unknown>): Promise<number> {
    const sent = await this.request("POST", `/v1/conversations/${conversation}/messages`, { id: mint(), event });
    return (sent as { seq: number }).seq;
  }

  say(conversation: string, text: string): Promise<number> {
    return this.send(conversation, { kind: "message", text });
  }

  async group(title: string, members: readonly { user: string }[]): Promise<string> {
    const group = { id: mint(), kind: "group", title, members: members.map((member) => member.user) };
    return ((await this.request("POST", "/v1/conversations", group)) as { conversation: string }).conversation;
  }

  /** Uploads a small file and gives its id. */
  async upload(name: string, type: string, bytes: Uint8Array<ArrayBuffer>): Promise<string> {
    const response = await fetch(`${this.url}/v1/media?name=${encodeURIComponent(name)}`, {
      method: "POST",
      headers: { authorization: `Bearer ${this.token}`, "content-type": type },
      body: bytes,
    });
    if (!response.ok) throw new Error(`upload: ${response.status} ${await response.text()}`);
    return ((await response.json()) as { id: string }).id;
  }

  /** The text of the newest message, as people would read it; nothing, if that is no message. */
  async newest(conversation: string): Promise<string | undefined> {
    const page = await this.request("GET", `/v1/conversations/${conversation}/messages?limit=1`);
    return (page as { items: readonly { body: { event: { text?: string } } }[] }).items[0]?.body.event.text;
  }

  /** Uploads files, and sends them in one message. */
  async show(conversation: string, text: string, files: readonly Sent[]): Promise<number> {
    const media = [];
    for (const { name, type, bytes, alt } of files) {
      const id = await this.upload(name, type, bytes);
      media.push({ id, name, type, size: bytes.length, ...(alt === undefined ? {} : { alt }) });
    }
    return this.send(conversation, { kind: "message", text, media });
  }

  /** All messages of a conversation in the order of the log, as the server has them. */
  async history(conversation: string): Promise<Stored[]> {
    const found: Stored[] = [];
    for (let before = ""; ; ) {
      const page = (await this.request("GET", `/v1/conversations/${conversation}/messages?limit=200${before}`)) as {
        items: readonly { seq: number; body: { id: string; sender: string; event: { kind: string; text?: string } } }[];
        more_before: boolean;
      };
      const messages = page.items.filter((item) => item.body.event.kind === "message");
      found.unshift(
        ...messages.map(({ seq, body }) => ({ seq, id: body.id, sender: body.sender, text: body.event.text ?? "" })),
      );
      const first = page.items[0];
      if (!first || !page.more_before) return found;
      before = `&before=${first.seq}`;
    }
  }
}

/** Asks, and asks again what the server puts off. */
async function ask(url: string, method: string, path: string, token?: string, body?: unknown): Promise<unknown> {
  for (;;) {
    const response = await fetch(url + path, {
      method,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(body === undefined ? {} : { "content-type": "application/json" }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    const answer = (text === "" ? {} : JSON.parse(text)) as Answer;
    if (response.ok) return answer;
    const wait = answer.error?.retry_after_ms;
    if (wait === undefined) throw new Error(`${method} ${path}: ${response.status} ${text}`);
    await new Promise((done) => setTimeout(done, wait));
  }
}

/** For tests: what a tab knows, with a database of its own, and a server that is a function. */
import { Http } from "../protocol/http.ts";
import { Core } from "./core.ts";
import { type Database, openDatabase } from "./database.ts";
import { Tabs } from "./tabs.ts";
import { Device } from "./testing.ts";

export const ME = "me";
let databases = 0;

const offline: typeof fetch = () => Promise.reject(new TypeError("no network"));

/** `answer`: what the server says; without it nobody can be asked. The database is as `change` makes it. */
export async function coreOf(answer: typeof fetch = offline, change: (db: Database) => Database = (db) => db): Promise<Core> {
  databases += 1;
  const platform = new Device(`core${databases}`, () => "").tab();
  const db = await openDatabase(platform.scope, ME, () => {});
  const core = new Core(change(db), new Http("", () => "token", answer), ME, platform, new Tabs(platform, ME));
  await core.start();
  return core;
}

/** Ends what `coreOf` began. */
export function endOf(core: Core): void {
  core.close();
  core.tabs.close();
  core.db.close();
}

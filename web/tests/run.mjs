/** `npm run e2e`: the tests in a browser. */
import { parseCLI, startVitest } from "vitest/node";

const { filter, options } = parseCLI(["vitest", "run", "--config", "vitest.browser.config.ts", ...process.argv.slice(2)]);
const first = await startVitest("test", filter, options);
const failed = first.state.getFailedFilepaths();
// What failed in no file, as a rejection that nobody waited for, is not tried again.
const isOfFiles = first.state.getUnhandledErrors().length === 0;
await first.close();

// A browser on a busy machine: what fails twice in a row has failed. A test builds on those before it and on what they made,
// so that it is a whole file that is tried again, with servers and browsers of its own.
if (process.env["CI"] && isOfFiles && failed.length > 0) {
  const names = failed.map((path) => path.slice(process.cwd().length + 1)).join(", ");
  console.log(`\nTried once more: ${names}\n`);
  process.exitCode = 0;
  const second = await startVitest("test", failed, options);
  const again = second.state.getFailedFilepaths().length > 0;
  await second.close();
  console.log(again ? `\nFailed, and once more when tried again: of ${names}` : `\nFailed, and passed when tried again: ${names}`);
}
process.exit();

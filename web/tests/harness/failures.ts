/** Of a test that fails: what was on the screens, in `test-results`. */
import { mkdir, writeFile } from "node:fs/promises";
import { afterEach } from "vitest";
import { people } from "./browser.ts";

afterEach(async ({ task }) => {
  if (task.result?.state !== "fail") return;
  const name = task.name.replace(/\W+/g, "-").slice(0, 60);
  await mkdir("test-results", { recursive: true });
  for (const [number, person] of [...people].entries()) {
    for (const [tab, page] of person.context.pages().entries()) {
      const path = `test-results/${name}-${number}-${tab}`;
      try {
        await page.screenshot({ path: `${path}.png`, timeout: 5_000 });
        await writeFile(`${path}.txt`, `${page.url()}\n${person.faults.join("\n")}\n\n${await page.locator("body").ariaSnapshot({ timeout: 5_000 })}`);
      } catch {
        // A page that is gone has nothing to show.
      }
    }
  }
});

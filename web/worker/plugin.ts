import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Plugin } from "vite";

/** Files that are fetched when somebody needs them, and not before: the data of emoji. */
const LATER = /\.json$/;

/** Emits `/sw.js`: worker.js with the list of what this build is made of. */
export function shellWorker(): Plugin {
  let publicDir = "";
  return {
    name: "shell-worker",
    apply: "build",
    configResolved(config) {
      publicDir = config.publicDir;
    },
    generateBundle: {
      // After the page itself was emitted.
      order: "post",
      handler(_options, bundle) {
        const version = createHash("sha256");
        const paths = ["/"];
        for (const [name, file] of Object.entries(bundle).sort(([a], [b]) => (a < b ? -1 : 1))) {
          version.update(name).update("\0").update(file.type === "chunk" ? file.code : file.source);
          if (name !== "index.html" && !LATER.test(name)) paths.push(`/${name}`);
        }
        for (const name of readdirSync(publicDir).sort()) {
          if (name.startsWith(".")) continue;
          version.update(name).update("\0").update(readFileSync(join(publicDir, name)));
          paths.push(`/${name}`);
        }
        const template = readFileSync(new URL("worker.js", import.meta.url), "utf8");
        const source = fill(template, version.digest("hex").slice(0, 16), paths);
        this.emitFile({ type: "asset", fileName: "sw.js", source });
      },
    },
  };
}

/** Puts version and paths into the worker. */
export function fill(template: string, version: string, paths: readonly string[]): string {
  const filled = template.replace('"@version@"', JSON.stringify(version)).replace("/* @shell@ */ []", JSON.stringify(paths));
  if (filled.includes("@version@") || filled.includes("@shell@")) throw new Error("worker.js has changed its marks");
  return filled;
}

import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { shellWorker } from "./worker/plugin.ts";

/** Where `npm run dev` finds a server: what `make run` starts. */
const server = process.env["HANSARD_URL"] ?? "http://127.0.0.1:8080";

export default defineConfig({
  plugins: [svelte(), shellWorker()],
  resolve: {
    alias: {
      // In browsers it would look names of characters up by innerHTML, which Trusted Types forbid: here it has a table.
      "decode-named-character-reference": new URL("node_modules/decode-named-character-reference/index.js", import.meta.url).pathname,
    },
  },
  build: {
    target: "es2022",
    // Nothing is inlined as data: or as script: the content security policy allows neither.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    sourcemap: false,
  },
  server: {
    proxy: {
      // The server takes a browser's socket only from its own host.
      "/v1": { target: server, ws: true, changeOrigin: true, rewriteWsOrigin: true },
    },
  },
  test: {
    include: ["src/**/*.test.ts", "worker/*.test.ts"],
    environment: "node",
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});

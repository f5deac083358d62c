import { defineConfig } from "vitest/config";

/** The tests in a browser against the real program: `npm run e2e`; and by `npm run screenshots` the pictures. */
export default defineConfig(({ mode }) => ({
  test: {
    include: mode === "screenshots" ? ["tests/screenshots.ts"] : ["tests/**/*.test.ts"],
    environment: "node",
    setupFiles: ["tests/harness/failures.ts"],
    // Each file has a server and browsers; what measures time must not share the processors with another.
    fileParallelism: false,
    testTimeout: 90_000,
    hookTimeout: 150_000,
    teardownTimeout: 60_000,
    expect: { poll: { timeout: Number(process.env["DEADLINE_MS"] ?? 30_000), interval: 50 } },
  },
}));

import { createSubscriber } from "svelte/reactivity";

const STEP_MS = 20_000;

const subscribe = createSubscriber((update) => {
  const timer = setInterval(update, STEP_MS);
  return () => clearInterval(timer);
});

/** The time now; read in a template, it moves on every 20 seconds. */
export function now(): number {
  subscribe();
  return Date.now();
}

interface ScriptPolicy {
  createScriptURL(url: string): unknown;
}
interface ScriptPolicies {
  createPolicy(name: string, rules: { createScriptURL: (url: string) => string }): ScriptPolicy;
}

const WORKER = "/sw.js";

/** The only script address that this page may make of a text. */
function workerAddress(): string {
  const policies = (globalThis as { trustedTypes?: ScriptPolicies }).trustedTypes;
  const policy = policies?.createPolicy("hansard", {
    createScriptURL(url) {
      if (url !== WORKER) throw new TypeError(`not our script: ${url}`);
      return url;
    },
  });
  // The types of the DOM do not know that it takes a TrustedScriptURL.
  return (policy?.createScriptURL(WORKER) ?? WORKER) as string;
}

/** Keeps the client for starts without a network, once the page has nothing better to do. */
export function registerWorker(): void {
  if (!("serviceWorker" in navigator) || !import.meta.env.PROD) return;
  navigator.serviceWorker.addEventListener("message", ({ data }: MessageEvent<{ type?: unknown; address?: unknown } | undefined>) => {
    if (data?.type === "open" && typeof data.address === "string" && data.address.startsWith("#/")) location.hash = data.address;
  });
  const register = () => {
    // Where it is not allowed, as in some private windows, the client works all the same.
    navigator.serviceWorker.register(workerAddress(), { scope: "/", updateViaCache: "none" }).catch(() => undefined);
  };
  const idle = () => ("requestIdleCallback" in window ? requestIdleCallback(register, { timeout: 10_000 }) : setTimeout(register, 2_000));
  if (document.readyState === "complete") idle();
  else addEventListener("load", idle, { once: true });
}

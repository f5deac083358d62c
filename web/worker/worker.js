// The service worker: keeps the files of the client, so that it starts without a network.
// What people say is none of its business: that is in IndexedDB, and `/v1` never passes through here.
// `VERSION` and `SHELL` are written by plugin.ts: a name for what is in the files, and their paths.
const VERSION = "@version@";
const SHELL = /* @shell@ */ [];

const PREFIX = "hansard-shell-";
const CACHE = PREFIX + VERSION;
/** A name means one content: what the server lets its answers vary by, encodings and origins, is of no matter here. */
const ANY = { ignoreVary: true };
const KEPT = { ...ANY, cacheName: CACHE };
/** How long a slow network may keep somebody from what is here already, in milliseconds. */
const PATIENCE_MS = 2_500;

self.addEventListener("install", (event) => {
  event.waitUntil(
    (async () => {
      const cache = await caches.open(CACHE);
      // All or nothing: a shell with a hole is none. What the page has loaded comes from the HTTP cache.
      await cache.addAll(SHELL);
      await self.skipWaiting();
    })(),
  );
});

self.addEventListener("activate", (event) => {
  event.waitUntil(
    (async () => {
      const old = (await caches.keys()).filter((name) => name.startsWith(PREFIX) && name !== CACHE);
      // Open pages of the version before still ask for its chunks; `keys` has the newest last.
      await Promise.all(old.slice(0, -1).map((name) => caches.delete(name)));
      await self.clients.claim();
    })(),
  );
});

self.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== location.origin) return;
  if (request.mode === "navigate" && url.pathname === "/") event.respondWith(page(request));
  // Their names change with what is in them.
  else if (url.pathname.startsWith("/assets/")) event.respondWith(asset(request));
  else if (SHELL.includes(url.pathname)) event.respondWith(networkFirst(request));
});

// A notification that the page had shown through us, as it has to on phones, was pressed.
self.addEventListener("notificationclick", (event) => {
  event.notification.close();
  const address = String(event.notification.data?.address ?? "#/");
  event.waitUntil(
    (async () => {
      const [page] = await self.clients.matchAll({ type: "window" });
      if (!page) return self.clients.openWindow(`/${address}`);
      await page.focus();
      page.postMessage({ type: "open", address });
    })(),
  );
});

/** The newest page there is: the server's, unless it does not answer in time. */
async function page(request) {
  const kept = await caches.match("/", KEPT);
  if (!kept) return fetch(request);
  const late = new Promise((resolve) => setTimeout(resolve, PATIENCE_MS, kept));
  const fresh = fetch(request).then((answer) => (answer.ok ? answer : kept));
  return Promise.race([fresh.catch(() => kept), late]);
}

async function asset(request) {
  const kept = await caches.match(request, ANY);
  if (kept) return kept;
  const answer = await fetch(request);
  // Large ones that only some people need, such as the names of emoji, are kept from the first use on.
  if (answer.status === 200) {
    const copy = answer.clone();
    const cache = await caches.open(CACHE);
    await cache.put(request, copy).catch(() => undefined);
  }
  return answer;
}

async function networkFirst(request) {
  try {
    return await fetch(request);
  } catch (error) {
    const kept = await caches.match(request, KEPT);
    if (kept) return kept;
    throw error;
  }
}

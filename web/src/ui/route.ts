/** What the address bar says. All of it is behind the `#`, so that the server sees none of it. */
export type Route =
  | { readonly view: "inbox" }
  | { readonly view: "conversation"; readonly id: string; readonly seq?: number; readonly panel?: Panel }
  | { readonly view: "search"; readonly query: string }
  | { readonly view: "mentions" }
  | { readonly view: "settings" };

/** What is beside a conversation. */
export type Panel = { readonly kind: "details" } | { readonly kind: "thread"; readonly root: number };

function whole(text: string | undefined): number | undefined {
  return text !== undefined && /^[1-9]\d{0,15}$/.test(text) ? Number(text) : undefined;
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** Reads an address; what it does not know leads to the inbox. */
export function parseRoute(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?", 2);
  const [view, rawId, kind, number] = path.split("/");
  if (view === "c" && rawId) {
    const id = decode(rawId);
    const seq = whole(number);
    if (!/^[a-z0-9._-]{1,80}$/.test(id)) return { view: "inbox" };
    if (kind === "m" && seq !== undefined) return { view: "conversation", id, seq };
    if (kind === "t" && seq !== undefined) return { view: "conversation", id, panel: { kind: "thread", root: seq } };
    if (kind === "details") return { view: "conversation", id, panel: { kind: "details" } };
    return { view: "conversation", id };
  }
  if (view === "search") return { view: "search", query: new URLSearchParams(query).get("q") ?? "" };
  if (view === "mentions" || view === "settings") return { view };
  return { view: "inbox" };
}

/** The address of a route; `parseRoute` reads it back. */
export function addressOf(route: Route): string {
  switch (route.view) {
    case "inbox":
      return "#/";
    case "conversation": {
      const base = `#/c/${encodeURIComponent(route.id)}`;
      if (route.panel?.kind === "details") return `${base}/details`;
      if (route.panel?.kind === "thread") return `${base}/t/${route.panel.root}`;
      return route.seq === undefined ? base : `${base}/m/${route.seq}`;
    }
    case "search":
      return route.query ? `#/search?${new URLSearchParams({ q: route.query })}` : "#/search";
    case "mentions":
    case "settings":
      return `#/${route.view}`;
  }
}

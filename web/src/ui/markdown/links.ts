const SAFE = new Set(["http:", "https:", "mailto:"]);

/** The address of a link that may be followed; anything but web and mail is text. */
export function safeAddress(address: string): string | undefined {
  // Relative addresses would lead into this page.
  if (!/^[a-z][a-z0-9+.-]*:/i.test(address)) return undefined;
  try {
    const url = new URL(address);
    return SAFE.has(url.protocol) ? url.href : undefined;
  } catch {
    return undefined;
  }
}

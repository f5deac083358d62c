const SEGMENTS = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** At most two characters that stand for a name. */
export function initials(name: string): string {
  const words = name.trim().split(/[\s._-]+/u).filter((word) => /[\p{L}\p{N}\p{Emoji_Presentation}]/u.test(word));
  const first = (word: string) => {
    for (const { segment } of SEGMENTS.segment(word.replace(/^[^\p{L}\p{N}\p{Emoji_Presentation}]+/u, ""))) return segment;
    return "";
  };
  const chosen = words.length > 1 ? [words[0] ?? "", words[words.length - 1] ?? ""] : words;
  return chosen.map(first).join("").toLocaleUpperCase() || "?";
}

const HUES = 8;

/** One of eight colours, always the same for an id. */
export function hueOf(id: string): number {
  let hash = 2_166_136_261;
  for (let at = 0; at < id.length; at += 1) hash = Math.imul(hash ^ id.charCodeAt(at), 16_777_619);
  return (hash >>> 8) % HUES;
}

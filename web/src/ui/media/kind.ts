import { t } from "../../i18n/index.ts";

export type MediaKind = "image" | "video" | "audio" | "file";

/** What a file is shown as. Only what every browser shows as a picture is one; SVG is a document. */
export function kindOf(type: string | undefined): MediaKind {
  const base = (type ?? "").toLowerCase().split(";")[0]?.trim() ?? "";
  if (/^image\/(png|jpeg|gif|webp|avif)$/.test(base)) return "image";
  if (/^video\/(mp4|webm|ogg)$/.test(base)) return "video";
  if (/^audio\/(mpeg|mp4|ogg|opus|webm|wav|x-wav|aac|flac|x-m4a)$/.test(base)) return "audio";
  return "file";
}

/** The word for a kind of file, for previews. */
export function mediaLabel(type: string | undefined): string {
  if (type === undefined) return "";
  return kindLabel(kindOf(type));
}

export function kindLabel(kind: MediaKind): string {
  return t(kind === "file" ? "kind.media" : `kind.${kind}`);
}

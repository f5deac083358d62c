import type { MediaReference } from "../../engine/api.ts";

const PREFIX = "voice-note-";

/** The file name of a recording: it sorts by time, and tells players what it is. */
export function voiceName(when: Date, type: string): string {
  const stamp = when.toISOString().slice(0, 19).replace(/[-:]/g, "").replace("T", "-");
  const extension = type.includes("mp4") ? "m4a" : type.includes("ogg") ? "ogg" : "webm";
  return `${PREFIX}${stamp}.${extension}`;
}

/** Whether an audio file was recorded here, so that its name says nothing. */
export function isVoice(file: Pick<MediaReference, "name">): boolean {
  return file.name.startsWith(PREFIX);
}

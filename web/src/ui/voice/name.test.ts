import { describe, expect, it } from "vitest";
import { isVoice, voiceName } from "./name.ts";

describe("the name of a recording", () => {
  it("says when it was made, and how it is coded", () => {
    const when = new Date("2025-11-19T07:55:26.402Z");
    expect(voiceName(when, "audio/webm")).toBe("voice-note-20251119-075526.webm");
    expect(voiceName(when, "audio/mp4")).toBe("voice-note-20251119-075526.m4a");
    expect(voiceName(when, "audio/ogg")).toBe("voice-note-20251119-075526.ogg");
  });

  it("is known again", () => {
    expect(isVoice({ name: voiceName(new Date(), "audio/webm") })).toBe(true);
    expect(isVoice({ name: "song.mp3" })).toBe(false);
  });
});

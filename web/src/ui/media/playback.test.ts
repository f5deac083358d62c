import { expect, test } from "vitest";
import { Playback } from "./playback.ts";

test("what breaks off is worth another address as often as it is played on, and once where it is not", () => {
  const playback = new Playback();
  expect(playback.broke(0), "it did not begin").toBe(true);
  expect(playback.broke(0)).toBe(false);

  playback.plays(40);
  expect(playback.broke(40)).toBe(true);
  playback.plays(40.2);
  expect(playback.broke(0), "it went no further").toBe(false);
  expect(playback.at, "and goes on where it was").toBe(40);

  playback.begins();
  expect(playback.broke(40), "somebody tries again").toBe(true);

  playback.plays(12);
  expect(playback.broke(12), "somebody went back").toBe(true);
  expect(playback.at).toBe(12);
});

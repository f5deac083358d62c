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

test("what comes late does not begin by itself", () => {
  let now = 1_000_000;
  const playback = new Playback(() => now);
  playback.begins();
  now += 29_000;
  expect(playback.isAwaited()).toBe(true);
  playback.plays(25);
  playback.broke(25);
  now += 29_000;
  expect(playback.isAwaited(), "it broke off since").toBe(true);
  playback.broke(25);
  now += 2_000;
  expect(playback.isAwaited()).toBe(false);
});

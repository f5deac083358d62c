// Makes the pictures of public/ from icon.svg, with the Chromium that the browser tests use.
// Run it after a change of icon.svg: node icons/make.mjs
import { copyFile, readFile, writeFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const here = new URL("./", import.meta.url);
const out = new URL("../public/", import.meta.url);
const svg = await readFile(new URL("icon.svg", here), "utf8");
/** A mask may cut off everything outside of a circle of 80 %: no round corners, and the sign a little smaller. */
const maskable = svg.replace(/ rx="\d+"/, "").replace('<g id="sign">', '<g transform="translate(51 51) scale(.8)">');
/** Phones of Apple round the corners themselves, and know no transparency. */
const square = svg.replace(/ rx="\d+"/, "");

const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  for (const [name, source, size] of [
    ["icon-192.png", svg, 192],
    ["icon-512.png", svg, 512],
    ["icon-maskable.png", maskable, 512],
    ["icon-apple.png", square, 180],
  ]) {
    await page.setViewportSize({ width: size, height: size });
    await page.setContent(`<style>*{margin:0}svg{display:block;width:${size}px;height:${size}px}</style>${source}`);
    await writeFile(new URL(name, out), await page.screenshot({ omitBackground: true }));
  }
} finally {
  await browser.close();
}
await copyFile(new URL("icon.svg", here), new URL("icon.svg", out));

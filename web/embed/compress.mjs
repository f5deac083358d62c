// After `vite build`: beside each file that gets smaller by it, what it is in the encodings br and gzip.
// The program embeds these and compresses nothing while it serves.
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";

const dist = new URL("../dist/", import.meta.url).pathname;
const TEXT = /\.(html|js|css|json|svg|webmanifest|txt|wasm)$/;
/** Below this a header costs what the compression gains. */
const BYTES_MIN = 256;

const brotli = (content) =>
  brotliCompressSync(content, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: constants.BROTLI_MAX_QUALITY,
      [constants.BROTLI_PARAM_SIZE_HINT]: content.length,
    },
  });
const gzip = (content) => gzipSync(content, { level: 9 });

let total = 0;
for (const entry of readdirSync(dist, { recursive: true, withFileTypes: true })) {
  if (!entry.isFile() || !TEXT.test(entry.name)) continue;
  const path = join(entry.parentPath ?? entry.path, entry.name);
  const content = readFileSync(path);
  if (content.length < BYTES_MIN) continue;
  for (const [suffix, compress] of [["br", brotli], ["gz", gzip]]) {
    const smaller = compress(content);
    if (smaller.length < content.length) writeFileSync(`${path}.${suffix}`, smaller);
    if (suffix === "br") total += smaller.length;
  }
}
console.log(`compressed: ${(total / 1024).toFixed(0)} KiB in all with brotli`);

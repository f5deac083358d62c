import { thumbHashToRGBA } from "thumbhash";

/** A ThumbHash has 5 to 25 bytes; more is not one. */
const BASE64_MAX = 36;

/** Paints the blurred stand-in of a picture; false when the hash cannot be read. */
export function paint(canvas: HTMLCanvasElement, base64: string): boolean {
  if (base64.length > BASE64_MAX) return false;
  try {
    const bytes = Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
    if (bytes.length < 5) return false;
    const { w, h, rgba } = thumbHashToRGBA(bytes);
    canvas.width = w;
    canvas.height = h;
    canvas.getContext("2d")?.putImageData(new ImageData(new Uint8ClampedArray(rgba), w, h), 0, 0);
    return true;
  } catch {
    return false;
  }
}

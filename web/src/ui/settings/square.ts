/** Pixels of a side; twice what it is shown at on a dense screen, with some to spare. */
const SIDE_PX = 512;
const QUALITY = 0.85;

/** The middle of a picture as a small square, without anything else that was in the file.
    Throws when the browser cannot read it. */
export async function square(file: Blob): Promise<Blob> {
  const bitmap = await createImageBitmap(file);
  try {
    const side = Math.min(bitmap.width, bitmap.height);
    const size = Math.min(SIDE_PX, side);
    const canvas = document.createElement("canvas");
    canvas.width = size;
    canvas.height = size;
    const context = canvas.getContext("2d");
    if (!context) throw new TypeError("no canvas");
    // JPEG has no transparency: what shows through is white, not black.
    context.fillStyle = "#fff";
    context.fillRect(0, 0, size, size);
    context.imageSmoothingQuality = "high";
    context.drawImage(bitmap, (bitmap.width - side) / 2, (bitmap.height - side) / 2, side, side, 0, 0, size, size);
    const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, "image/jpeg", QUALITY));
    if (!blob) throw new TypeError("no picture");
    return blob;
  } finally {
    bitmap.close();
  }
}

import type { MediaApi } from "../../engine/api.ts";
import { codeOf, refusalText } from "../refusal.ts";
import { toasts } from "../toasts.svelte.ts";

/** Saves a file under its name; what is in it is never opened by the page. */
export async function download(media: MediaApi, file: { readonly id: string; readonly name: string }): Promise<void> {
  try {
    const link = document.createElement("a");
    link.href = await media.url(file.id);
    link.download = file.name;
    link.rel = "noopener noreferrer";
    link.click();
  } catch (error) {
    toasts.show(refusalText(codeOf(error)), "problem");
  }
}

/**
 * The contract for clients in TypeScript, without DOM or framework: types of the documents, the HTTP half, the socket
 * and how to come back to it, ids on the server's time, uploads.
 *
 * `types.ts` names what `contract.ts` has, which `npm run generate` makes from the documents and a test holds to them.
 */
export { Backoff } from "./backoff.ts";
export { millisOf, ServerClock } from "./clock.ts";
export { Http, type Listing, type PageOf } from "./http.ts";
export { Link, type LinkOptions, type LinkState, type Socket } from "./link.ts";
export { upload, type RunningUpload, type UploadOptions } from "./media.ts";
export { Refused, type RefusalCode } from "./refusal.ts";
export type * from "./types.ts";

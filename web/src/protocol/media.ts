import { DetailedError, Upload } from "tus-js-client";

/** Bytes of a request: a lost one costs this much at most. */
const CHUNK_BYTES = 4 * 1024 * 1024;

export interface UploadOptions {
  readonly base: string;
  readonly token: () => string | undefined;
  readonly blob: Blob;
  readonly name: string;
  readonly type: string;
  /** Keep it bit for bit. */
  readonly original?: boolean;
  /** Where an earlier attempt goes on. */
  readonly location?: string;
  readonly onLocation: (location: string) => void;
  /** Bytes that have gone out; after a lost request fewer than before. */
  readonly onProgress: (sent: number) => void;
  /** The id of the file. */
  readonly onDone: (id: string) => void;
  readonly onFailure: (code: string) => void;
}

export interface RunningUpload {
  pause(): void;
  /** Also at the server. */
  cancel(): void;
}

/** Uploads by tus 1.0; goes on by itself after a lost request. */
export function upload(options: UploadOptions): RunningUpload {
  const { base, blob, name, type, original, location } = options;
  const running = new Upload(blob, {
    endpoint: `${base}/v1/media`,
    ...(location === undefined ? {} : { uploadUrl: location }),
    chunkSize: CHUNK_BYTES,
    retryDelays: [0, 1_000, 3_000, 5_000, 10_000],
    metadata: { filename: name, filetype: type, ...(original ? { original: "true" } : {}) },
    // Where it goes on is in our own database, with the file.
    storeFingerprintForResuming: false,
    onBeforeRequest(request) {
      const token = options.token();
      if (token) request.setHeader("Authorization", `Bearer ${token}`);
    },
    onUploadUrlAvailable() {
      if (running.url) options.onLocation(running.url);
    },
    onProgress: (sent) => options.onProgress(sent),
    onSuccess() {
      const id = running.url?.split("/").pop();
      if (id) options.onDone(id);
      else options.onFailure("internal");
    },
    onError: (error) => options.onFailure(codeOf(error)),
  });
  running.start();
  return {
    pause: () => void running.abort(false).catch(() => {}),
    cancel: () => void running.abort(true).catch(() => {}),
  };
}

function codeOf(error: Error | DetailedError): string {
  const answer = error instanceof DetailedError ? error.originalResponse : undefined;
  if (!answer) return "offline";
  try {
    const said = JSON.parse(answer.getBody()) as { error?: { code?: string } };
    if (said.error?.code) return said.error.code;
  } catch {
    // Something between that does not speak the contract.
  }
  return answer.getStatus() === 404 ? "not_found" : "unavailable";
}

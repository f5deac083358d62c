// Uploads a file as an application does that uses tus-js-client: in chunks, paused in the middle,
// gone on with by another object that only knows the address, and another upload that is ended.
// Prints what happened as one line of JSON.
import { createReadStream, statSync } from 'node:fs'
import { basename } from 'node:path'
import { Upload } from 'tus-js-client'

const [endpoint, path] = process.argv.slice(2)
const uploadSize = statSync(path).size
const options = {
  endpoint,
  uploadSize,
  chunkSize: 1024 * 1024,
  headers: { Authorization: `Bearer ${process.env.TOKEN}` },
  metadata: { filename: basename(path), filetype: 'application/octet-stream' },
  retryDelays: [100, 500, 1000],
}

// Uploads until so many bytes are there, then pauses.
function uploadUntil(bytes) {
  return new Promise((resolve, reject) => {
    const upload = new Upload(createReadStream(path), {
      ...options,
      onError: reject,
      onSuccess: () => reject(new Error('it was over before it could be paused')),
      onChunkComplete: (_size, accepted) => {
        if (accepted >= bytes) {
          upload.abort().then(() => resolve({ url: upload.url, accepted }), reject)
        }
      },
    })
    upload.start()
  })
}

// Goes on with it, from where the server says.
function resume(uploadUrl) {
  return new Promise((resolve, reject) => {
    let from = null
    const upload = new Upload(createReadStream(path), {
      ...options,
      uploadUrl,
      onError: reject,
      onProgress: (sent) => {
        from ??= sent
      },
      onSuccess: () => resolve({ url: upload.url, from }),
    })
    upload.start()
  })
}

const paused = await uploadUntil(2 * 1024 * 1024)
const resumed = await resume(paused.url)
const other = await uploadUntil(1024 * 1024)
await Upload.terminate(other.url, { headers: options.headers, retryDelays: [] })
const gone = await fetch(other.url, {
  method: 'HEAD',
  headers: { ...options.headers, 'Tus-Resumable': '1.0.0' },
})
console.log(
  JSON.stringify({
    url: resumed.url,
    paused_at: paused.accepted,
    resumed_from: resumed.from,
    ended: [404, 410].includes(gone.status),
  }),
)

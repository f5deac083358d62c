//! Hashing bytes as they come, away from the threads that answer requests.

use bytes::Bytes;
use hansard_model::media::Sha256;
use sha2::Digest as _;

use crate::parts::Buffer;

/// Below this a hash costs less than handing it to another thread.
const INLINE_BYTES_MAX: usize = 16 * 1024;

/// Bytes that are hashed for one purpose before they are for the next: they stay in a core's cache.
const BLOCK_BYTES: usize = 64 * 1024;

/// The SHA-256 of everything that was absorbed so far.
#[derive(Clone, Default)]
pub(crate) struct Digest(sha2::Sha256);

impl Digest {
    /// Goes on with `bytes`.
    pub(crate) async fn absorb(self, bytes: Bytes) -> Self {
        blocking(bytes.len(), move || Self(self.0.chain_update(&bytes))).await
    }

    /// Goes on with `bytes` at once, on this thread.
    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Of everything so far.
    pub(crate) fn finish(self) -> Sha256 {
        Sha256(self.0.finalize().into())
    }
}

/// Goes on with those of `digests` that there are, and tells the hash of `bytes` alone.
pub(crate) async fn absorb_part<const N: usize>(
    mut digests: [Option<Digest>; N],
    bytes: Bytes,
) -> ([Option<Digest>; N], Sha256) {
    let len = bytes.len();
    let work = move || {
        let mut part = sha2::Sha256::new();
        for block in bytes.chunks(BLOCK_BYTES) {
            part.update(block);
            digests.iter_mut().flatten().for_each(|digest| digest.0.update(block));
        }
        (digests, Sha256(part.finalize().into()))
    };
    blocking(len, work).await
}

/// The hash of a few bytes.
pub(crate) fn of(bytes: &[u8]) -> Sha256 {
    Sha256(sha2::Sha256::digest(bytes).into())
}

/// The hash of bytes.
pub(crate) async fn of_part(bytes: Bytes) -> Sha256 {
    blocking(bytes.len(), move || of(&bytes)).await
}

/// The hash of what is in a buffer.
pub(crate) async fn of_buffer(buffer: Buffer) -> (Buffer, Sha256) {
    let len = buffer.as_ref().len();
    let work = move || {
        let sha256 = of(buffer.as_ref());
        (buffer, sha256)
    };
    blocking(len, work).await
}

async fn blocking<T: Send + 'static>(len: usize, work: impl FnOnce() -> T + Send + 'static) -> T {
    if len <= INLINE_BYTES_MAX {
        return work();
    }
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        // It cannot be cancelled once it runs: either it panicked, or the runtime is shutting down.
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => std::future::pending().await,
        },
    }
}

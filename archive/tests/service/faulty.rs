//! An object store that fails at random: before it does anything, after it has done it, and by
//! storing half.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use tokio::sync::Notify;

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    /// Of 256 calls so many fail.
    rate: u64,
    calls: AtomicU64,
    pub(crate) puts: AtomicU64,
    pub(crate) faults: AtomicU64,
    /// Whether the next segment that is read is held back, once the store has given it.
    pub(crate) hold: AtomicBool,
    /// One is held back.
    pub(crate) held: Notify,
    /// It may go on.
    pub(crate) release: Notify,
}

enum Fault {
    Before,
    After,
    Half,
}

impl Faulty {
    pub(crate) fn new(inner: Arc<dyn ObjectStore>, rate: u64, seed: u64) -> Self {
        let calls = AtomicU64::new(seed);
        Self {
            inner,
            rate,
            calls,
            puts: AtomicU64::new(0),
            faults: AtomicU64::new(0),
            hold: AtomicBool::new(false),
            held: Notify::new(),
            release: Notify::new(),
        }
    }

    fn fault(&self) -> Option<Fault> {
        // SplitMix64: the calls in order decide, so that a seed fails the same way again.
        let mut z = self.calls.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        if z % 256 >= self.rate {
            return None;
        }
        self.faults.fetch_add(1, Ordering::Relaxed);
        Some(match (z >> 10) % 3 {
            0 => Fault::Before,
            1 => Fault::After,
            _ => Fault::Half,
        })
    }
}

fn failed() -> Error {
    Error::Generic { store: "faulty", source: "on purpose".into() }
}

impl fmt::Display for Faulty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "faulty {}", self.inner)
    }
}

#[async_trait]
impl ObjectStore for Faulty {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        opts: PutOptions,
    ) -> Result<PutResult> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        let fault = self.fault();
        let payload = match fault {
            Some(Fault::Before) => return Err(failed()),
            Some(Fault::Half) => {
                let bytes = bytes::Bytes::from(payload);
                PutPayload::from(bytes.slice(..bytes.len() / 2))
            }
            Some(Fault::After) | None => payload,
        };
        let put = self.inner.put_opts(location, payload, opts).await;
        if fault.is_some() { Err(failed()) } else { put }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        if self.fault().is_some() {
            return Err(failed());
        }
        let found = self.inner.get_opts(location, options).await;
        if location.as_ref().ends_with(".zst") && self.hold.swap(false, Ordering::Relaxed) {
            self.held.notify_one();
            self.release.notified().await;
        }
        found
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        if matches!(self.fault(), Some(Fault::Before)) {
            return Box::pin(futures_util::stream::once(async { Err(failed()) }));
        }
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if self.fault().is_some() {
            return Box::pin(futures_util::stream::once(async { Err(failed()) }));
        }
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

//! An object store that fails at random: before it does anything, and after it has done it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use hansard_model::media::Variant;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use crate::client::bytes;
use crate::rig::{Rig, patient, within};

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    /// Whether it takes what is made of pictures.
    takes_thumbnails: AtomicBool,
    /// Of 256 calls so many fail; 0: it is well again.
    rate: AtomicU64,
    calls: AtomicU64,
    faults: AtomicU64,
}

impl Faulty {
    fn new(inner: Arc<dyn ObjectStore>, seed: u64) -> Arc<Self> {
        let (rate, faults) = (AtomicU64::new(0), AtomicU64::new(0));
        let takes_thumbnails = AtomicBool::new(true);
        Arc::new(Self { inner, takes_thumbnails, rate, calls: AtomicU64::new(seed), faults })
    }

    /// One that takes files, and nothing that is made of a picture.
    pub(crate) fn without_thumbnails(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        let store = Self::new(inner, 0);
        store.takes_thumbnails.store(false, Ordering::Relaxed);
        store
    }

    /// Whether this call fails, and if so whether it is done all the same.
    fn fault(&self) -> Option<bool> {
        // SplitMix64: the calls in order decide.
        let mut z = self.calls.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        if z % 256 >= self.rate.load(Ordering::Relaxed) {
            return None;
        }
        self.faults.fetch_add(1, Ordering::Relaxed);
        Some((z >> 10).is_multiple_of(2))
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
        let is_webp = payload.iter().next().is_some_and(|bytes| bytes.starts_with(b"RIFF"));
        if is_webp && !self.takes_thumbnails.load(Ordering::Relaxed) {
            return Err(failed());
        }
        match self.fault() {
            Some(false) => Err(failed()),
            Some(true) => {
                self.inner.put_opts(location, payload, opts).await?;
                Err(failed())
            }
            None => self.inner.put_opts(location, payload, opts).await,
        }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        opts: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        match self.fault() {
            Some(_) => Err(failed()),
            None => self.inner.get_opts(location, options).await,
        }
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        match self.fault() {
            Some(false) => futures_util::stream::once(async { Err(failed()) }).boxed(),
            Some(true) => {
                let done = self.inner.delete_stream(locations);
                done.map(|deleted| deleted.and(Err(failed()))).boxed()
            }
            None => self.inner.delete_stream(locations),
        }
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        match self.fault() {
            Some(_) => futures_util::stream::once(async { Err(failed()) }).boxed(),
            None => self.inner.list(prefix),
        }
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_gets_through_a_store_that_fails_at_random() {
    let rig = Rig::start().await;
    for seed in 0..6 {
        let store = Faulty::new(rig.store(), seed * 10_007);
        let service = rig.service_on("a", patient(), store.clone()).await;
        store.rate.store(50, Ordering::Relaxed);
        let client = rig.uploader(&service.address, 1);
        // Every other one has been stored before.
        let file = bytes(40 + seed / 2, 5_300_000);
        let id = client.create(file.len() as u64, "original").await.id();
        client.resume(id, &file).await;
        let reader = rig.reader(&service.address, id, Variant::File);
        let got = within("the file", async || {
            reader.get(id, &[]).await.ok().filter(|answer| answer.status == 200)
        })
        .await;
        assert!(got.body == file, "seed {seed}");
        assert!(store.faults.load(Ordering::Relaxed) > 0, "seed {seed}");
        // Once it is well again, nothing is left that no blob needs.
        store.rate.store(0, Ordering::Relaxed);
        let blob = rig.ready(id).await.blob;
        let needed = rig.blob(blob).await.expect("a blob").parts.len();
        let own = format!("media/{id}/");
        within("no spare parts", async || {
            let names = rig.part_objects().await;
            let own = names.iter().filter(|name| name.starts_with(&own)).count();
            (own == if seed.is_multiple_of(2) { needed } else { 0 }).then_some(())
        })
        .await;
        service.stop().await;
    }
    rig.stop().await;
}

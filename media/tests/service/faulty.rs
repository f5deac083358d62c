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
use tokio_util::sync::CancellationToken;

use crate::client::{bytes, checksum};
use crate::rig::{Rig, patient, within};

#[derive(Debug)]
pub(crate) struct Faulty {
    inner: Arc<dyn ObjectStore>,
    /// Whether it takes what is made of pictures.
    takes_thumbnails: AtomicBool,
    /// Whether it gives what files consist of; if not, whoever asks waits.
    gives_parts: AtomicBool,
    /// Parts that begin at this byte are not taken.
    refused_offset: AtomicU64,
    /// A part that begins at this byte is taken; the answer waits, and then says that it was not.
    ambiguous_offset: AtomicU64,
    answers: CancellationToken,
    /// Of 256 calls so many fail; 0: it is well again.
    rate: AtomicU64,
    calls: AtomicU64,
    faults: AtomicU64,
}

impl Faulty {
    fn new(inner: Arc<dyn ObjectStore>, seed: u64) -> Arc<Self> {
        let (rate, faults) = (AtomicU64::new(0), AtomicU64::new(0));
        let never = || AtomicU64::new(u64::MAX);
        Arc::new(Self {
            inner,
            takes_thumbnails: AtomicBool::new(true),
            gives_parts: AtomicBool::new(true),
            refused_offset: never(),
            ambiguous_offset: never(),
            answers: CancellationToken::new(),
            rate,
            calls: AtomicU64::new(seed),
            faults,
        })
    }

    /// One that takes files, and nothing that is made of a picture.
    pub(crate) fn without_thumbnails(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        let store = Self::new(inner, 0);
        store.takes_thumbnails.store(false, Ordering::Relaxed);
        store
    }

    /// One of which no byte of a file comes back.
    pub(crate) fn mute(inner: Arc<dyn ObjectStore>) -> Arc<Self> {
        let store = Self::new(inner, 0);
        store.gives_parts.store(false, Ordering::Relaxed);
        store
    }

    /// Whether an object is a part that begins there: names tell where parts begin.
    fn begins_at(location: &Path, offset: &AtomicU64) -> bool {
        let begins = location.filename().and_then(|name| name.split('-').nth(1));
        begins.and_then(|begins| begins.parse().ok()) == Some(offset.load(Ordering::Relaxed))
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
        if Self::begins_at(location, &self.refused_offset) {
            return Err(failed());
        }
        if Self::begins_at(location, &self.ambiguous_offset) {
            self.inner.put_opts(location, payload, opts).await?;
            self.answers.cancelled().await;
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
        let name = location.as_ref();
        let is_part = name.starts_with("media/") && !name.starts_with("media/manifests/");
        if is_part && !self.gives_parts.load(Ordering::Relaxed) {
            std::future::pending().await
        }
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_stored_beyond_a_part_that_was_lost_counts_for_nothing() {
    const PART: u64 = 1_048_576;
    let rig = Rig::start().await;
    let store = Faulty::new(rig.store(), 0);
    let service = rig.service_on("a", patient(), store.clone()).await;
    let client = rig.uploader(&service.address, 1);
    let file = bytes(60, 6 * PART as usize);
    let sum = checksum(&file);
    for more in [&[][..], &[("upload-checksum", sum.as_str())]] {
        let id = client.create(file.len() as u64, "original").await.id();
        store.refused_offset.store(PART, Ordering::Relaxed);
        let answer = client.try_patch(id, 0, &file, more).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"));
        // With a checksum it is all or nothing.
        let reached = if more.is_empty() { PART } else { 0 };
        assert_eq!(client.head(id).await.number("upload-offset"), Some(reached));
        store.refused_offset.store(u64::MAX, Ordering::Relaxed);
        client.resume(id, &file).await;
        let content = rig.ready(id).await;
        assert_eq!(content.size, file.len() as u64);
        let got = rig.reader(&service.address, id, Variant::File).get(id, &[]).await.expect("all");
        assert!(got.body == file);
        // Both have the same bytes, so one blob; of the second nothing stays.
        let blob = rig.blob(content.blob).await.expect("a blob");
        within("no spare parts", async || {
            (rig.part_objects().await.len() == blob.parts.len()).then_some(())
        })
        .await;
    }
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_another_writer_counts_is_not_removed_by_one_whose_part_seemed_to_fail() {
    const PART: u64 = 1_048_576;
    let rig = Rig::start().await;
    let store = Faulty::new(rig.store(), 0);
    let first = rig.service_on("a", patient(), store.clone()).await;
    let second = rig.service("b", patient()).await;
    let client = rig.uploader(&first.address, 1);
    let file = bytes(61, 6 * PART as usize);
    let id = client.create(file.len() as u64, "original").await.id();
    store.ambiguous_offset.store(PART, Ordering::Relaxed);
    let (sender, all) = (client.at(&first.address), file.clone());
    let late = tokio::spawn(async move { sender.try_patch(id, 0, &all, &[]).await });
    // Beyond the part whose answer does not come two more are stored.
    within("parts", async || (rig.part_objects().await.len() >= 4).then_some(())).await;
    let other = client.at(&second.address);
    let reached = other.head(id).await.number("upload-offset").expect("an offset");
    assert_eq!(reached, 4 * PART);
    other.resume(id, &file).await;
    store.answers.cancel();
    let answer = late.await.expect("no panic").expect("an answer");
    assert!(!answer.status.is_success(), "{answer:?}");
    rig.ready(id).await;
    let got = rig.reader(&second.address, id, Variant::File).get(id, &[]).await.expect("all");
    assert!(got.body == file, "{} bytes", got.body.len());
    first.stop().await;
    second.stop().await;
    rig.stop().await;
}

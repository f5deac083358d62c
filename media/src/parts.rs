//! Objects that hold parts of uploads. Their names tell everything of them, and no two writers ever
//! use the same name: whatever comes late can neither replace nor remove what somebody else stored.

mod buffers;
mod fetching;
mod name;
mod reading;

use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use hansard_archive::Objects;
use hansard_model::UploadId;
use hansard_model::media::{Part, Sha256};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt as _, PutPayload};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::buffers::Buffers;
use self::reading::ALL_AHEAD_MAX;
use crate::digest;
use crate::fault::Fault;

pub(crate) use self::buffers::Buffer;
pub(crate) use self::reading::Reading;

/// Bytes of a part, unless the upload is so long that it would have more than [`PARTS_MAX`].
pub(crate) const PART_BYTES: u64 = 1024 * 1024;
/// Parts that one request makes of an upload at most: the record lists them.
pub(crate) const PARTS_MAX: u64 = 1_000;
/// Objects that are asked for or removed at a time.
const AT_ONCE: usize = 8;
/// Parts of all uploads that are being stored at a time: their bytes are in memory.
const STORING_MAX: usize = 16;
/// Parts that are being read at a time.
const READING_MAX: usize = 8;

/// Under which name parts are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writer {
    /// Of which upload.
    pub(crate) upload: UploadId,
    /// Which of its writers.
    pub(crate) generation: u32,
}

/// How many bytes the parts of an upload have: at most a thousand make all of it.
pub(crate) fn part_bytes(length: u64) -> u64 {
    PART_BYTES.max(length.div_ceil(PARTS_MAX))
}

/// Where parts end that have no gaps.
pub(crate) fn end(parts: &[Part]) -> u64 {
    parts.last().map_or(0, |part| part.offset + part.len)
}

/// The parts of an upload in an object store; clones share it.
#[derive(Clone)]
pub(crate) struct Parts {
    objects: Objects,
    buffers: Buffers,
    storing: Arc<Semaphore>,
    reading: Arc<Semaphore>,
    ahead: Arc<Semaphore>,
}

impl Parts {
    pub(crate) fn of(objects: Objects) -> Self {
        let places = |max| Arc::new(Semaphore::new(max));
        Self {
            objects,
            buffers: Buffers::default(),
            storing: places(STORING_MAX),
            reading: places(READING_MAX),
            ahead: places(ALL_AHEAD_MAX),
        }
    }

    /// Waits until one more part may be on its way into the store; it may while this is held.
    pub(crate) async fn room(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.storing).acquire_owned().await.ok()
    }

    /// Memory for a part of so many bytes.
    pub(crate) fn buffer(&self, len: usize) -> Buffer {
        self.buffers.take(len)
    }

    /// Room for one more part that nobody has asked for yet, if there is any.
    fn room_ahead(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.ahead).try_acquire_owned().ok()
    }

    /// Stores bytes whose hash is known; durable when it returns.
    pub(crate) async fn put(
        &self,
        writer: Writer,
        offset: u64,
        bytes: Bytes,
        sha256: Sha256,
    ) -> Result<Part, Fault> {
        let Writer { upload, generation } = writer;
        let part = Part { upload, generation, offset, len: bytes.len() as u64, sha256 };
        self.objects.store.put(&self.path(&part), PutPayload::from_bytes(bytes)).await?;
        Ok(part)
    }

    /// Stores all bytes of something small enough to be in memory, and tells their hash.
    pub(crate) async fn put_all(
        &self,
        writer: Writer,
        bytes: Bytes,
    ) -> Result<(Vec<Part>, Sha256), Fault> {
        let mut all = [Some(digest::Digest::default())];
        let mut parts = Vec::new();
        let mut rest = bytes;
        let mut offset = 0;
        let size = usize::try_from(part_bytes(rest.len() as u64)).unwrap_or(usize::MAX);
        while !rest.is_empty() {
            let bytes = rest.split_to(size.min(rest.len()));
            let sha256;
            (all, sha256) = digest::absorb_part(all, bytes.clone()).await;
            let part = self.put(writer, offset, bytes, sha256).await?;
            offset += part.len;
            parts.push(part);
        }
        let [all] = all.map(Option::unwrap_or_default);
        Ok((parts, all.finish()))
    }

    /// The bytes of a part, after they were compared with its hash.
    pub(crate) async fn get(&self, part: &Part) -> Result<Bytes, Fault> {
        // It is never closed.
        let _place = self.reading.acquire().await.ok();
        let path = self.path(part);
        let found = match self.objects.store.get(&path).await {
            Ok(found) => found,
            Err(Error::NotFound { .. }) => return Err(Fault::Missing { object: path.to_string() }),
            Err(error) => return Err(error.into()),
        };
        // Whatever lies there is not read into memory for its size alone.
        if found.meta.size != part.len {
            return Err(Fault::Damaged { object: path.to_string() });
        }
        let buffer = self.buffers.take(usize::try_from(part.len).unwrap_or(usize::MAX));
        let (buffer, sha256) = fetching::fetch(found.payload, buffer, part.len).await?;
        if sha256 != part.sha256 {
            return Err(Fault::Damaged { object: path.to_string() });
        }
        Ok(buffer.freeze())
    }

    /// Reads parts one after the other.
    pub(crate) fn read(&self, parts: Vec<Part>) -> Reading {
        Reading::new(self.clone(), parts)
    }

    /// Whether all of them are there, each with as many bytes as it should have.
    pub(crate) async fn are_there(&self, parts: &[Part]) -> Result<bool, Fault> {
        let heads = stream::iter(parts.to_vec()).map(|part| async move {
            match self.objects.store.head(&self.path(&part)).await {
                Ok(found) => Ok(found.size == part.len),
                Err(Error::NotFound { .. }) => Ok(false),
                Err(error) => Err(Fault::from(error)),
            }
        });
        heads.buffer_unordered(AT_ONCE).try_all(|is_there| async move { is_there }).await
    }

    /// Removes parts; those that are gone already are no fault.
    pub(crate) async fn remove(&self, parts: &[Part]) -> Result<(), Fault> {
        let removals = stream::iter(parts.to_vec()).map(|part| async move {
            match self.objects.store.delete(&self.path(&part)).await {
                Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(Fault::from(error)),
            }
        });
        removals.buffer_unordered(AT_ONCE).try_collect().await
    }

    /// What an upload's writers have stored, as a list shows it, by generation and offset. A list
    /// is no proof of absence: nothing may be removed because it is not in one.
    pub(crate) async fn stored(&self, upload: UploadId) -> Result<Vec<Part>, Fault> {
        let folder = self.objects.path(&name::folder(upload));
        let listed: Vec<_> = self.objects.store.list(Some(&folder)).try_collect().await?;
        // A name of another form is nobody's part.
        let parts = listed.iter().filter_map(|object| {
            let part = name::parse(upload, object.location.filename()?)?;
            (part.len == object.size).then_some(part)
        });
        let mut parts: Vec<Part> = parts.collect();
        parts.sort_unstable_by_key(|part| (part.generation, part.offset, part.len));
        Ok(parts)
    }

    fn path(&self, part: &Part) -> Path {
        self.objects.path(&name::of(part))
    }
}

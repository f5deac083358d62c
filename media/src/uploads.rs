//! Uploads from their creation until all their bytes are a blob.
//!
//! 1. `create`: what may begin;
//! 2. `append`: one request that brings bytes, each part durable before the next is waited for;
//! 3. `finish`: from parts to a blob, by whoever comes;
//! 4. `end`: its uploader does not want it any more.
//!
//! Invariant: a request that appends is a writer of its own: the record says which parts of those
//! before it count, and what they store later counts for nothing.
//! Invariant: every step can be the last one before the process dies, and can be made again.

mod append;
mod create;
mod declared;
mod end;
mod finish;
mod known;
mod pace;
mod writers;

use std::time::Duration;

use hansard_model::media::{MediaKey, Part, State, Upload};
use hansard_model::{LogTime, UploadId, UserId};
use hansard_nats::LogClock;
use hansard_nats::media::{MediaBucket, Revision};

use self::known::KnownDigests;
use self::writers::Writers;
use crate::blobs::Blobs;
use crate::fault::Fault;
use crate::holdings::Holdings;
use crate::manifests::Manifests;
use crate::parts::{self, Parts};
use crate::processing::Queue;

pub(crate) use self::append::{Append, AppendError};
pub(crate) use self::create::{Creation, Refusal};
pub(crate) use self::declared::{declared, from_metadata};
pub(crate) use self::end::EndError;
pub(crate) use self::finish::Finished;

/// What uploads may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// Bytes of one at most.
    pub(crate) bytes_max: u64,
    /// How long an unfinished one, or one that nothing refers to, is kept.
    pub(crate) keep: Duration,
}

/// The uploads of a deployment; clones share them.
#[derive(Clone)]
pub(crate) struct Uploads {
    pub(crate) bucket: MediaBucket,
    pub(crate) clock: LogClock,
    pub(crate) parts: Parts,
    pub(crate) blobs: Blobs,
    pub(crate) manifests: Manifests,
    pub(crate) holdings: Holdings,
    pub(crate) bounds: Bounds,
    /// Those whose bytes are all there. When it is full, whoever looks at their watches finds them.
    processing: Queue,
    writers: Writers,
    known: KnownDigests,
}

/// How far an upload is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reached {
    /// Bytes that are durable, from its beginning.
    pub(crate) offset: u64,
    /// Its record.
    pub(crate) upload: Upload,
}

impl Uploads {
    pub(crate) fn new(
        bucket: MediaBucket,
        clock: LogClock,
        objects: hansard_archive::Objects,
        (bounds, user_bytes_max): (Bounds, u64),
        processing: Queue,
    ) -> Self {
        let parts = Parts::of(objects.clone());
        Self {
            blobs: Blobs::new(bucket.clone(), parts.clone()),
            manifests: Manifests::of(objects),
            holdings: Holdings::new(bucket.clone(), user_bytes_max),
            writers: Writers::default(),
            known: KnownDigests::new(),
            bucket,
            clock,
            parts,
            bounds,
            processing,
        }
    }

    /// Has all requests that append put away what they have.
    pub(crate) fn interrupt_all(&self) {
        self.writers.interrupt_all();
    }

    /// The record of an upload as the leader has it.
    pub(crate) async fn get(&self, id: UploadId) -> Result<(Option<Upload>, Revision), Fault> {
        Ok(self.bucket.get(MediaKey::Upload(id)).await?)
    }

    /// How far an upload of `user` is; one whose bytes are all there is finished first. `None`: they
    /// have none with this id.
    pub(crate) async fn reached(
        &self,
        id: UploadId,
        user: UserId,
    ) -> Result<Option<Reached>, Fault> {
        // A request that is cut off somewhere on the way may not have noticed yet.
        self.writers.interrupt(id).await;
        let (found, _) = self.get(id).await?;
        if !found.as_ref().is_some_and(|upload| is_of(upload, user)) {
            return Ok(None);
        }
        match self.finish(id, None).await? {
            Finished::Absent => Ok(None),
            Finished::Missing { offset, upload } => {
                let is_over = upload.keep_until <= self.clock.now()?;
                Ok((!is_over).then_some(Reached { offset, upload }))
            }
            Finished::Done(upload) => Ok(Some(Reached { offset: upload.length, upload })),
        }
    }

    /// The parts of an unfinished upload that count, in order and without gaps.
    async fn durable(&self, upload: &Upload) -> Result<Vec<Part>, Fault> {
        let mut durable = upload.parts.clone();
        if upload.state != State::Receiving || upload.generation == 0 {
            return Ok(durable);
        }
        for part in self.parts.stored(upload.id).await? {
            if part.generation == upload.generation && part.offset == parts::end(&durable) {
                durable.push(part);
            }
        }
        Ok(durable)
    }

    fn now(&self) -> Result<LogTime, Fault> {
        Ok(self.clock.now()?)
    }
}

/// Whether `user` may know of the upload as one of their own.
fn is_of(upload: &Upload, user: UserId) -> bool {
    upload.uploader == user && upload.state != State::Dying
}

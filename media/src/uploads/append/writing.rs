//! Storing bytes as parts while the next come.
//!
//! ```text
//! received -> buffer (one part) -> hashed, one after the other -> put, some at a time -> settled
//! ```
//!
//! In memory are the buffer and the parts on their way: [`AT_ONCE`] of a request, and of all
//! requests as many as [`Parts`](crate::parts::Parts) has room for.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use hansard_model::media::{Part, Upload};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{AppendError, is_writing};
use crate::digest::{self, Digest};
use crate::fault::Fault;
use crate::metrics;
use crate::parts::{Buffer, Writer, part_bytes};
use crate::uploads::Uploads;

/// Parts of a request that are on their way at a time: while one waits for the disk, the next is
/// hashed.
const AT_ONCE: usize = 3;
/// How long the object store may take for one part.
const PUT_WITHIN: Duration = Duration::from_secs(60);
/// How often the record is asked whether the upload still wants bytes of this writer.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// The hash of all bytes, if it is known, and that of the bytes of this request, if it is wanted.
type Digests = [Option<Digest>; 2];

/// A request that is storing parts.
pub(super) struct Writing<'a> {
    uploads: &'a Uploads,
    upload: &'a Upload,
    writer: Writer,
    /// Bytes of a part.
    size: usize,
    /// Where the buffer begins.
    offset: u64,
    buffer: Option<Buffer>,
    digests: oneshot::Receiver<Digests>,
    putting: VecDeque<JoinHandle<Result<Part, Fault>>>,
    stored: Stored,
    asked: Instant,
}

/// What of a request is durable.
#[derive(Default)]
pub(super) struct Stored {
    /// Without a gap.
    pub(super) parts: Vec<Part>,
    /// After a part that failed. That part may be stored all the same; if it is not, these count
    /// for nothing.
    pub(super) beyond: Vec<Part>,
    /// Whether there is a gap.
    is_broken: bool,
    /// The hash of all bytes up to the end of the parts, if it is known.
    pub(super) digest: Option<Digest>,
    /// That of those of this request.
    pub(super) of_body: Option<Digest>,
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        uploads: &'a Uploads,
        upload: &'a Upload,
        writer: Writer,
        offset: u64,
        digests: Digests,
    ) -> Self {
        let size = usize::try_from(part_bytes(upload.length)).unwrap_or(usize::MAX);
        let (hashed, so_far) = oneshot::channel();
        let _ = hashed.send(digests);
        Self {
            uploads,
            upload,
            writer,
            size,
            offset,
            buffer: None,
            digests: so_far,
            putting: VecDeque::with_capacity(AT_ONCE),
            stored: Stored::default(),
            asked: Instant::now(),
        }
    }

    /// Takes bytes; waits while as many are on their way as may be.
    pub(super) async fn push(&mut self, mut bytes: Bytes) -> Result<(), AppendError> {
        let rest = self.upload.length - self.offset;
        if (self.gathered() + bytes.len()) as u64 > rest {
            return Err(AppendError::TooLong);
        }
        while !bytes.is_empty() {
            let rest = self.upload.length - self.offset;
            let room = self.size.min(usize::try_from(rest).unwrap_or(usize::MAX));
            let buffer = self.buffer.get_or_insert_with(|| self.uploads.parts.buffer(room));
            let fits = bytes.len().min(self.size - buffer.as_ref().len());
            buffer.bytes().extend_from_slice(&bytes.split_to(fits));
            if self.gathered() == self.size {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Bytes in the buffer.
    fn gathered(&self) -> usize {
        self.buffer.as_ref().map_or(0, |buffer| buffer.as_ref().len())
    }

    /// Sends what is in the buffer on its way, however little it is.
    pub(super) async fn flush(&mut self) -> Result<(), AppendError> {
        if self.gathered() == 0 {
            return Ok(());
        }
        while self.putting.len() >= AT_ONCE {
            self.settle_one().await?;
        }
        let room = self.uploads.parts.room().await;
        self.ask().await?;
        let Some(buffer) = self.buffer.take() else { return Ok(()) };
        let bytes = buffer.freeze();
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        let (hashed, so_far) = oneshot::channel();
        let before = std::mem::replace(&mut self.digests, so_far);
        let (parts, writer) = (self.uploads.parts.clone(), self.writer);
        self.putting.push_back(tokio::spawn(async move {
            let _room = room;
            let digests = before.await.unwrap_or_default();
            let (digests, sha256) = digest::absorb_part(digests, bytes.clone()).await;
            // Nobody waits for it when the request has failed.
            let _ = hashed.send(digests);
            let put = timeout(PUT_WITHIN, parts.put(writer, offset, bytes, sha256));
            put.await.unwrap_or_else(|late| Err(Fault::late(late)))
        }));
        Ok(())
    }

    /// Waits until everything that is on its way is durable, or has failed.
    pub(super) async fn settle(mut self) -> (Stored, Result<(), Fault>) {
        let mut ended = Ok(());
        while !self.putting.is_empty() {
            ended = ended.and(self.settle_one().await);
        }
        // The hash of what is not there is the hash of nothing.
        if !self.stored.is_broken {
            [self.stored.digest, self.stored.of_body] = self.digests.await.unwrap_or_default();
        }
        (self.stored, ended)
    }

    async fn settle_one(&mut self) -> Result<(), Fault> {
        let Some(putting) = self.putting.pop_front() else { return Ok(()) };
        let put = putting.await.unwrap_or_else(|error| Err(Fault::of_task(error)));
        let part = put.inspect_err(|_| self.stored.is_broken = true)?;
        metrics::received(part.len);
        let Stored { parts, beyond, is_broken, .. } = &mut self.stored;
        if *is_broken { beyond } else { parts }.push(part);
        Ok(())
    }

    /// Whether the upload still wants bytes of this writer: whoever removes it counts on that none
    /// come for long after it has ended.
    async fn ask(&mut self) -> Result<(), AppendError> {
        if self.upload.keep_until <= self.uploads.clock.now()? {
            return Err(AppendError::NotFound);
        }
        if self.asked.elapsed() >= ASK_EVERY {
            let (found, _) = self.uploads.get(self.upload.id).await?;
            if !found.is_some_and(|found| is_writing(&found, self.upload)) {
                return Err(AppendError::Elsewhere(None));
            }
            self.asked = Instant::now();
        }
        Ok(())
    }
}

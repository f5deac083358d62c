//! Storing bytes as parts while the next come: at most two parts of a request are in memory.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use hansard_model::media::{Part, Upload};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

use super::{AppendError, is_writing};
use crate::digest::Digest;
use crate::fault::Fault;
use crate::metrics;
use crate::parts::{Parts, Writer, part_bytes};
use crate::uploads::Uploads;

/// How long the object store may take for one part.
const PUT_WITHIN: Duration = Duration::from_secs(60);
/// How often the record is asked whether the upload still wants bytes of this writer.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// The hash of all bytes, if it is known, and that of the bytes of this request, if it is wanted.
type Digests = (Option<Digest>, Option<Digest>);

/// A request that is storing parts.
pub(super) struct Writing<'a> {
    uploads: &'a Uploads,
    upload: &'a Upload,
    writer: Writer,
    /// Bytes of a part.
    size: usize,
    /// Where the buffer begins.
    offset: u64,
    buffer: BytesMut,
    putting: Option<JoinHandle<(Result<Part, Fault>, Digests)>>,
    asked: Instant,
    /// What is durable.
    pub(super) written: Vec<Part>,
    /// Of all bytes up to there, if it is known.
    pub(super) digest: Option<Digest>,
    /// Of those of this request.
    pub(super) of_body: Option<Digest>,
}

impl<'a> Writing<'a> {
    pub(super) fn new(
        uploads: &'a Uploads,
        upload: &'a Upload,
        writer: Writer,
        offset: u64,
        (digest, of_body): Digests,
    ) -> Self {
        let size = usize::try_from(part_bytes(upload.length)).unwrap_or(usize::MAX);
        Self {
            uploads,
            upload,
            writer,
            size,
            offset,
            buffer: BytesMut::new(),
            putting: None,
            asked: Instant::now(),
            written: Vec::new(),
            digest,
            of_body,
        }
    }

    /// Takes bytes; waits while as many are on their way as may be.
    pub(super) async fn push(&mut self, mut bytes: Bytes) -> Result<(), AppendError> {
        let taken = self.offset + self.buffer.len() as u64;
        if bytes.len() as u64 > self.upload.length - taken {
            return Err(AppendError::TooLong);
        }
        while !bytes.is_empty() {
            if self.buffer.capacity() == 0 {
                let rest = usize::try_from(self.upload.length - self.offset).unwrap_or(usize::MAX);
                self.buffer.reserve(self.size.min(rest));
            }
            let fits = bytes.len().min(self.size - self.buffer.len());
            self.buffer.extend_from_slice(&bytes.split_to(fits));
            if self.buffer.len() == self.size {
                self.flush().await?;
            }
        }
        Ok(())
    }

    /// Stores what is in the buffer, however little it is.
    pub(super) async fn flush(&mut self) -> Result<(), AppendError> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.settle().await?;
        self.ask().await?;
        let bytes = std::mem::take(&mut self.buffer).freeze();
        let offset = self.offset;
        self.offset += bytes.len() as u64;
        let (parts, writer) = (self.uploads.parts.clone(), self.writer);
        let digests = (self.digest.take(), self.of_body.take());
        self.putting = Some(tokio::spawn(put(parts, writer, offset, bytes, digests)));
        Ok(())
    }

    /// Waits until what is on its way is durable.
    pub(super) async fn settle(&mut self) -> Result<(), AppendError> {
        let Some(putting) = self.putting.take() else { return Ok(()) };
        let (put, (digest, of_body)) = putting.await.map_err(|error| {
            let source = Box::new(error);
            Fault::Store(object_store::Error::Generic { store: "task", source })
        })?;
        let part = put?;
        metrics::received(part.len);
        self.written.push(part);
        (self.digest, self.of_body) = (digest, of_body);
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

async fn put(
    parts: Parts,
    writer: Writer,
    offset: u64,
    bytes: Bytes,
    (digest, of_body): Digests,
) -> (Result<Part, Fault>, Digests) {
    let sha256 = crate::digest::of_part(bytes.clone()).await;
    let put = async {
        let put = parts.put(writer, offset, bytes.clone(), sha256);
        timeout(PUT_WITHIN, put).await.unwrap_or_else(|late| {
            let source = Box::new(late);
            Err(Fault::Store(object_store::Error::Generic { store: "put", source }))
        })
    };
    let (put, digest, of_body) = tokio::join!(put, absorb(digest, &bytes), absorb(of_body, &bytes));
    // The hash of what is not there is the hash of nothing.
    let (digest, of_body) = if put.is_ok() { (digest, of_body) } else { (None, None) };
    (put, (digest, of_body))
}

async fn absorb(digest: Option<Digest>, bytes: &Bytes) -> Option<Digest> {
    match digest {
        Some(digest) => Some(digest.absorb(bytes.clone()).await),
        None => None,
    }
}

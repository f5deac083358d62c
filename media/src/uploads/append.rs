//! One request that brings bytes.

mod writing;

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use hansard_model::media::{MediaKey, Part, Sha256, State, Upload};
use hansard_model::{UploadId, UserId};
use hansard_nats::media::Change;
use tokio::time::Instant;

use self::writing::{Stored, Writing};
use super::known::{Fingerprint, Known};
use super::pace::Pace;
use super::writers::Turn;
use super::{Uploads, is_of};
use crate::digest::Digest;
use crate::fault::Fault;
use crate::parts::{self, Writer};

/// Requests that may append to one upload: each may leave a short part, and the record lists them.
const WRITERS_MAX: u32 = 1_000;

/// A request that appends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Append {
    /// To which upload.
    pub(crate) id: UploadId,
    /// On whose behalf.
    pub(crate) user: UserId,
    /// From where on, in bytes; it must be how far the upload is.
    pub(crate) offset: u64,
    /// How many bytes it says it has.
    pub(crate) announced: Option<u64>,
    /// Of its bytes: they count only if it is right.
    pub(crate) checksum: Option<Sha256>,
}

/// Why a request did not append all that it should have.
#[derive(Debug)]
pub(crate) enum AppendError {
    /// They have no such unfinished upload.
    NotFound,
    /// The upload is elsewhere: at this offset, if it is known.
    Elsewhere(Option<u64>),
    /// More bytes than were announced when it was created.
    TooLong,
    /// Too many requests have appended already.
    TooManyWriters,
    /// The bytes are not those that the checksum is of. None of them counts.
    Checksum,
    /// The sender went, or was too slow. What it sent counts, unless there is a checksum.
    Cut,
    /// Something else failed. What was stored counts, unless there is a checksum.
    Fault(Fault),
}

impl<F: Into<Fault>> From<F> for AppendError {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

/// What a request came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Appended {
    /// How far the upload is, in bytes.
    pub(crate) offset: u64,
    /// The hash of all bytes so far.
    pub(crate) known: Option<Known>,
}

impl Uploads {
    /// Appends what `body` brings. To be run in a task of its own: who drops it half-way loses what
    /// is not put away yet.
    pub(crate) async fn append<E>(
        &self,
        request: Append,
        body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    ) -> Result<Appended, AppendError> {
        let turn = self.writers.take(request.id).await;
        let (upload, base) = self.begin(request).await?;
        let has_checksum = request.checksum.is_some();
        // What has a checksum is stored under a number that no list is asked for.
        let generation = upload.generation + u32::from(has_checksum);
        let writer = Writer { upload: upload.id, generation };
        let digests = [self.known.take(upload.id, &base), has_checksum.then(Digest::default)];
        let mut writing = Writing::new(self, &upload, writer, parts::end(&base), digests);
        let ended = match receive(&mut writing, body, &turn).await {
            Ok(()) => writing.flush().await,
            Err(AppendError::Cut) if !has_checksum => {
                writing.flush().await.and(Err(AppendError::Cut))
            }
            Err(error) => Err(error),
        };
        // Also what was on its way when something failed.
        let (stored, settled) = writing.settle().await;
        let Stored { parts: written, beyond, digest, of_body, .. } = stored;
        let ended = settled.map_err(AppendError::from).and(ended);
        let ended = match request.checksum {
            Some(checksum) => {
                let is_right = of_body.is_some_and(|of_body| of_body.finish() == checksum);
                let ended = ended.and(if is_right { Ok(()) } else { Err(AppendError::Checksum) });
                let ended = self.parts.remove(&beyond).await.map_err(AppendError::from).and(ended);
                self.count(&upload, &base, &written, ended).await
            }
            // What failed may be stored all the same: then the next writer counts what is beyond.
            None => {
                let stored = [&written[..], &beyond].concat();
                self.leave_nothing(&upload, &stored).await.and(ended)
            }
        };
        let all = [base, written].concat();
        let known = digest.map(|digest| {
            self.known.keep(upload.id, &all, digest.clone());
            Known { parts: Fingerprint::of(&all), sha256: digest.finish() }
        });
        ended?;
        Ok(Appended { offset: parts::end(&all), known })
    }

    /// Becomes the writer of an upload, and tells what those before it have stored.
    async fn begin(&self, request: Append) -> Result<(Upload, Vec<Part>), AppendError> {
        let (found, revision) = self.get(request.id).await?;
        let Some(mut upload) = found.filter(|upload| is_of(upload, request.user)) else {
            return Err(AppendError::NotFound);
        };
        if upload.state != State::Receiving {
            return Err(AppendError::Elsewhere(Some(upload.length)));
        }
        if upload.keep_until <= self.now()? {
            return Err(AppendError::NotFound);
        }
        let base = self.durable(&upload).await?;
        let end = parts::end(&base);
        if end != request.offset {
            return Err(AppendError::Elsewhere(Some(end)));
        }
        if request.announced.is_some_and(|announced| announced > upload.length - end) {
            return Err(AppendError::TooLong);
        }
        if upload.generation >= WRITERS_MAX * Upload::WRITER_STEP {
            return Err(AppendError::TooManyWriters);
        }
        upload.generation += Upload::WRITER_STEP;
        upload.parts.clone_from(&base);
        let key = MediaKey::Upload(upload.id);
        match self.bucket.put(key, &upload, revision).await? {
            Some(_) => Ok((upload, base)),
            None => Err(AppendError::Elsewhere(None)),
        }
    }

    /// Has parts that were stored with a checksum count, or removes them.
    async fn count(
        &self,
        writer: &Upload,
        base: &[Part],
        written: &[Part],
        ended: Result<(), AppendError>,
    ) -> Result<(), AppendError> {
        let counted = match ended {
            Ok(()) => {
                let count = |found: Option<&Upload>| match found {
                    Some(found) if is_writing(found, writer) => {
                        let parts = [base, written].concat();
                        (Change::Put(Upload { parts, ..found.clone() }), true)
                    }
                    Some(_) | None => (Change::Keep, false),
                };
                let (_, counted) = self.bucket.update(MediaKey::Upload(writer.id), count).await?;
                if counted { Ok(()) } else { Err(AppendError::Elsewhere(None)) }
            }
            Err(error) => Err(error),
        };
        if counted.is_err() {
            self.parts.remove(written).await?;
        }
        counted
    }

    /// Removes what was stored and counts for nothing, because another writer came meanwhile, or
    /// the end of the upload.
    async fn leave_nothing(&self, writer: &Upload, written: &[Part]) -> Result<(), AppendError> {
        let (found, _) = self.get(writer.id).await?;
        let needed = match &found {
            Some(found) if is_writing(found, writer) => return Ok(()),
            Some(found) if found.contents.is_empty() => match found.state {
                State::Receiving | State::Finishing => found.parts.clone(),
                // It never becomes anything else again.
                State::Processing | State::Ready | State::Dying => Vec::new(),
            },
            Some(found) => match found.original {
                Some(blob) => self.blobs.get(blob).await?.map_or_else(Vec::new, |blob| blob.parts),
                None => return Ok(()),
            },
            None => Vec::new(),
        };
        let is_complete = found.as_ref().is_some_and(|found| found.generation == writer.generation);
        let spare: Vec<Part> =
            written.iter().filter(|part| !needed.contains(part)).copied().collect();
        self.parts.remove(&spare).await?;
        if is_complete { Ok(()) } else { Err(AppendError::Elsewhere(None)) }
    }
}

/// Whether the upload is still being written by this writer.
fn is_writing(found: &Upload, writer: &Upload) -> bool {
    found.state == State::Receiving && found.generation == writer.generation
}

/// Takes what the sender brings until it has no more.
async fn receive<E>(
    writing: &mut Writing<'_>,
    mut body: impl Stream<Item = Result<Bytes, E>> + Unpin,
    turn: &Turn,
) -> Result<(), AppendError> {
    let mut pace = Pace::default();
    loop {
        let asked = Instant::now();
        let next = tokio::select! {
            biased;
            () = turn.stop().cancelled() => return Err(AppendError::Cut),
            next = tokio::time::timeout(pace.patience(), body.next()) => next,
        };
        match next {
            Ok(None) => return Ok(()),
            Ok(Some(Ok(bytes))) => {
                pace.brought(bytes.len(), asked);
                writing.push(bytes).await?;
            }
            Ok(Some(Err(_))) | Err(_) => return Err(AppendError::Cut),
        }
    }
}

//! From parts to a blob. Whoever comes does it: the request that brought the last byte, one that
//! asks how far the upload is, the collector. Every step may have been made before.

use hansard_media_processing::{FileType, HEAD_BYTES, sniff};
use hansard_model::UploadId;
use hansard_model::media::{Content, MediaKey, Part, Sha256, State, Upload, Variant};
use hansard_nats::log::ReadError;
use hansard_nats::media::{Change, Revision, UpdateError};

use super::Uploads;
use super::known::{Fingerprint, Known};
use crate::digest::Digest;
use crate::fault::Fault;
use crate::metrics;
use crate::parts;
use crate::watch;

/// Attempts before the record counts as contended.
const ATTEMPTS_MAX: u32 = 16;

/// What became of an upload that was to be finished.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Finished {
    /// All its bytes are a blob; it may have been before.
    Done(Upload),
    /// It has no more than these bytes yet.
    Missing {
        /// How many there are.
        offset: u64,
        /// Its record.
        upload: Upload,
    },
    /// There is none, or it is being removed and never was finished.
    Absent,
}

impl Uploads {
    /// Finishes an upload if all its bytes are there. `known`: their hash, if somebody has made it.
    pub(crate) async fn finish(
        &self,
        id: UploadId,
        known: Option<Known>,
    ) -> Result<Finished, Fault> {
        for _ in 0..ATTEMPTS_MAX {
            let (found, revision) = self.get(id).await?;
            let Some(upload) = found else { return Ok(Finished::Absent) };
            match upload.state {
                State::Receiving => {
                    let durable = self.durable(&upload).await?;
                    let offset = parts::end(&durable);
                    if offset < upload.length {
                        return Ok(Finished::Missing { offset, upload });
                    }
                    self.freeze(upload, durable, known, revision).await?;
                }
                State::Finishing => match self.complete(upload, revision).await {
                    Ok(Some(done)) => return Ok(Finished::Done(done)),
                    Ok(None) => {}
                    // Somebody else may have finished it and removed what is spare.
                    Err(fault @ Fault::Missing { .. }) => {
                        if self.get(id).await?.1 == revision {
                            return Err(fault);
                        }
                    }
                    Err(fault) => return Err(fault),
                },
                State::Dying if upload.contents.is_empty() => return Ok(Finished::Absent),
                State::Processing | State::Ready => {
                    // Whoever finished it may have died before this.
                    self.holdings.settle(upload.uploader, id).await?;
                    return Ok(Finished::Done(upload));
                }
                State::Dying => return Ok(Finished::Done(upload)),
            }
        }
        Err(UpdateError::Contended(MediaKey::Upload(id)).into())
    }

    /// Says which parts are the upload, and what their hash is.
    async fn freeze(
        &self,
        upload: Upload,
        parts: Vec<Part>,
        known: Option<Known>,
        revision: Revision,
    ) -> Result<(), Fault> {
        let fingerprint = Fingerprint::of(&parts);
        let sha256 = match known.filter(|known| known.parts == fingerprint) {
            Some(known) => known.sha256,
            None => self.hash(&parts).await?,
        };
        let now = self.now()?;
        // Due at once: should nobody go on with it, the collector does.
        watch::put(&self.bucket, now, now, upload.id).await?;
        let frozen = Upload { state: State::Finishing, parts, sha256: Some(sha256), ..upload };
        self.bucket.put(MediaKey::Upload(frozen.id), &frozen, revision).await?;
        Ok(())
    }

    /// The hash of what is stored, read once more.
    async fn hash(&self, parts: &[Part]) -> Result<Sha256, Fault> {
        let mut digest = Digest::default();
        let mut reading = self.parts.read(parts.to_vec());
        while let Some(bytes) = reading.next().await {
            digest = digest.absorb(bytes?).await;
        }
        Ok(digest.finish())
    }

    /// Makes the blob of an upload whose parts are known for good; `None`: somebody else wrote its
    /// record meanwhile.
    async fn complete(&self, upload: Upload, revision: Revision) -> Result<Option<Upload>, Fault> {
        let unreadable = || ReadError::Unexpected(format!("no hash of {}", upload.id));
        let sha256 = upload.sha256.ok_or_else(unreadable)?;
        self.remove_leftovers(&upload).await?;
        let (media_type, inline) = self.media_type(&upload).await?;
        let joined = self.blobs.join(upload.id, sha256, upload.length, &upload.parts).await?;
        let content = Content {
            blob: joined.blob,
            sha256: joined.sha256,
            size: upload.length,
            media_type,
            inline,
            width: None,
            height: None,
        };
        let is_opaque = upload.declared.opaque;
        let now = self.now()?;
        let mut done = upload;
        done.state = if is_opaque { State::Ready } else { State::Processing };
        done.keep_until = now.plus(self.bounds.keep);
        done.parts = joined.spare;
        done.original = Some(joined.blob);
        done.contents.insert(Variant::File, content);
        self.manifests.put(&self.blobs.manifest(&done).await?).await?;
        let key = MediaKey::Upload(done.id);
        if self.bucket.put(key, &done, revision).await?.is_none() {
            self.correct_manifest(done.id).await?;
            return Ok(None);
        }
        self.holdings.settle(done.uploader, done.id).await?;
        metrics::upload("finished");
        if !is_opaque && !self.processing.push(done.uploader, done.id) {
            tracing::debug!(upload.id = %done.id, "processing is busy: the upload waits for its watch");
        }
        if !done.parts.is_empty() {
            self.tidy_later(done.id);
        }
        Ok(Some(done))
    }

    /// Takes back a manifest that was written for a record which somebody else wrote first: it may
    /// have come after that one's.
    async fn correct_manifest(&self, id: UploadId) -> Result<(), Fault> {
        match self.get(id).await?.0 {
            None => self.manifests.remove(id).await,
            Some(upload) => match upload.state {
                State::Processing | State::Ready => {
                    self.manifests.put(&self.blobs.manifest(&upload).await?).await
                }
                // Whoever goes on with it, or ends it, writes or removes the manifest.
                State::Receiving | State::Finishing | State::Dying => Ok(()),
            },
        }
    }

    /// Removes what writers have stored and what did not come to count. The parts that are the
    /// upload are known for good by now.
    async fn remove_leftovers(&self, upload: &Upload) -> Result<(), Fault> {
        let last = upload.generation + Upload::WRITER_STEP - 1;
        let mut stored = self.parts.stored(upload.id).await?;
        stored.retain(|part| part.generation <= last && !upload.parts.contains(part));
        self.parts.remove(&stored).await
    }

    /// The type of an upload by its first bytes, and whether a browser may show it.
    async fn media_type(&self, upload: &Upload) -> Result<(String, bool), Fault> {
        let file_type = match upload.parts.first() {
            Some(first) if !upload.declared.opaque => {
                let bytes = self.parts.get(first).await?;
                sniff(&bytes[..bytes.len().min(HEAD_BYTES)])
            }
            Some(_) | None => FileType::Unknown,
        };
        Ok((file_type.mime().to_owned(), file_type.may_be_inline()))
    }

    /// Removes the parts of an upload that no blob needs, without anybody waiting for it: how long
    /// an upload takes must not tell whether its bytes were there before.
    fn tidy_later(&self, id: UploadId) {
        let this = self.clone();
        tokio::spawn(async move {
            if let Err(error) = this.tidy(id).await {
                tracing::warn!(upload.id = %id, %error, "spare parts stay until the next look");
            }
        });
    }

    /// Removes the parts of a finished upload that no blob needs.
    pub(crate) async fn tidy(&self, id: UploadId) -> Result<(), Fault> {
        let (found, _) = self.get(id).await?;
        let Some(upload) = found.filter(|found| !found.contents.is_empty()) else { return Ok(()) };
        if upload.parts.is_empty() {
            return Ok(());
        }
        self.parts.remove(&upload.parts).await?;
        let clear = |found: Option<&Upload>| match found {
            Some(found) if found.parts == upload.parts => {
                (Change::Put(Upload { parts: Vec::new(), ..found.clone() }), ())
            }
            Some(_) | None => (Change::Keep, ()),
        };
        self.bucket.update(MediaKey::Upload(id), clear).await?;
        Ok(())
    }
}

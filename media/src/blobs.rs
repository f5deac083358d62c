//! Bytes that uploads hold, stored once however many hold them.
//!
//! Invariant: whoever holds a blob finds its objects. A blob is joined only after they were seen,
//! in the same compare-and-set that would fail if the last holder had left meanwhile; and objects
//! go only after the record said that nobody holds them.

mod contents;

use std::collections::BTreeSet;

use hansard_model::UploadId;
use hansard_model::media::{Blob, HOLDERS_MAX, MediaKey, Part, Sha256};
use hansard_nats::media::{MediaBucket, UpdateError};

use crate::digest;
use crate::fault::Fault;
use crate::metrics;
use crate::parts::Parts;

/// Copies of the same bytes at most, each with [`HOLDERS_MAX`] holders.
const COPIES_MAX: u32 = 1_000;
/// Attempts to change one record before it counts as contended.
const ATTEMPTS_MAX: u32 = 16;

/// What became of bytes that an upload wants to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    /// The blob that it holds now.
    pub(crate) blob: Sha256,
    /// Of the bytes, if that is not the name of the blob.
    pub(crate) sha256: Option<Sha256>,
    /// The parts of its own that the blob does not need: to be removed once that is recorded.
    pub(crate) spare: Vec<Part>,
}

/// The blobs of a deployment; clones share them.
#[derive(Clone)]
pub(crate) struct Blobs {
    bucket: MediaBucket,
    parts: Parts,
}

/// What one look at a record came to.
enum Step {
    Joined(Vec<Part>),
    /// Somebody else wrote it meanwhile.
    Again,
    /// As many uploads as may hold it do.
    Full,
}

impl Blobs {
    pub(crate) fn new(bucket: MediaBucket, parts: Parts) -> Self {
        Self { bucket, parts }
    }

    /// A blob as the leader has it; one without holders is being removed.
    pub(crate) async fn get(&self, blob: Sha256) -> Result<Option<Blob>, Fault> {
        Ok(self.bucket.get(MediaKey::Blob(blob)).await?.0)
    }

    /// Makes `holder` one of those who hold these bytes, which it has stored itself as `own`. The
    /// same again changes nothing.
    ///
    /// Whether they were there already takes about the same time: it is nobody's business.
    pub(crate) async fn join(
        &self,
        holder: UploadId,
        sha256: Sha256,
        size: u64,
        own: &[Part],
    ) -> Result<Joined, Fault> {
        for copy in 0..COPIES_MAX {
            let blob = name_of_copy(sha256, copy);
            if let Some(spare) = self.join_copy(holder, blob, size, own).await? {
                let sha256 = (blob != sha256).then_some(sha256);
                return Ok(Joined { blob, sha256, spare });
            }
        }
        Err(Fault::Full)
    }

    async fn join_copy(
        &self,
        holder: UploadId,
        blob: Sha256,
        size: u64,
        own: &[Part],
    ) -> Result<Option<Vec<Part>>, Fault> {
        for _ in 0..ATTEMPTS_MAX {
            match self.try_join(holder, blob, size, own).await? {
                Step::Joined(spare) => return Ok(Some(spare)),
                Step::Full => return Ok(None),
                Step::Again => {}
            }
        }
        Err(UpdateError::Contended(MediaKey::Blob(blob)).into())
    }

    async fn try_join(
        &self,
        holder: UploadId,
        blob: Sha256,
        size: u64,
        own: &[Part],
    ) -> Result<Step, Fault> {
        let key = MediaKey::Blob(blob);
        let (found, revision) = self.bucket.get::<Blob>(key).await?;
        let Some(mut found) = found.filter(|found| !found.holders.is_empty()) else {
            return self.make(holder, blob, size, own).await;
        };
        if found.holders.contains(&holder) {
            return Ok(Step::Joined(without(own, &found.parts)));
        }
        if found.holders.len() >= HOLDERS_MAX {
            return Ok(Step::Full);
        }
        let lost = if self.parts.are_there(&found.parts).await? {
            Vec::new()
        } else {
            tracing::error!(%blob, "objects of a blob are missing: another upload's take their place");
            metrics::blob_healed();
            without(&std::mem::replace(&mut found.parts, own.to_vec()), own)
        };
        found.holders.insert(holder);
        if self.bucket.put(key, &found, revision).await?.is_none() {
            return Ok(Step::Again);
        }
        // What is left of them; nothing names them any more.
        self.parts.remove(&lost).await?;
        Ok(Step::Joined(without(own, &found.parts)))
    }

    /// Makes the blob of its own parts, in place of none or of one that is being removed.
    async fn make(
        &self,
        holder: UploadId,
        blob: Sha256,
        size: u64,
        own: &[Part],
    ) -> Result<Step, Fault> {
        let key = MediaKey::Blob(blob);
        let (found, revision) = self.bucket.get::<Blob>(key).await?;
        if let Some(dying) = &found {
            if !dying.holders.is_empty() {
                return Ok(Step::Again);
            }
            // Once it is replaced nothing names its objects.
            self.parts.remove(&without(&dying.parts, own)).await?;
        }
        if !self.parts.are_there(own).await? {
            return Err(Fault::Missing { object: format!("a part of {holder}") });
        }
        let made = Blob { size, parts: own.to_vec(), holders: BTreeSet::from([holder]) };
        match self.bucket.put(key, &made, revision).await? {
            Some(_) => Ok(Step::Joined(Vec::new())),
            None => Ok(Step::Again),
        }
    }

    /// `holder` holds the blob no longer; with the last one its objects go. The same again changes
    /// nothing, and ends what somebody else began.
    pub(crate) async fn drop_holder(&self, holder: UploadId, blob: Sha256) -> Result<(), Fault> {
        let key = MediaKey::Blob(blob);
        for _ in 0..ATTEMPTS_MAX {
            let (found, mut revision) = self.bucket.get::<Blob>(key).await?;
            let Some(mut found) = found else { return Ok(()) };
            if found.holders.remove(&holder) {
                match self.bucket.put(key, &found, revision).await? {
                    Some(written) => revision = written,
                    None => continue,
                }
            }
            if !found.holders.is_empty() {
                return Ok(());
            }
            self.parts.remove(&found.parts).await?;
            if self.bucket.remove(key, revision).await? {
                return Ok(());
            }
        }
        Err(UpdateError::Contended(key).into())
    }
}

/// The name of a copy of the bytes with this hash: the first has the hash itself.
fn name_of_copy(sha256: Sha256, copy: u32) -> Sha256 {
    match copy {
        0 => sha256,
        copy => digest::of(format!("{sha256}/{copy}").as_bytes()),
    }
}

/// Those of `parts` that are not in `others`.
fn without(parts: &[Part], others: &[Part]) -> Vec<Part> {
    parts.iter().filter(|part| !others.contains(part)).copied().collect()
}

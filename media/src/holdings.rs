//! What each user has: how many unfinished uploads, and how many bytes.
//!
//! Invariant: a finished upload is counted once and let go once, by its id, however often somebody
//! dies in between.

use std::time::Duration;

use hansard_model::media::{Holdings as Record, MediaKey, UNFINISHED_UPLOADS_MAX, Upload};
use hansard_model::{UploadId, UserId};
use hansard_nats::media::{Change, MediaBucket};

use crate::fault::Fault;

/// Removed uploads whose ids are kept; beyond, those without a record are forgotten.
const LEAVING_MAX: usize = 64;
/// A creation is two writes. An upload that is not there for so long after the first is one whose
/// creation failed in between.
const CREATION_MAX: Duration = Duration::from_secs(6);

/// Why an upload was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exceeded {
    /// As many unfinished ones as there may be.
    Unfinished,
    /// All would have more bytes than they may.
    Bytes,
}

/// The holdings of all users; clones share them.
#[derive(Clone)]
pub(crate) struct Holdings {
    bucket: MediaBucket,
    bytes_max: u64,
}

impl Holdings {
    pub(crate) fn new(bucket: MediaBucket, bytes_max: u64) -> Self {
        Self { bucket, bytes_max }
    }

    /// Counts an upload that is about to be created.
    pub(crate) async fn reserve(
        &self,
        user: UserId,
        upload: UploadId,
        length: u64,
    ) -> Result<Result<(), Exceeded>, Fault> {
        let reserved = self.try_reserve(user, upload, length).await?;
        // What has no record takes nobody's place. Only who is refused waits for that.
        if reserved.is_err() && self.forget_failed_creations(user).await? {
            return self.try_reserve(user, upload, length).await;
        }
        Ok(reserved)
    }

    async fn try_reserve(
        &self,
        user: UserId,
        upload: UploadId,
        length: u64,
    ) -> Result<Result<(), Exceeded>, Fault> {
        let change = |found: Option<&Record>| {
            let mut record = found.cloned().unwrap_or_default();
            if record.unfinished.contains_key(&upload) {
                return (Change::Keep, Ok(()));
            }
            match check(&record, length, self.bytes_max) {
                Err(exceeded) => (Change::Keep, Err(exceeded)),
                Ok(()) => {
                    record.unfinished.insert(upload, length);
                    (Change::Put(record), Ok(()))
                }
            }
        };
        Ok(self.bucket.update(MediaKey::Holdings(user), change).await?.1)
    }

    /// An unfinished upload turns out to have fewer bytes than were reserved for it.
    pub(crate) async fn shrink(
        &self,
        user: UserId,
        upload: UploadId,
        length: u64,
    ) -> Result<(), Fault> {
        self.change(user, |record| match record.unfinished.get_mut(&upload) {
            Some(reserved) if *reserved > length => {
                *reserved = length;
                true
            }
            Some(_) | None => false,
        })
        .await
    }

    /// An upload is finished: its bytes are no longer reserved, but used.
    pub(crate) async fn settle(&self, user: UserId, upload: UploadId) -> Result<(), Fault> {
        self.change(user, |record| match record.unfinished.remove(&upload) {
            Some(length) => {
                record.bytes = record.bytes.saturating_add(length);
                true
            }
            None => false,
        })
        .await
    }

    /// An upload is being removed: it counts no longer. `length`: what it was announced with.
    pub(crate) async fn leave(
        &self,
        user: UserId,
        upload: UploadId,
        length: u64,
    ) -> Result<(), Fault> {
        let forgotten = self.removed(user).await?;
        self.change(user, |record| {
            if record.unfinished.remove(&upload).is_some() {
                record.leaving.insert(upload);
            } else if record.leaving.insert(upload) {
                record.bytes = record.bytes.saturating_sub(length);
            } else {
                return false;
            }
            record.leaving.retain(|leaving| !forgotten.contains(leaving));
            true
        })
        .await
    }

    /// Those that were let go and are removed entirely: they cannot be let go again.
    async fn removed(&self, user: UserId) -> Result<Vec<UploadId>, Fault> {
        let (record, _) = self.bucket.get::<Record>(MediaKey::Holdings(user)).await?;
        let leaving = record.map(|record| record.leaving).unwrap_or_default();
        if leaving.len() < LEAVING_MAX {
            return Ok(Vec::new());
        }
        self.absent(leaving).await
    }

    /// Those of `uploads` that have no record.
    async fn absent(
        &self,
        uploads: impl IntoIterator<Item = UploadId>,
    ) -> Result<Vec<UploadId>, Fault> {
        let mut absent = Vec::new();
        for upload in uploads {
            let (record, _) = self.bucket.get::<Upload>(MediaKey::Upload(upload)).await?;
            if record.is_none() {
                absent.push(upload);
            }
        }
        Ok(absent)
    }

    /// Forgets unfinished uploads that were counted and never created, and tells whether there were
    /// any.
    async fn forget_failed_creations(&self, user: UserId) -> Result<bool, Fault> {
        let (record, _) = self.bucket.get::<Record>(MediaKey::Holdings(user)).await?;
        let unfinished = record.map(|record| record.unfinished).unwrap_or_default();
        let suspects = self.absent(unfinished.into_keys()).await?;
        if suspects.is_empty() {
            return Ok(false);
        }
        tokio::time::sleep(CREATION_MAX).await;
        let failed = self.absent(suspects).await?;
        self.change(user, |record| {
            let before = record.unfinished.len();
            record.unfinished.retain(|upload, _| !failed.contains(upload));
            record.unfinished.len() < before
        })
        .await?;
        Ok(!failed.is_empty())
    }

    /// Changes the holdings of a user; `false`: they stay as they are.
    async fn change(
        &self,
        user: UserId,
        mut change: impl FnMut(&mut Record) -> bool,
    ) -> Result<(), Fault> {
        let change = |found: Option<&Record>| {
            let mut record = found.cloned().unwrap_or_default();
            if change(&mut record) { (Change::Put(record), ()) } else { (Change::Keep, ()) }
        };
        self.bucket.update(MediaKey::Holdings(user), change).await?;
        Ok(())
    }
}

/// Whether one more upload of so many bytes is within the limits.
fn check(record: &Record, length: u64, bytes_max: u64) -> Result<(), Exceeded> {
    if record.unfinished.len() >= UNFINISHED_UPLOADS_MAX {
        return Err(Exceeded::Unfinished);
    }
    let reserved = record.unfinished.values().fold(0_u64, |sum, bytes| sum.saturating_add(*bytes));
    let all = record.bytes.saturating_add(reserved).saturating_add(length);
    if all > bytes_max { Err(Exceeded::Bytes) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unfinished_uploads_count_with_what_was_announced() {
        let mut record = Record { bytes: 10, ..Record::default() };
        record.unfinished.insert(UploadId::from_entropy([1; 20]), 20);
        assert_eq!(check(&record, 70, 100), Ok(()));
        assert_eq!(check(&record, 71, 100), Err(Exceeded::Bytes));
        assert_eq!(check(&record, u64::MAX, 100), Err(Exceeded::Bytes));
        for number in 2..=16 {
            record.unfinished.insert(UploadId::from_entropy([number; 20]), 0);
        }
        assert_eq!(check(&record, 0, 100), Err(Exceeded::Unfinished));
    }
}

//! Comparing the records with the object store, once in each epoch of the log.
//!
//! The epoch is another after the data of NATS were lost, or put back from an older copy; and a
//! bucket that was lost names none. Every finished upload has a manifest in the object store, and
//! all that its records say is in it or in the log:
//!
//! 1. records that are missing, or older than their manifest, are put back;
//! 2. uploads are avatars if their uploader's account names them, and only then;
//! 3. the log is read from its beginning, which gives references and claims again;
//! 4. references that it did not give go.
//!
//! A record that is put back waits for the third step as [`State::Dying`] with time left: nobody
//! can send the upload elsewhere meanwhile. The first message that refers to it has it back; the
//! collector has all others back afterwards.
//!
//! Not put back: what was unfinished. Its parts stay in the object store, as no record says whose
//! they are.

mod restored;
mod sweep;

use std::collections::{BTreeMap, BTreeSet};

use futures_util::TryStreamExt as _;
use hansard_model::media::{Blob, Holdings, Home, MediaKey, Reconciled, Upload};
use hansard_model::{UploadId, UserId};
use hansard_nats::media::{Change, MediaBucket};
use hansard_nats::ownership::Tenure;

use self::restored::restored;
pub(crate) use self::restored::state_after_return;
use crate::avatars::{Avatars, put_right};
use crate::collector::Collector;
use crate::fault::Fault;
use crate::manifests::{Located, Manifest};
use crate::metrics;
use crate::watch;

/// Manifests that are compared at a time.
const AT_ONCE: usize = 8;

/// Whether the records were compared with the object store in this epoch.
pub(crate) async fn is_done(bucket: &MediaBucket, epoch: u64) -> Result<bool, Fault> {
    let (found, _) = bucket.get::<Reconciled>(MediaKey::Epoch).await?;
    Ok(found.is_some_and(|found| found.epoch == epoch))
}

/// An upload that was compared with its manifest.
struct Compared {
    upload: UploadId,
    uploader: UserId,
    length: u64,
    /// By its record.
    is_avatar: bool,
}

/// What those that were compared are together.
#[derive(Default)]
struct Sums {
    /// What each user has.
    bytes: BTreeMap<UserId, u64>,
    /// Those that are avatars by their records.
    avatars: BTreeSet<UploadId>,
}

/// Comparing in one epoch, by the collector.
pub(crate) struct Reconciliation<'a> {
    pub(crate) collector: &'a Collector,
    pub(crate) epoch: u64,
    pub(crate) tenure: &'a Tenure,
}

impl Reconciliation<'_> {
    /// Puts back what is missing. Whoever dies in between does all of it again.
    pub(crate) async fn run(&self) -> Result<(), Fault> {
        tracing::info!(epoch = self.epoch, "records of files are compared with the object store");
        let uploads = &self.collector.uploads;
        let compared = uploads
            .manifests
            .list()
            .map_ok(|id| async move { self.compare(id).await })
            .try_buffer_unordered(AT_ONCE)
            .try_fold(Sums::default(), |mut sums, compared| {
                if let Some(Compared { upload, uploader, length, is_avatar }) = compared {
                    let sum = sums.bytes.entry(uploader).or_default();
                    *sum = sum.saturating_add(length);
                    sums.avatars.extend(is_avatar.then_some(upload));
                }
                std::future::ready(Ok(sums))
            });
        let Sums { bytes, avatars } = compared.await?;
        for (user, bytes) in bytes {
            self.count(user, bytes).await?;
        }
        self.restore_avatars(avatars).await?;
        self.record(false).await
    }

    /// Compares the records of an upload with its manifest, if it has one.
    async fn compare(&self, id: UploadId) -> Result<Option<Compared>, Fault> {
        let manifest = match self.collector.uploads.manifests.get(id).await {
            Ok(Some(manifest)) => manifest,
            // It was removed after the list was made.
            Ok(None) => return Ok(None),
            // Nothing else is kept from being put back by it, and nothing is removed for it.
            Err(Fault::Damaged { object }) => {
                tracing::error!(object, "a manifest cannot be read");
                return Ok(None);
            }
            Err(fault) => return Err(fault),
        };
        let home = self.restore_upload(&manifest).await?;
        let Upload { uploader, length, .. } = manifest.upload;
        Ok(Some(Compared { upload: id, uploader, length, is_avatar: home == Home::Avatar }))
    }

    /// Puts a record back, if it is missing or older than the manifest; returns whose it is.
    async fn restore_upload(&self, manifest: &Manifest) -> Result<Home, Fault> {
        let uploads = &self.collector.uploads;
        let now = self.collector.now()?;
        let keep_until = now.plus(self.collector.patience.grace);
        let id = manifest.upload.id;
        let (found, revision) = uploads.get(id).await?;
        let next = restored(found.as_ref(), &manifest.upload, keep_until);
        let record = next.as_ref().or(found.as_ref()).unwrap_or(&manifest.upload);
        let home = record.home;
        for content in record.contents.values() {
            if let Some(located) = manifest.blobs.get(&content.blob) {
                self.restore_blob(id, content.blob, located).await?;
            }
        }
        let Some(next) = next else { return Ok(home) };
        // At once, for what waits or is to be processed; and when it may be removed.
        for at in [now, keep_until] {
            watch::put(self.collector.bucket(), at, now, id).await?;
        }
        // Else somebody else wrote it: a newer record than any manifest.
        if uploads.bucket.put(MediaKey::Upload(id), &next, revision).await?.is_some() {
            metrics::restored();
            tracing::info!(upload.id = %id, "the record of a file was put back");
        }
        Ok(home)
    }

    async fn restore_blob(
        &self,
        id: UploadId,
        blob: hansard_model::media::Sha256,
        located: &Located,
    ) -> Result<(), Fault> {
        let uploads = &self.collector.uploads;
        let (found, _) = uploads.bucket.get::<Blob>(MediaKey::Blob(blob)).await?;
        // An older copy can name objects that were removed since.
        let is_stale = match &found {
            Some(found) if found.parts != located.parts => {
                !uploads.parts.are_there(&found.parts).await?
            }
            Some(_) | None => false,
        };
        let restore = |found: Option<&Blob>| {
            let mut next = found.cloned().unwrap_or_else(|| Blob {
                size: located.size,
                parts: located.parts.clone(),
                holders: BTreeSet::new(),
            });
            // One without holders was being removed: so are its objects.
            if is_stale || next.holders.is_empty() {
                next.parts.clone_from(&located.parts);
            }
            next.holders.insert(id);
            if found == Some(&next) { (Change::Keep, ()) } else { (Change::Put(next), ()) }
        };
        uploads.bucket.update(MediaKey::Blob(blob), restore).await?;
        Ok(())
    }

    /// Sets what the finished uploads of a user have together. One that is being finished in this
    /// moment may be counted too little, in favour of its user.
    async fn count(&self, user: UserId, mut bytes: u64) -> Result<(), Fault> {
        let uploads = &self.collector.uploads;
        let key = MediaKey::Holdings(user);
        let (found, _) = uploads.bucket.get::<Holdings>(key).await?;
        for (upload, length) in found.unwrap_or_default().unfinished {
            // It has its manifest already, and is counted when it is finished.
            if uploads.manifests.get(upload).await?.is_some() {
                bytes = bytes.saturating_sub(length);
            }
        }
        let count = |found: Option<&Holdings>| {
            let found = found.cloned().unwrap_or_default();
            let next = Holdings { bytes, leaving: BTreeSet::new(), ..found };
            (Change::Put(next), ())
        };
        uploads.bucket.update(key, count).await?;
        Ok(())
    }

    /// Makes avatars of what the accounts name as such, and of nothing else: `shown` are those that
    /// the records name.
    ///
    /// Before the log is read: a message may have one that was an avatar once.
    async fn restore_avatars(&self, shown: BTreeSet<UploadId>) -> Result<(), Fault> {
        let avatars = Avatars::read(self.collector.log.connection()).await?;
        let uploads: BTreeSet<UploadId> = avatars.uploads().chain(shown).collect();
        for id in uploads {
            let now = self.collector.now()?;
            let keep_until = now.plus(self.collector.patience.grace);
            let restored = |found: Option<&Upload>| {
                found.and_then(|found| put_right(found, avatars.name(found), keep_until))
            };
            let (found, _) = self.collector.uploads.get(id).await?;
            if restored(found.as_ref()).is_none() {
                continue;
            }
            let bucket = self.collector.bucket();
            watch::put(bucket, keep_until, now, id).await?;
            let restore =
                |found: Option<&Upload>| (restored(found).map_or(Change::Keep, Change::Put), ());
            bucket.update(MediaKey::Upload(id), restore).await?;
        }
        Ok(())
    }

    async fn record(&self, swept: bool) -> Result<(), Fault> {
        let next = Reconciled { epoch: self.epoch, swept };
        let record = |_: Option<&Reconciled>| {
            if self.tenure.is_held() { (Change::Put(next), ()) } else { (Change::Keep, ()) }
        };
        self.collector.bucket().update(MediaKey::Epoch, record).await?;
        Ok(())
    }
}

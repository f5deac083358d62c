//! The end of an upload that nothing refers to. The record goes last: until then every step is
//! made again by whoever comes next.

use std::collections::BTreeSet;

use hansard_model::media::{MediaKey, Sha256, State, Upload, Variant};

use super::{Collector, Due};
use crate::fault::Fault;
use crate::metrics;
use crate::reconcile::state_after_return;
use crate::watch::{self, Watch};

impl Collector {
    /// Removes a dying upload, or has it back if something refers to it after all. The log was read
    /// to where it ended after the upload began to die.
    pub(super) async fn remove_or_revive(&self, due: Due) -> Result<(), Fault> {
        let (found, version) = self.uploads.get(due.upload).await?;
        let Some(upload) = found.filter(|found| found.state == State::Dying) else {
            return Ok(());
        };
        let now = self.now()?;
        // One with time left was put back after a loss, and waited for the log to be read.
        let is_wanted = !upload.references.is_empty() || upload.keep_until > now;
        if is_wanted && self.is_whole(&upload).await? {
            watch::put(self.bucket(), upload.keep_until.max(now), now, upload.id).await?;
            watch::put(self.bucket(), now, now, upload.id).await?;
            let revived = Upload { state: state_after_return(&upload), ..upload };
            self.bucket().put(MediaKey::Upload(revived.id), &revived, version).await?;
            metrics::visited("revived");
            return Ok(());
        }
        if !upload.references.is_empty() {
            tracing::error!(upload.id = %upload.id, "a file that messages refer to was not whole");
        }
        let (watch, _) = self.bucket().get::<Watch>(due.key()).await?;
        let joining = watch.map(|watch| watch.joining).unwrap_or_default();
        self.remove(&upload, joining).await?;
        if self.bucket().remove(MediaKey::Upload(upload.id), version).await? {
            metrics::visited("removed");
            tracing::debug!(upload.id = %upload.id, "removed");
        }
        Ok(())
    }

    /// Removes everything that the record of an upload names.
    async fn remove(&self, upload: &Upload, joining: BTreeSet<Sha256>) -> Result<(), Fault> {
        let uploads = &self.uploads;
        let held = upload.contents.values().map(|content| content.blob);
        let held: BTreeSet<Sha256> = held.chain(upload.original).chain(upload.sha256).collect();
        for &blob in held.union(&joining) {
            uploads.blobs.drop_holder(upload.id, blob).await?;
        }
        // Those of one that was being finished may be a blob's.
        if upload.sha256.is_none() || !upload.contents.is_empty() {
            uploads.parts.remove(&upload.parts).await?;
        }
        uploads.blobs.clear(upload, &(&held | &joining)).await?;
        uploads.manifests.remove(upload.id).await?;
        uploads.holdings.leave(upload.uploader, upload.id, upload.length).await
    }

    /// Whether an upload has a file, and holds all that its record says.
    async fn is_whole(&self, upload: &Upload) -> Result<bool, Fault> {
        if !upload.contents.contains_key(&Variant::File) {
            return Ok(false);
        }
        for content in upload.contents.values() {
            let blob = self.uploads.blobs.get(content.blob).await?;
            if !blob.is_some_and(|blob| blob.holders.contains(&upload.id)) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

//! References that were there before the log was read again, and that it did not give.

use std::collections::BTreeSet;

use futures_util::TryStreamExt as _;
use hansard_model::media::{Home, MediaKey, Reconciled, Upload};
use hansard_model::{ConversationId, Seq, UploadId};

use super::{AT_ONCE, Reconciliation};
use crate::fault::Fault;
use crate::references::{Known, remember};
use crate::watch;

impl Reconciliation<'_> {
    /// Takes away references of another log, once this one was read to its end; `false`: it is not
    /// yet.
    pub(crate) async fn sweep(&self) -> Result<bool, Fault> {
        let (found, _) = self.collector.bucket().get::<Reconciled>(MediaKey::Epoch).await?;
        let found = found.filter(|found| found.epoch == self.epoch);
        if found.is_some_and(|found| found.swept) {
            return Ok(true);
        }
        if found.is_none() || !self.collector.is_caught_up(self.epoch).await? {
            return Ok(false);
        }
        self.collector
            .uploads
            .manifests
            .list()
            .map_ok(|id| async move { self.sweep_one(id).await })
            .try_buffer_unordered(AT_ONCE)
            .try_for_each(|()| std::future::ready(Ok(())))
            .await?;
        self.record(true).await?;
        Ok(true)
    }

    async fn sweep_one(&self, id: UploadId) -> Result<(), Fault> {
        let (found, version) = self.collector.uploads.get(id).await?;
        let Some(upload) = found else { return Ok(()) };
        let Home::Conversation(home) = upload.home else { return Ok(()) };
        let mut stale = BTreeSet::new();
        for &seq in &upload.references {
            if self.is_stale(home, seq, id).await? {
                stale.insert(seq);
            }
        }
        if stale.is_empty() {
            return Ok(());
        }
        let now = self.collector.now()?;
        let references = &upload.references - &stale;
        let mut next = Upload { references, ..upload };
        next.edits.retain(|at, _| next.references.contains(at));
        if next.references.is_empty() {
            next.keep_until = next.keep_until.max(now.plus(self.collector.patience.grace));
            watch::put(self.collector.bucket(), next.keep_until, now, id).await?;
        }
        let key = MediaKey::Upload(id);
        if self.collector.bucket().put(key, &next, version).await?.is_none() {
            // Somebody wrote it meanwhile: the next round looks again.
            return Err(hansard_nats::media::UpdateError::Contended(key).into());
        }
        tracing::info!(upload.id = %id, references = stale.len(), "references of another log");
        Ok(())
    }

    /// Whether the log was read past a message, and does not say that it refers to the upload.
    ///
    /// Whoever may be writing that it does, by an edit, has read the record of the message: it is
    /// written once more, so that they find another one and begin anew, with the upload as it is by
    /// then.
    async fn is_stale(&self, home: ConversationId, seq: Seq, id: UploadId) -> Result<bool, Fault> {
        let partition = self.collector.log.partition_of(home);
        let read_to = self.collector.read_to(partition, self.epoch).await?;
        if read_to.is_none_or(|read_to| read_to < seq) {
            return Ok(false);
        }
        let key = MediaKey::Message(home, seq);
        let (found, revision) = self.collector.bucket().get::<Known>(key).await?;
        let known = found.unwrap_or_default();
        let is_of_this_log = known.epoch == self.epoch;
        if is_of_this_log && known.uploads.contains(&id) {
            return Ok(false);
        }
        let next =
            if is_of_this_log { known } else { Known { epoch: self.epoch, ..Known::default() } };
        let forget = self.collector.patience.forget;
        if !remember(self.collector.bucket(), key, &next, revision, forget).await? {
            return Err(hansard_nats::media::UpdateError::Contended(key).into());
        }
        Ok(true)
    }
}

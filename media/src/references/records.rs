//! Writing references into the records of the bucket.
//!
//! Every write goes over what was read while the partition was known to be owned: a former owner
//! that wakes up late finds the records changed, and changes nothing.
//!
//! The record of a message is written last. Whoever dies before that does the same again.

use std::collections::BTreeSet;
use std::time::Duration;

use hansard_model::media::{MediaKey, Position, ReadyNotice, State, Upload};
use hansard_model::{ConversationId, LogTime, PartitionId, Seq, UploadId};
use hansard_nats::LogClock;
use hansard_nats::log::ReadError;
use hansard_nats::media::{Change, MediaBucket, Revision, UpdateError};
use hansard_nats::ownership::Tenure;
use tokio::time::Instant;

use super::fold::{self, Known, Referred, Said};
use crate::fault::Fault;
use crate::watch;

/// Attempts to change one record before it counts as contended.
const ATTEMPTS_MAX: u32 = 16;
/// Readers of what was said longer ago have seen for themselves what is ready.
const TOLD_WITHIN: Duration = Duration::from_secs(5 * 60);

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub(super) enum NotKept {
    /// The same again may succeed.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// Somebody else owns the partition now.
    #[error("the lease is lost")]
    Lost,
}

impl<E: Into<UpdateError>> From<E> for NotKept {
    fn from(error: E) -> Self {
        Self::Fault(Fault::Bucket(error.into()))
    }
}

/// The records of what messages refer to, for the owner of their partition.
pub(super) struct Records {
    pub(super) bucket: MediaBucket,
    pub(super) clock: LogClock,
    pub(super) tenure: Tenure,
    /// Of the log that is read.
    pub(super) epoch: u64,
    /// How long an upload is kept that nothing refers to any more.
    pub(super) grace: Duration,
    /// How long it is known of a message that it has no files any more.
    pub(super) forget: Duration,
}

/// A message, and when it got the media that are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct At {
    pub(super) conversation: ConversationId,
    pub(super) seq: Seq,
    pub(super) ts: LogTime,
}

impl Records {
    /// Writes what an event said, and tells whether that was anything. The same again changes
    /// nothing.
    pub(super) async fn keep(
        &self,
        conversation: ConversationId,
        ts: LogTime,
        said: &Said,
    ) -> Result<bool, NotKept> {
        let at = At { conversation, seq: said.at, ts };
        let key = MediaKey::Message(conversation, said.at);
        for attempt in 0..ATTEMPTS_MAX {
            let (known, revision) = self.bucket.get::<Known>(key).await?;
            let Some(step) = said.step(known.as_ref(), self.epoch) else { return Ok(false) };
            let mut refers = BTreeSet::new();
            for &upload in &step.wants {
                if self.refer(at, said, upload, attempt > 0).await? {
                    refers.insert(upload);
                }
            }
            for &upload in step.had.difference(&refers) {
                self.release(at, upload).await?;
            }
            let next = said.known(&step, refers, self.epoch);
            self.check_held()?;
            if remember(&self.bucket, key, &next, revision, self.forget).await? {
                return Ok(true);
            }
        }
        Err(UpdateError::Contended(key).into())
    }

    /// Makes a message refer to an upload; `false`: it may not. `again`: who wrote the record of the
    /// message meanwhile may be about to take the reference away, so the upload is written anew.
    async fn refer(
        &self,
        at: At,
        said: &Said,
        upload: UploadId,
        again: bool,
    ) -> Result<bool, NotKept> {
        let now = self.clock.now().map_err(Fault::from)?;
        let change = |found: Option<&Upload>| {
            let referred = found.map_or(Referred::No, |found| {
                fold::refer(found, at.conversation, said.referring(), said.sender, now)
            });
            match (referred, found) {
                (Referred::Already, Some(found)) if again && self.tenure.is_held() => {
                    (Change::Put(found.clone()), Some((true, false)))
                }
                (Referred::No, _) => (Change::Keep, Some((false, false))),
                (Referred::Already, _) => (Change::Keep, Some((true, false))),
                (Referred::Now(_), _) if !self.tenure.is_held() => (Change::Keep, None),
                (Referred::Now(next), _) => (Change::Put(*next), Some((true, true))),
            }
        };
        let (found, outcome) = self.bucket.update(MediaKey::Upload(upload), change).await?;
        let (refers, is_new) = outcome.ok_or(NotKept::Lost)?;
        let is_ready = |found: &Upload| found.state == State::Ready;
        if is_new
            && now.since(at.ts) <= TOLD_WITHIN
            && let Some(upload) = found.filter(is_ready)
        {
            tell_ready(&self.bucket, upload).await;
        }
        Ok(refers)
    }

    /// Takes the reference of a message to an upload away.
    async fn release(&self, at: At, upload: UploadId) -> Result<(), NotKept> {
        let key = MediaKey::Upload(upload);
        for _ in 0..ATTEMPTS_MAX {
            let (found, revision) = self.bucket.get::<Upload>(key).await?;
            let Some(found) = found else { return Ok(()) };
            let now = self.clock.now().map_err(Fault::from)?;
            let keep_until = now.plus(self.grace);
            let Some(next) = fold::release(&found, at.conversation, at.seq, keep_until) else {
                return Ok(());
            };
            let watched = Instant::now();
            if next.references.is_empty() {
                watch::put(&self.bucket, next.keep_until, now, upload).await?;
            }
            self.check_held()?;
            if watched.elapsed() > watch::USED_WITHIN {
                continue;
            }
            if self.bucket.put(key, &next, revision).await?.is_some() {
                return Ok(());
            }
        }
        Err(UpdateError::Contended(key).into())
    }

    /// How far the log was read before; none of another log counts.
    pub(super) async fn position(&self, partition: PartitionId) -> Result<Seq, NotKept> {
        let (found, _) = self.bucket.get::<Position>(MediaKey::Position(partition)).await?;
        let of_this_log = found.filter(|found| found.epoch == self.epoch);
        Ok(of_this_log.map_or(Seq::ZERO, |found| found.seq))
    }

    /// Says that everything up to here is in the records.
    pub(super) async fn advance(&self, partition: PartitionId, seq: Seq) -> Result<(), NotKept> {
        let next = Position { seq, epoch: self.epoch };
        let change = |found: Option<&Position>| match found {
            Some(found) if found.epoch == next.epoch && found.seq >= seq => {
                (Change::Keep, Some(()))
            }
            _ if !self.tenure.is_held() => (Change::Keep, None),
            Some(_) | None => (Change::Put(next), Some(())),
        };
        let (_, written) = self.bucket.update(MediaKey::Position(partition), change).await?;
        written.ok_or(NotKept::Lost)
    }

    fn check_held(&self) -> Result<(), NotKept> {
        if self.tenure.is_held() { Ok(()) } else { Err(NotKept::Lost) }
    }
}

/// Writes what is known of a message over this revision, and tells whether that was still there.
///
/// What has no files any more is known for a while only, or every deleted message would leave a
/// record for ever. It is needed for events that are read again, all of which are behind the
/// position within a second, and for an edit of a deleted message, which clients do not let anybody
/// write. Who makes one all the same, after that while, keeps a file of their own in a message that
/// nobody is shown, as part of their quota.
pub(crate) async fn remember(
    bucket: &MediaBucket,
    key: MediaKey,
    known: &Known,
    over: Revision,
    forget: Duration,
) -> Result<bool, ReadError> {
    let written = if known.uploads.is_empty() {
        bucket.put_for(key, known, over, forget).await?
    } else {
        bucket.put(key, known, over).await?
    };
    Ok(written.is_some())
}

/// Tells gateways of an upload that is ready, if messages refer to it. Who misses it asks.
pub(crate) async fn tell_ready(bucket: &MediaBucket, upload: Upload) {
    let hansard_model::media::Home::Conversation(conversation) = upload.home else { return };
    if upload.references.is_empty() {
        return;
    }
    let notice = ReadyNotice { conversation, references: upload.references.clone(), upload };
    if let Err(error) = bucket.tell_ready(&notice).await {
        tracing::debug!(%error, "nobody was told of a file");
    }
}

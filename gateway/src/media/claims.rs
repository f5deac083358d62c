//! Sending files: each belongs to the conversation before a message refers to it, so that whoever
//! collects what nobody refers to leaves it alone while the message is on its way.

use std::sync::Arc;

use futures_util::stream::{self, StreamExt as _, TryStreamExt as _};
use hansard_model::media::{Home, MediaKey, State, Upload};
use hansard_model::{ConversationId, Event, LogTime, PartitionId, Seq, UploadId, UserId};
use hansard_nats::log::{NotSynchronized, ReadError};
use hansard_nats::media::{Change, UpdateError};
use serde_json::{Map, Value};

use super::Media;
use crate::router::Router;

/// Files of one message that are claimed at a time.
const AT_ONCE: usize = 8;

/// Makes files the conversations' that they are sent to; clones share it.
#[derive(Clone)]
pub(crate) struct Claims {
    media: Media,
    router: Arc<Router>,
}

/// Who sends files, and where.
#[derive(Clone, Copy, Debug)]
struct Claim {
    sender: UserId,
    conversation: ConversationId,
    /// From where the sender sees the conversation.
    view_from: Seq,
    partition: PartitionId,
    /// Of the log.
    epoch: u64,
    /// Up to where this gateway has delivered the partition, if that is known.
    delivered: Option<Seq>,
}

/// Why files are not claimed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClaimError {
    /// One of them is none that the sender may send there.
    #[error("no such file to send")]
    NotFound,
    /// It is not known yet whether the sender may send one of them.
    #[error("it is not known yet which messages have the file")]
    Behind,
    /// The records do not answer.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// The records do not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Log time is not known.
    #[error(transparent)]
    Clock(#[from] NotSynchronized),
}

/// What is to be done with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It may be sent.
    Sendable,
    /// It may be sent as soon as it says so.
    ToClaim,
    /// The sender must see it there, and no message that they see is known to have it.
    Unseen,
    /// Never.
    Refused,
}

/// The files that an event refers to.
fn files(event: &Event) -> &[Map<String, Value>] {
    match event {
        Event::Message(message) => &message.media,
        Event::Edit(edit) => &edit.media,
        Event::Create(_)
        | Event::Member(_)
        | Event::Delete(_)
        | Event::Reaction(_)
        | Event::Pin(_)
        | Event::Title(_)
        | Event::Settings(_) => &[],
    }
}

impl Claims {
    pub(crate) fn new(media: Media, router: Arc<Router>) -> Self {
        Self { media, router }
    }

    /// Makes the files of an event the conversation's, for a sender who sees it from `view_from`
    /// on.
    ///
    /// # Errors
    /// [`ClaimError`]; some of them may be the conversation's then.
    pub(crate) async fn make(
        &self,
        event: &Event,
        sender: UserId,
        conversation: ConversationId,
        view_from: Seq,
    ) -> Result<(), ClaimError> {
        let files = files(event);
        if files.is_empty() {
            return Ok(());
        }
        let id = |file: &Map<String, Value>| file.get("id")?.as_str()?.parse().ok();
        let mut ids: Vec<UploadId> =
            files.iter().map(id).collect::<Option<_>>().ok_or(ClaimError::NotFound)?;
        ids.sort_unstable();
        ids.dedup();
        let partition = conversation.partition(self.router.partitions());
        let (delivered, epoch) = self.router.standing(partition);
        let claim = Claim { sender, conversation, view_from, partition, epoch, delivered };
        let claims = stream::iter(ids).map(|id| self.media.claim(&claim, id));
        claims.buffer_unordered(AT_ONCE).try_collect().await
    }
}

impl Media {
    async fn claim(&self, claim: &Claim, id: UploadId) -> Result<(), ClaimError> {
        let now = self.clock.now()?;
        let found = self.upload(id).await?;
        let verdict = found.as_ref().map_or(Verdict::Refused, |upload| claim.judge(upload, now));
        match verdict {
            Verdict::Sendable => return Ok(()),
            Verdict::Unseen | Verdict::Refused => return self.refuse(claim, id, now).await,
            Verdict::ToClaim => {
                let is_unsent = found.is_some_and(|upload| upload.home == Home::Uploader);
                // After a restore it may be in a message of another conversation already.
                if is_unsent && !self.is_settled(claim.epoch).await? {
                    return Err(ClaimError::Behind);
                }
            }
        }
        let make = |found: Option<&Upload>| {
            let Some(upload) = found else { return (Change::Keep, Verdict::Refused) };
            let verdict = claim.judge(upload, now);
            let change = match verdict {
                Verdict::ToClaim => Change::Put(Upload {
                    home: Home::Conversation(claim.conversation),
                    claimed: Some(now),
                    ..upload.clone()
                }),
                Verdict::Sendable | Verdict::Unseen | Verdict::Refused => Change::Keep,
            };
            (change, verdict)
        };
        match self.bucket.update(MediaKey::Upload(id), make).await?.1 {
            Verdict::Sendable | Verdict::ToClaim => Ok(()),
            // Others changed it in between: the next attempt looks anew.
            Verdict::Unseen | Verdict::Refused => Err(ClaimError::Behind),
        }
    }

    /// Refuses a file once that is certain: the records have everything that was delivered here.
    /// They may lack a message that the sender sees, and after a loss the file itself.
    async fn refuse(&self, claim: &Claim, id: UploadId, now: LogTime) -> Result<(), ClaimError> {
        let delivered = claim.delivered.ok_or(ClaimError::Behind)?;
        if self.referenced(claim.partition, claim.epoch).await? < delivered {
            return Err(ClaimError::Behind);
        }
        // Behind the position: it has everything up to there.
        let upload = self.upload(id).await?;
        // Put back after a loss, and kept from being sent until the whole log was read again.
        if upload.as_ref().is_some_and(|upload| is_put_back(upload, now)) {
            return Err(ClaimError::Behind);
        }
        match upload.map(|upload| claim.judge(&upload, now)) {
            Some(Verdict::Unseen | Verdict::Refused) | None => Err(ClaimError::NotFound),
            Some(Verdict::Sendable | Verdict::ToClaim) => Err(ClaimError::Behind),
        }
    }
}

fn is_put_back(upload: &Upload, now: LogTime) -> bool {
    upload.state == State::Dying && upload.keep_until > now
}

impl Claim {
    fn judge(&self, upload: &Upload, now: LogTime) -> Verdict {
        let Some(is_claimed) = upload.sendable(self.sender, self.conversation, now) else {
            return Verdict::Refused;
        };
        if !upload.is_seen_from(self.sender, self.view_from) {
            return Verdict::Unseen;
        }
        if is_claimed { Verdict::Sendable } else { Verdict::ToClaim }
    }
}

#[cfg(test)]
mod tests;

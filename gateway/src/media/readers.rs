//! Who may read a file: by its record, by the membership of this moment, and by what the reader
//! sees of the conversation.
//!
//! The references in a record follow the log, so "no message that you see has it" is said only
//! once the record has all that this gateway has delivered.

use std::time::Duration;

use hansard_model::media::{Home, Needs, Refused, Upload};
use hansard_model::{ConversationId, Seq, UploadId, UserId};
use hansard_nats::log::ReadError;
use tokio::time::Instant;

use crate::Gateway;
use crate::groups::GroupsError;

/// How long a reader waits for the record of a file to have a message that was just delivered.
const REFERENCED_WITHIN: Duration = Duration::from_secs(2);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// What somebody wants of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Its bytes.
    Bytes,
    /// To know what has become of it.
    Info,
}

/// Why somebody may not read a file.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// There is none for them.
    #[error("no such file")]
    NotFound,
    /// There is none yet.
    #[error("the file is not ready yet")]
    NotYet,
    /// It is not known yet which messages have it.
    #[error("it is not known yet which messages have the file")]
    Behind,
    /// The records do not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The membership is not known.
    #[error(transparent)]
    Groups(#[from] GroupsError),
}

impl From<Refused> for Unreadable {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::NotFound | Refused::Withheld => Self::NotFound,
            Refused::NotYet => Self::NotYet,
        }
    }
}

impl Gateway {
    /// The record of a file that `reader` may have.
    ///
    /// # Errors
    /// [`Unreadable`]
    pub(crate) async fn readable(
        &self,
        reader: UserId,
        id: UploadId,
        purpose: Purpose,
    ) -> Result<Upload, Unreadable> {
        let upload = self.media.upload(id).await?.ok_or(Unreadable::NotFound)?;
        let conversation = match needs(&upload, reader, purpose)? {
            Needs::Nothing => return Ok(upload),
            Needs::Membership(conversation) => conversation,
        };
        let view_from = self.view_from(reader, conversation).await?.ok_or(Unreadable::NotFound)?;
        if upload.is_seen_from(reader, view_from) {
            return Ok(upload);
        }
        self.once_referenced(reader, conversation, view_from, id, purpose).await
    }

    /// From where `user` sees a conversation; `None`: they are no member of it now.
    async fn view_from(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> Result<Option<Seq>, GroupsError> {
        if !conversation.is_group() {
            return Ok(conversation.other(user).map(|_| Seq::ZERO));
        }
        let membership = self.groups.membership(conversation, user).await?;
        Ok(membership.map(|membership| membership.view_from))
    }

    /// The record once it has every message that was delivered here before this call.
    async fn once_referenced(
        &self,
        reader: UserId,
        conversation: ConversationId,
        view_from: Seq,
        id: UploadId,
        purpose: Purpose,
    ) -> Result<Upload, Unreadable> {
        let deadline = Instant::now() + REFERENCED_WITHIN;
        let partition = conversation.partition(self.deployment.partitions);
        let (delivered, epoch) = self.router.standing(partition);
        let delivered = delivered.ok_or(Unreadable::Behind)?;
        loop {
            // Before the record: then it has what the position says.
            let referenced = self.media.referenced(partition, epoch).await?;
            let upload = self.media.upload(id).await?.ok_or(Unreadable::NotFound)?;
            // It may have changed in any way meanwhile.
            if needs(&upload, reader, purpose)? != Needs::Membership(conversation) {
                return Err(Unreadable::Behind);
            }
            if upload.is_seen_from(reader, view_from) {
                return Ok(upload);
            }
            if referenced >= delivered {
                return Err(Unreadable::NotFound);
            }
            if Instant::now() >= deadline {
                return Err(Unreadable::Behind);
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// What `reader` needs. What has become of a file may be known to those who will read it.
fn needs(upload: &Upload, reader: UserId, purpose: Purpose) -> Result<Needs, Refused> {
    match (upload.readable_by(reader), purpose, upload.home) {
        (Err(Refused::NotYet | Refused::Withheld), Purpose::Info, home) => match home {
            _ if upload.uploader == reader => Ok(Needs::Nothing),
            Home::Conversation(home) => Ok(Needs::Membership(home)),
            Home::Avatar => Ok(Needs::Nothing),
            Home::Uploader => Err(Refused::NotFound),
        },
        (decided, Purpose::Bytes | Purpose::Info, _) => decided,
    }
}

#[cfg(test)]
mod tests;

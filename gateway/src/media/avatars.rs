//! Pictures of people: an upload of one's own that whoever is logged in may read.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use hansard_model::media::{Home, MediaKey, State, Upload, Variant};
use hansard_model::{LogTime, UploadId, UserId};
use hansard_nats::log::NotSynchronized;
use hansard_nats::media::{Change, UpdateError};
use tokio::sync::{Mutex, MutexGuard};

use super::Media;

/// How long a picture is kept that is an avatar no more.
const KEPT_FOR: Duration = Duration::from_hours(24);

/// Why a file does not become an avatar.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AvatarError {
    /// It is none of theirs.
    #[error("no such file")]
    NotFound,
    /// It is still being looked at.
    #[error("the file is not ready yet")]
    NotYet,
    /// There is nothing to show of it.
    #[error("an avatar is a picture")]
    NoPicture,
    /// It belongs to a conversation, whose members alone may read it.
    #[error("the file belongs to a conversation")]
    Taken,
    /// It is not known yet whether a message has it.
    #[error("it is not known yet which messages have the file")]
    Behind,
    /// The records do not answer.
    #[error(transparent)]
    Update(#[from] UpdateError),
    /// Log time is not known.
    #[error(transparent)]
    Clock(#[from] NotSynchronized),
}

/// Locks for those who change their avatar: two of the same person must not each take the other's
/// picture for the one that stays.
const LOCKS: usize = 64;

/// Changes of avatars through one gateway, one at a time for each user.
pub(crate) struct Turns([Mutex<()>; LOCKS]);

impl Turns {
    pub(crate) fn new() -> Self {
        Self(std::array::from_fn(|_| Mutex::default()))
    }

    /// Waits for the turn of a user.
    pub(crate) async fn of(&self, user: UserId) -> MutexGuard<'_, ()> {
        let mut hasher = DefaultHasher::new();
        user.hash(&mut hasher);
        let lock = usize::try_from(hasher.finish() % LOCKS as u64).unwrap_or_default();
        self.0[lock].lock().await
    }
}

impl Media {
    /// Refuses while a file may be a conversation's without its record saying so.
    ///
    /// # Errors
    /// [`AvatarError::Behind`], or that the records do not answer.
    pub(crate) async fn check_settled(&self, epoch: u64) -> Result<(), AvatarError> {
        let is_settled = self.is_settled(epoch).await.map_err(UpdateError::from)?;
        if is_settled { Ok(()) } else { Err(AvatarError::Behind) }
    }

    /// Makes a file readable to whoever is logged in.
    ///
    /// # Errors
    /// [`AvatarError`]; nothing has changed then, or the records did not answer.
    pub(crate) async fn show_avatar(&self, user: UserId, id: UploadId) -> Result<(), AvatarError> {
        let show =
            |found: Option<&Upload>| match found.map(|upload| (upload, fitness(upload, user))) {
                None => (Change::Keep, Err(AvatarError::NotFound)),
                Some((_, Err(unfit))) => (Change::Keep, Err(unfit)),
                Some((upload, Ok(()))) if upload.home == Home::Avatar => (Change::Keep, Ok(())),
                Some((upload, Ok(()))) => {
                    (Change::Put(Upload { home: Home::Avatar, ..upload.clone() }), Ok(()))
                }
            };
        self.bucket.update(MediaKey::Upload(id), show).await?.1
    }

    /// After the account has changed: gives the former picture back to its uploader, and shows the
    /// one that the account names by now, which another gateway may have changed again.
    ///
    /// # Errors
    /// [`AvatarError`]: the collector of the media services puts it right later.
    pub(crate) async fn settle_avatar(
        &self,
        user: UserId,
        former: Option<UploadId>,
    ) -> Result<(), AvatarError> {
        if let Some(former) = former
            && self.named_avatar(user).await? != Some(former)
        {
            self.withdraw_avatar(user, former).await?;
        }
        // In this order: whoever took it for a former one, here or elsewhere, did so before they
        // looked, or before it was named.
        match self.named_avatar(user).await? {
            Some(named) => self.show_avatar(user, named).await,
            None => Ok(()),
        }
    }

    /// The avatar that the account names, as the leader of the log has it.
    async fn named_avatar(&self, user: UserId) -> Result<Option<UploadId>, AvatarError> {
        Ok(self.accounts.avatar(user).await.map_err(UpdateError::from)?)
    }

    /// Gives a file back to its uploader, for whom it is kept a while.
    async fn withdraw_avatar(&self, user: UserId, id: UploadId) -> Result<(), AvatarError> {
        let until = self.clock.now()?.plus(KEPT_FOR);
        let withdraw = |found: Option<&Upload>| match found {
            Some(upload) if upload.uploader == user && upload.home == Home::Avatar => {
                (Change::Put(withdrawn(upload, until)), ())
            }
            Some(_) | None => (Change::Keep, ()),
        };
        self.bucket.update(MediaKey::Upload(id), withdraw).await?;
        Ok(())
    }
}

fn fitness(upload: &Upload, user: UserId) -> Result<(), AvatarError> {
    if upload.uploader != user {
        return Err(AvatarError::NotFound);
    }
    match upload.state {
        State::Receiving | State::Finishing | State::Processing => Err(AvatarError::NotYet),
        State::Dying => Err(AvatarError::NotFound),
        State::Ready if matches!(upload.home, Home::Conversation(_)) => Err(AvatarError::Taken),
        State::Ready if !upload.contents.contains_key(&Variant::Thumb) => {
            Err(AvatarError::NoPicture)
        }
        State::Ready => Ok(()),
    }
}

fn withdrawn(upload: &Upload, until: LogTime) -> Upload {
    let keep_until = upload.keep_until.max(until);
    Upload { home: Home::Uploader, keep_until, ..upload.clone() }
}

#[cfg(test)]
mod tests;

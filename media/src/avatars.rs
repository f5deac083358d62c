//! Avatars: uploads that whoever is logged in may read, because their uploader's account names
//! them.
//!
//! The account says which upload is one, and the record of the upload whether it is shown. A gateway
//! writes both, and may die in between, or write them across another gateway; the record may also be
//! of an older copy. The collector puts the record right, when it looks at the upload anyway.

use std::collections::BTreeMap;
use std::time::Duration;

use hansard_model::account::{AccountEvent, AccountSubject};
use hansard_model::media::{Home, State, Upload};
use hansard_model::{LogTime, Seq, UploadId, UserId};
use hansard_nats::Connection;
use hansard_nats::accounts::AccountLog;
use hansard_nats::log::ReadError;

use crate::reconcile::state_after_return;

/// How long the next of the accounts may take that are known to be there.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// The avatars of all accounts.
#[derive(Debug, Default)]
pub(crate) struct Avatars(BTreeMap<UserId, UploadId>);

impl Avatars {
    /// What the accounts name by all that the log has now.
    ///
    /// # Errors
    /// [`ReadError`] when the log does not answer.
    pub(crate) async fn read(connection: &Connection) -> Result<Self, ReadError> {
        let accounts = AccountLog::open(connection);
        let end = accounts.last_seq().await?;
        let mut avatars = Self::default();
        let (mut reader, mut reached) = (accounts.follow(Seq::ZERO), Seq::ZERO);
        while reached < end {
            // The log answers, or somebody waits in vain: then it is done again.
            let next = tokio::time::timeout(READ_WITHIN, reader.next()).await;
            let record = next.map_err(|_| ReadError::Unexpected("nothing".to_owned()))?;
            reached = record.seq;
            if let Some((
                AccountSubject::User(user),
                AccountEvent::ProfileChanged { avatar: Some(avatar), .. },
            )) = record.event
            {
                avatars.change(user, &avatar);
            }
        }
        Ok(avatars)
    }

    /// An account names another avatar; empty: none.
    fn change(&mut self, user: UserId, avatar: &str) {
        match avatar.parse() {
            Ok(avatar) => self.0.insert(user, avatar),
            Err(_) => self.0.remove(&user),
        };
    }

    /// Whether its uploader's account names an upload.
    pub(crate) fn name(&self, upload: &Upload) -> bool {
        self.0.get(&upload.uploader) == Some(&upload.id)
    }

    /// All that are named.
    pub(crate) fn uploads(&self) -> impl Iterator<Item = UploadId> {
        self.0.values().copied()
    }
}

/// The record as it should be when the account names the upload, or does not; `None`: it is so.
///
/// One that is not named stays its uploader's, until `keep_until` at least: a message may have it.
pub(crate) fn put_right(upload: &Upload, is_named: bool, keep_until: LogTime) -> Option<Upload> {
    let next = match (upload.home, is_named) {
        (Home::Uploader | Home::Avatar, true) => Upload {
            home: Home::Avatar,
            state: match upload.state {
                State::Dying => state_after_return(upload),
                state
                @ (State::Receiving | State::Finishing | State::Processing | State::Ready) => state,
            },
            ..upload.clone()
        },
        (Home::Avatar, false) => {
            let keep_until = upload.keep_until.max(keep_until);
            Upload { home: Home::Uploader, keep_until, ..upload.clone() }
        }
        // What a conversation has is no avatar, whatever an account says.
        (Home::Uploader, false) | (Home::Conversation(_), _) => return None,
    };
    (next != *upload).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(of: u8) -> UserId {
        UserId::from_entropy([of; 20])
    }

    #[test]
    fn the_last_that_an_account_says_counts() {
        let mut avatars = Avatars::default();
        let [first, second] = [1, 2].map(|of| UploadId::from_entropy([of; 20]));
        avatars.change(user(1), first.as_str());
        avatars.change(user(2), second.as_str());
        avatars.change(user(1), second.as_str());
        avatars.change(user(2), "");
        assert_eq!(avatars.0, BTreeMap::from([(user(1), second)]));
    }
}

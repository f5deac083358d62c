//! Follows `ACCOUNTS` into the fold, for as long as the gateway lives.

use std::sync::Arc;

use hansard_model::account::AccountSubject;
use hansard_model::{AccountEvent, ConversationId, DeviceId, Seq, UserId};
use hansard_nats::accounts::{AccountLog, AccountRecord};

use super::Shared;
use crate::metrics;

/// What others in the gateway must hear of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// A session is over: its connections close.
    SessionRevoked(UserId, DeviceId),
    /// A user's own view of a conversation changed.
    SettingsChanged(UserId, ConversationId),
    /// A person looks different.
    ProfileChanged(UserId),
    /// A person lets others know more or less of their being there.
    PresenceChanged(UserId),
}

/// Fills the fold.
pub(crate) struct Follower {
    log: AccountLog,
    shared: Arc<Shared>,
}

impl Follower {
    pub(super) fn new(log: AccountLog, shared: Arc<Shared>) -> Self {
        Self { log, shared }
    }

    /// Follows until dropped. `announce` is called after each event has been applied, in order, with
    /// its position and what others must hear of it; it must not block.
    pub(crate) async fn run(
        self,
        mut announce: impl FnMut(Seq, Option<Change>),
    ) -> std::convert::Infallible {
        let applied = *self.shared.applied.borrow();
        let mut reader = self.log.follow(applied);
        loop {
            let record = reader.next().await;
            let seq = record.seq;
            announce(seq, self.apply(record));
        }
    }

    fn apply(&self, record: AccountRecord) -> Option<Change> {
        let AccountRecord { seq, ts, event } = record;
        let mut accounts =
            self.shared.accounts.write().unwrap_or_else(std::sync::PoisonError::into_inner);
        let change = match event {
            Some((subject, event)) => {
                let change = change_of(subject, &event);
                accounts.apply(seq, ts, subject, event);
                change
            }
            None => {
                metrics::account_unreadable();
                accounts.skip(seq);
                None
            }
        };
        drop(accounts);
        metrics::accounts_applied(seq.0);
        self.shared.applied.send_replace(seq);
        change
    }
}

fn change_of(subject: AccountSubject, event: &AccountEvent) -> Option<Change> {
    match (subject, event) {
        (AccountSubject::Device(user, device), AccountEvent::SessionRevoked {}) => {
            Some(Change::SessionRevoked(user, device))
        }
        (AccountSubject::Settings(user, conversation), AccountEvent::SettingsChanged(_)) => {
            Some(Change::SettingsChanged(user, conversation))
        }
        (
            AccountSubject::User(user),
            AccountEvent::ProfileChanged { name: None, avatar: None, presence, last_seen, .. },
        ) => {
            // What is read is asked for with each receipt.
            let is_presence = presence.is_some() || last_seen.is_some();
            is_presence.then_some(Change::PresenceChanged(user))
        }
        (AccountSubject::User(user), AccountEvent::ProfileChanged { .. }) => {
            Some(Change::ProfileChanged(user))
        }
        _ => None,
    }
}

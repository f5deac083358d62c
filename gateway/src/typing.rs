//! Typing: told to those who watch the conversation, never stored, lost without harm.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use hansard_model::{ConversationId, UserId};
use hansard_nats::Connection;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How often a user's typing in one conversation is passed on. Clients show it for 6 s.
const EVERY: Duration = Duration::from_secs(2);
/// Users and conversations remembered for that; when there are more, nobody's typing is passed on
/// until the oldest are forgotten.
const RECENT_MAX: usize = 20_000;
/// What waits to be published; more is dropped.
const WAITING_MAX: usize = 1_024;

/// Takes what clients type.
pub(crate) struct Typing {
    recent: Mutex<HashMap<(UserId, ConversationId), Instant>>,
    sender: mpsc::Sender<(ConversationId, UserId)>,
    receiver: Mutex<Option<mpsc::Receiver<(ConversationId, UserId)>>>,
}

impl Typing {
    /// Nobody types.
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        Self { recent: Mutex::default(), sender, receiver: Mutex::new(Some(receiver)) }
    }

    /// A member types. Passed on at most every two seconds; never waits.
    pub(crate) fn note(&self, conversation: ConversationId, user: UserId, now: Instant) {
        if self.is_due(conversation, user, now) {
            // A full queue means that NATS is slow: this is the first thing to go without.
            let _ = self.sender.try_send((conversation, user));
        }
    }

    fn is_due(&self, conversation: ConversationId, user: UserId, now: Instant) -> bool {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        if recent.len() >= RECENT_MAX {
            recent.retain(|_, at| now.saturating_duration_since(*at) < EVERY);
            if recent.len() >= RECENT_MAX {
                return false;
            }
        }
        let last = recent.get(&(user, conversation));
        let is_due = last.is_none_or(|at| now.saturating_duration_since(*at) >= EVERY);
        if is_due {
            recent.insert((user, conversation), now);
        }
        is_due
    }

    /// Publishes until dropped; one at a time.
    pub(crate) async fn publish(&self, connection: &Connection) {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(mut receiver) = receiver else { return };
        while let Some((conversation, user)) = receiver.recv().await {
            if let Err(error) = connection.publish_typing(conversation, user).await {
                tracing::debug!(%error, "typing was not passed on");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typing_is_passed_on_every_two_seconds() {
        let (typing, start) = (Typing::new(), Instant::now());
        let [ana, ben] = [1, 2].map(|byte| UserId::from_entropy([byte; 20]));
        let conversation = ConversationId::direct(ana, ben);
        assert!(typing.is_due(conversation, ana, start));
        assert!(!typing.is_due(conversation, ana, start + EVERY / 2));
        assert!(typing.is_due(conversation, ben, start + EVERY / 2));
        assert!(typing.is_due(conversation, ana, start + EVERY));
    }
}

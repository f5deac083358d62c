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
/// What comes from another gateway sooner than this is the same person at another device. Less than
/// that, because messages are not on their way equally long.
const TOLD_EVERY: Duration = Duration::from_millis(1_500);
/// Users and conversations remembered for that; when there are more, nobody else's typing is passed
/// on until the oldest are forgotten, which is tried no oftener than that.
const RECENT_MAX: usize = 20_000;
/// What waits to be published; more is dropped.
const WAITING_MAX: usize = 1_024;

/// Takes what clients type.
pub(crate) struct Typing {
    recent: Mutex<Recent>,
    told: Mutex<Recent>,
    sender: mpsc::Sender<(ConversationId, UserId)>,
    receiver: Mutex<Option<mpsc::Receiver<(ConversationId, UserId)>>>,
}

/// When whose typing was passed on last.
#[derive(Default)]
struct Recent {
    passed_on: HashMap<(UserId, ConversationId), Instant>,
    swept: Option<Instant>,
}

impl Recent {
    fn is_due(
        &mut self,
        conversation: ConversationId,
        user: UserId,
        now: Instant,
        every: Duration,
    ) -> bool {
        let is_long_ago = |at: &Instant| now.saturating_duration_since(*at) >= every;
        if self.passed_on.len() >= RECENT_MAX {
            // A look at all of them costs time in proportion, under the lock.
            if self.swept.as_ref().is_none_or(is_long_ago) {
                self.swept = Some(now);
                self.passed_on.retain(|_, at| !is_long_ago(at));
            }
            if self.passed_on.len() >= RECENT_MAX {
                return false;
            }
        }
        let last = self.passed_on.get(&(user, conversation));
        let is_due = last.is_none_or(is_long_ago);
        if is_due {
            self.passed_on.insert((user, conversation), now);
        }
        is_due
    }
}

impl Typing {
    /// Nobody types.
    pub(crate) fn new() -> Self {
        let (sender, receiver) = mpsc::channel(WAITING_MAX);
        let (recent, told) = (Mutex::default(), Mutex::default());
        Self { recent, told, sender, receiver: Mutex::new(Some(receiver)) }
    }

    /// A member types. Passed on at most every two seconds; never waits.
    pub(crate) fn note(&self, conversation: ConversationId, user: UserId, now: Instant) {
        if self.is_due(conversation, user, now) {
            // A full queue means that NATS is slow: this is the first thing to go without.
            let _ = self.sender.try_send((conversation, user));
        }
    }

    /// Whether those who watch a conversation are to be told that somebody types: each of the
    /// gateways that the person is connected to says so.
    pub(crate) fn is_news(&self, conversation: ConversationId, user: UserId, now: Instant) -> bool {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.is_due(conversation, user, now, TOLD_EVERY)
    }

    fn is_due(&self, conversation: ConversationId, user: UserId, now: Instant) -> bool {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.is_due(conversation, user, now, EVERY)
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

    #[test]
    fn who_types_at_several_gateways_is_told_of_as_if_it_were_one() {
        let (typing, start) = (Typing::new(), Instant::now());
        let [ana, ben] = [1, 2].map(|byte| UserId::from_entropy([byte; 20]));
        let conversation = ConversationId::direct(ana, ben);
        // Two gateways, each every two seconds, with what is between.
        let arrivals = [0, 300, 1_990, 2_310, 4_005, 4_290];
        let told =
            arrivals.map(|ms| typing.is_news(conversation, ana, start + Duration::from_millis(ms)));
        assert_eq!(told, [true, false, true, false, true, false]);
    }

    #[test]
    fn a_crowd_is_bounded_and_looked_through_no_oftener_than_it_may_change() {
        let (typing, start) = (Typing::new(), Instant::now());
        let ana = UserId::from_entropy([1; 20]);
        for n in 0..RECENT_MAX {
            let mut entropy = [2; 20];
            // Each byte of entropy gives five bits only.
            (0..4).for_each(|place| entropy[place] = (n >> (5 * place)) as u8 & 31);
            let conversation = ConversationId::direct(ana, UserId::from_entropy(entropy));
            assert!(typing.is_due(conversation, ana, start));
        }
        let ben = UserId::from_entropy([3; 20]);
        let conversation = ConversationId::direct(ana, ben);
        let is_due = |after| typing.is_due(conversation, ben, start + after);
        assert!(!is_due(EVERY / 2), "all of them are of a moment ago");
        assert!(!is_due(EVERY), "and are not looked through so soon again");
        assert!(is_due(EVERY / 2 + EVERY));
    }
}

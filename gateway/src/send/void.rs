//! Void attempts: the stream goes on to call later attempts duplicates of them, so that each later
//! one needs an identity that names them all.

use hansard_model::Seq;
use hansard_model::record::EventKey;
use quick_cache::sync::Cache;

/// Events whose void attempts are remembered. One that is forgotten is learned again, from the
/// duplicate that the stream answers, at the price of one more round.
const EVENTS_MAX: usize = 100_000;
/// Void attempts of one event: more than a client that backs off can cause in a window.
const ATTEMPTS_MAX: usize = 64;

/// What is known of void attempts.
pub(super) struct VoidAttempts {
    events: Cache<EventKey, Vec<Seq>>,
}

impl VoidAttempts {
    pub(super) fn new() -> Self {
        Self { events: Cache::new(EVENTS_MAX) }
    }

    /// The void attempts of an event, in order.
    pub(super) fn of(&self, key: &EventKey) -> Vec<Seq> {
        self.events.get(key).unwrap_or_default()
    }

    /// The log is another than it was.
    pub(super) fn forget(&self) {
        self.events.clear();
    }

    /// One more is known.
    pub(super) fn note(&self, key: EventKey, seq: Seq) {
        let mut known = self.of(&key);
        if let Err(place) = known.binary_search(&seq)
            && known.len() < ATTEMPTS_MAX
        {
            known.insert(place, seq);
            self.events.insert(key, known);
        }
    }
}

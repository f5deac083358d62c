//! The token of an event that was checked against a group's state and is on its way to the log.

use std::sync::Arc;
use std::time::Duration;

use hansard_model::{LogTime, limit};
use hansard_nats::LogClock;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::entry::Entry;

/// Held from the check until the event is stored, refused, or can no longer be valid. Dropped
/// after [`InFlight::sending`] (the connection went away, the log did not answer), it holds on
/// until `Vouch-Until` has passed; before, it lets go: what was only checked, or read, is not on
/// its way.
pub(crate) struct InFlight {
    held: Option<Held>,
    sending: bool,
}

struct Held {
    _token: TaskTrackerToken,
    /// Keeps the entry, and with it the record of what is in flight, from being forgotten.
    _entry: Arc<Entry>,
    until: LogTime,
    clock: LogClock,
}

impl InFlight {
    pub(super) fn new(
        token: TaskTrackerToken,
        entry: Arc<Entry>,
        until: LogTime,
        clock: LogClock,
    ) -> Self {
        Self { held: Some(Held { _token: token, _entry: entry, until, clock }), sending: false }
    }

    /// From here on the event may be in the log, whatever becomes of this task.
    pub(crate) fn sending(&mut self) {
        self.sending = true;
    }

    /// The outcome is known, or nothing was sent.
    pub(crate) fn settled(mut self) {
        self.held = None;
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        let Some(held) = self.held.take().filter(|_| self.sending) else { return };
        let lapse = held.until.plus(Duration::from_millis(limit::LOG_TIME_ERROR_MS));
        let lease = limit::MEMBERSHIP_LEASE_MS + limit::LOG_TIME_ERROR_MS;
        let wait = held.clock.now().map_or(Duration::from_millis(lease), |now| lapse.since(now));
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                tokio::time::sleep(wait).await;
                drop(held);
            });
        }
    }
}

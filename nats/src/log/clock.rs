//! Log time: learned from the leader, advanced by the monotonic clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hansard_model::{LogTime, PartitionId};
use tokio_util::sync::CancellationToken;

use crate::connection::Connection;
use crate::{direct, streams};

/// How often the clock is compared with the leader's.
const COMPARE_EVERY: Duration = Duration::from_secs(5);
/// An answer that took longer says too little about the time.
const ROUND_TRIP_MAX: Duration = Duration::from_millis(250);
/// Without a comparison for this long the error is no longer bounded: 30 s of a clock that drifts
/// by 500 ppm are 15 ms, far below the error the design allows (1 s); the rest is for a suspended
/// machine.
const TRUSTED_FOR: Duration = Duration::from_secs(30);

/// The clock is not compared with the log's, or too long ago.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("log time is not known well enough")]
pub struct NotSynchronized;

/// An estimate of log time that is never ahead of it by more than the round trip of a comparison;
/// clones share it.
#[derive(Clone, Debug, Default)]
pub struct LogClock {
    anchor: Arc<Mutex<Option<Anchor>>>,
    shift: Duration,
}

#[derive(Clone, Copy, Debug)]
struct Anchor {
    at: Instant,
    time: LogTime,
}

impl LogClock {
    /// A clock that knows nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A clock that runs ahead of the log's by `shift`: for tests of what happens after a long
    /// time.
    pub fn shifted(shift: Duration) -> Self {
        Self { shift, ..Self::default() }
    }

    /// Log time now.
    ///
    /// # Errors
    /// [`NotSynchronized`] when the error cannot be bounded: do not vouch.
    pub fn now(&self) -> Result<LogTime, NotSynchronized> {
        let anchor = self.anchor.lock().unwrap_or_else(PoisonError::into_inner);
        let anchor = anchor.as_ref().ok_or(NotSynchronized)?;
        let age = anchor.at.elapsed();
        if age > TRUSTED_FOR {
            return Err(NotSynchronized);
        }
        Ok(anchor.time.plus(age).plus(self.shift))
    }

    /// Compares with the leader's clock once.
    ///
    /// # Errors
    /// [`NotSynchronized`] when it does not answer, or too slowly.
    pub async fn compare(&self, connection: &Connection) -> Result<LogTime, NotSynchronized> {
        let asked = Instant::now();
        let state = direct::leader_info(connection, &streams::events(PartitionId(0)))
            .await
            .map_err(|_| NotSynchronized)?;
        let time = state.ts.ok_or(NotSynchronized)?;
        let at = Instant::now();
        if at - asked > ROUND_TRIP_MAX {
            return Err(NotSynchronized);
        }
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = Some(Anchor { at, time });
        Ok(time.plus(self.shift))
    }

    /// Compares again and again until `shutdown`; sooner after a failure.
    pub async fn keep(self, connection: Connection, shutdown: CancellationToken) {
        let mut failing = false;
        loop {
            let compared = self.compare(&connection).await;
            if compared.is_err() != failing {
                failing = compared.is_err();
                tracing::info!(synchronized = !failing, "log time");
            }
            let pause = if failing { Duration::from_millis(200) } else { COMPARE_EVERY };
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_or_old_time_is_not_vouched_with() {
        let clock = LogClock::new();
        assert_eq!(clock.now(), Err(NotSynchronized));
        let set = |at| {
            *clock.anchor.lock().expect("not poisoned") =
                Some(Anchor { at, time: LogTime::from_millis(1_000) });
        };
        set(Instant::now());
        assert!(clock.now().is_ok());
        if let Some(past) = Instant::now().checked_sub(TRUSTED_FOR * 2) {
            set(past);
            assert_eq!(clock.now(), Err(NotSynchronized));
        }
    }
}

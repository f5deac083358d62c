//! Log time: learned from the leader, advanced by the monotonic clock.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

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
/// The monotonic and the wall clock may have gone apart by this since a comparison: half of the
/// error that the design allows. More means that the machine slept, or a clock was set.
const CLOCKS_APART_MAX: Duration = Duration::from_millis(500);

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
    wall: SystemTime,
    time: LogTime,
}

impl Anchor {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the others are passed")]
    fn now(time: LogTime) -> Self {
        Self { at: Instant::now(), wall: SystemTime::now(), time }
    }

    /// How long ago it was, if the machine has not slept since: then the monotonic clock stood
    /// still, and only the wall clock knows.
    #[expect(clippy::disallowed_methods, reason = "this is the clock that the others are passed")]
    fn age(&self) -> Option<Duration> {
        let age = self.at.elapsed();
        let wall = SystemTime::now().duration_since(self.wall).ok()?;
        (age.abs_diff(wall) <= CLOCKS_APART_MAX && age <= TRUSTED_FOR).then_some(age)
    }
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
        let age = anchor.age().ok_or(NotSynchronized)?;
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
        if asked.elapsed() > ROUND_TRIP_MAX {
            return Err(NotSynchronized);
        }
        *self.anchor.lock().unwrap_or_else(PoisonError::into_inner) = Some(Anchor::now(time));
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
            *clock.anchor.lock().expect("not poisoned") = Some(at);
        };
        let now = Anchor::now(LogTime::from_millis(1_000));
        set(now);
        assert!(clock.now().is_ok());
        let ago = TRUSTED_FOR * 2;
        set(Anchor { at: now.at - ago, wall: now.wall - ago, ..now });
        assert_eq!(clock.now(), Err(NotSynchronized), "too old");
        set(Anchor { wall: now.wall - Duration::from_secs(2), ..now });
        assert_eq!(clock.now(), Err(NotSynchronized), "the machine slept");
    }
}

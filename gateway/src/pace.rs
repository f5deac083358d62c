//! How fast a crowd is let in: as fast as the operator allows while this gateway keeps up, slower
//! while those who are already here have to wait for it.
//!
//! The signal is queueing delay, as in DAGOR (Zhou et al., "Overload control for scaling `WeChat`
//! microservices", Symposium on Cloud Computing 2018): how much later than asked for a timer's task
//! runs, which is how long everything that became ready at that moment waits for a thread and for
//! a core, whoever else is using it. The rate answers with additive increase and multiplicative
//! decrease (Chiu and Jain, 1989), and begins low after a quiet time, because what a crowd costs on
//! this machine is not known before a part of it is in (slow start after idle, RFC 2861).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};

use crate::metrics;

/// How often the delay is measured.
const TICK: Duration = Duration::from_millis(10);
/// Measurements that one decision is made of.
const TICKS: u32 = 5;
/// Mean delay, the millisecond of the timer's own resolution included, beyond which others wait.
const DELAY_MAX: Duration = Duration::from_millis(3);
/// Per second; where a crowd begins.
const START: f64 = 100.0;
/// Per second; the slowest, however late everything is: a crowd that gets in ends.
const SLOWEST: f64 = 20.0;
/// Per second; no bound any more.
const FASTEST: f64 = 100_000.0;
/// Per second, after each measurement in time, while somebody waits.
const INCREASE: f64 = 5.0;
/// Of the rate, after each measurement that was late.
const DECREASE: f64 = 0.7;
/// Of the distance to [`START`], after each measurement while nobody waits: half in 7 seconds.
const FORGET: f64 = 0.005;

/// See the module.
pub(crate) struct Pace {
    /// Nanoseconds from one to the next.
    each_ns: AtomicU64,
    /// Somebody had to wait, or was sent away, since the last decision.
    is_wanted: AtomicBool,
    per_second: Mutex<f64>,
}

impl Pace {
    pub(crate) fn new() -> Self {
        let pace = Self {
            each_ns: AtomicU64::new(0),
            is_wanted: AtomicBool::new(false),
            per_second: Mutex::new(START),
        };
        pace.set(START);
        pace
    }

    /// The time from one who is let in to the next, at least.
    pub(crate) fn each(&self) -> Duration {
        Duration::from_nanos(self.each_ns.load(Ordering::Relaxed))
    }

    /// More want to come in than are let in.
    pub(crate) fn want(&self) {
        self.is_wanted.store(true, Ordering::Relaxed);
    }

    /// Measures, until it is dropped.
    pub(crate) async fn measure(&self) {
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let mut late = Duration::ZERO;
            for _ in 0..TICKS {
                let due = ticks.tick().await;
                late += Instant::now().saturating_duration_since(due);
            }
            self.decide(late / TICKS);
        }
    }

    fn decide(&self, delay: Duration) {
        let is_wanted = self.is_wanted.swap(false, Ordering::Relaxed);
        let per_second = {
            let mut per_second = self.per_second.lock().unwrap_or_else(PoisonError::into_inner);
            *per_second = next(*per_second, delay, is_wanted);
            *per_second
        };
        self.set(per_second);
        metrics::admission(per_second, delay);
    }

    fn set(&self, per_second: f64) {
        let each = Duration::from_secs_f64(per_second.recip());
        self.each_ns.store(u64::try_from(each.as_nanos()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

/// The rate after a measurement, per second.
fn next(per_second: f64, delay: Duration, is_wanted: bool) -> f64 {
    let next = if delay > DELAY_MAX {
        per_second * DECREASE
    } else if is_wanted {
        per_second + INCREASE
    } else {
        per_second + (START - per_second) * FORGET
    };
    next.clamp(SLOWEST, FASTEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    const IN_TIME: Duration = Duration::from_millis(1);
    const LATE: Duration = Duration::from_millis(20);

    fn after(mut per_second: f64, times: u32, delay: Duration, is_wanted: bool) -> f64 {
        for _ in 0..times {
            per_second = next(per_second, delay, is_wanted);
        }
        per_second
    }

    #[test]
    fn a_crowd_is_let_in_faster_as_long_as_nobody_waits_for_it() {
        assert!((after(START, 80, IN_TIME, true) - 500.0).abs() < 1.0, "in four seconds");
        assert!(after(START, 10, IN_TIME, false) <= START, "not without a crowd");
    }

    #[test]
    fn lateness_slows_at_once_and_never_to_a_stop() {
        assert!(after(500.0, 2, LATE, true) < 250.0);
        assert!((after(500.0, 100, LATE, true) - SLOWEST).abs() < f64::EPSILON);
    }

    #[test]
    fn what_was_learned_is_forgotten_in_a_quiet_time() {
        for before in [SLOWEST, 2_000.0] {
            let later = after(before, 20 * 60, IN_TIME, false);
            assert!((later - START).abs() < START / 10.0, "{later} a minute after {before}");
        }
    }

    #[tokio::test]
    async fn tasks_that_hold_the_thread_are_seen() {
        let pace = Pace::new();
        let work = async {
            // Each holds the only thread for longer than may be waited.
            while pace.each() < Duration::from_secs_f64(START.recip()) * 2 {
                std::thread::sleep(DELAY_MAX * 3);
                tokio::task::yield_now().await;
            }
        };
        let within = Duration::from_secs(20);
        tokio::select! {
            () = pace.measure() => {}
            slowed = tokio::time::timeout(within, work) => assert!(slowed.is_ok(), "not slowed"),
        }
    }
}

//! A token bucket for a crowd: who finds it empty is told when to come again, each at a moment of
//! their own, so that those who were refused do not come back as the next crowd.
//!
//! The bucket is two moments, however many wait: nothing is remembered of anybody. The moments
//! handed out follow each other at the bucket's rate; whoever comes unasked takes the place of one
//! who was promised nothing, so a moment is a hint and no reservation.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::config::Rate;
use crate::pace::Pace;

/// Longest hint; with more people than turns until then, the hints are spread over its second half.
const HINT_MAX: Duration = Duration::from_secs(60);
/// 2^64 divided by the golden ratio: multiples of it are spread evenly, however many are taken.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// See the module.
pub(crate) struct Turnstile {
    /// One token takes so long to come.
    each: Duration,
    burst: u32,
    /// Tokens come more slowly by it, and hints do not: who comes back too early for a moment that
    /// is slow costs little, who stays away from one that is not is kept out for nothing.
    pace: Option<Arc<Pace>>,
    state: Mutex<State>,
}

struct State {
    /// The bucket is full again at this moment (generic cell rate algorithm, ITU-T I.371).
    full_at: Instant,
    /// The last moment that was handed out.
    hinted: Instant,
    /// How many hints did not fit.
    beyond: u64,
}

impl Turnstile {
    /// A full bucket.
    pub(crate) fn new(rate: Rate, now: Instant) -> Self {
        let each = (rate.period / rate.count.max(1)).max(Duration::from_nanos(1));
        let state = State { full_at: now, hinted: now, beyond: 0 };
        Self { each, burst: rate.burst.max(1), pace: None, state: Mutex::new(state) }
    }

    /// With tokens that come no faster than it says.
    pub(crate) fn paced(self, pace: Arc<Pace>) -> Self {
        Self { pace: Some(pace), ..self }
    }

    /// Takes a token.
    ///
    /// # Errors
    /// How long to stay away; nothing was taken.
    pub(crate) fn pass(&self, now: Instant) -> Result<(), Duration> {
        self.turn(now, Duration::ZERO).map(drop)
    }

    /// Takes the next token, for which the caller waits until the moment given, no longer than
    /// `within`.
    ///
    /// # Errors
    /// As [`Turnstile::pass`].
    pub(crate) fn turn(&self, now: Instant, within: Duration) -> Result<Instant, Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let each = self.pace.as_ref().map_or(self.each, |pace| pace.each().max(self.each));
        let full_at = state.full_at.max(now) + each;
        let ahead = full_at.saturating_duration_since(now);
        // The burst is a time: fewer tokens make it up while they come more slowly.
        let wait = ahead.saturating_sub((self.each * self.burst).max(each));
        if let (Some(pace), false) = (&self.pace, wait.is_zero()) {
            pace.want();
        }
        if wait <= within {
            state.full_at = full_at;
            return Ok(now + wait);
        }
        let turn = state.hinted.max(now + wait) + self.each;
        let hint = turn.saturating_duration_since(now);
        if hint <= HINT_MAX {
            state.hinted = turn;
            return Err(hint);
        }
        state.beyond = state.beyond.wrapping_add(1);
        Err(spread(HINT_MAX / 2, HINT_MAX, state.beyond))
    }
}

/// A moment between two, evenly spread over those that are counted.
pub(crate) fn spread(from: Duration, to: Duration, count: u64) -> Duration {
    let share = count.wrapping_mul(GOLDEN) as f64 / u64::MAX as f64;
    from + to.saturating_sub(from).mul_f64(share.clamp(0.0, 1.0))
}

/// A hint in milliseconds, never 0.
pub(crate) fn hint_ms(hint: Duration) -> u64 {
    u64::try_from(hint.as_millis()).unwrap_or(u64::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn a_burst_passes_and_the_others_are_spread_over_the_time_that_they_need() {
        let start = Instant::now();
        let turnstile = Turnstile::new(Rate::new(100, 10), start);
        let hints: Vec<Duration> = (0..60).filter_map(|_| turnstile.pass(start).err()).collect();
        assert_eq!(hints.len(), 50);
        let wanted: Vec<Duration> = (2..52).map(|turn| ms(turn * 10)).collect();
        assert_eq!(hints, wanted, "one every 10 ms");
    }

    #[test]
    fn all_are_in_at_last_who_come_when_they_were_told() {
        let start = Instant::now();
        let turnstile = Turnstile::new(Rate::new(100, 10), start);
        let mut arrivals: std::collections::BTreeSet<(Duration, u32)> =
            (0..500).map(|who| (Duration::ZERO, who)).collect();
        let (mut passed, mut attempts, mut end) = (0, 0, Duration::ZERO);
        while let Some((at, who)) = arrivals.pop_first() {
            attempts += 1;
            match turnstile.pass(start + at) {
                Ok(()) => (passed, end) = (passed + 1, at),
                Err(hint) => {
                    arrivals.insert((at + hint, who));
                }
            }
        }
        assert_eq!(passed, 500);
        assert!(attempts <= 1_100, "{attempts} attempts");
        assert!(end <= ms(5_500), "{end:?} for 490 at 100 a second");
    }

    #[test]
    fn hints_have_an_end_and_are_spread_there_too() {
        let start = Instant::now();
        let turnstile = Turnstile::new(Rate::new(1, 1), start);
        let hints: Vec<Duration> = (0..2_000).filter_map(|_| turnstile.pass(start).err()).collect();
        assert!(hints.iter().all(|hint| *hint <= HINT_MAX));
        let late = &hints[100..];
        let soon = late.iter().filter(|hint| **hint < HINT_MAX.mul_f64(0.75)).count();
        assert!((late.len() * 45..late.len() * 55).contains(&(soon * 100)), "{soon}");
        assert!(turnstile.pass(start + ms(1_000)).is_ok(), "hints hold nobody up");
    }

    #[test]
    fn a_slow_pace_lets_fewer_in_and_hints_go_on() {
        let start = Instant::now();
        let turnstile = Turnstile::new(Rate::new(1_000, 100), start).paced(Arc::new(Pace::new()));
        let answers: Vec<_> = (0..100).map(|_| turnstile.pass(start)).collect();
        let passed = answers.iter().filter(|answer| answer.is_ok()).count();
        assert_eq!(passed, 10, "100 ms of a crowd's first 100 a second");
        let hints: Vec<Duration> = answers.into_iter().filter_map(Result::err).collect();
        assert!(hints.windows(2).all(|two| two[1] - two[0] == ms(1)), "{hints:?}");
        let slow = Turnstile::new(Rate::new(10, 2), start).paced(Arc::new(Pace::new()));
        assert_eq!([(); 3].map(|()| slow.pass(start).is_ok()), [true, true, false]);
    }

    #[test]
    fn a_turn_is_waited_for_within_bounds() {
        let start = Instant::now();
        let turnstile = Turnstile::new(Rate::new(10, 2), start);
        let turns: Vec<_> = (0..5).map(|_| turnstile.turn(start, ms(250))).collect();
        assert_eq!(
            turns,
            [Ok(start), Ok(start), Ok(start + ms(100)), Ok(start + ms(200)), Err(ms(400)),]
        );
        assert_eq!(turnstile.turn(start + ms(1_000), ms(0)), Ok(start + ms(1_000)));
    }
}

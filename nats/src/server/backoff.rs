//! How long to wait before a server that died is started again.

use std::time::Duration;

const FIRST_CEILING: Duration = Duration::from_millis(200);
const LAST_CEILING: Duration = Duration::from_secs(5);

/// Exponential ceilings with full jitter: each wait is uniform between zero and the ceiling.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure.
    pub(super) fn next_wait(&mut self) -> Duration {
        let ceiling = FIRST_CEILING.saturating_mul(1 << self.failures.min(16)).min(LAST_CEILING);
        self.failures = self.failures.saturating_add(1);
        ceiling.mul_f64(random_fraction())
    }

    /// The server proved itself: the next failure is a first one.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }
}

/// Uniform in 0..=1. A machine without randomness waits the full ceiling.
fn random_fraction() -> f64 {
    getrandom::u32().map_or(1.0, |random| f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_never_exceed_the_last_ceiling() {
        let mut backoff = Backoff::default();
        assert!(backoff.next_wait() <= FIRST_CEILING);
        assert!((0..100).all(|_| backoff.next_wait() <= LAST_CEILING));
        backoff.reset();
        assert!(backoff.next_wait() <= FIRST_CEILING);
    }
}

//! How long to wait before trying again: full jitter, from a seeded generator.

/// Delays double from `base_ms` up to `cap_ms`; the actual delay is uniform between 0 and that
/// bound ("full jitter"), so that a thousand clients that lost one gateway do not come back as one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// Bound of the first delay, in milliseconds.
    pub base_ms: u64,
    /// Bound of every delay, in milliseconds.
    pub cap_ms: u64,
}

impl Backoff {
    /// For reconnecting: 250 ms doubling to 30 s.
    pub const RECONNECT: Self = Self { base_ms: 250, cap_ms: 30_000 };
    /// For resending an event and for repeating a read: 100 ms doubling to 10 s.
    pub const RETRY: Self = Self { base_ms: 100, cap_ms: 10_000 };

    /// The delay before try number `attempt` (from 0), in milliseconds.
    pub fn delay_ms(&self, attempt: u32, dice: &mut Dice) -> u64 {
        let doubled = self.base_ms.saturating_mul(1u64.checked_shl(attempt).unwrap_or(u64::MAX));
        dice.up_to(doubled.min(self.cap_ms))
    }
}

/// A small seeded generator (`SplitMix64`): jitter and the random part of ids, never secrets.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator; the same seed gives the same numbers.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number from 0 to `bound`, both included.
    pub fn up_to(&mut self, bound: u64) -> u64 {
        match bound.checked_add(1) {
            Some(count) => self.roll() % count,
            None => self.roll(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delays_stay_under_the_doubling_bound_and_the_cap() {
        let backoff = Backoff { base_ms: 100, cap_ms: 1_000 };
        let mut dice = Dice::new(7);
        for attempt in 0..80 {
            let bound = (100u64 << attempt.min(10)).min(1_000);
            for _ in 0..100 {
                assert!(backoff.delay_ms(attempt, &mut dice) <= bound);
            }
        }
    }

    #[test]
    fn delays_use_the_whole_range() {
        let mut dice = Dice::new(1);
        let delays: Vec<_> =
            (0..1_000).map(|_| Backoff::RECONNECT.delay_ms(20, &mut dice)).collect();
        assert!(delays.iter().any(|delay| *delay < 3_000));
        assert!(delays.iter().any(|delay| *delay > 27_000));
    }
}

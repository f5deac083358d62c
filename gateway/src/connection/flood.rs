//! How fast one connection may talk. Per connection, so that it costs no shared state; the limits
//! per user are elsewhere.

use std::time::Duration;

use tokio::time::Instant;

/// Frames per second in the long run.
const FRAMES_PER_SECOND: u32 = 4_000;
/// Frames at once.
const FRAMES_BURST: u32 = 4_000;
/// Refused frames after which the connection is ended, unless it pauses for [`FORGIVEN_AFTER`].
const REFUSED_MAX: u32 = 2_000;
/// A pause after which refused frames are forgotten.
const FORGIVEN_AFTER: Duration = Duration::from_secs(5);

/// A token bucket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Flood {
    tokens: u32,
    at: Instant,
    refused: u32,
    refused_at: Instant,
}

/// What to do with a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pace {
    /// Take it.
    Fine,
    /// Refuse it.
    TooFast,
    /// End the connection.
    Abuse,
}

impl Flood {
    /// A full bucket.
    pub(super) fn new(now: Instant) -> Self {
        Self { tokens: FRAMES_BURST, at: now, refused: 0, refused_at: now }
    }

    /// A frame came.
    pub(super) fn frame(&mut self, now: Instant) -> Pace {
        let millis = now.saturating_duration_since(self.at).as_millis();
        let grown = millis.saturating_mul(u128::from(FRAMES_PER_SECOND)) / 1_000;
        if grown > 0 {
            let grown = u32::try_from(grown).unwrap_or(FRAMES_BURST);
            self.tokens = self.tokens.saturating_add(grown).min(FRAMES_BURST);
            self.at = now;
        }
        if let Some(left) = self.tokens.checked_sub(1) {
            self.tokens = left;
            return Pace::Fine;
        }
        if now.saturating_duration_since(self.refused_at) > FORGIVEN_AFTER {
            self.refused = 0;
        }
        self.refused_at = now;
        self.refused += 1;
        if self.refused > REFUSED_MAX { Pace::Abuse } else { Pace::TooFast }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_frames_a_second_are_refused_and_then_ended() {
        let start = Instant::now();
        let mut flood = Flood::new(start);
        let paces: Vec<Pace> =
            (0..20_000_u64).map(|n| flood.frame(start + Duration::from_micros(n * 100))).collect();
        let count = |wanted| paces.iter().filter(|pace| **pace == wanted).count();
        assert!(count(Pace::Fine) >= FRAMES_BURST as usize);
        assert_eq!(count(Pace::TooFast), REFUSED_MAX as usize);
        assert_eq!(paces.last(), Some(&Pace::Abuse));
    }

    #[test]
    fn who_slows_down_is_forgiven() {
        let start = Instant::now();
        let mut flood = Flood::new(start);
        (0..=FRAMES_BURST + 10).for_each(|_| {
            flood.frame(start);
        });
        assert_eq!(flood.frame(start), Pace::TooFast);
        let mut now = start;
        for _ in 0..100_000 {
            now += Duration::from_millis(1);
            assert_eq!(flood.frame(now), Pace::Fine);
        }
    }
}

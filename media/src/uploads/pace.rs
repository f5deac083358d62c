//! How slow a sender may be.

use std::time::Duration;

use tokio::time::Instant;

/// How long a sender is watched before it is judged.
const WINDOW: Duration = Duration::from_secs(30);
/// Bytes that a sender brings in that time at least.
const BYTES_MIN: u64 = 30 * 1024;

/// The pace of one sender: only the time counts in which it was waited for.
#[derive(Debug, Default)]
pub(super) struct Pace {
    waited: Duration,
    bytes: u64,
}

impl Pace {
    /// How long the sender may take for its next bytes; when that time is over it is too slow.
    pub(super) fn patience(&self) -> Duration {
        WINDOW.saturating_sub(self.waited)
    }

    /// The sender brought something for which it was waited since `asked`.
    pub(super) fn brought(&mut self, bytes: usize, asked: Instant) {
        self.waited += asked.elapsed();
        self.bytes += bytes as u64;
        if self.bytes >= BYTES_MIN {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn drops_in_time_do_not_make_a_pace() {
        let mut pace = Pace::default();
        let mut patient = Duration::ZERO;
        while !pace.patience().is_zero() {
            let asked = Instant::now();
            tokio::time::advance(Duration::from_secs(1)).await;
            pace.brought(100, asked);
            patient += Duration::from_secs(1);
        }
        assert_eq!(patient, WINDOW);
        let mut pace = Pace::default();
        for _ in 0..100 {
            let asked = Instant::now();
            tokio::time::advance(Duration::from_secs(20)).await;
            pace.brought(30 * 1024, asked);
            assert_eq!(pace.patience(), WINDOW);
        }
    }
}

//! The server's time, and ids minted in it.

use hansard_model::{LogTime, MessageId};

use crate::backoff::Dice;

/// A moment as this device knows it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds of a clock that never goes back, from any start.
    pub tick_ms: u64,
    /// Milliseconds since the Unix epoch, as this device believes.
    pub wall_ms: u64,
}

/// Estimates the server's clock and mints ids that rise.
#[derive(Debug, Default)]
pub(crate) struct ServerClock {
    /// What the server said, and the local tick at which it said so.
    heard: Option<(u64, u64)>,
    last_ms: u64,
    ordinal: u16,
}

/// Ids that one millisecond can tell apart (the 12 bits `rand_a` of a version 7 UUID).
const IDS_PER_MS: u16 = 1 << 12;

impl ServerClock {
    pub(crate) fn hear(&mut self, now: Moment, server_time: LogTime) {
        self.heard = Some((server_time.as_millis(), now.tick_ms));
        // Ids made while this device's clock ran ahead must not pull later ones along.
        self.last_ms = self.last_ms.min(server_time.as_millis());
    }

    /// Milliseconds since the Unix epoch: the server's clock once it was heard, else this
    /// device's.
    pub(crate) fn now_ms(&self, now: Moment) -> u64 {
        match self.heard {
            Some((server_ms, tick_ms)) => {
                server_ms.saturating_add(now.tick_ms.saturating_sub(tick_ms))
            }
            None => now.wall_ms,
        }
    }

    /// A new id, larger than the one before unless the clock was put right in between.
    pub(crate) fn mint(&mut self, now: Moment, dice: &mut Dice) -> MessageId {
        let now_ms = self.now_ms(now);
        if now_ms > self.last_ms {
            (self.last_ms, self.ordinal) = (now_ms, 0);
        } else {
            self.ordinal += 1;
            if self.ordinal == IDS_PER_MS {
                (self.last_ms, self.ordinal) = (self.last_ms + 1, 0);
            }
        }
        let mut random = [0; 10];
        random[..2].copy_from_slice(&self.ordinal.to_be_bytes());
        random[2..].copy_from_slice(&dice.roll().to_be_bytes());
        MessageId::new(self.last_ms, random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(tick_ms: u64, wall_ms: u64) -> Moment {
        Moment { tick_ms, wall_ms }
    }

    #[test]
    fn ids_rise_within_one_millisecond_and_beyond_its_ordinals() {
        let (mut clock, mut dice) = (ServerClock::default(), Dice::new(3));
        let ids: Vec<_> = (0..10_000).map(|_| clock.mint(at(0, 5_000), &mut dice)).collect();
        assert!(ids.windows(2).all(|pair| pair[0] < pair[1]));
        assert!(ids.last().expect("some").millis() < 5_004);
    }

    #[test]
    fn the_server_corrects_a_clock_that_is_an_hour_ahead() {
        let (mut clock, mut dice) = (ServerClock::default(), Dice::new(3));
        assert_eq!(clock.mint(at(0, 3_600_000), &mut dice).millis(), 3_600_000);
        clock.hear(at(10, 3_600_010), LogTime::from_millis(1_000));
        assert_eq!(clock.mint(at(15, 3_600_015), &mut dice).millis(), 1_005);
    }
}

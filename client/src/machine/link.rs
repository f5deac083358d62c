//! The connection as the machine sees it: which gateway, which phase, until when.

use crate::backoff::{Backoff, Dice};
use crate::machine::clock::Moment;

/// Connecting, the WebSocket upgrade included, may take this long, in milliseconds.
const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// `welcome` may take this long after `hello`, in milliseconds.
const WELCOME_TIMEOUT_MS: u64 = 20_000;
/// A server that was not heard for this many tenths of a heartbeat is taken for dead.
const SILENT_AFTER_TENTHS: u64 = 25;

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) phase: Phase,
    /// Losses since the last catch-up that came to its end.
    attempt: u32,
    pub(crate) gateway: usize,
    gateways: usize,
    backoff: Backoff,
    /// What the server asked to wait, in milliseconds.
    pub(crate) retry_after_ms: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Waiting { until: u64 },
    Connecting { until: u64 },
    Greeting { until: u64 },
    Online(Online),
    Stopped,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Online {
    silence_ms: u64,
    heard_at: u64,
    pub(crate) leave_at: Option<u64>,
    pub(crate) in_flight_max: usize,
}

impl Online {
    pub(crate) fn new(now: Moment, heartbeat_s: u64, in_flight_max: usize) -> Self {
        let silence_ms = heartbeat_s.max(1).saturating_mul(1_000 * SILENT_AFTER_TENTHS / 10);
        Self {
            silence_ms,
            heard_at: now.tick_ms,
            leave_at: None,
            in_flight_max: in_flight_max.max(1),
        }
    }

    pub(crate) fn silent_at(&self) -> u64 {
        self.heard_at.saturating_add(self.silence_ms)
    }
}

impl Link {
    pub(crate) fn new(gateways: usize, backoff: Backoff) -> Self {
        let phase = Phase::Waiting { until: 0 };
        Self { phase, attempt: 0, gateway: 0, gateways, backoff, retry_after_ms: 0 }
    }

    pub(crate) fn connecting(&mut self, now: Moment) {
        self.phase = Phase::Connecting { until: now.tick_ms + CONNECT_TIMEOUT_MS };
    }

    pub(crate) fn greeting(&mut self, now: Moment) {
        self.phase = Phase::Greeting { until: now.tick_ms + WELCOME_TIMEOUT_MS };
    }

    pub(crate) fn heard(&mut self, now: Moment) {
        if let Phase::Online(online) = &mut self.phase {
            online.heard_at = now.tick_ms;
        }
    }

    pub(crate) fn settled(&mut self) {
        self.attempt = 0;
    }

    /// Waits before the next try, at the next gateway. Returns the delay in milliseconds.
    pub(crate) fn wait(&mut self, now: Moment, dice: &mut Dice) -> u64 {
        let delay_ms = self.retry_after_ms + self.backoff.delay_ms(self.attempt, dice);
        self.retry_after_ms = 0;
        self.attempt = self.attempt.saturating_add(1);
        self.gateway = (self.gateway + 1) % self.gateways.max(1);
        self.phase = Phase::Waiting { until: now.tick_ms + delay_ms };
        delay_ms
    }

    pub(crate) fn restart(&mut self, now: Moment) {
        self.attempt = 0;
        self.phase = Phase::Waiting { until: now.tick_ms };
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        match self.phase {
            Phase::Waiting { until } | Phase::Connecting { until } | Phase::Greeting { until } => {
                Some(until)
            }
            Phase::Online(online) => online.leave_at.into_iter().chain([online.silent_at()]).min(),
            Phase::Stopped => None,
        }
    }
}

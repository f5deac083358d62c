//! The connection as the machine sees it: which gateway, which phase, until when.

use hansard_protocol::server::Reconnect;

use crate::backoff::{Backoff, Dice};
use crate::machine::clock::Moment;
use crate::machine::places::Places;
use crate::update::Loss;

/// Asking where to connect may take this long, in milliseconds; then one of those known is tried.
const ASK_TIMEOUT_MS: u64 = 3_000;
/// Connecting, the WebSocket upgrade included, may take this long, in milliseconds.
const CONNECT_TIMEOUT_MS: u64 = 10_000;
/// `welcome` may take this long after `hello`, in milliseconds.
const WELCOME_TIMEOUT_MS: u64 = 20_000;
/// A server that was not heard for this many tenths of a heartbeat is taken for dead.
const SILENT_AFTER_TENTHS: u64 = 25;
/// How often in a row a gateway may tell when to come again before another is tried.
const HINTS_MAX: u32 = 3;

#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) phase: Phase,
    /// Losses since the last catch-up that came to its end.
    attempt: u32,
    /// How often the gateway has told when to come again, in a row.
    hinted: u32,
    /// The one that is tried, asked, or connected to.
    pub(crate) gateway: String,
    pub(crate) places: Places,
    backoff: Backoff,
    /// What the server asked to wait, in milliseconds.
    retry_after_ms: u64,
    /// It is this gateway's turn that is waited for.
    is_turn: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    Waiting { until: u64 },
    Asking { until: u64 },
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
    pub(crate) fn new(places: Places, backoff: Backoff) -> Self {
        Self {
            phase: Phase::Waiting { until: 0 },
            attempt: 0,
            hinted: 0,
            gateway: String::new(),
            places,
            backoff,
            retry_after_ms: 0,
            is_turn: false,
        }
    }

    /// Whether to ask which gateway to use, before the next attempt.
    pub(crate) fn is_to_ask(&self, now: Moment) -> bool {
        self.hinted == 0 && self.places.is_stale(now.tick_ms)
    }

    /// Asks one of the gateways for all of them.
    pub(crate) fn asking(&mut self, now: Moment) {
        if self.hinted == 0 {
            self.gateway = self.places.next(now.tick_ms);
        }
        self.phase = Phase::Asking { until: now.tick_ms + ASK_TIMEOUT_MS };
    }

    pub(crate) fn connecting(&mut self, now: Moment) {
        // The one that told when to come again is the one to come back to.
        if self.hinted == 0 {
            self.gateway = self.places.destination(now.tick_ms);
        }
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

    /// How to come back, within bounds, as the server says.
    pub(crate) fn reconnect_as(&mut self, reconnect: Option<Reconnect>) {
        if let Some(Reconnect { base_ms, cap_ms }) = reconnect.map(Reconnect::within_bounds) {
            self.backoff = Backoff { base_ms, cap_ms };
        }
    }

    /// Not before this many milliseconds, as the server says. `is_turn`: at this gateway, which
    /// then has a place.
    pub(crate) fn retry_after(&mut self, millis: u64, is_turn: bool) {
        (self.retry_after_ms, self.is_turn) = (millis.min(Reconnect::CAP_MS_MAX), is_turn);
    }

    /// The gateway took the connection: what was said of coming again before is over.
    pub(crate) fn welcomed(&mut self) {
        (self.retry_after_ms, self.is_turn) = (0, false);
    }

    pub(crate) fn settled(&mut self) {
        (self.attempt, self.hinted) = (0, 0);
    }

    /// Waits before the next try. Returns the delay in milliseconds.
    pub(crate) fn wait(&mut self, now: Moment, loss: &Loss, dice: &mut Dice) -> u64 {
        let retry_after_ms = std::mem::take(&mut self.retry_after_ms);
        let is_hinted = retry_after_ms > 0
            && self.is_turn
            && matches!(loss, Loss::Overloaded | Loss::Closed(4009));
        let delay_ms = if is_hinted && self.hinted < HINTS_MAX {
            // The server spreads those who wait; a little more is for clocks and networks.
            self.hinted += 1;
            retry_after_ms + self.backoff.delay_ms(self.hinted - 1, dice)
        } else {
            self.hinted = 0;
            // What is behind the gateway may be at fault: then the next one does no better.
            if !matches!(loss, Loss::Reset | Loss::Incomplete) {
                self.places.put_aside(&self.gateway, now.tick_ms);
            }
            if *loss == Loss::Drained {
                self.places.expire();
            }
            let delay_ms = self.backoff.delay_ms(self.attempt, dice);
            self.attempt = self.attempt.saturating_add(1);
            // What one gateway asked for is not for the next one.
            let is_same = self.places.next(now.tick_ms) == self.gateway;
            delay_ms + if is_same { retry_after_ms } else { 0 }
        };
        self.phase = Phase::Waiting { until: now.tick_ms + delay_ms };
        delay_ms
    }

    pub(crate) fn restart(&mut self, now: Moment) {
        self.settled();
        self.phase = Phase::Waiting { until: now.tick_ms };
    }

    pub(crate) fn deadline(&self) -> Option<u64> {
        match self.phase {
            Phase::Waiting { until }
            | Phase::Asking { until }
            | Phase::Connecting { until }
            | Phase::Greeting { until } => Some(until),
            Phase::Online(online) => online.leave_at.into_iter().chain([online.silent_at()]).min(),
            Phase::Stopped => None,
        }
    }
}

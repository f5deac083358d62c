//! One timer wheel for all connections: pings, the deadline of `hello`, the end of tokens, and
//! cursors. A connection costs a weak handle in a slot, not a timer.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::time::Duration;

use hansard_model::LogTime;

use crate::Gateway;
use crate::frame::Frame;
use crate::outbox::Outbox;
use crate::router::Link;

/// Seconds between pings, as `welcome` says.
pub(crate) const HEARTBEAT_S: u64 = 30;
/// Seconds until the first frame must have come.
const HELLO_WITHIN_S: usize = 10;
/// Pings that may be unanswered.
const UNANSWERED_MAX: u8 = 2;
/// Beats between cursors: every 60 s while events flow.
const CURSOR_EVERY_BEATS: u32 = 2;
/// Seconds over which the pings of connections that came at once are spread.
const SPREAD_S: usize = 8;
/// Slots of the wheel, one second each: more than the longest wait.
const SLOTS: usize = 64;

/// What the wheel knows of a connection.
pub(crate) struct Pulse {
    outbox: Arc<Outbox>,
    /// `hello` was read; it may take a while to be answered.
    greeted: AtomicBool,
    link: OnceLock<Weak<Link>>,
    unanswered: AtomicU8,
    beats: AtomicU32,
}

/// The wheel.
pub(crate) struct Wheel {
    slots: Mutex<Slots>,
}

struct Slots {
    slots: Vec<Vec<Weak<Pulse>>>,
    at: usize,
    /// How many were put in: spreads those that come at once.
    turn: usize,
}

impl Pulse {
    /// Of a connection that has not said who it is.
    pub(crate) fn new(outbox: Arc<Outbox>) -> Self {
        Self {
            outbox,
            greeted: AtomicBool::new(false),
            link: OnceLock::new(),
            unanswered: AtomicU8::new(0),
            beats: AtomicU32::new(0),
        }
    }

    /// `hello` came: how long it takes from here on is not the client's doing.
    pub(crate) fn greeted(&self) {
        self.greeted.store(true, Ordering::Relaxed);
    }

    /// The connection has said who it is.
    pub(crate) fn identified(&self, link: &Arc<Link>) {
        // A connection says `hello` once.
        let _ = self.link.set(Arc::downgrade(link));
    }

    /// Something came: the other side lives.
    pub(crate) fn heard(&self) {
        self.unanswered.store(0, Ordering::Relaxed);
    }

    /// Pings, or gives the connection up.
    fn ping(&self) -> bool {
        if self.unanswered.load(Ordering::Relaxed) >= UNANSWERED_MAX {
            self.outbox.abort(1001, "no answer to pings");
            return false;
        }
        self.unanswered.fetch_add(1, Ordering::Relaxed);
        self.outbox.push(Frame::ping());
        true
    }

    /// The connection's turn; gives the seconds until the next, `None` when there is none.
    fn beat(&self, gateway: &Gateway) -> Option<usize> {
        let Some(link) = self.link.get().and_then(Weak::upgrade) else {
            return self.await_hello();
        };
        let left = match gateway.directory.session_ends(link.user, link.device) {
            // Revoked: whoever follows the accounts closes it, this is for what came in between.
            None => return self.end(4003, "the session is over"),
            Some(ends) => seconds_until(ends, gateway.clock.now().ok()),
        };
        if left == 0 {
            return self.end(4001, "the token has expired");
        }
        if !self.ping() {
            return None;
        }
        let beats = self.beats.fetch_add(1, Ordering::Relaxed);
        if beats % CURSOR_EVERY_BEATS == 1 {
            gateway.router.settle(&link);
            if link.take_fresh() {
                gateway.router.push_cursor(&link);
            }
        }
        Some((HEARTBEAT_S as usize).min(left))
    }

    /// Looks again later while `hello` is answered, which ends by itself; gives up who did not say
    /// it in time. A slow network is no fault of the client: it may come again.
    fn await_hello(&self) -> Option<usize> {
        if self.greeted.load(Ordering::Relaxed) {
            return Some(HELLO_WITHIN_S);
        }
        self.end(1001, "no hello in time")
    }

    fn end(&self, code: u16, reason: &'static str) -> Option<usize> {
        self.outbox.abort(code, reason);
        None
    }
}

/// Whole seconds, rounded up; far away when the time is not known.
fn seconds_until(ends: LogTime, now: Option<LogTime>) -> usize {
    let Some(now) = now else { return usize::MAX };
    let left = ends.since(now);
    usize::try_from(left.as_millis().div_ceil(1_000)).unwrap_or(usize::MAX)
}

impl Wheel {
    /// An empty wheel.
    pub(crate) fn new() -> Self {
        Self { slots: Mutex::new(Slots { slots: vec![Vec::new(); SLOTS], at: 0, turn: 0 }) }
    }

    /// Watches a new connection until it is dropped.
    pub(crate) fn watch(&self, pulse: &Arc<Pulse>) {
        let mut slots = self.lock();
        slots.turn = slots.turn.wrapping_add(1);
        slots.put(Arc::downgrade(pulse), HELLO_WITHIN_S);
    }

    /// Turns until dropped.
    pub(crate) async fn run(&self, gateway: &Gateway) {
        let mut seconds = tokio::time::interval(Duration::from_secs(1));
        seconds.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            seconds.tick().await;
            self.turn(|pulse| pulse.beat(gateway));
        }
    }

    /// One second has passed.
    fn turn(&self, beat: impl Fn(&Pulse) -> Option<usize>) {
        let due = self.lock().next();
        // Beats are outside the lock: they take the router's.
        let mut again = Vec::with_capacity(due.len());
        for weak in due {
            let Some(pulse) = weak.upgrade() else { continue };
            let first = pulse.beats.load(Ordering::Relaxed) == 0;
            if let Some(wait) = beat(&pulse) {
                again.push((weak, wait, first));
            }
        }
        let mut slots = self.lock();
        for (weak, wait, first) in again {
            slots.turn = slots.turn.wrapping_add(1);
            let early = if first { slots.turn % SPREAD_S } else { 0 };
            slots.put(weak, wait.saturating_sub(early));
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Slots {
    fn put(&mut self, pulse: Weak<Pulse>, seconds: usize) {
        let slot = (self.at + seconds.clamp(1, SLOTS - 1)) % SLOTS;
        self.slots[slot].push(pulse);
    }

    fn next(&mut self) -> Vec<Weak<Pulse>> {
        self.at = (self.at + 1) % SLOTS;
        std::mem::take(&mut self.slots[self.at])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulse() -> Arc<Pulse> {
        Arc::new(Pulse::new(Arc::new(Outbox::new(1_000))))
    }

    #[test]
    fn a_connection_has_its_turn_when_it_is_due() {
        let (wheel, pulse) = (Wheel::new(), pulse());
        wheel.watch(&pulse);
        let turns = AtomicU32::new(0);
        for second in 1..=100 {
            wheel.turn(|_| {
                turns.fetch_add(1, Ordering::Relaxed);
                Some(40)
            });
            let wanted = u32::from(second >= HELLO_WITHIN_S);
            assert!(turns.load(Ordering::Relaxed) >= wanted, "late in second {second}");
            if second < HELLO_WITHIN_S {
                assert_eq!(turns.load(Ordering::Relaxed), 0, "early in second {second}");
            }
        }
        assert_eq!(turns.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn a_connection_that_is_gone_costs_nothing() {
        let (wheel, pulse) = (Wheel::new(), pulse());
        wheel.watch(&pulse);
        drop(pulse);
        for _ in 0..SLOTS {
            wheel.turn(|_| Some(1));
        }
        assert!(wheel.lock().slots.iter().all(Vec::is_empty));
    }

    #[test]
    fn two_unanswered_pings_end_a_connection_and_an_answer_does_not() {
        let pulse = pulse();
        assert!(pulse.ping() && pulse.ping());
        pulse.heard();
        assert!(pulse.ping() && pulse.ping());
        assert!(!pulse.ping());
        assert_eq!(pulse.outbox.closing().map(|closing| closing.code), Some(1001));
    }

    #[test]
    fn who_says_no_hello_in_time_may_come_again_and_who_said_it_is_waited_for() {
        let pulse = pulse();
        pulse.greeted();
        assert_eq!(pulse.await_hello(), Some(HELLO_WITHIN_S));
        assert!(pulse.outbox.closing().is_none());
        let silent = Arc::new(Pulse::new(Arc::new(Outbox::new(1_000))));
        assert_eq!(silent.await_hello(), None);
        assert_eq!(silent.outbox.closing().map(|closing| closing.code), Some(1001));
    }

    #[test]
    fn the_end_of_a_token_is_not_slept_through() {
        let now = LogTime::from_millis(10_000);
        assert_eq!(seconds_until(LogTime::from_millis(10_001), Some(now)), 1);
        assert_eq!(seconds_until(now, Some(now)), 0);
        assert_eq!(seconds_until(now, None), usize::MAX);
    }
}

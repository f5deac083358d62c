//! What happened to each message of a round.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::Load;
use super::socket::Everybody;
use crate::bench::report::Latency;

/// Messages per second that a round has room for; beyond, senders stop.
const RATE_MAX: f64 = 150_000.0;

pub(super) struct Round {
    pub(super) load: Load,
    pub(super) everybody: Everybody,
    began: Instant,
    sending: AtomicBool,
    /// The next message's number.
    next: AtomicUsize,
    slots: Vec<Slot>,
    sent: AtomicUsize,
    acked: AtomicUsize,
    acked_in_time: AtomicUsize,
    refused: AtomicUsize,
    arrived: AtomicUsize,
    own: AtomicUsize,
    codes: Mutex<BTreeMap<String, usize>>,
}

/// Moments in nanoseconds since the round began; 0: not yet.
#[derive(Default)]
struct Slot {
    sent: AtomicU64,
    acked: AtomicU64,
    /// Of the last of the others to get it.
    arrived: AtomicU64,
    arrivals: AtomicU32,
}

/// The figures of a round.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(in crate::bench) struct RoundReport {
    /// Length of the part in which was sent.
    pub(in crate::bench) seconds: f64,
    pub(in crate::bench) sent: usize,
    pub(in crate::bench) acked: usize,
    /// Acknowledged while sending went on, per second.
    pub(in crate::bench) acked_per_s: f64,
    pub(in crate::bench) refused: BTreeMap<String, usize>,
    /// Messages that reached others, once for each of them; and how many should have.
    pub(in crate::bench) arrivals: usize,
    pub(in crate::bench) arrivals_due: usize,
    /// Messages that came back to their senders' own connections.
    pub(in crate::bench) own_arrivals: usize,
    /// Messages that did not reach everybody.
    pub(in crate::bench) incomplete: usize,
    pub(in crate::bench) send_to_ack: Latency,
    /// To the last of the others; 0 where the event was there before the ack.
    pub(in crate::bench) ack_to_event: Latency,
    pub(in crate::bench) send_to_event: Latency,
    /// Of the clients' own process, while sending went on.
    pub(in crate::bench) clients_cpu_s: f64,
    pub(in crate::bench) connections_lost: usize,
}

impl Round {
    pub(super) fn new(load: Load, everybody: Everybody) -> Self {
        let room = load.rate.map_or(RATE_MAX, |rate| rate * 1.5) * load.seconds;
        let slots = (0..room as usize + 1_000).map(|_| Slot::default()).collect();
        Self {
            load,
            everybody,
            began: Instant::now(),
            sending: AtomicBool::new(true),
            next: AtomicUsize::new(0),
            slots,
            sent: AtomicUsize::new(0),
            acked: AtomicUsize::new(0),
            acked_in_time: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            arrived: AtomicUsize::new(0),
            own: AtomicUsize::new(0),
            codes: Mutex::default(),
        }
    }

    fn now(&self) -> u64 {
        self.began.elapsed().as_nanos() as u64
    }

    pub(super) fn is_sending(&self) -> bool {
        self.sending.load(Ordering::Relaxed)
    }

    pub(super) fn stop_sending(&self) {
        self.sending.store(false, Ordering::Relaxed);
    }

    /// How many of the others get a message.
    fn others(&self) -> usize {
        if self.load.group.is_some() { self.everybody.len() - 1 } else { 1 }
    }

    /// Takes a number for a message that is sent now; `None` when the round is over or full.
    pub(super) fn begin(&self) -> Option<u64> {
        if !self.is_sending() {
            return None;
        }
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let slot = self.slots.get(number)?;
        self.sent.fetch_add(1, Ordering::Relaxed);
        slot.sent.store(self.now(), Ordering::Relaxed);
        Some(number as u64)
    }

    pub(super) fn acked(&self, number: u64) {
        let Some(slot) = self.slots.get(number as usize) else { return };
        slot.acked.store(self.now(), Ordering::Relaxed);
        self.acked.fetch_add(1, Ordering::Relaxed);
        if self.is_sending() {
            self.acked_in_time.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn refused(&self, code: String) {
        self.refused.fetch_add(1, Ordering::Relaxed);
        *self.codes.lock().unwrap_or_else(PoisonError::into_inner).entry(code).or_default() += 1;
    }

    pub(super) fn arrived(&self, number: u64, is_own: bool) {
        let Some(slot) = self.slots.get(number as usize) else { return };
        if is_own {
            self.own.fetch_add(1, Ordering::Relaxed);
            return;
        }
        slot.arrived.fetch_max(self.now(), Ordering::Relaxed);
        slot.arrivals.fetch_add(1, Ordering::Relaxed);
        self.arrived.fetch_add(1, Ordering::Relaxed);
    }

    /// Whether everything sent was answered, and everything acknowledged has arrived.
    pub(super) fn is_settled(&self) -> bool {
        let sent = self.sent.load(Ordering::Relaxed);
        let acked = self.acked.load(Ordering::Relaxed);
        acked + self.refused.load(Ordering::Relaxed) >= sent
            && self.arrived.load(Ordering::Relaxed) >= acked * self.others()
            && self.own.load(Ordering::Relaxed) >= acked
    }

    pub(super) fn report(&self, clients_cpu_s: f64) -> RoundReport {
        let (sent, acked) = (self.sent.load(Ordering::Relaxed), self.acked.load(Ordering::Relaxed));
        let others = self.others();
        let (mut to_ack, mut ack_to_event, mut to_event) = (Vec::new(), Vec::new(), Vec::new());
        let mut incomplete = 0;
        for slot in self.slots.iter().take(sent) {
            let began = slot.sent.load(Ordering::Relaxed);
            let answered = slot.acked.load(Ordering::Relaxed);
            if answered == 0 {
                continue;
            }
            to_ack.push(answered.saturating_sub(began));
            if slot.arrivals.load(Ordering::Relaxed) as usize == others {
                let arrived = slot.arrived.load(Ordering::Relaxed);
                ack_to_event.push(arrived.saturating_sub(answered));
                to_event.push(arrived.saturating_sub(began));
            } else {
                incomplete += 1;
            }
        }
        let seconds = self.load.seconds;
        RoundReport {
            seconds,
            sent,
            acked,
            acked_per_s: self.acked_in_time.load(Ordering::Relaxed) as f64 / seconds,
            refused: self.codes.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            arrivals: self.arrived.load(Ordering::Relaxed),
            arrivals_due: acked * others,
            own_arrivals: self.own.load(Ordering::Relaxed),
            incomplete,
            send_to_ack: Latency::of(to_ack),
            ack_to_event: Latency::of(ack_to_event),
            send_to_event: Latency::of(to_event),
            clients_cpu_s,
            connections_lost: 0,
        }
    }
}

//! Publishing to the same streams without the gateway: what its price is measured against.
//!
//! Two kinds: [`Kind::Bare`], a payload and nothing else, the least that async-nats does for an
//! acknowledged publish; and [`Kind::Log`], the same with the headers that an event has (identity
//! for deduplication, `Vouch-Until`, kind), which makes it valid: the projector and the gateway are at
//! work too, delivering it, and only accepting it through the gateway is left out. Each on one connection, with as many in flight and
//! spread over as many conversations as the gateway's round.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context;
use futures_util::future::BoxFuture;
use hansard_model::event::EventClass;
use hansard_model::record::EventKey;
use hansard_model::subject::Subject;
use hansard_model::{ConversationId, MessageId};
use hansard_nats::Log;
use hansard_nats::log::Append;
use serde::Serialize;

use super::clients::Load;
use super::deployment::Bench;
use super::dice::Dice;
use super::people::{Person, random};
use super::report::Latency;
use super::{machine, payload};

/// Publishers: each keeps its share in flight.
const WORKERS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bare,
    Log,
}

/// The figures of a round.
#[derive(Debug, Serialize)]
pub(super) struct RawReport {
    pub(super) acked: usize,
    pub(super) acked_per_s: f64,
    pub(super) failed: usize,
    pub(super) send_to_ack: Latency,
    /// Of this process.
    pub(super) publisher_cpu_s: f64,
}

struct Worker {
    kind: Kind,
    log: Log,
    people: Arc<Vec<Person>>,
    load: Load,
    workers: usize,
    sending: Arc<AtomicBool>,
    in_time: Arc<AtomicUsize>,
    dice: Dice,
}

/// One round.
pub(super) async fn round(
    bench: &Bench,
    kind: Kind,
    people: &Arc<Vec<Person>>,
    load: &Load,
) -> anyhow::Result<RawReport> {
    let (sending, in_time) = (Arc::new(AtomicBool::new(true)), Arc::new(AtomicUsize::new(0)));
    // A paced round has as many senders as the gateway's, so that its bursts are the same.
    let workers = if load.rate.is_some() { load.senders } else { WORKERS.min(load.in_flight) };
    let cpu = machine::cpu_s(std::process::id())?;
    let mut running = Vec::with_capacity(workers);
    for _ in 0..workers {
        let worker = Worker {
            kind,
            log: bench.log.clone(),
            people: Arc::clone(people),
            load: load.clone(),
            workers,
            sending: Arc::clone(&sending),
            in_time: Arc::clone(&in_time),
            dice: Dice::new(u64::from_le_bytes(random()?)),
        };
        running.push(tokio::spawn(worker.run()));
    }
    tokio::time::sleep(Duration::from_secs_f64(load.seconds)).await;
    sending.store(false, Ordering::Relaxed);
    let publisher_cpu_s = machine::cpu_s(std::process::id())? - cpu;
    let (mut nanos, mut failed) = (Vec::new(), 0);
    for worker in running {
        let (measured, lost) = worker.await??;
        nanos.extend(measured);
        failed += lost;
    }
    Ok(RawReport {
        acked: nanos.len(),
        acked_per_s: in_time.load(Ordering::Relaxed) as f64 / load.seconds,
        failed,
        send_to_ack: Latency::of(nanos),
        publisher_cpu_s,
    })
}

type Pending = BoxFuture<'static, (Instant, Instant, bool)>;

impl Worker {
    /// Latencies in nanoseconds, and how many failed.
    async fn run(mut self) -> anyhow::Result<(Vec<u64>, usize)> {
        let window = self.load.in_flight.div_ceil(self.workers).max(1);
        let period = self.load.rate.map(|rate| Duration::from_secs_f64(self.workers as f64 / rate));
        let mut due = tokio::time::Instant::now();
        if let Some(period) = period {
            due += period.mul_f64(self.dice.share());
        }
        let (mut pending, mut nanos, mut failed) = (VecDeque::<Pending>::new(), Vec::new(), 0);
        loop {
            let sending = self.sending.load(Ordering::Relaxed);
            if period.is_some() && sending {
                // Between the moments to send, acknowledgements are noted as they come.
                while let Some(first) = pending.front_mut() {
                    tokio::select! {
                        done = first => {
                            pending.pop_front();
                            self.note(done, &mut nanos, &mut failed);
                        }
                        () = tokio::time::sleep_until(due) => break,
                    }
                }
                tokio::time::sleep_until(due).await;
                due += period.unwrap_or_default();
            }
            if sending && pending.len() < window {
                pending.push_back(self.publish().await?);
                continue;
            }
            let Some(first) = pending.pop_front() else { return Ok((nanos, failed)) };
            let done = first.await;
            self.note(done, &mut nanos, &mut failed);
        }
    }

    fn note(
        &self,
        (began, ended, stored): (Instant, Instant, bool),
        nanos: &mut Vec<u64>,
        failed: &mut usize,
    ) {
        if !stored {
            *failed += 1;
            return;
        }
        nanos.push((ended - began).as_nanos() as u64);
        if self.sending.load(Ordering::Relaxed) {
            self.in_time.fetch_add(1, Ordering::Relaxed);
        }
    }

    async fn publish(&mut self) -> anyhow::Result<Pending> {
        let mut anybody = || self.people.get(self.dice.below(self.people.len()));
        let sender = anybody().context("nobody")?;
        let other = anybody().context("nobody")?;
        let conversation = ConversationId::direct(sender.user, other.user);
        let (user, device) = (sender.user, sender.device);
        let until = self.log.clock().now()?.plus(Duration::from_secs(60));
        let id = MessageId::new(until.as_millis(), self.dice.id_bytes());
        let text = payload::text(self.load.payload, 0, payload::UNCOUNTED);
        let payload = payload::stored(id, user, device, text).into();
        let began = Instant::now();
        Ok(match self.kind {
            Kind::Bare => {
                let partition = self.log.partition_of(conversation);
                let subject = Subject::event(partition, conversation, EventClass::Msg);
                let pending = self.log.connection().publish_raw(&subject, payload).await?;
                Box::pin(async move {
                    let stored = pending.await.is_ok();
                    (began, Instant::now(), stored)
                })
            }
            Kind::Log => {
                let key = EventKey { conversation, sender: user, id };
                let (class, kind, void, expected) = (EventClass::Msg, "message", Vec::new(), None);
                let append =
                    Append { key, void, class, kind, vouch_until: until, expected, payload };
                let pending = self.log.append(append).await?;
                Box::pin(async move {
                    let stored = pending.await.is_ok();
                    (began, Instant::now(), stored)
                })
            }
        })
    }
}

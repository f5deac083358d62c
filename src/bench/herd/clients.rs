//! `hansard bench herd-clients`: a process full of clients that decide as the SDK does.

use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use hansard_client::machine::clock::Moment;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::time::Instant;

use super::client::Client;
use super::orders::{Brief, Order, Progress, Report, Totals, wall_us};

/// What the clients of a process share.
pub(super) struct Shared {
    notes: Mutex<Notes>,
    clock: Instant,
}

/// What was noted.
pub(super) struct Notes {
    pub(super) report: Report,
    pub(super) progress: Vec<Progress>,
    /// Which phase this is, counted from 0.
    pub(super) phase: u64,
    /// Whether speakers speak in it.
    pub(super) speak: bool,
}

impl Shared {
    pub(super) fn note<T>(&self, note: impl FnOnce(&mut Notes) -> T) -> T {
        note(&mut self.notes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn now(&self) -> Moment {
        let tick_ms = u64::try_from(self.clock.elapsed().as_millis()).unwrap_or(u64::MAX);
        Moment { tick_ms, wall_ms: wall_us() / 1_000 }
    }
}

impl Notes {
    fn obey(&mut self, order: Order) -> serde_json::Result<String> {
        match order {
            Order::Look => serde_json::to_string(&self.report.totals),
            Order::Progress { speakers } => {
                let progress = self.progress.iter();
                let asked = progress.filter(|progress| !speakers || progress.said.is_some());
                serde_json::to_string(&asked.collect::<Vec<_>>())
            }
            Order::Begin { speak } => {
                let totals: Totals = self.report.totals.clone();
                let ended =
                    std::mem::replace(&mut self.report, Report { totals, ..Report::default() });
                (self.phase, self.speak) = (self.phase + 1, speak);
                serde_json::to_string(&ended)
            }
        }
    }
}

pub(in crate::bench) async fn run() -> anyhow::Result<()> {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    let first = lines.next_line().await?.context("no brief")?;
    let brief: Brief = serde_json::from_str(&first).context("brief")?;
    let progress = brief.members.iter().map(|member| Progress {
        group: member.group,
        number: 0,
        said: member.every.map(|_| 0),
        acked_said_at_us: 0,
    });
    let totals = Totals { clients: brief.members.len(), ..Totals::default() };
    let notes = Notes {
        report: Report { totals, ..Report::default() },
        progress: progress.collect(),
        phase: 0,
        speak: false,
    };
    let shared = Arc::new(Shared { notes: Mutex::new(notes), clock: Instant::now() });
    let count = brief.members.len().max(1) as f64;
    for (index, member) in brief.members.into_iter().enumerate() {
        let client = Client::new(&brief.gateways, member, index, Arc::clone(&shared))?;
        let arrival = Instant::now() + brief.arrive_within.mul_f64(index as f64 / count);
        tokio::spawn(async move {
            tokio::time::sleep_until(arrival).await;
            client.run().await;
        });
    }
    while let Some(line) = lines.next_line().await? {
        let order = serde_json::from_str(&line)?;
        let answer = shared.note(|notes| notes.obey(order))?;
        let mut out = std::io::stdout().lock();
        writeln!(out, "{answer}").and_then(|()| out.flush())?;
    }
    Ok(())
}

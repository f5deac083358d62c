//! The bench's end of the processes full of clients.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hansard_model::ConversationId;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};

use super::orders::{Brief, Member, Order, Progress, Report, Totals};
use crate::bench::deployment::Bench;
use crate::bench::process::{Process, Recipe};

/// Clients of one process: of the files that it may open, each needs one, and for moments two.
const CLIENTS_EACH: usize = 2_000;
/// How long an order may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// All clients. Dropping it ends them.
pub(super) struct Crowd {
    flocks: Vec<Flock>,
}

/// One process of them.
struct Flock {
    process: Process,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Flock {
    async fn start(bench: &Bench, name: &str, brief: &Brief) -> anyhow::Result<Self> {
        let recipe = Recipe::new(name, &bench.logs, None, &["bench", "herd-clients"]);
        let mut process = recipe.start().await?;
        let (orders, answers) = (process.take_stdin()?, process.take_lines()?);
        let mut flock = Self { process, orders, answers };
        flock.write(&serde_json::to_string(brief)?).await?;
        Ok(flock)
    }

    async fn write(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(self.orders.write_all(format!("{line}\n").as_bytes()).await?)
    }

    async fn ask<T: DeserializeOwned>(&mut self, order: Order) -> anyhow::Result<T> {
        self.write(&serde_json::to_string(&order)?).await?;
        let answer = tokio::time::timeout(ANSWER_WITHIN, self.answers.next_line())
            .await
            .context("the clients do not answer")??;
        Ok(serde_json::from_str(&answer.context("the clients ended: see their log")?)?)
    }
}

impl Crowd {
    /// Starts the clients, who come spread over a time.
    pub(super) async fn start(
        bench: &Bench,
        members: &[Member],
        arrive_within: Duration,
    ) -> anyhow::Result<Self> {
        let gateways: Vec<String> =
            bench.gateways.iter().map(|gateway| format!("http://{}", gateway.address)).collect();
        let mut flocks = Vec::new();
        for (number, members) in members.chunks(CLIENTS_EACH).enumerate() {
            let brief =
                Brief { gateways: gateways.clone(), arrive_within, members: members.to_vec() };
            flocks.push(Flock::start(bench, &format!("herd-clients-{number}"), &brief).await?);
        }
        Ok(Self { flocks })
    }

    async fn ask<T: DeserializeOwned>(&mut self, order: Order) -> anyhow::Result<Vec<T>> {
        let answers = self.flocks.iter_mut().map(|flock| flock.ask(order));
        futures_util::future::try_join_all(answers).await
    }

    /// How it is.
    pub(super) async fn look(&mut self) -> anyhow::Result<Totals> {
        let totals: Vec<Totals> = self.ask(Order::Look).await?;
        Ok(totals.iter().fold(Totals::default(), |mut all, totals| {
            all.add(totals);
            all
        }))
    }

    /// Begins another phase; what happened in the one before.
    pub(super) async fn begin(&mut self, speak: bool) -> anyhow::Result<Report> {
        let reports: Vec<Report> = self.ask(Order::Begin { speak }).await?;
        Ok(reports.into_iter().fold(Report::default(), |mut all, report| {
            all.add(report);
            all
        }))
    }

    /// Waits until the totals are so; `meanwhile` is called whenever they are looked at.
    pub(super) async fn until(
        &mut self,
        what: &str,
        within: Duration,
        is_so: impl Fn(&Totals) -> bool,
        mut meanwhile: impl FnMut() -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let totals = self.look().await?;
            meanwhile()?;
            if is_so(&totals) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("not within {within:?}: {what}: {totals:?}");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until everybody who speaks has an acknowledgement of something said after a moment of
    /// the wall clock.
    pub(super) async fn until_all_speak(
        &mut self,
        since_us: u64,
        within: Duration,
    ) -> anyhow::Result<()> {
        let deadline = Instant::now() + within;
        loop {
            let progress: Vec<Vec<Progress>> = self.ask(Order::Progress { speakers: true }).await?;
            let waiting = progress.iter().flatten();
            let waiting = waiting.filter(|speaker| speaker.acked_said_at_us < since_us).count();
            if waiting == 0 {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("{waiting} speakers get no acknowledgement");
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Waits until everybody has the last message of their group; how many have not in the end.
    pub(super) async fn settle(&mut self, within: Duration) -> anyhow::Result<usize> {
        let deadline = Instant::now() + within;
        loop {
            let all: Vec<Vec<Progress>> = self.ask(Order::Progress { speakers: false }).await?;
            let said = all.iter().flatten().filter_map(|one| Some((one.group, one.said?)));
            let said: HashMap<ConversationId, u64> = said.collect();
            let is_behind = |one: &&Progress| said.get(&one.group) != Some(&one.number);
            let behind = all.iter().flatten().filter(is_behind).count();
            if behind == 0 || Instant::now() > deadline {
                return Ok(behind);
            }
            tokio::time::sleep(4 * LOOK_EVERY).await;
        }
    }

    /// The most memory that one of the processes holds, in bytes.
    pub(super) fn memory_bytes(&self) -> anyhow::Result<u64> {
        let pids = self.flocks.iter().map(|flock| flock.process.pid());
        let each = pids.map(crate::bench::machine::rss_bytes).collect::<Result<Vec<_>, _>>()?;
        Ok(each.into_iter().max().unwrap_or(0))
    }

    /// Ends the clients.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        for flock in self.flocks {
            drop(flock.orders);
            flock.process.stop().await?;
        }
        Ok(())
    }
}

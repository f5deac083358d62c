//! The bench's end of a process full of clients.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::io::{AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout};

use super::clients::{Answer, Churn, Load, Order, RoundReport, Watcher};
use super::deployment::Bench;
use super::people::Person;
use super::process::{Process, Recipe};

/// How long an order may take beside the length of its round.
const ANSWER_WITHIN: Duration = Duration::from_secs(180);

/// The clients. Dropping it ends them.
pub(super) struct Crowd {
    process: Process,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Crowd {
    pub(super) async fn start(bench: &Bench) -> anyhow::Result<Self> {
        let recipe = Recipe::new("clients", &bench.logs, None, &["bench", "clients"]);
        let mut process = recipe.start().await?;
        let (orders, answers) = (process.take_stdin()?, process.take_lines()?);
        Ok(Self { process, orders, answers })
    }

    /// Connects people; returns how many are connected then.
    pub(super) async fn connect(
        &mut self,
        address: SocketAddr,
        people: &[Person],
    ) -> anyhow::Result<usize> {
        let order = Order::Connect { address, people: people.to_vec() };
        self.count(order).await
    }

    /// Closes all but the first so many connections.
    pub(super) async fn keep(&mut self, count: usize) -> anyhow::Result<usize> {
        self.count(Order::Keep { count }).await
    }

    /// Puts load on, and reports when everything has arrived.
    pub(super) async fn load(&mut self, load: Load) -> anyhow::Result<RoundReport> {
        let seconds = Duration::from_secs_f64(load.seconds);
        match self.ask(&Order::Load(load), ANSWER_WITHIN + seconds).await? {
            Answer::Round(report) => Ok(*report),
            Answer::Connected(_) | Answer::Dropped(_) | Answer::Failed(_) => {
                bail!("not the answer to a load")
            }
        }
    }

    /// Connects people who watch others, or are in the background; how many are connected then.
    pub(super) async fn watch(
        &mut self,
        address: SocketAddr,
        watchers: Vec<Watcher>,
        background: bool,
    ) -> anyhow::Result<usize> {
        self.count(Order::Watch { address, watchers, background }).await
    }

    /// Drops connections of those who watch; how many.
    pub(super) async fn churn(&mut self, churn: Churn) -> anyhow::Result<usize> {
        let within = ANSWER_WITHIN + Duration::from_secs_f64(churn.seconds);
        match self.ask(&Order::Churn(churn), within).await? {
            Answer::Dropped(count) => Ok(count),
            Answer::Connected(_) | Answer::Round(_) | Answer::Failed(_) => bail!("not a churn"),
        }
    }

    async fn count(&mut self, order: Order) -> anyhow::Result<usize> {
        match self.ask(&order, ANSWER_WITHIN).await? {
            Answer::Connected(count) => Ok(count),
            Answer::Round(_) | Answer::Dropped(_) | Answer::Failed(_) => bail!("not a count"),
        }
    }

    async fn ask(&mut self, order: &Order, within: Duration) -> anyhow::Result<Answer> {
        let mut line = serde_json::to_vec(order)?;
        line.push(b'\n');
        self.orders.write_all(&line).await?;
        let answer = tokio::time::timeout(within, self.answers.next_line())
            .await
            .context("the clients do not answer")??;
        match serde_json::from_str(&answer.context("the clients ended: see their log")?)? {
            Answer::Failed(reason) => bail!("the clients: {reason}"),
            answer => Ok(answer),
        }
    }

    /// Ends the clients.
    pub(super) async fn stop(self) -> anyhow::Result<()> {
        drop(self.orders);
        self.process.stop().await
    }
}

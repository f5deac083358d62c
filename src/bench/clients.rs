//! `hansard bench clients`: a process full of light WebSocket clients. It does what the lines on its
//! standard input say and answers each with one line on standard output.
//!
//! The clients read no JSON on the hot path and share no lock: a message is a number, and what
//! happened to it is a slot in arrays of atomics ([`round`]). So the process costs little beside what
//! it measures; its own CPU time is in the report all the same.

mod round;
mod socket;
mod watchers;

use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use futures_util::{StreamExt, TryStreamExt};
use hansard_model::ConversationId;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use self::round::Round;
pub(super) use self::round::RoundReport;
use self::socket::{Everybody, Socket};
use self::watchers::Watchers;
pub(super) use self::watchers::{Churn, Watcher};
use super::people::Person;

/// Handshakes at once.
const HANDSHAKES: usize = 64;
/// How long what is in flight at the end of a round gets to arrive.
const SETTLE_WITHIN: Duration = Duration::from_secs(30);

/// What the bench says.
#[derive(Serialize, Deserialize)]
#[serde(tag = "order", rename_all = "snake_case")]
pub(super) enum Order {
    /// Connects more people.
    Connect { address: SocketAddr, people: Vec<Person> },
    /// Puts load on.
    Load(Load),
    /// Closes all but the first so many connections.
    Keep { count: usize },
    /// Connects people who watch each other, or are in the background and do not.
    Watch { address: SocketAddr, watchers: Vec<Watcher>, background: bool },
    /// Drops connections of those, who come back.
    Churn(Churn),
}

/// A round of load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Load {
    /// A group that everybody is in; `None`: direct conversations of all pairs.
    pub(super) group: Option<ConversationId>,
    /// How many of the connected send.
    pub(super) senders: usize,
    /// Messages per second, all together; `None`: as many as are acknowledged.
    pub(super) rate: Option<f64>,
    /// Messages in flight, all together.
    pub(super) in_flight: usize,
    pub(super) seconds: f64,
    /// Bytes of the stored payload.
    pub(super) payload: usize,
}

/// What the process answers.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// So many are connected.
    Connected(usize),
    /// So many connections were dropped.
    Dropped(usize),
    /// The round is over.
    Round(Box<RoundReport>),
    /// It could not be done.
    Failed(String),
}

struct Crowd {
    sockets: Vec<JoinHandle<()>>,
    everybody: Everybody,
    rounds: watch::Sender<Option<Arc<Round>>>,
    watchers: Watchers,
    /// Connections that ended by themselves.
    lost: Arc<std::sync::atomic::AtomicUsize>,
}

/// `hansard bench clients`
pub(super) async fn run() -> anyhow::Result<()> {
    let mut crowd = Crowd {
        sockets: Vec::new(),
        everybody: Everybody::default(),
        rounds: watch::channel(None).0,
        watchers: Watchers::default(),
        lost: Arc::default(),
    };
    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    // The end of the orders is the end of the bench.
    while let Some(line) = orders.next_line().await? {
        let answer = match serde_json::from_str(&line).context("not an order") {
            Ok(order) => crowd.obey(order).await,
            Err(error) => Err(error),
        };
        let answer = answer.unwrap_or_else(|error| Answer::Failed(format!("{error:#}")));
        let mut out = std::io::stdout();
        writeln!(out, "{}", serde_json::to_string(&answer)?)?;
        out.flush()?;
    }
    Ok(())
}

impl Crowd {
    async fn obey(&mut self, order: Order) -> anyhow::Result<Answer> {
        match order {
            Order::Connect { address, people } => self.connect(address, people).await,
            Order::Load(load) => self.load(load).await,
            Order::Watch { address, watchers, background } => {
                let connected = self.watchers.connect(address, watchers, background).await?;
                Ok(Answer::Connected(connected))
            }
            Order::Churn(churn) => Ok(Answer::Dropped(self.watchers.churn(churn).await)),
            Order::Keep { count } => {
                for socket in self.sockets.drain(count.min(self.sockets.len())..) {
                    socket.abort();
                    // It is over either way.
                    let _ = socket.await;
                }
                self.everybody.truncate(count);
                Ok(Answer::Connected(self.sockets.len()))
            }
        }
    }

    async fn connect(
        &mut self,
        address: SocketAddr,
        people: Vec<Person>,
    ) -> anyhow::Result<Answer> {
        let first = self.sockets.len();
        self.everybody.extend(people.iter().map(|person| person.user));
        let sockets: Vec<Socket> = futures_util::stream::iter(people.iter().enumerate())
            .map(|(index, person)| Socket::open(address, person, first + index))
            .buffered(HANDSHAKES)
            .try_collect()
            .await?;
        for socket in sockets {
            let (rounds, lost) = (self.rounds.subscribe(), Arc::clone(&self.lost));
            self.sockets.push(tokio::spawn(async move {
                if let Err(error) = socket.serve(rounds).await {
                    lost.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                    super::say(&format!("a connection ended: {error:#}"));
                }
            }));
        }
        Ok(Answer::Connected(self.sockets.len()))
    }

    async fn load(&mut self, load: Load) -> anyhow::Result<Answer> {
        if load.senders == 0 || load.senders > self.sockets.len() {
            bail!("{} senders of {} connected", load.senders, self.sockets.len());
        }
        let seconds = Duration::from_secs_f64(load.seconds);
        let cpu = super::machine::cpu_s(std::process::id())?;
        let round = Arc::new(Round::new(load, self.everybody.clone()));
        self.rounds.send_replace(Some(Arc::clone(&round)));
        tokio::time::sleep(seconds).await;
        round.stop_sending();
        let cpu = super::machine::cpu_s(std::process::id())? - cpu;
        let deadline = Instant::now() + SETTLE_WITHIN;
        while !round.is_settled() && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        self.rounds.send_replace(None);
        let mut report = round.report(cpu);
        report.connections_lost = self.lost.load(std::sync::atomic::Ordering::Relaxed);
        Ok(Answer::Round(Box::new(report)))
    }
}

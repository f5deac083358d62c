//! `hansard bench`: measures a deployment of its own, whole processes on this machine, and prints
//! one JSON line for each run.
//!
//! Code map: [`deployment`] starts and stops the processes, [`people`] writes accounts and sessions
//! straight to the log, [`crowd`] is the bench's end of a process full of WebSocket clients
//! ([`clients`]); [`send`], [`fanout`], [`idle`], [`views`],
//! [`search`], [`presence`], [`media`], [`herd`] and [`faults`] are the runs.

mod clients;
mod corpus;
mod crowd;
mod deployment;
mod dice;
mod fanout;
mod faults;
mod herd;
mod http;
mod idle;
mod machine;
mod media;
mod payload;
mod people;
mod presence;
mod process;
mod raw;
mod report;
mod search;
mod send;
mod views;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context;
use hansard_nats::Durability;

use crate::roles;

#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    run: Run,
}

#[derive(clap::Subcommand, Debug)]
enum Run {
    /// Sending through the gateway, compared with publishing to the same streams without it.
    Send(send::Args),
    /// A large group: from one sender to every member.
    Fanout(fanout::Args),
    /// Memory of idle connections.
    Idle(idle::Args),
    /// The projector's views: how fast they are built, how fresh they are, what reading them costs.
    Views(views::Args),
    /// The search beside SQLite's FTS5: indexing, queries, freshness, and queries of no sense.
    Search(search::Args),
    /// People who watch each other while connections drop and come back.
    Presence(presence::Args),
    /// Files: up and down beside a plain copy, many at once, and thumbnails of photographs.
    Media(media::Args),
    /// Everybody comes back at once: after a gateway was killed, or NATS, or faster than is accepted.
    Herd(herd::Args),
    /// Kill and pause processes under load, then check that nothing is lost, doubled or reordered.
    Faults(faults::Args),
    /// Many light WebSocket clients, told what to do on standard input.
    #[command(hide = true)]
    Clients,
    /// Many clients that decide as the SDK does, told what to do on standard input.
    #[command(hide = true)]
    HerdClients,
    /// One client of the SDK with a durable outbox, told what to do on standard input.
    #[command(hide = true)]
    Client(faults::ClientArgs),
}

/// What every run is told.
#[derive(clap::Args, Clone, Debug)]
struct Place {
    /// What an acknowledgement survives: `fsync` or `os`.
    #[arg(long, default_value = "fsync")]
    durability: Durability,
    /// Where the run keeps its data, which is deleted afterwards. Default: the system's directory
    /// for temporary files. What it is on decides what a sync costs.
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Leave the data and the logs of the processes where they are.
    #[arg(long)]
    keep: bool,
}

/// `hansard bench`. A run that is asked to stop leaves nothing behind either.
pub(crate) async fn run(args: Args) -> anyhow::Result<()> {
    let stop = roles::stop_signal()?;
    tokio::select! {
        outcome = Box::pin(measure(args)) => outcome,
        () = stop.cancelled() => anyhow::bail!("stopped"),
    }
}

async fn measure(args: Args) -> anyhow::Result<()> {
    match args.run {
        Run::Send(args) => Box::pin(send::run(args)).await,
        Run::Fanout(args) => Box::pin(fanout::run(args)).await,
        Run::Idle(args) => Box::pin(idle::run(args)).await,
        Run::Views(args) => Box::pin(views::run(args)).await,
        Run::Search(args) => Box::pin(search::run(args)).await,
        Run::Presence(args) => Box::pin(presence::run(args)).await,
        Run::Media(args) => Box::pin(media::run(args)).await,
        Run::Herd(args) => Box::pin(herd::run(args)).await,
        Run::Faults(args) => Box::pin(faults::run(args)).await,
        Run::Clients => clients::run().await,
        Run::HerdClients => herd::clients().await,
        Run::Client(args) => Box::pin(faults::client(args)).await,
    }
}

/// The one line on standard output.
fn print(report: &serde_json::Value) -> anyhow::Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "{report}").and_then(|()| out.flush()).context("standard output")
}

/// A line for whoever watches; never part of the result.
#[expect(clippy::print_stderr, reason = "a long run says where it is")]
fn say(line: &str) {
    eprintln!("{line}");
}

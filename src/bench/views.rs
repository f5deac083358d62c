//! `hansard bench views`: what the projector's views cost and how fresh they are.
//!
//! Six parts, each on a deployment that starts empty (`reads` and `opens` share one, `inbox` and
//! `memory` another): `replay`, a fresh projector and a log that is there already; `live`, from a
//! publish to the live feed and to what an owner says it has applied; `reads`, pages through a
//! gateway, warm while messages are written and cold after a restart; `opens`, very many people who
//! open one conversation at the same moment; `inbox`, whole inboxes in a large deployment;
//! `memory`, the projector's resident memory while the history grows.
//!
//! Events go straight to the log, valid, with texts as long as those of a real chat ([`super::corpus`]):
//! what the gateway's sending costs is measured by `hansard bench send`. Paced requests are timed
//! from the moment they were due, so that a queue counts.

mod crowd;
mod live;
mod reads;
mod replay;

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::deployment::Plan;
use super::people::random;
use super::{Place, say};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// What to measure.
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "replay,live,reads,opens,inbox,memory"
    )]
    only: Vec<Part>,
    /// Events that are replayed, and events of the history that is read.
    #[arg(long, default_value_t = 196_000)]
    events: usize,
    /// Replays this chat instead, in one group: what `hansard import` reads.
    #[arg(long)]
    jsonl: Option<PathBuf>,
    /// Conversations that a replay is spread over; a second replay has all in one group.
    #[arg(long, default_value_t = 20_000)]
    replay_conversations: usize,
    /// Messages per second while freshness is measured.
    #[arg(long, default_value_t = 5_000.0)]
    rate: f64,
    /// Length of each paced part in seconds.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Pages read per second.
    #[arg(long, default_value_t = 200.0)]
    reads_per_second: f64,
    /// Messages written per second meanwhile.
    #[arg(long, default_value_t = 500.0)]
    writes_per_second: f64,
    /// Pages read around random places of a long history, after a restart.
    #[arg(long, default_value_t = 500)]
    around_reads: usize,
    /// People who open one conversation at the same moment.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(2..=1000))]
    opens: u16,
    /// Conversations of the large deployment.
    #[arg(long, default_value_t = 100_000)]
    conversations: usize,
    /// Conversations in an inbox.
    #[arg(long, default_value_t = 200)]
    inbox: usize,
    /// Events by the end of the part about memory.
    #[arg(long, default_value_t = 2_000_000)]
    memory_events: usize,
    /// Partitions of the log.
    #[arg(long, default_value_t = 16)]
    partitions: u16,
    /// Repeats the choices of an earlier run. Default: random, and printed.
    #[arg(long)]
    seed: Option<u64>,
}

/// A part that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Replay,
    Live,
    Reads,
    Opens,
    Inbox,
    Memory,
}

impl Args {
    fn has(&self, part: Part) -> bool {
        self.only.contains(&part)
    }

    fn plan(&self, gateways: usize, projectors: usize) -> Plan {
        let group_limit = usize::from(self.opens).max(1_000);
        Plan { gateways, projectors, group_limit, partitions: self.partitions }
    }
}

pub(super) async fn run(mut args: Args) -> anyhow::Result<()> {
    let seed = match args.seed {
        Some(seed) => seed,
        // Short enough to be typed again.
        None => u64::from(u32::from_le_bytes(random()?)),
    };
    args.seed = Some(seed);
    say(&format!("seed {seed}"));
    let (mut on, mut figures) = (Value::Null, Map::new());
    let mut note = |described: Value, part: Map<String, Value>| {
        on = described;
        figures.extend(part);
    };
    if args.has(Part::Replay) {
        let (described, part) = Box::pin(replay::run(&args, seed)).await?;
        note(described, part);
    }
    if args.has(Part::Live) {
        let (described, part) = Box::pin(live::run(&args, seed)).await?;
        note(described, part);
    }
    if args.has(Part::Reads) || args.has(Part::Opens) {
        let (described, part) = Box::pin(reads::run(&args, seed)).await?;
        note(described, part);
    }
    if args.has(Part::Inbox) || args.has(Part::Memory) {
        let (described, part) = Box::pin(crowd::run(&args, seed)).await?;
        note(described, part);
    }
    let mut report = json!({ "bench": "views", "on": on, "seed": seed });
    if let Some(report) = report.as_object_mut() {
        report.extend(figures);
    }
    super::print(&report)
}

/// The named part of a report.
fn part(name: &str, figures: Value) -> Map<String, Value> {
    Map::from_iter([(name.to_owned(), figures)])
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

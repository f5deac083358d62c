//! `hansard bench presence`: people who watch each other while some of their connections drop and
//! come back.
//!
//! Everybody is in a group with those whom they watch, so each watches all others of it. Twice the
//! same connections and the same drops: first in the background, without any presence, then with
//! it. The difference of the CPU time of gateways and nats-server is what presence costs; the
//! gateways' own counter says how many frames it sent, against one to every watcher for each drop
//! and each return.

use std::time::Duration;

use anyhow::bail;
use serde_json::{Value, json};

use super::clients::Churn;
use super::crowd::Crowd;
use super::deployment::{Bench, CAUGHT_UP_WITHIN, Plan};
use super::people::{self, Person};
use super::{Place, machine};

const FRAMES_TOTAL: &str = "hansard_gateway_presence_frames_total";
const CHANGES_TOTAL: &str = "hansard_gateway_presence_changes_total";
const REPORTS_TOTAL: &str = "hansard_gateway_presence_reports_total";
/// Until everybody has been told of everybody.
const SETTLE: Duration = Duration::from_secs(15);

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Connections.
    #[arg(long, default_value_t = 6_000)]
    connections: usize,
    /// People whom each of them watches.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=99))]
    watched: u16,
    /// Connections of a hundred that drop in a minute, each back within five seconds.
    #[arg(long, default_value_t = 2.0)]
    churn: f64,
    /// Gateways.
    #[arg(long, default_value_t = 3)]
    gateways: usize,
    /// How long each part is measured.
    #[arg(long, default_value_t = 120.0)]
    seconds: f64,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let size = usize::from(args.watched) + 1;
    if args.gateways == 0 || args.connections < size {
        bail!("a gateway and {size} connections at least");
    }
    let plan = Plan { gateways: args.gateways, projectors: 1, group_limit: 100, partitions: 16 };
    let bench = Bench::start(&args.place, plan).await?;
    let people = people::create(&bench, args.connections).await?;
    // The last few are in a smaller group.
    let groups: Vec<&[Person]> = people.chunks(size).collect();
    for group in &groups {
        super::fanout::create_group(&bench, group, "presence").await?;
    }
    bench.caught_up(CAUGHT_UP_WITHIN).await?;
    let without = measure(&bench, &groups, &args, true).await?;
    let with = measure(&bench, &groups, &args, false).await?;
    let one_per_change = 2.0 * with.drops as f64 * f64::from(args.watched);
    let report = json!({
        "bench": "presence",
        "on": bench.describe(),
        "connections": args.connections,
        "watched": args.watched,
        "gateways": args.gateways,
        "churn_percent_per_minute": args.churn,
        "seconds": args.seconds,
        "cores_used_without": without.cores,
        "cores_used_with": with.cores,
        "share_of_a_core": with.cores - without.cores,
        "drops": with.drops,
        "frames": with.frames,
        "frames_one_for_each_change": one_per_change,
        "frames_ratio": with.frames / one_per_change.max(1.0),
        "changes_said": with.changes,
        "reports_written_per_s": with.reports / args.seconds,
        "without": without.describe(),
        "with": with.describe(),
    });
    bench.stop().await?;
    super::print(&report)
}

/// What one part came to.
struct Part {
    /// CPU seconds in a second, of gateways and nats-server.
    cores: f64,
    gateways_cpu_s: f64,
    nats_cpu_s: f64,
    drops: usize,
    frames: f64,
    changes: f64,
    reports: f64,
}

impl Part {
    fn describe(&self) -> Value {
        json!({
            "gateways_cpu_s": self.gateways_cpu_s,
            "nats_server_cpu_s": self.nats_cpu_s,
            "drops": self.drops,
            "frames": self.frames,
        })
    }
}

/// Connects everybody, lets them settle, and measures while connections drop and come back.
async fn measure(
    bench: &Bench,
    groups: &[&[Person]],
    args: &Args,
    background: bool,
) -> anyhow::Result<Part> {
    let mut crowd = Crowd::start(bench).await?;
    for (index, gateway) in bench.gateways.iter().enumerate() {
        // The people of a group are at different gateways.
        let mut watchers = Vec::new();
        for group in groups {
            for (place, person) in group.iter().enumerate() {
                if place % bench.gateways.len() == index {
                    let others = group.iter().filter(|other| other.user != person.user);
                    watchers.push((person.clone(), others.map(|other| other.user).collect()));
                }
            }
        }
        let connected = crowd.watch(gateway.address, watchers, background).await?;
        super::say(&format!("{connected} connected, in the background: {background}"));
    }
    tokio::time::sleep(SETTLE).await;
    let before = read(bench).await?;
    let per_minute = args.connections as f64 * args.churn / 100.0;
    let drops = crowd.churn(Churn { per_minute, seconds: args.seconds }).await?;
    let after = read(bench).await?;
    crowd.stop().await?;
    let [gateways_cpu_s, nats_cpu_s, frames, changes, reports] =
        std::array::from_fn(|index| after[index] - before[index]);
    let cores = (gateways_cpu_s + nats_cpu_s) / args.seconds;
    Ok(Part { cores, gateways_cpu_s, nats_cpu_s, drops, frames, changes, reports })
}

/// CPU seconds of the gateways and of nats-server, frames, changes and reports, so far.
async fn read(bench: &Bench) -> anyhow::Result<[f64; 5]> {
    let mut sums = [0.0, machine::cpu_s(bench.nats_server()?)?, 0.0, 0.0, 0.0];
    for gateway in &bench.gateways {
        sums[0] += machine::cpu_s(gateway.process.pid())?;
        for (sum, name) in sums[2..].iter_mut().zip([FRAMES_TOTAL, CHANGES_TOTAL, REPORTS_TOTAL]) {
            *sum += Bench::metric(gateway.admin, name).await?.unwrap_or_default();
        }
    }
    Ok(sums)
}

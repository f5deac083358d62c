//! `hansard bench idle`: memory of a gateway for each idle, authenticated connection.
//!
//! The slope through several numbers of connections, so that what the process needs by itself does
//! not count. Twice, with a fresh gateway: connections that never did anything, and connections each
//! of which has just sent and received. Resident memory is read when it has stopped changing.

use std::time::Duration;

use serde_json::json;

use super::clients::Load;
use super::crowd::Crowd;
use super::deployment::{Bench, Gateway, Plan};
use super::people::{self, Person};
use super::report::slope;
use super::{Place, machine};

/// Memory counts as settled when it changed by less than this between two readings.
const SETTLED_BYTES: u64 = 64 * 1024;
const READ_EVERY: Duration = Duration::from_secs(1);
const READINGS_MAX: usize = 20;

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Numbers of connections, ascending.
    #[arg(long, value_delimiter = ',', default_value = "1000,3000,5000")]
    connections: Vec<usize>,
    /// Messages that each connection sends in the second part.
    #[arg(long, default_value_t = 3)]
    messages: usize,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let most = args.connections.iter().copied().max().unwrap_or(0);
    if most < 2 || !args.connections.is_sorted() {
        anyhow::bail!("--connections takes ascending numbers of 2 and more");
    }
    let plan = Plan { gateways: 0, projectors: 1, group_limit: 100, partitions: 16 };
    let bench = Bench::start(&args.place, plan).await?;
    let people = people::create(&bench, most).await?;
    let idle = measure(&bench, &people, &args, 0).await?;
    let used = measure(&bench, &people, &args, 1).await?;
    let per_connection = |points: &[(f64, f64)]| slope(points) / 1024.0;
    let report = json!({
        "bench": "idle",
        "on": bench.describe(),
        "connections": args.connections,
        "before_traffic_kib_per_connection": per_connection(&idle),
        "after_traffic_kib_per_connection": per_connection(&used),
        "before_traffic_rss_mib": mib(&idle),
        "after_traffic_rss_mib": mib(&used),
        "messages_per_connection": args.messages,
    });
    bench.stop().await?;
    super::print(&report)
}

fn mib(points: &[(f64, f64)]) -> Vec<f64> {
    points.iter().map(|(_, bytes)| bytes / 1024.0 / 1024.0).collect()
}

/// Memory at each number of connections, of a gateway of its own; in the second part after traffic.
async fn measure(
    bench: &Bench,
    people: &[Person],
    args: &Args,
    part: usize,
) -> anyhow::Result<Vec<(f64, f64)>> {
    let gateway = bench.start_gateway(part).await?;
    let mut crowd = Crowd::start(bench).await?;
    let (mut points, mut connected) = (Vec::new(), 0);
    for &wanted in &args.connections {
        let share = people.get(connected..wanted).unwrap_or_default();
        connected = crowd.connect(gateway.address, share).await?;
        if part > 0 {
            // About as many messages as asked for from each; each reaches one of the others.
            let seconds = 10.0;
            let rate = (connected * args.messages) as f64 / seconds;
            let (group, senders, in_flight, payload) = (None, connected, connected * 16, 200);
            let rate = Some(rate);
            crowd.load(Load { group, senders, rate, in_flight, seconds, payload }).await?;
        }
        let rss = settled_rss(&gateway).await?;
        super::say(&format!("part {}: {connected} connections, {} KiB", part + 1, rss / 1024));
        points.push((connected as f64, rss as f64));
    }
    crowd.keep(0).await?;
    crowd.stop().await?;
    gateway.process.stop().await?;
    Ok(points)
}

async fn settled_rss(gateway: &Gateway) -> anyhow::Result<u64> {
    let pid = gateway.process.pid();
    let mut last = machine::rss_bytes(pid)?;
    for _ in 0..READINGS_MAX {
        tokio::time::sleep(READ_EVERY).await;
        let now = machine::rss_bytes(pid)?;
        if now.abs_diff(last) < SETTLED_BYTES {
            return Ok(now);
        }
        last = now;
    }
    Ok(last)
}

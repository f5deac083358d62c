//! `hansard bench faults`: kill and pause processes under load, then check every promise.
//!
//! Clients of the SDK, each a process with a durable outbox, talk in direct conversations and groups
//! through two gateways and two projectors on one nats-server. In an order that the seed decides, a
//! process is killed with SIGKILL (and started again) or paused with SIGSTOP: nats-server itself,
//! the `hansard nats` above it, a gateway, a projector, a client; one of the pauses is longer than
//! the window in which the log recognises a second attempt. After each fault the bench waits until
//! messages are acknowledged again and the projectors have applied the log. In the end it compares three things that must be one: what the
//! log holds ([`hansard_nats::Log::replay`]), what the gateways answer, and what each client showed,
//! kept and was promised.

mod client;
mod fleet;
mod injection;
mod journal;
mod verdict;

use std::time::{Duration, Instant};

use anyhow::bail;
use serde_json::json;

pub(super) use self::client::{ClientArgs, run as client};
use self::fleet::Fleet;
use self::injection::{Injection, Target};
use self::verdict::Verdict;
use super::deployment::{Bench, Plan};
use super::dice::Dice;
use super::people::random;
use super::{Place, say};

/// After a fault, messages must be acknowledged again within this.
const RECOVERY_WITHIN: Duration = Duration::from_secs(90);
/// Acknowledgements after a fault by which the whole is called recovered.
const RECOVERY_ACKS: usize = 20;
/// Longer than the window in which the log recognises a second attempt.
const LONG_PAUSE: Duration = Duration::from_secs(150);

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Faults.
    #[arg(long, default_value_t = 30)]
    faults: usize,
    /// From one fault to the next, at least.
    #[arg(long, default_value_t = 15.0)]
    seconds_per_fault: f64,
    /// No pause is longer than the deduplication window.
    #[arg(long)]
    no_long_pause: bool,
    /// Clients, each a process.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(3..=64))]
    clients: u16,
    /// Conversations.
    #[arg(long, default_value_t = 20)]
    conversations: usize,
    /// Messages per second, all together.
    #[arg(long, default_value_t = 40.0)]
    rate: f64,
    /// Repeats the faults of an earlier run. Default: random, and printed.
    #[arg(long)]
    seed: Option<u64>,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let seed = match args.seed {
        Some(seed) => seed,
        // Short enough to be typed again.
        None => u64::from(u32::from_le_bytes(random()?)),
    };
    say(&format!("seed {seed}"));
    let mut dice = Dice::new(seed);
    let plan = Plan { gateways: 2, projectors: 2, group_limit: 100, partitions: 16 };
    let bench = Bench::start(&args.place, plan).await?;
    let pace = Duration::from_secs_f64(f64::from(args.clients) / args.rate);
    let clients = usize::from(args.clients);
    let mut fleet = Fleet::start(bench, clients, args.conversations, pace, &mut dice).await?;
    fleet.wait_for_acks(RECOVERY_ACKS, RECOVERY_WITHIN).await?;
    let injections = injection::plan(args.faults, clients, !args.no_long_pause, &mut dice);
    let mut recoveries = Vec::new();
    for (number, injection) in injections.iter().enumerate() {
        let next = Instant::now() + Duration::from_secs_f64(args.seconds_per_fault);
        say(&format!("fault {} of {}: {injection}", number + 1, injections.len()));
        fleet.inject(injection).await?;
        let recovering = Instant::now();
        fleet.wait_for_acks(RECOVERY_ACKS, RECOVERY_WITHIN).await?;
        // Acknowledged is not all: the views follow the log again.
        fleet.bench.caught_up(RECOVERY_WITHIN).await?;
        recoveries.push(recovering.elapsed().as_secs_f64());
        // The load goes on until the next fault; so must everything else.
        tokio::time::sleep_until(next.into()).await;
        fleet.wait_for_acks(RECOVERY_ACKS, RECOVERY_WITHIN).await?;
        fleet.bench.caught_up(RECOVERY_WITHIN).await?;
    }
    fleet.settle().await?;
    let verdict = verdict::judge(&fleet).await?;
    let report = report(&fleet, &injections, &verdict, seed, &recoveries);
    for example in &verdict.examples {
        say(example);
    }
    let faulty = !verdict.is_clean();
    fleet.bench.place.keep |= faulty;
    fleet.stop().await?;
    super::print(&report)?;
    if faulty {
        bail!("a promise was broken: seed {seed}");
    }
    Ok(())
}

fn report(
    fleet: &Fleet,
    injections: &[Injection],
    verdict: &Verdict,
    seed: u64,
    recoveries_s: &[f64],
) -> serde_json::Value {
    let count = |target: fn(&Target) -> bool| {
        injections.iter().filter(|injection| target(&injection.target)).count()
    };
    json!({
        "bench": "faults",
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "reordered": verdict.reordered,
        "differences": verdict.differences,
        "faults": injections.len(),
        "messages": verdict.messages,
        "accepted": verdict.accepted,
        "acknowledged": verdict.acknowledged,
        "refused": verdict.refused,
        "void": verdict.void,
        "seed": seed,
        "clients": fleet.clients.len(),
        "conversations": fleet.conversations.len(),
        "seconds": fleet.began.elapsed().as_secs_f64(),
        "recovery_max_s": recoveries_s.iter().copied().fold(0.0, f64::max),
        "long_pause": injections.iter().any(|injection| injection.pause == Some(LONG_PAUSE)),
        "faults_of": {
            "nats_server": count(|t| matches!(t, Target::NatsServer)),
            "nats_supervisor": count(|t| matches!(t, Target::NatsSupervisor)),
            "gateway": count(|t| matches!(t, Target::Gateway(_))),
            "projector": count(|t| matches!(t, Target::Projector(_))),
            "client": count(|t| matches!(t, Target::Client(_))),
        },
        "injected": injections.iter().map(Injection::to_string).collect::<Vec<_>>(),
        "on": fleet.bench.describe(),
    })
}

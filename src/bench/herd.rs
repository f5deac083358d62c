//! `hansard bench herd`: everybody comes back at once.
//!
//! Three gateways in two regions, as processes, and clients in groups, who ask where to connect and
//! decide as the SDK does; the first of each group numbers what they say, and every member checks
//! the numbers. Then a gateway is killed, or NATS is away for a while (`--nats-restart`), or all
//! come at five times the rate that gateways accept (`--admission`).

mod client;
mod clients;
mod crowd;
mod orders;
mod wire;

use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use hansard_model::limit;
use serde_json::{Value, json};

pub(super) use self::clients::run as clients;
use self::crowd::Crowd;
use self::orders::{Member, Report, Totals, wall_us};
use super::Place;
use super::deployment::{Bench, CAUGHT_UP_WITHIN, Plan, Site};
use super::fanout::create_group;
use super::report::Latency;
use super::{machine, people};

/// How long everybody may take to be there, or back.
const BACK_WITHIN: Duration = Duration::from_secs(300);
/// How long all that was said may take to reach everybody in the end.
const SETTLE_WITHIN: Duration = Duration::from_secs(60);
/// How many times the rate that is accepted all come at.
const CROWDING: f64 = 5.0;
/// Of the gateways. Clients prefer them in turn.
const REGIONS: [&str; 3] = ["eu", "eu", "us"];
/// How many of the slowest messages are shown one by one.
const SLOWEST: usize = 5;
/// How many come in a second where that is not what is measured, well within what is accepted.
const GENTLE: f64 = 400.0;

const HISTORY_READS: &str = "hansard_gateway_history_reads_total";
const HISTORY_SHARED: &str = "hansard_gateway_history_shared_total";
const IDENTIFIED: &str = "hansard_gateway_sockets_identified";
const REFUSED: &str = "hansard_gateway_connections_refused_total";

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Connections.
    #[arg(long, default_value_t = 6_000)]
    connections: usize,
    /// Members of a group, which is how many get a message.
    #[arg(long, default_value_t = 100)]
    members: usize,
    /// Messages per second, all groups together.
    #[arg(long, default_value_t = 20.0)]
    rate: f64,
    /// How long everything runs undisturbed before.
    #[arg(long, default_value_t = 20.0)]
    seconds: f64,
    /// Kill NATS and start it again, instead of killing a gateway.
    #[arg(long, conflicts_with = "admission")]
    nats_restart: bool,
    /// How long NATS is away, in seconds.
    #[arg(long, default_value_t = 5.0)]
    nats_away: f64,
    /// Let all come at five times the rate that gateways accept; kill nothing.
    #[arg(long)]
    admission: bool,
    /// Handshakes that each gateway accepts in a second, with `--admission`.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..))]
    accept_rate: u32,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    if args.members < 2 || args.members > limit::CREATE_MEMBERS_MAX {
        bail!("a group has 2 to {} members", limit::CREATE_MEMBERS_MAX);
    }
    if args.connections < args.members || args.rate <= 0.0 {
        bail!("at least one group, and somebody who speaks");
    }
    let plan = Plan { gateways: 0, projectors: 1, group_limit: args.members, partitions: 16 };
    let mut bench = Bench::start(&args.place, plan).await?;
    for (index, region) in REGIONS.iter().enumerate() {
        let site = Site { region, accept_rate: args.admission.then_some(args.accept_rate) };
        let gateway = bench.start_gateway_at(index, site).await?;
        bench.gateways.push(gateway);
    }
    let members = members(&bench, &args).await?;
    bench.caught_up(CAUGHT_UP_WITHIN).await?;
    let (mut crowd, arrival) = arrive(&bench, &members, &args).await?;
    super::say(&format!("{} are in after {:.1} s", args.connections, arrival.seconds));
    tokio::time::sleep(Duration::from_secs_f64(args.seconds)).await;
    let calm = crowd.begin(true).await?;
    let (event, during) = if args.admission {
        (arrival.describe(&args, gateway_memory(&bench)?), Report::default())
    } else if args.nats_restart {
        restart_nats(&mut bench, &mut crowd, &args).await?
    } else {
        kill_a_gateway(&mut bench, &mut crowd, &args, &calm).await?
    };
    crowd.begin(false).await?;
    let is_quiet = |totals: &Totals| totals.unanswered == 0;
    crowd.until("all sends are answered", BACK_WITHIN, is_quiet, || Ok(())).await?;
    let behind = crowd.settle(SETTLE_WITHIN).await?;
    let end = crowd.look().await?;
    let lost = end.lost + u64::try_from(behind)?;
    let mut report = json!({
        "bench": "herd",
        "on": bench.describe(),
        "connections": args.connections,
        "gateways": REGIONS.len(),
        "regions": REGIONS,
        "groups": args.groups(),
        "members": args.members,
        "msgs_per_s": args.rate,
        "text_bytes": client::TEXT_BYTES,
        "arrived_s": arrival.seconds,
        "live_before": latency(&calm.live_us(false)),
        "live_during": latency(&during.live_us(false)),
        "acked_before": latency(&calm.acked_us()),
        "acked_during": latency(&during.acked_us()),
        "live_during_of_senders_who_lost_their_connection": latency(&during.live_us(true)),
        "client_memory_mib": mib(crowd.memory_bytes()?),
        "messages": end.said,
        "acked": end.acked,
        "refused_for_good": end.failed,
        "renamed": end.renamed,
        "gaps": end.gaps,
        "lost": lost,
        "doubled": end.doubled,
        "clients_behind_at_the_end": behind,
    });
    if let (Some(report), Value::Object(event)) = (report.as_object_mut(), event) {
        report.extend(event);
    }
    crowd.stop().await?;
    bench.stop().await?;
    super::print(&report)?;
    if lost > 0 || end.doubled > 0 || end.failed > 0 {
        bail!("{lost} lost, {} doubled, {} refused for good", end.doubled, end.failed);
    }
    Ok(())
}

impl Args {
    fn groups(&self) -> usize {
        self.connections.div_ceil(self.members)
    }
}

/// How everybody came.
struct Arrival {
    seconds: f64,
    /// How many came in a second, before anybody came again.
    per_second: f64,
    report: Report,
    refused_by_gateways: f64,
    memory_before: u64,
    memory_peak: u64,
}

/// Lets everybody come, and waits until all are in.
async fn arrive(
    bench: &Bench,
    members: &[Member],
    args: &Args,
) -> anyhow::Result<(Crowd, Arrival)> {
    let memory_before = gateway_memory(bench)?;
    let mut memory_peak = memory_before;
    let accepted = f64::from(args.accept_rate) * REGIONS.len() as f64;
    let per_second = if args.admission { CROWDING * accepted } else { GENTLE };
    let within = Duration::from_secs_f64(args.connections as f64 / per_second);
    let began = Instant::now();
    let mut crowd = Crowd::start(bench, members, within).await?;
    let are_in = |totals: &Totals| totals.synced == args.connections;
    let look = || {
        memory_peak = memory_peak.max(gateway_memory(bench)?);
        Ok(())
    };
    crowd.until("all are in", BACK_WITHIN, are_in, look).await?;
    let seconds = began.elapsed().as_secs_f64();
    let report = crowd.begin(true).await?;
    let refused_by_gateways = sum(bench, REFUSED).await?;
    let arrival =
        Arrival { seconds, per_second, report, refused_by_gateways, memory_before, memory_peak };
    Ok((crowd, arrival))
}

impl Arrival {
    fn describe(&self, args: &Args, memory_after: u64) -> Value {
        let (handshake, refusal) =
            (latency(&self.report.accepted_us), latency(&self.report.refused_us));
        json!({
            "event": "admission",
            "accepted_per_s_and_gateway": args.accept_rate,
            "arrivals_per_s": self.per_second,
            "all_in_s": self.seconds,
            "handshakes_refused": self.report.refused_us.len(),
            "refused_by_gateways": self.refused_by_gateways,
            "refusals_with_a_hint": self.report.hinted,
            "attempts_without_an_answer": self.report.unanswered_attempts,
            "questions_without_an_answer": self.report.unanswered_questions,
            "handshake": handshake,
            "handshake_p99_ms": handshake.p99_us / 1e3,
            "refusal": refusal,
            "refusal_p99_ms": refusal.p99_us / 1e3,
            "gateway_memory_mib_before": mib(self.memory_before),
            "gateway_memory_mib_peak_while_all_come": mib(self.memory_peak),
            "gateway_memory_mib_after": mib(memory_after),
        })
    }
}

/// Kills a gateway, and waits until its clients are back.
async fn kill_a_gateway(
    bench: &mut Bench,
    crowd: &mut Crowd,
    args: &Args,
    calm: &Report,
) -> anyhow::Result<(Value, Report)> {
    let gateway = bench.gateways.remove(0);
    let orphans = Bench::metric(gateway.admin, IDENTIFIED).await?.unwrap_or_default();
    let before = reads(bench).await?;
    let losses = crowd.look().await?.losses;
    let killed_us = wall_us();
    gateway.process.kill().await?;
    let are_back = |totals: &Totals| {
        totals.synced == args.connections && (totals.losses - losses) as f64 >= orphans
    };
    crowd.until("all are back", BACK_WITHIN, are_back, || Ok(())).await?;
    let during = crowd.begin(true).await?;
    let after = reads(bench).await?;
    let lost = crowd.look().await?.losses - losses;
    let mut back: Vec<u64> =
        during.back_at_us.iter().map(|at_us| at_us.saturating_sub(killed_us)).collect();
    back.sort_unstable();
    let Reads { all, shared, most } = Reads::between(&before, &after);
    let groups = args.groups() as f64;
    let event = json!({
        "event": "a gateway killed",
        "connections_of_the_gateway": orphans,
        "connections_lost": lost,
        "connections_back": back.len(),
        "back_p50_ms": share(&back, 0.50) / 1e3,
        "back_p99_ms": share(&back, 0.99) / 1e3,
        "back_all_ms": share(&back, 1.0) / 1e3,
        "slowest_during": during.slowest(SLOWEST).map(|message| message.describe(killed_us)).collect::<Vec<_>>(),
        "live_p99_ratio": latency(&during.live_us(false)).p99_us / latency(&calm.live_us(false)).p99_us.max(1.0),
        "handshakes_refused": during.refused_us.len(),
        "refusals_with_a_hint": during.hinted,
        "attempts_without_an_answer": during.unanswered_attempts,
        "history_reads": all,
        "history_reads_per_conversation": all / groups,
        "history_reads_per_conversation_and_gateway": most / groups,
        "history_shared": shared,
    });
    Ok((event, during))
}

/// Kills NATS, lets it be away for a while, and waits until everybody has sent again.
async fn restart_nats(
    bench: &mut Bench,
    crowd: &mut Crowd,
    args: &Args,
) -> anyhow::Result<(Value, Report)> {
    let losses = crowd.look().await?.losses;
    let killed_us = wall_us();
    let recipe = bench.nats.take().context("nats is stopped")?.kill().await?;
    tokio::time::sleep(Duration::from_secs_f64(args.nats_away)).await;
    bench.nats = Some(recipe.start().await?);
    let up_us = wall_us();
    crowd.until_all_speak(up_us, BACK_WITHIN).await?;
    let during = crowd.begin(true).await?;
    let totals = crowd.look().await?;
    // What was said before it was back, or was refused after that.
    let held = during
        .acks
        .iter()
        .filter(|ack| ack.acked_at_us > up_us && (ack.said_at_us < up_us || ack.was_refused));
    let last_us = held.map(|ack| ack.acked_at_us).max().unwrap_or(up_us);
    let first_us = during.acks.iter().map(|ack| ack.acked_at_us).filter(|at| *at > up_us).min();
    let event = json!({
        "event": "nats restarted",
        "nats_away_ms": (up_us - killed_us) as f64 / 1e3,
        "sockets_closed": totals.losses - losses,
        "send_refusals": during.send_refusals,
        "sends_acked_after_a_refusal": during.acks.iter().filter(|ack| ack.was_refused).count(),
        "first_ack_after_restart_ms":
            first_us.map(|at_us| (at_us - up_us) as f64 / 1e3),
        "all_sends_go_through_after_restart_ms": (last_us - up_us) as f64 / 1e3,
        "all_sends_go_through_after_kill_ms": (last_us - killed_us) as f64 / 1e3,
    });
    Ok((event, during))
}

/// Everybody in groups; the first of each group speaks.
async fn members(bench: &Bench, args: &Args) -> anyhow::Result<Vec<Member>> {
    let people = people::create(bench, args.connections).await?;
    let every = Duration::from_secs_f64(args.groups() as f64 / args.rate);
    let mut members = Vec::with_capacity(people.len());
    for (number, people) in people.chunks(args.members).enumerate() {
        let group = create_group(bench, people, &format!("herd {number}")).await?;
        members.extend(people.iter().enumerate().map(|(place, person)| Member {
            person: person.clone(),
            // The speakers of the groups are in all regions, and the members of each group.
            region: REGIONS[(number + place) % REGIONS.len()].to_owned(),
            group,
            every: (place == 0).then_some(every),
        }));
    }
    Ok(members)
}

/// Memory of the gateway that holds the most, in bytes.
fn gateway_memory(bench: &Bench) -> anyhow::Result<u64> {
    let pids = bench.gateways.iter().map(|gateway| gateway.process.pid());
    let each = pids.map(machine::rss_bytes).collect::<anyhow::Result<Vec<_>>>()?;
    Ok(each.into_iter().max().unwrap_or(0))
}

/// Reads of history, and catch-ups without one, of each gateway so far.
async fn reads(bench: &Bench) -> anyhow::Result<Vec<[f64; 2]>> {
    let mut reads = Vec::with_capacity(bench.gateways.len());
    for gateway in &bench.gateways {
        let count =
            async |name| anyhow::Ok(Bench::metric(gateway.admin, name).await?.unwrap_or_default());
        reads.push([count(HISTORY_READS).await?, count(HISTORY_SHARED).await?]);
    }
    Ok(reads)
}

/// What gateways read of history in a time.
struct Reads {
    all: f64,
    shared: f64,
    /// Of the gateway that read the most.
    most: f64,
}

impl Reads {
    fn between(before: &[[f64; 2]], after: &[[f64; 2]]) -> Self {
        let none = Self { all: 0.0, shared: 0.0, most: 0.0 };
        before.iter().zip(after).fold(none, |sum, (before, after)| {
            let (read, shared) = (after[0] - before[0], after[1] - before[1]);
            Self { all: sum.all + read, shared: sum.shared + shared, most: sum.most.max(read) }
        })
    }
}

async fn sum(bench: &Bench, name: &str) -> anyhow::Result<f64> {
    let mut sum = 0.0;
    for gateway in &bench.gateways {
        sum += Bench::metric(gateway.admin, name).await?.unwrap_or_default();
    }
    Ok(sum)
}

fn latency(micros: &[u64]) -> Latency {
    Latency::of(micros.iter().map(|micros| micros.saturating_mul(1_000)).collect())
}

/// The value that this share of the sorted values does not exceed.
fn share(sorted: &[u64], share: f64) -> f64 {
    let index = ((sorted.len() as f64 * share).ceil() as usize).saturating_sub(1);
    sorted.get(index).map_or(0.0, |value| *value as f64)
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

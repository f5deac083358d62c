//! `hansard bench send`: what the gateway costs.
//!
//! Rounds at saturation are interleaved (raw, log, gateway, raw, ..), so that the noise of the
//! machine meets all of them; the ratio is of the medians. Then rounds at half of the gateway's
//! saturation, raw and gateway in turn, give the added latency of an ack and the time from an ack to
//! the other side's event. All on the same nats-server, streams, conversations and payload, with the
//! same number in flight. Between rounds the views catch up, so that no round pays for another. CPU
//! is that of whole processes over the gateway's rounds at saturation.
//!
//! Beside the gateway's round at half of saturation a probe publishes without the gateway, a
//! twentieth of the messages: what an ack costs in the same seconds on the same busy machine. The
//! gateway's ack minus the probe's is what the way through the gateway adds; minus the raw round's it
//! also has what all the other processes of a deployment cost, and whatever the machine did between
//! the rounds. Each round says how much of the cores' time the hypervisor took away: above a few
//! hundredths, latencies are the machine's.

use std::sync::Arc;

use serde_json::json;

use super::clients::{Load, RoundReport};
use super::crowd::Crowd;
use super::deployment::{Bench, CAUGHT_UP_WITHIN, Plan};
use super::machine::CoreTime;
use super::people::{self, Person};
use super::raw::{self, Kind, RawReport};
use super::report::median;
use super::{Place, machine};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// Direct conversations that messages are spread over.
    #[arg(long, default_value_t = 20_000)]
    conversations: usize,
    /// Bytes of the stored payload.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(168..=8192))]
    payload: u16,
    /// Messages in flight, all together.
    #[arg(long, default_value_t = 1_024)]
    in_flight: usize,
    /// Length of a round in seconds.
    #[arg(long, default_value_t = 8.0)]
    seconds: f64,
    /// Rounds of each kind.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Gateways, each a process.
    #[arg(long, default_value_t = 1)]
    gateways: usize,
    /// Projectors, each a process.
    #[arg(long, default_value_t = 1)]
    projectors: usize,
    /// Partitions of the log.
    #[arg(long, default_value_t = 16)]
    partitions: u16,
}

/// CPU seconds of gateways, projectors and nats-server so far.
#[derive(Clone, Copy, Default)]
struct Cpu {
    gateway: f64,
    projector: f64,
    nats: f64,
}

impl Cpu {
    fn read(bench: &Bench) -> anyhow::Result<Self> {
        let mut cpu = Self { nats: machine::cpu_s(bench.nats_server()?)?, ..Self::default() };
        for gateway in &bench.gateways {
            cpu.gateway += machine::cpu_s(gateway.process.pid())?;
        }
        for projector in &bench.projectors {
            cpu.projector += machine::cpu_s(projector.process.pid())?;
        }
        Ok(cpu)
    }

    fn add_since(&mut self, before: Self, now: Self) {
        self.gateway += now.gateway - before.gateway;
        self.projector += now.projector - before.projector;
        self.nats += now.nats - before.nats;
    }
}

/// Messages through the gateway for one of the probe.
const PROBED: f64 = 20.0;
/// Publishers of the probe, so that it never sends a burst.
const PROBES: usize = 8;

/// The rounds at half of saturation.
#[derive(Default)]
struct Half {
    rate: f64,
    raw: Vec<RawReport>,
    gateway: Vec<RoundReport>,
    probe: Vec<RawReport>,
    raw_stolen: Vec<f64>,
    gateway_stolen: Vec<f64>,
}

#[derive(Default)]
struct Saturation {
    raw: Vec<RawReport>,
    log: Vec<RawReport>,
    gateway: Vec<RoundReport>,
    raw_stolen: Vec<f64>,
    gateway_stolen: Vec<f64>,
    cpu: Cpu,
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let plan = Plan {
        gateways: args.gateways,
        projectors: args.projectors,
        group_limit: 100,
        partitions: args.partitions,
    };
    let bench = Bench::start(&args.place, plan).await?;
    let count = people_for(args.conversations);
    let people = Arc::new(people::create(&bench, count).await?);
    let mut crowd = Crowd::start(&bench).await?;
    for (gateway, share) in bench.gateways.iter().zip(people.chunks(count.div_ceil(args.gateways)))
    {
        crowd.connect(gateway.address, share).await?;
    }
    let full = Load {
        group: None,
        senders: count,
        rate: None,
        in_flight: args.in_flight,
        seconds: args.seconds,
        payload: usize::from(args.payload),
    };
    // Everything is touched once before it is measured.
    let warm = Load { seconds: 2.0, ..full.clone() };
    crowd.load(warm.clone()).await?;
    raw::round(&bench, Kind::Bare, &people, &warm).await?;
    let saturation = saturate(&bench, &mut crowd, &people, &full, args.rounds).await?;
    let half = halve(&bench, &mut crowd, &people, &full, args.rounds, &saturation).await?;
    let report = report(&bench, &args, count, &saturation, &half);
    crowd.stop().await?;
    bench.stop().await?;
    super::print(&report)
}

async fn saturate(
    bench: &Bench,
    crowd: &mut Crowd,
    people: &Arc<Vec<Person>>,
    load: &Load,
    rounds: usize,
) -> anyhow::Result<Saturation> {
    let mut saturation = Saturation::default();
    for round in 1..=rounds {
        bench.caught_up(CAUGHT_UP_WITHIN).await?;
        let time = CoreTime::read()?;
        let raw = raw::round(bench, Kind::Bare, people, load).await?;
        saturation.raw_stolen.push(CoreTime::read()?.stolen_since(time));
        bench.caught_up(CAUGHT_UP_WITHIN).await?;
        let log = raw::round(bench, Kind::Log, people, load).await?;
        bench.caught_up(CAUGHT_UP_WITHIN).await?;
        let before = Cpu::read(bench)?;
        let time = CoreTime::read()?;
        let gateway = crowd.load(load.clone()).await?;
        saturation.gateway_stolen.push(CoreTime::read()?.stolen_since(time));
        bench.caught_up(CAUGHT_UP_WITHIN).await?;
        saturation.cpu.add_since(before, Cpu::read(bench)?);
        super::say(&format!(
            "saturation, round {round}: raw {:.0}/s, with headers {:.0}/s, gateway {:.0}/s",
            raw.acked_per_s, log.acked_per_s, gateway.acked_per_s
        ));
        saturation.raw.push(raw);
        saturation.log.push(log);
        saturation.gateway.push(gateway);
    }
    Ok(saturation)
}

async fn halve(
    bench: &Bench,
    crowd: &mut Crowd,
    people: &Arc<Vec<Person>>,
    full: &Load,
    rounds: usize,
    saturation: &Saturation,
) -> anyhow::Result<Half> {
    let rate = median_rate(&saturation.gateway) / 2.0;
    let load = Load { rate: Some(rate), ..full.clone() };
    let probe = Load { rate: Some(rate / PROBED), senders: PROBES, ..full.clone() };
    let mut half = Half { rate, ..Half::default() };
    for round in 1..=rounds {
        super::say(&format!("half of saturation, round {round}: {rate:.0}/s"));
        bench.caught_up(CAUGHT_UP_WITHIN).await?;
        let before = CoreTime::read()?;
        half.raw.push(raw::round(bench, Kind::Bare, people, &load).await?);
        half.raw_stolen.push(CoreTime::read()?.stolen_since(before));
        bench.caught_up(CAUGHT_UP_WITHIN).await?;
        let before = CoreTime::read()?;
        let probe = raw::round(bench, Kind::Bare, people, &probe);
        let (gateway, probe) = tokio::try_join!(crowd.load(load.clone()), probe)?;
        half.gateway_stolen.push(CoreTime::read()?.stolen_since(before));
        half.gateway.push(gateway);
        half.probe.push(probe);
    }
    Ok(half)
}

/// So many people have at least so many pairs.
fn people_for(conversations: usize) -> usize {
    (2..).find(|people| people * (people - 1) / 2 >= conversations).unwrap_or(2)
}

fn median_rate(reports: &[RoundReport]) -> f64 {
    median(reports.iter().map(|report| report.acked_per_s).collect())
}

fn report(
    bench: &Bench,
    args: &Args,
    connections: usize,
    saturation: &Saturation,
    half: &Half,
) -> serde_json::Value {
    let raw_rate = |reports: &[RawReport]| median(reports.iter().map(|r| r.acked_per_s).collect());
    let gateway = median_rate(&saturation.gateway);
    let (raw, log) = (raw_rate(&saturation.raw), raw_rate(&saturation.log));
    let of_gateway =
        |pick: fn(&RoundReport) -> f64| median(half.gateway.iter().map(pick).collect());
    let of_raw = |pick: fn(&RawReport) -> f64| median(half.raw.iter().map(pick).collect());
    let of_probe = |pick: fn(&RawReport) -> f64| median(half.probe.iter().map(pick).collect());
    let (p50, p99) = (of_gateway(|r| r.send_to_ack.p50_us), of_gateway(|r| r.send_to_ack.p99_us));
    let (raw_p50, raw_p99) = (of_raw(|r| r.send_to_ack.p50_us), of_raw(|r| r.send_to_ack.p99_us));
    let probe_p50 = of_probe(|r| r.send_to_ack.p50_us);
    let probe_p99 = of_probe(|r| r.send_to_ack.p99_us);
    let acked: usize = saturation.gateway.iter().map(|report| report.acked).sum();
    let per_1000 = |cpu_s: f64| cpu_s * 1_000.0 / acked.max(1) as f64;
    let clients: f64 = saturation.gateway.iter().map(|report| report.clients_cpu_s).sum();
    json!({
        "bench": "send",
        "on": bench.describe(),
        "payload_bytes": args.payload,
        "in_flight": args.in_flight,
        "conversations": args.conversations,
        "connections": connections,
        "gateways": args.gateways,
        "projectors": args.projectors,
        "rounds": args.rounds,
        "round_seconds": args.seconds,
        "saturation": {
            "raw_msgs_per_s": raw,
            "raw_with_event_headers_msgs_per_s": log,
            "gateway_msgs_per_s": gateway,
            "ratio": gateway / raw,
            "ratio_with_event_headers": gateway / log,
            "rounds": {
                "raw": saturation.raw,
                "raw_stolen": saturation.raw_stolen,
                "raw_with_event_headers": saturation.log,
                "gateway": saturation.gateway,
                "gateway_stolen": saturation.gateway_stolen,
            },
        },
        "half_of_saturation": {
            "msgs_per_s": half.rate,
            "raw_ack_p50_ms": raw_p50 / 1e3,
            "raw_ack_p99_ms": raw_p99 / 1e3,
            "gateway_ack_p50_ms": p50 / 1e3,
            "gateway_ack_p99_ms": p99 / 1e3,
            "added_ack_p50_ms": (p50 - raw_p50) / 1e3,
            "added_ack_p99_ms": (p99 - raw_p99) / 1e3,
            "probe_ack_p50_ms": probe_p50 / 1e3,
            "probe_ack_p99_ms": probe_p99 / 1e3,
            "added_over_probe_ack_p50_ms": (p50 - probe_p50) / 1e3,
            "added_over_probe_ack_p99_ms": (p99 - probe_p99) / 1e3,
            "ack_to_other_side_p50_ms": of_gateway(|r| r.ack_to_event.p50_us) / 1e3,
            "ack_to_other_side_p99_ms": of_gateway(|r| r.ack_to_event.p99_us) / 1e3,
            "send_to_other_side_p50_ms": of_gateway(|r| r.send_to_event.p50_us) / 1e3,
            "send_to_other_side_p99_ms": of_gateway(|r| r.send_to_event.p99_us) / 1e3,
            "rounds": {
                "raw": half.raw,
                "raw_stolen": half.raw_stolen,
                "gateway": half.gateway,
                "gateway_stolen": half.gateway_stolen,
                "probe": half.probe,
            },
        },
        "cpu_s_per_1000_msgs": {
            "gateway": per_1000(saturation.cpu.gateway),
            "projector": per_1000(saturation.cpu.projector),
            "nats_server": per_1000(saturation.cpu.nats),
            "clients": per_1000(clients),
        },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_people_for_the_conversations() {
        assert_eq!(people_for(1), 2);
        assert_eq!(people_for(3), 3);
        assert_eq!(people_for(20_000), 201);
    }
}

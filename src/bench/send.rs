//! `hansard bench send`: what the gateway costs.
//!
//! Rounds at saturation are interleaved (raw, log, gateway, raw, ..), so that the noise of the
//! machine meets all of them; the ratio is of the medians. Then rounds at half of the gateway's
//! saturation, raw and gateway in turn, give the added latency of an ack and the time from an ack to
//! the other side's event. All on the same nats-server, streams, conversations and payload, with the
//! same number in flight. Between rounds the views catch up, so that no round pays for another. CPU
//! is that of whole processes over the gateway's rounds at saturation.

use std::sync::Arc;

use serde_json::json;

use super::clients::{Load, RoundReport};
use super::crowd::Crowd;
use super::deployment::{Bench, CAUGHT_UP_WITHIN, Plan};
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

#[derive(Default)]
struct Saturation {
    raw: Vec<RawReport>,
    log: Vec<RawReport>,
    gateway: Vec<RoundReport>,
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
    let rate = median_rate(&saturation.gateway) / 2.0;
    let half = Load { rate: Some(rate), ..full };
    let (mut raw_half, mut gateway_half) = (Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        super::say(&format!("half of saturation, round {round}: {rate:.0}/s"));
        bench.caught_up(CAUGHT_UP_WITHIN).await?;
        raw_half.push(raw::round(&bench, Kind::Bare, &people, &half).await?);
        bench.caught_up(CAUGHT_UP_WITHIN).await?;
        gateway_half.push(crowd.load(half.clone()).await?);
    }
    let report = report(&bench, &args, count, &saturation, (rate, &raw_half, &gateway_half));
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
        let raw = raw::round(bench, Kind::Bare, people, load).await?;
        bench.caught_up(CAUGHT_UP_WITHIN).await?;
        let log = raw::round(bench, Kind::Log, people, load).await?;
        bench.caught_up(CAUGHT_UP_WITHIN).await?;
        let before = Cpu::read(bench)?;
        let gateway = crowd.load(load.clone()).await?;
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
    (rate, raw_half, gateway_half): (f64, &[RawReport], &[RoundReport]),
) -> serde_json::Value {
    let raw_rate = |reports: &[RawReport]| median(reports.iter().map(|r| r.acked_per_s).collect());
    let gateway = median_rate(&saturation.gateway);
    let (raw, log) = (raw_rate(&saturation.raw), raw_rate(&saturation.log));
    let of_gateway =
        |pick: fn(&RoundReport) -> f64| median(gateway_half.iter().map(pick).collect());
    let of_raw = |pick: fn(&RawReport) -> f64| median(raw_half.iter().map(pick).collect());
    let (p50, p99) = (of_gateway(|r| r.send_to_ack.p50_us), of_gateway(|r| r.send_to_ack.p99_us));
    let (raw_p50, raw_p99) = (of_raw(|r| r.send_to_ack.p50_us), of_raw(|r| r.send_to_ack.p99_us));
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
                "raw_with_event_headers": saturation.log,
                "gateway": saturation.gateway,
            },
        },
        "half_of_saturation": {
            "msgs_per_s": rate,
            "raw_ack_p50_ms": raw_p50 / 1e3,
            "raw_ack_p99_ms": raw_p99 / 1e3,
            "gateway_ack_p50_ms": p50 / 1e3,
            "gateway_ack_p99_ms": p99 / 1e3,
            "added_ack_p50_ms": (p50 - raw_p50) / 1e3,
            "added_ack_p99_ms": (p99 - raw_p99) / 1e3,
            "ack_to_other_side_p50_ms": of_gateway(|r| r.ack_to_event.p50_us) / 1e3,
            "ack_to_other_side_p99_ms": of_gateway(|r| r.ack_to_event.p99_us) / 1e3,
            "send_to_other_side_p50_ms": of_gateway(|r| r.send_to_event.p50_us) / 1e3,
            "send_to_other_side_p99_ms": of_gateway(|r| r.send_to_event.p99_us) / 1e3,
            "rounds": { "raw": raw_half, "gateway": gateway_half },
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

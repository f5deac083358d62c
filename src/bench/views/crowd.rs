//! A large deployment: whole inboxes, and the projector's memory while history grows.

use std::time::Duration;

use anyhow::Context;
use serde_json::{Map, Value, json};

use super::super::corpus::{self, Talk, Writer};
use super::super::deployment::{Bench, CAUGHT_UP_WITHIN};
use super::super::dice::Dice;
use super::super::http::{self, Ask};
use super::super::people::{self, Person};
use super::super::report::{Latency, slope};
use super::super::{machine, say};
use super::{Args, Part, replay};

/// People whose inboxes are read.
const READERS: usize = 20;
/// Inboxes read per second.
const INBOXES_PER_SECOND: f64 = 20.0;
/// Readings of memory while history grows.
const READINGS: usize = 10;
/// Memory counts as settled when it changed by less than this between two readings.
const SETTLED_BYTES: u64 = 1024 * 1024;
const READ_EVERY: Duration = Duration::from_secs(1);
const SETTLE_READINGS_MAX: usize = 10;

pub(super) async fn run(args: &Args, seed: u64) -> anyhow::Result<(Value, Map<String, Value>)> {
    let gateways = usize::from(args.has(Part::Inbox));
    let bench = Bench::start(&args.place, args.plan(gateways, 1)).await?;
    let mut dice = Dice::new(seed ^ 3);
    let readers = people::create(&bench, READERS).await?;
    let talks = talks(args, &readers, &mut dice);
    let mut writer = Writer::new(&bench.log, dice);
    let mut series = vec![reading(&bench, 0).await?];
    // Every conversation begins; from then on only history grows.
    let count = talks.len();
    corpus::fill(&mut writer, &talks, count, |_, number| number).await?;
    series.push(reading(&bench, count).await?);
    let mut figures = Map::new();
    if args.has(Part::Memory) {
        grow(args, &bench, &mut writer, &talks, &mut series).await?;
        figures.extend(super::part("memory", memory(count, &series)));
    }
    if args.has(Part::Inbox) {
        figures.extend(super::part("inbox", inbox(args, &bench, &readers).await?));
    }
    let on = bench.describe();
    bench.stop().await?;
    Ok((on, figures))
}

/// Conversations: those of the readers first, then of people who do not read.
fn talks(args: &Args, readers: &[Person], dice: &mut Dice) -> Vec<Talk> {
    let of_readers = readers.iter().flat_map(|reader| std::iter::repeat_n(reader, args.inbox));
    let mut talks: Vec<Talk> = of_readers
        .map(|reader| Talk::direct(reader.user, corpus::stranger(dice)))
        .take(args.conversations)
        .collect();
    while talks.len() < args.conversations {
        talks.push(Talk::of_strangers(dice));
    }
    talks
}

async fn grow(
    args: &Args,
    bench: &Bench,
    writer: &mut Writer,
    talks: &[Talk],
    series: &mut Vec<(usize, u64)>,
) -> anyhow::Result<()> {
    let more = args.memory_events.saturating_sub(talks.len());
    for number in 1..=READINGS {
        let step = more * number / READINGS - more * (number - 1) / READINGS;
        corpus::fill(writer, talks, step, |writer, _| writer.pick(talks.len())).await?;
        series.push(reading(bench, talks.len() + more * number / READINGS).await?);
    }
    Ok(())
}

/// The resident memory of the projector once it has done all there is to do.
async fn reading(bench: &Bench, events: usize) -> anyhow::Result<(usize, u64)> {
    bench.caught_up(CAUGHT_UP_WITHIN).await?;
    let projector = bench.projectors.first().context("a projector")?;
    if !replay::settle(projector).await? {
        say("the inbox bucket is still being written");
    }
    let pid = projector.process.pid();
    let mut rss = machine::rss_bytes(pid)?;
    for _ in 0..SETTLE_READINGS_MAX {
        tokio::time::sleep(READ_EVERY).await;
        let now = machine::rss_bytes(pid)?;
        let settled = now.abs_diff(rss) < SETTLED_BYTES;
        rss = now;
        if settled {
            break;
        }
    }
    say(&format!("{events} events: {:.0} MiB", super::mib(rss)));
    Ok((events, rss))
}

fn memory(conversations: usize, series: &[(usize, u64)]) -> Value {
    let grown: Vec<(f64, f64)> = series
        .iter()
        .filter(|(events, _)| *events >= conversations)
        .map(|(events, bytes)| (*events as f64, *bytes as f64))
        .collect();
    // What fills a cache of a fixed size is in the first half.
    let second_half = grown.get(grown.len() / 2..).unwrap_or_default();
    json!({
        "conversations": conversations,
        "series": series
            .iter()
            .map(|(events, bytes)| json!({"events": events, "rss_mib": super::mib(*bytes)}))
            .collect::<Vec<_>>(),
        "bytes_per_event": slope(&grown),
        "bytes_per_event_second_half": slope(second_half),
    })
}

async fn inbox(args: &Args, bench: &Bench, readers: &[Person]) -> anyhow::Result<Value> {
    let gateway = bench.gateways.first().context("a gateway")?.address;
    let mut next = 0;
    let mut ask = || {
        next += 1;
        let token = readers[next % readers.len()].token.clone();
        Ask { path: format!("/v1/conversations?limit={}", args.inbox), token }
    };
    let first = http::paced(gateway, INBOXES_PER_SECOND, READERS, &mut ask).await?;
    let count = (INBOXES_PER_SECOND * args.seconds) as usize;
    let read = http::paced(gateway, INBOXES_PER_SECOND, count, &mut ask).await?;
    if let Some(example) = first.example.as_ref().or(read.example.as_ref()) {
        say(&format!("{} inboxes failed: {example}", first.failed + read.failed));
    }
    let latency = Latency::of(read.nanos);
    say(&format!("inbox: p99 {:.1} ms", latency.p99_us / 1e3));
    // An answer that lists less would be quicker.
    let mut client = http::Client::open(gateway).await?;
    let page: Value = serde_json::from_slice(&client.get(&ask()).await?)?;
    Ok(json!({
        "conversations": args.conversations,
        "inbox": args.inbox,
        "listed": page["items"].as_array().map_or(0, Vec::len),
        "inboxes_per_s": INBOXES_PER_SECOND,
        "failed": first.failed + read.failed,
        "first": Latency::of(first.nanos),
        "latency": latency,
    }))
}

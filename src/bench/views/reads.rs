//! Pages through a gateway: warm, cold, and by very many at the same moment.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use hansard_model::{ConversationId, Seq};
use serde_json::{Map, Value, json};
use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::corpus::{self, Talk, Writer};
use super::super::deployment::{Bench, CAUGHT_UP_WITHIN, Projector};
use super::super::dice::Dice;
use super::super::http::{self, Ask, Client, Paced};
use super::super::people::{self, Person};
use super::super::report::Latency;
use super::super::{fanout, machine, say};
use super::{Args, Part, replay};

/// Direct conversations that are read warm.
const DIRECTS: usize = 200;
/// People who read; each may ask a gateway 50 times a second.
const READERS: usize = 100;
/// Restarts of the projector over which cold reads are spread.
const COLD_ROUNDS: usize = 5;
/// Cold reads per second.
const COLD_RATE: f64 = 50.0;
/// Rounds of simultaneous opens.
const OPEN_ROUNDS: usize = 3;
/// What is counted over simultaneous opens.
const STORE_READS_TOTAL: &str = "hansard_projector_store_reads_total";

/// What is read, and by whom.
struct History {
    bench: Bench,
    members: Vec<Person>,
    group: Talk,
    /// The places of messages in the group, ascending.
    places: Vec<Seq>,
    /// Two people of `members`, by index, and where they talk.
    directs: Vec<(usize, Talk)>,
    writer: Writer,
    dice: Dice,
}

pub(super) async fn run(args: &Args, seed: u64) -> anyhow::Result<(Value, Map<String, Value>)> {
    let mut history = fill(args, Dice::new(seed ^ 2)).await?;
    let mut figures = Map::new();
    if args.has(Part::Reads) {
        figures.extend(super::part("reads", reads(args, &mut history).await?));
    }
    if args.has(Part::Opens) {
        figures.extend(super::part("opens", opens(&mut history).await?));
    }
    let on = history.bench.describe();
    history.bench.stop().await?;
    Ok((on, figures))
}

/// Half of the events are one long conversation, the rest are spread over many short ones.
async fn fill(args: &Args, mut dice: Dice) -> anyhow::Result<History> {
    let bench = Bench::start(&args.place, args.plan(1, 1)).await?;
    let members = people::create(&bench, usize::from(args.opens).max(READERS)).await?;
    let conversation = fanout::create_group(&bench, &members, "long").await?;
    let group = Talk { conversation, speakers: members.iter().map(|one| one.user).collect() };
    let directs = (0..DIRECTS).map(|index| {
        let (one, other) = (index % READERS, (index + 1 + index / READERS) % READERS);
        (one, Talk::direct(members[one].user, members[other].user))
    });
    let directs: Vec<(usize, Talk)> = directs.collect();
    let mut writer = Writer::new(&bench.log, Dice::new(dice.next()));
    let talks: Vec<Talk> = directs
        .iter()
        .map(|(_, talk)| talk)
        .chain([&group])
        .map(|talk| Talk { conversation: talk.conversation, speakers: talk.speakers.clone() })
        .collect();
    let long = directs.len();
    let choose = |_: &mut Writer, number: usize| {
        if number.is_multiple_of(2) { long } else { number / 2 % long }
    };
    let stored = corpus::fill(&mut writer, &talks, args.events, choose).await?;
    let mut places: Vec<Seq> =
        stored.iter().filter(|(index, _)| *index == long).map(|(_, seq)| *seq).collect();
    places.sort_unstable();
    bench.caught_up(CAUGHT_UP_WITHIN).await?;
    for projector in &bench.projectors {
        replay::settle(projector).await?;
    }
    Ok(History { bench, members, group, places, directs, writer, dice })
}

async fn reads(args: &Args, history: &mut History) -> anyhow::Result<Value> {
    let quiet = warm(args, history, None).await?;
    let busy = warm(args, history, Some(args.writes_per_second)).await?;
    let (cold, dropped) = around(args, history, true).await?;
    let (again, _) = around(args, history, false).await?;
    say(&format!("reads: warm p99 {:.1} ms", busy.0.p99_us / 1e3));
    Ok(json!({
        "reads_per_s": args.reads_per_second,
        "writes_per_s": args.writes_per_second,
        "conversations": history.directs.len(),
        "newest_50_without_writes": quiet.0,
        "newest_50_while_writing": busy.0,
        "p99_over_p99_without_writes": busy.0.p99_us / quiet.0.p99_us,
        "failed": quiet.1 + busy.1,
        "written_per_s": busy.2,
        "around": {
            "of_messages": history.places.len(),
            "after_a_restart": cold,
            "page_cache_dropped": dropped,
            "without_a_restart": again,
        },
    }))
}

/// Newest pages at a pace, while messages are written at another; latency, failures, and what was
/// written per second.
async fn warm(
    args: &Args,
    history: &mut History,
    writes: Option<f64>,
) -> anyhow::Result<(Latency, usize, f64)> {
    let gateway = history.bench.gateways.first().context("a gateway")?.address;
    let (directs, members, dice) = (&history.directs, &history.members, &mut history.dice);
    let ask = |index: usize| {
        let (reader, talk) = &directs[index % directs.len()];
        Ask::newest(talk.conversation, &members[*reader].token)
    };
    // Everything is touched once before it is measured.
    let mut touched = 0;
    let touch = || {
        touched += 1;
        ask(touched)
    };
    http::paced(gateway, args.reads_per_second, directs.len(), touch).await?;
    let count = (args.reads_per_second * args.seconds) as usize;
    let writer = &mut history.writer;
    let writing = async {
        let Some(rate) = writes else { return Ok((0, Duration::ZERO)) };
        write(writer, directs, rate, args.seconds).await
    };
    let reading = http::paced(gateway, args.reads_per_second, count, || ask(dice.below(DIRECTS)));
    let (read, written) = tokio::join!(reading, writing);
    let (Paced { nanos, failed, example }, (written, took)) = (read?, written?);
    if let Some(example) = example {
        say(&format!("{failed} reads failed: {example}"));
    }
    let rate = written as f64 / took.as_secs_f64().max(0.001);
    Ok((Latency::of(nanos), failed, rate))
}

/// Writes at a pace, to where others read; how many, and in which time.
async fn write(
    writer: &mut Writer,
    directs: &[(usize, Talk)],
    rate: f64,
    seconds: f64,
) -> anyhow::Result<(usize, Duration)> {
    let (began, mut acks) = (Instant::now(), JoinSet::new());
    let count = (rate * seconds) as usize;
    let mut due = began;
    for _ in 0..count {
        due += Duration::from_secs_f64(1.0 / rate);
        tokio::time::sleep_until(due).await;
        let index = writer.pick(directs.len());
        let written = writer.write(&directs[index].1).await?;
        acks.spawn(written.pending);
    }
    let took = began.elapsed();
    while let Some(stored) = acks.join_next().await {
        stored??;
    }
    Ok((count, took))
}

/// Pages around random places of the long conversation; after a restart of the projector its own
/// caches are empty, and those of the kernel are, when this process may drop them.
async fn around(args: &Args, history: &mut History, cold: bool) -> anyhow::Result<(Latency, bool)> {
    let (mut nanos, mut dropped) = (Vec::new(), cold);
    let rounds = if cold { COLD_ROUNDS } else { 1 };
    for _ in 0..rounds {
        if cold {
            restart(&mut history.bench).await?;
            dropped &= machine::drop_page_cache();
        }
        let gateway = history.bench.gateways.first().context("a gateway")?.address;
        let (places, members, dice) = (&history.places, &history.members, &mut history.dice);
        let conversation = history.group.conversation;
        let next = || {
            let place = places[dice.below(places.len())];
            let token = members[dice.below(READERS)].token.clone();
            let path = format!("/v1/conversations/{conversation}/messages?around={place}&limit=50");
            Ask { path, token }
        };
        let count = (args.around_reads / rounds).max(1);
        let read = http::paced(gateway, COLD_RATE, count, next).await?;
        if let Some(example) = read.example {
            anyhow::bail!("{} reads failed: {example}", read.failed);
        }
        nanos.extend(read.nanos);
    }
    Ok((Latency::of(nanos), dropped))
}

/// In order: a lease that has to end by itself would only take time.
async fn restart(bench: &mut Bench) -> anyhow::Result<()> {
    for projector in std::mem::take(&mut bench.projectors) {
        let Projector { process, admin } = projector;
        let process = process.begin_anew().await?;
        bench.projectors.push(Projector { process, admin });
    }
    bench.caught_up(CAUGHT_UP_WITHIN).await
}

/// Everybody in the group opens it at the same moment: once after a restart of the projector, then
/// again each time that somebody has said something.
async fn opens(history: &mut History) -> anyhow::Result<Value> {
    restart(&mut history.bench).await?;
    let gateway = history.bench.gateways.first().context("a gateway")?.address;
    let conversation = history.group.conversation;
    // What the gateway itself has to learn of the group is not what is counted.
    let reader = history.members.first().context("a member")?;
    let path = format!("/v1/conversations/{conversation}/members?limit=1");
    let members = Ask { path, token: reader.token.clone() };
    Client::open(gateway).await?.get(&members).await?;
    let admin = history.bench.projectors.first().context("a projector")?.admin;
    let mut rounds = Vec::new();
    for round in 0..OPEN_ROUNDS {
        if round > 0 {
            let written = history.writer.write(&history.group).await?;
            written.pending.await?;
            history.bench.caught_up(CAUGHT_UP_WITHIN).await?;
        }
        let before = Bench::metric(admin, STORE_READS_TOTAL).await?;
        let (latency, took) = open_at_once(history, gateway, conversation).await?;
        let after = Bench::metric(admin, STORE_READS_TOTAL).await?;
        let reads = after.map(|after| after - before.unwrap_or_default());
        say(&format!("opens: {} cost {reads:?} reads of the store", latency.count));
        rounds.push(json!({
            "opens": latency.count,
            "store_reads": reads,
            "all_answered_ms": took.as_secs_f64() * 1e3,
            "latency": latency,
        }));
    }
    Ok(Value::Array(rounds))
}

async fn open_at_once(
    history: &History,
    gateway: std::net::SocketAddr,
    conversation: ConversationId,
) -> anyhow::Result<(Latency, Duration)> {
    let count = history.members.len();
    let barrier = Arc::new(Barrier::new(count + 1));
    let mut opening = JoinSet::new();
    for member in &history.members {
        let (mut client, barrier) = (Client::open(gateway).await?, Arc::clone(&barrier));
        let ask = Ask::newest(conversation, &member.token);
        opening.spawn(async move {
            barrier.wait().await;
            let began = Instant::now();
            client.get(&ask).await?;
            anyhow::Ok(began.elapsed().as_nanos() as u64)
        });
    }
    barrier.wait().await;
    let (began, mut nanos) = (Instant::now(), Vec::with_capacity(count));
    while let Some(opened) = opening.join_next().await {
        nanos.push(opened??);
    }
    Ok((Latency::of(nanos), began.elapsed()))
}

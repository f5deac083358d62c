//! A fresh projector and a log that is there already.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use serde_json::{Map, Value, json};

use super::super::corpus::{self, Talk, Writer};
use super::super::deployment::{Bench, CAUGHT_UP_WITHIN, Projector};
use super::super::dice::Dice;
use super::super::process::Recipe;
use super::super::{fanout, machine, people, say};
use super::Args;

/// People in the group of a made-up replay.
const GROUP: usize = 1_000;
/// How long an import may take.
const IMPORT_WITHIN: Duration = Duration::from_secs(900);
/// How long the inbox bucket gets to be written.
const WRITTEN_WITHIN: Duration = Duration::from_secs(300);

const INBOX_STALE: &str = "hansard_projector_inbox_stale";
const INBOX_WRITES_TOTAL: &str = "hansard_projector_inbox_writes_total";

pub(super) async fn run(args: &Args, seed: u64) -> anyhow::Result<(Value, Map<String, Value>)> {
    let (mut on, mut replays) = (Value::Null, Vec::new());
    if let Some(jsonl) = &args.jsonl {
        let bench = Bench::start(&args.place, args.plan(0, 0)).await?;
        import(&bench, jsonl).await?;
        replays.push(measure(bench, "imported", 1, &mut on).await?);
    } else {
        let bench = Bench::start(&args.place, args.plan(0, 0)).await?;
        let members = people::create(&bench, GROUP).await?;
        let conversation = fanout::create_group(&bench, &members, "replayed").await?;
        let speakers = members.iter().map(|person| person.user).collect();
        let talks = [Talk { conversation, speakers }];
        let mut writer = Writer::new(&bench.log, Dice::new(seed));
        corpus::fill(&mut writer, &talks, args.events, |_, _| 0).await?;
        replays.push(measure(bench, "one_group", 1, &mut on).await?);
    }
    let bench = Bench::start(&args.place, args.plan(0, 0)).await?;
    let mut dice = Dice::new(seed);
    let count = args.replay_conversations.max(1);
    let talks: Vec<Talk> = (0..count).map(|_| Talk::of_strangers(&mut dice)).collect();
    let mut writer = Writer::new(&bench.log, dice);
    corpus::fill(&mut writer, &talks, args.events, |writer, _| writer.pick(count)).await?;
    replays.push(measure(bench, "direct_conversations", count, &mut on).await?);
    Ok((on, super::part("replay", Value::Array(replays))))
}

async fn import(bench: &Bench, jsonl: &Path) -> anyhow::Result<()> {
    let data = bench.data.to_str().context("the directory's name is not UTF-8")?;
    let file = jsonl.to_str().context("the file's name is not UTF-8")?;
    let args =
        ["import", "--data", data, "--jsonl", file, "--group", "c", "--group-limit", "100000"];
    let importer = Recipe::new("import", &bench.logs, None, &args).start().await?;
    say("importing");
    let status = importer.ended(IMPORT_WITHIN).await?;
    if !status.success() {
        bail!("the import failed: see its log");
    }
    Ok(())
}

async fn measure(
    bench: Bench,
    what: &str,
    conversations: usize,
    on: &mut Value,
) -> anyhow::Result<Value> {
    let mut events = 0;
    for partition in bench.log.partitions().partitions() {
        events += bench.log.last_seq(partition).await?.0;
    }
    let log_bytes = bench.stream_bytes("EVENTS_")?;
    let began = Instant::now();
    let projector = bench.start_projector(0).await?;
    let ready = began.elapsed();
    bench.caught_up(CAUGHT_UP_WITHIN).await?;
    let took = began.elapsed();
    let cpu_s = machine::cpu_s(projector.process.pid())?;
    say(&format!("{what}: {events} events in {took:?}"));
    let written = settle(&projector).await?;
    let everything = began.elapsed();
    let disk = machine::written_bytes(projector.process.pid())?;
    *on = bench.describe();
    let writes = Bench::metric(projector.admin, INBOX_WRITES_TOTAL).await?;
    let bucket_bytes = bench.stream_bytes("KV_INBOX")?;
    let per_event = |bytes: u64| bytes as f64 / events.max(1) as f64;
    let rss = machine::rss_bytes(projector.process.pid())?;
    // Also what is written when a partition is handed over.
    projector.process.stop().await?;
    let objects = machine::directory_bytes(&bench.data.join("objects"));
    let figures = json!({
        "what": what,
        "events": events,
        "conversations": conversations,
        "events_per_s": events as f64 / took.as_secs_f64(),
        "seconds": took.as_secs_f64(),
        "seconds_to_start": ready.as_secs_f64(),
        "seconds_until_the_inbox_is_written": written.then_some(everything.as_secs_f64()),
        "projector_cpu_s": cpu_s,
        "projector_rss_mib": super::mib(rss),
        "log_bytes_per_event": per_event(log_bytes),
        "inbox_writes": writes,
        "inbox_bytes_on_disk_per_event": per_event(bucket_bytes),
        "projector_disk_writes_bytes_per_event": per_event(disk),
        "object_store_bytes_per_event": per_event(objects),
    });
    bench.stop().await?;
    Ok(figures)
}

/// Waits until the inbox bucket is written; `false` when it is not within a few minutes.
pub(super) async fn settle(projector: &Projector) -> anyhow::Result<bool> {
    let deadline = Instant::now() + WRITTEN_WITHIN;
    while Bench::metric(projector.admin, INBOX_STALE).await?.is_some_and(|stale| stale > 0.0) {
        if Instant::now() > deadline {
            return Ok(false);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(true)
}

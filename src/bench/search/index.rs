//! Indexing what is in the log, on one core; and the same texts with FTS5 on the same core.

use std::time::Instant;

use hansard_model::UserId;
use serde_json::{Value, json};

use super::super::corpus::{Writer, stranger};
use super::super::deployment::{Bench, Plan};
use super::super::dice::Dice;
use super::super::machine::CoreTime;
use super::super::{machine, say};
use super::fts5::{Committed, Fts5, Optimized};
use super::texts::Texts;
use super::world::{Size, World};
use super::{Args, mib, searcher, stolen_since};

pub(super) async fn run(args: &Args, texts: &Texts, seed: u64) -> anyhow::Result<(Value, Value)> {
    let plan = Plan { gateways: 0, projectors: 0, group_limit: 100, partitions: args.partitions };
    let bench = Bench::start(&args.place, plan).await?;
    let mut dice = Dice::new(seed);
    let messages = args.index_messages.unwrap_or(texts.len());
    let in_each = args.messages.div_ceil(args.conversations.max(1)).max(1);
    let conversations = messages.div_ceil(in_each).max(1);
    let people: Vec<UserId> = (0..args.people).map(|_| stranger(&mut dice)).collect();
    let size = Size { messages, conversations, readers: 0, of_reader: 0 };
    let world = World::build(people, size, &mut dice)?;
    say(&format!("index: writing {messages} messages"));
    world.write(&mut Writer::new(&bench.log, dice), texts).await?;

    let core = machine::last_core()?;
    let (ours, per_cpu_s, per_s) = with_hansard(&bench, messages, core).await?;
    let mut figures = json!({
        "messages": messages,
        "events": messages + world.groups(),
        "conversations": conversations,
        "core": core,
        "hansard": ours,
    });
    if !args.no_fts5 {
        let theirs = with_fts5(&bench, &world, texts, core).await?;
        let of = |name: &str| theirs[name].as_f64().unwrap_or(f64::NAN);
        figures["messages_per_s_over_fts5"] = json!(per_s / of("messages_per_s"));
        figures["messages_per_cpu_s_over_fts5"] = json!(per_cpu_s / of("messages_per_cpu_s"));
        figures["messages_per_cpu_s_over_sqlite_alone"] =
            json!(per_cpu_s / of("messages_per_cpu_s_of_sqlite_alone"));
        figures["fts5"] = theirs;
    }
    let on = bench.describe();
    bench.stop().await?;
    Ok((on, figures))
}

/// The figures, with messages per CPU second and per second.
async fn with_hansard(
    bench: &Bench,
    messages: usize,
    core: usize,
) -> anyhow::Result<(Value, f64, f64)> {
    let (began, cores) = (Instant::now(), CoreTime::read()?);
    let searcher = bench.start_searcher(Some(core)).await?;
    let pid = searcher.process.pid();
    let started = began.elapsed();
    searcher::searchable(bench).await?;
    let took = began.elapsed().as_secs_f64();
    let (cpu_s, stolen) = (machine::cpu_s(pid)?, stolen_since(cores)?);
    let per_s = messages as f64 / took;
    say(&format!("index: {messages} messages in {took:.1} s, {cpu_s:.1} s of a core"));
    let merged = searcher::merged(&searcher).await?;
    let cpu_merged_s = machine::cpu_s(pid)?;
    let peak = machine::peak_rss_bytes(pid)?;
    let anonymous = machine::anonymous_bytes(pid)?;
    let written = machine::written_bytes(pid)?;
    let bytes = searcher::index_bytes(&bench.data.join("search"));
    searcher.process.stop().await?;
    let per_message = |bytes: u64| bytes as f64 / messages.max(1) as f64;
    let per_cpu_s = messages as f64 / cpu_s.max(0.01);
    let figures = json!({
        "seconds": took,
        "seconds_to_start": started.as_secs_f64(),
        "messages_per_s": per_s,
        "cpu_s": cpu_s,
        "messages_per_cpu_s": per_cpu_s,
        "merges_are_through": merged,
        "cpu_s_with_all_merges": cpu_merged_s,
        "messages_per_cpu_s_with_all_merges": messages as f64 / cpu_merged_s.max(0.01),
        "index_bytes_per_message": per_message(bytes),
        "written_bytes_per_message": per_message(written),
        "peak_rss_mib": mib(peak),
        "anonymous_mib_at_the_end": mib(anonymous),
        "stolen": stolen,
    });
    Ok((figures, per_cpu_s, per_s))
}

async fn with_fts5(
    bench: &Bench,
    world: &World,
    texts: &Texts,
    core: usize,
) -> anyhow::Result<Value> {
    let path = bench.logs.join("index.sqlite");
    let now_ms = bench.log.clock().now()?.as_millis();
    let (began, cores) = (Instant::now(), CoreTime::read()?);
    let mut fts5 = Fts5::open(&path, Some(core)).await?;
    fts5.add(world, texts, 0..world.messages, now_ms).await?;
    let Committed { messages, cpu_s, sqlite_cpu_s, peak_rss_bytes } = fts5.commit().await?;
    let (took, stolen) = (began.elapsed().as_secs_f64(), stolen_since(cores)?);
    let Optimized { seconds, bytes } = fts5.optimize().await?;
    let versions = fts5.versions.clone();
    fts5.close().await?;
    std::fs::remove_file(&path)?;
    let messages = messages as f64;
    say(&format!("index: FTS5 {messages} messages in {took:.1} s, {cpu_s:.1} s of a core"));
    Ok(json!({
        "versions": versions,
        "seconds": took,
        "messages_per_s": messages / took,
        "cpu_s": cpu_s,
        "messages_per_cpu_s": messages / cpu_s.max(0.01),
        "messages_per_cpu_s_of_sqlite_alone": messages / sqlite_cpu_s.max(0.01),
        "seconds_to_optimize": seconds,
        "bytes_per_message": bytes as f64 / messages.max(1.0),
        "peak_rss_mib": mib(peak_rss_bytes),
        "stolen": stolen,
    }))
}

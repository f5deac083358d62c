//! A searcher of the bench: until everything is searchable, and what it takes.

use std::path::Path;
use std::time::Duration;

use anyhow::bail;
use hansard_model::UserId;
use hansard_model::search::{SearchOrder, SearchRequest};
use hansard_nats::search::{Asked, ask};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::super::deployment::{Bench, Histogram, Searcher};
use super::super::{machine, say};
use super::mib;

/// How long all of a log may take to be searchable.
const SEARCHABLE_WITHIN: Duration = Duration::from_secs(1_800);
/// How long an answer that has all partitions is waited for, before it is asked for again.
const ANSWER_WITHIN: Duration = Duration::from_millis(100);
/// An index is merged when its searcher did nothing for so long.
const IDLE_FOR: Duration = Duration::from_secs(3);
/// Less than this share of a core is nothing: leases and looks.
const IDLE_SHARE: f64 = 0.05;
const MERGED_WITHIN: Duration = Duration::from_secs(600);
/// What a partition's directory has besides its index: links to files that are being stored.
const STAGING: &str = "snapshot";

const ANSWERS_TOTAL: &str = "hansard_search_answers_total";
const QUERY_SECONDS: &str = "hansard_search_query_seconds";

/// Waits until what is in the log now can be searched. Asks without a position, as one that is
/// asked for is committed earlier.
pub(super) async fn searchable(bench: &Bench) -> anyhow::Result<()> {
    let deadline = Instant::now() + SEARCHABLE_WITHIN;
    let mut wanted = Vec::new();
    for partition in bench.log.partitions().partitions() {
        wanted.push((partition, bench.log.last_seq(partition).await?));
    }
    let question = SearchRequest {
        reader: UserId::from_entropy([0; UserId::LEN]),
        query: "x ".to_owned(),
        people: Vec::new(),
        conversations: Vec::new(),
        now_ms: bench.log.clock().now()?.as_millis(),
        utc_offset_minutes: 0,
        order: SearchOrder::Time,
        limit: 1,
        typos: false,
        behind: None,
        seen: Vec::new(),
        min: Vec::new(),
    };
    let asked = Asked::All(bench.log.partitions());
    loop {
        let began = Instant::now();
        let answers = ask(&bench.connection, asked, &question, ANSWER_WITHIN).await?;
        let has = |(partition, seq)| {
            answers.iter().any(|one| one.partition == partition && one.as_of >= seq)
        };
        if wanted.iter().copied().all(has) {
            return Ok(());
        }
        if began > deadline {
            bail!("the searcher does not catch up with the log");
        }
        tokio::time::sleep_until(began + ANSWER_WITHIN).await;
    }
}

/// Waits until the searcher has nothing left to merge; `false` when it goes on for minutes.
pub(super) async fn merged(searcher: &Searcher) -> anyhow::Result<bool> {
    let pid = searcher.process.pid();
    let deadline = Instant::now() + MERGED_WITHIN;
    let mut cpu = machine::cpu_s(pid)?;
    while Instant::now() < deadline {
        tokio::time::sleep(IDLE_FOR).await;
        let now = machine::cpu_s(pid)?;
        if now - cpu < IDLE_SHARE * IDLE_FOR.as_secs_f64() {
            return Ok(true);
        }
        cpu = now;
    }
    say("the searcher goes on merging");
    Ok(false)
}

/// Bytes of the indexes below the directory of a searcher.
pub(super) fn index_bytes(directory: &Path) -> u64 {
    let below = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten();
    let generations = below(directory).flat_map(|partition| {
        let own = below(&partition.path()).collect::<Vec<_>>();
        own.into_iter().filter(|entry| entry.file_name() != STAGING)
    });
    generations.map(|generation| machine::directory_bytes(&generation.path())).sum()
}

/// Time in the searcher so far.
pub(super) async fn query_seconds(searcher: &Searcher) -> anyhow::Result<Histogram> {
    Bench::histogram(searcher.admin, QUERY_SECONDS).await
}

/// Searches of a partition that broke off so far: each is a fault of the searcher.
pub(super) async fn broken_off(searcher: &Searcher) -> anyhow::Result<f64> {
    let failed = Bench::metric_of(searcher.admin, ANSWERS_TOTAL, "outcome=\"failed\"").await?;
    Ok(failed.unwrap_or(0.0))
}

/// What the searcher takes of memory and of the disk, with so many messages.
pub(super) fn resources(
    searcher: &Searcher,
    directory: &Path,
    messages: usize,
) -> anyhow::Result<Value> {
    let pid = searcher.process.pid();
    Ok(json!({
        "index_bytes_per_message": index_bytes(directory) as f64 / messages.max(1) as f64,
        "peak_rss_mib": mib(machine::peak_rss_bytes(pid)?),
        "anonymous_mib": mib(machine::anonymous_bytes(pid)?),
    }))
}

/// Time in the searcher for so many questions.
pub(super) fn in_the_searcher(measured: &Histogram, questions: usize) -> Value {
    let per_question = |value: f64| value / questions.max(1) as f64;
    json!({
        "ms_per_question": per_question(measured.sum) * 1e3,
        "partitions_searched_per_question": per_question(measured.count),
        "ms_per_partition": measured.sum * 1e3 / measured.count.max(1.0),
        "ms_of_a_partition_p50_at_most": measured.at_most(0.50) * 1e3,
        "ms_of_a_partition_p99_at_most": measured.at_most(0.99) * 1e3,
    })
}

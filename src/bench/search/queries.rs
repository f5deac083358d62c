//! Questions over HTTP: just after a restart, warm, and while messages are written; and the same
//! ones with FTS5.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hansard_protocol::http::SearchList;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::super::dice::Dice;
use super::super::http::{Ask, Client};
use super::super::machine::CoreTime;
use super::super::report::Latency;
use super::super::{machine, say};
use super::filled::{self, Filled};
use super::fts5::{Fts5, Match};
use super::questions::{Draw, Kind, Question, path};
use super::{Args, searcher, stolen_since};

/// Connections of paced questions.
const CONNECTIONS: usize = 16;
/// Questions that warm it, as a part of those that are measured.
const WARMING_PART: usize = 4;

/// The questions of all rounds, which both sides are asked.
struct Rounds {
    /// After each restart.
    firsts: Vec<Vec<Question>>,
    /// Before those that are measured.
    warming: Vec<Question>,
    alone: Vec<Question>,
    writing: Vec<Question>,
}

/// What became of a question.
struct Outcome {
    kind: Kind,
    typed: String,
    nanos: u64,
    /// Hits of the first page.
    hits: usize,
    partial: bool,
    /// What came in place of an answer.
    failed: Option<String>,
}

pub(super) async fn run(args: &Args, filled: &mut Filled) -> anyhow::Result<Value> {
    let mut dice = Dice::new(filled.dice.next());
    let now_ms = filled.bench.log.clock().now()?.as_millis();
    let mut draw = |filled: &Filled, count| {
        let Filled { world, texts, people, .. } = filled;
        Draw { world, texts, people, now_ms }.questions(count, &mut dice)
    };
    let rounds = Rounds {
        firsts: (0..args.restarts).map(|_| draw(filled, args.restart_queries)).collect(),
        warming: draw(filled, args.queries / WARMING_PART),
        alone: draw(filled, args.queries),
        writing: draw(filled, args.queries),
    };
    let after_a_restart = after_restarts(filled, &rounds.firsts).await?;
    paced(filled, &rounds.warming, args.queries_per_second).await?;
    let alone = round(args, filled, &rounds.alone, false).await?;
    let writing = round(args, filled, &rounds.writing, true).await?;
    let mut figures = json!({
        "questions_per_s": args.queries_per_second,
        "hansard": {
            "after_a_restart": after_a_restart,
            "warm": alone,
            "warm_while_writing": writing,
            "searcher": searcher::resources(
                filled.searcher()?,
                &filled.bench.data.join("search"),
                filled.world.messages,
            )?,
        },
    });
    if !args.no_fts5 {
        figures["fts5"] = with_fts5(args, filled, &rounds).await?;
        for name in ["after_a_restart", "warm", "warm_while_writing"] {
            let p99 = |side: &str| figures[side][name]["all"]["p99_us"].as_f64();
            if let (Some(ours), Some(theirs)) = (p99("hansard"), p99("fts5")) {
                figures["p99_over_fts5"][name] = json!(ours / theirs);
            }
        }
    }
    Ok(figures)
}

/// First questions after each of several restarts, one after the other.
async fn after_restarts(filled: &mut Filled, firsts: &[Vec<Question>]) -> anyhow::Result<Value> {
    let (mut outcomes, mut very_first, mut all_dropped) = (Vec::new(), Vec::new(), true);
    let mut to_be_searchable = Vec::new();
    for questions in firsts {
        let began = Instant::now();
        all_dropped &= filled.restart_searcher().await?;
        to_be_searchable.push(began.elapsed().as_secs_f64());
        let mut client = Client::open(filled.gateway()?).await?;
        for (number, question) in questions.iter().enumerate() {
            let outcome = ask(&mut client, filled, question, Instant::now()).await?;
            if number == 0 {
                very_first.push(outcome.nanos as f64 / 1e6);
            }
            outcomes.push(outcome);
        }
    }
    let mut figures = summary(&outcomes);
    figures["very_first_ms"] = json!(very_first);
    figures["restart_s"] = json!(to_be_searchable);
    figures["page_cache_dropped"] = json!(all_dropped);
    Ok(figures)
}

/// Questions at a pace, perhaps while messages are written.
async fn round(
    args: &Args,
    filled: &mut Filled,
    questions: &[Question],
    writes: bool,
) -> anyhow::Result<Value> {
    let cores = CoreTime::read()?;
    let before = searcher::query_seconds(filled.searcher()?).await?;
    let cpu = machine::cpu_s(filled.searcher()?.process.pid())?;
    let length = Duration::from_secs_f64(questions.len() as f64 / args.queries_per_second);
    let (outcomes, written) = if writes {
        // The writer is lent out for as long as the rest is only looked at.
        let nobody = Dice::new(filled.dice.next());
        let log = &filled.bench.log;
        let mut writer = super::super::corpus::Writer::new(log, nobody);
        let (world, texts, rate) = (&filled.world, &filled.texts, args.writes_per_second);
        let writing = filled::write(world, texts, &mut writer, rate, length);
        let asking = paced(filled, questions, args.queries_per_second);
        let (asked, written) = tokio::join!(asking, writing);
        (asked?, Some(written?))
    } else {
        (paced(filled, questions, args.queries_per_second).await?, None)
    };
    let measured = searcher::query_seconds(filled.searcher()?).await?.since(&before);
    let cpu = machine::cpu_s(filled.searcher()?.process.pid())? - cpu;
    let mut figures = summary(&outcomes);
    figures["in_the_searcher"] = searcher::in_the_searcher(&measured, questions.len());
    figures["searcher_cpu_s"] = json!(cpu);
    figures["written_per_s"] = json!(written.map(|(_, per_s)| per_s));
    figures["stolen"] = json!(stolen_since(cores)?);
    let p99 = Latency::of(outcomes.iter().map(|outcome| outcome.nanos).collect()).p99_us;
    say(&format!("queries: p99 {:.1} ms{}", p99 / 1e3, if writes { " while writing" } else { "" }));
    Ok(figures)
}

/// Asks at a rate, whether or not answers come.
async fn paced(filled: &Filled, questions: &[Question], rate: f64) -> anyhow::Result<Vec<Outcome>> {
    let (asks, queue) = mpsc::channel::<(Instant, Kind, String, Ask)>(questions.len().max(1));
    let queue = Arc::new(tokio::sync::Mutex::new(queue));
    let mut workers = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let mut client = Client::open(filled.gateway()?).await?;
        let queue = Arc::clone(&queue);
        workers.spawn(async move {
            let mut outcomes = Vec::new();
            loop {
                let taken = queue.lock().await.recv().await;
                let Some((due, kind, typed, ask)) = taken else { return anyhow::Ok(outcomes) };
                outcomes.push(answered(&mut client, kind, typed, &ask, due).await?);
            }
        });
    }
    let began = Instant::now();
    for (number, question) in (1..).zip(questions) {
        let due = began + Duration::from_secs_f64(f64::from(number) / rate);
        tokio::time::sleep_until(due).await;
        asks.send((due, question.kind, question.typed.clone(), how(filled, question))).await?;
    }
    drop(asks);
    let mut outcomes = Vec::new();
    while let Some(of_worker) = workers.join_next().await {
        outcomes.extend(of_worker??);
    }
    Ok(outcomes)
}

fn how(filled: &Filled, question: &Question) -> Ask {
    Ask { path: path(&question.typed), token: filled.people[question.reader].token.clone() }
}

async fn ask(
    client: &mut Client,
    filled: &Filled,
    question: &Question,
    due: Instant,
) -> anyhow::Result<Outcome> {
    let Question { kind, typed, .. } = question;
    answered(client, *kind, typed.clone(), &how(filled, question), due).await
}

async fn answered(
    client: &mut Client,
    kind: Kind,
    typed: String,
    ask: &Ask,
    due: Instant,
) -> anyhow::Result<Outcome> {
    let answer = client.ask(ask).await?;
    let nanos = due.elapsed().as_nanos() as u64;
    let mut outcome = Outcome { kind, typed, nanos, hits: 0, partial: false, failed: None };
    if answer.status == 200 {
        let list: SearchList = serde_json::from_slice(&answer.body)?;
        (outcome.hits, outcome.partial) = (list.items.len(), list.partial);
    } else {
        let body = String::from_utf8_lossy(&answer.body);
        outcome.failed = Some(format!("{} {body}", answer.status));
    }
    Ok(outcome)
}

/// Latencies of all and of each kind; of those that failed too.
fn summary(outcomes: &[Outcome]) -> Value {
    let latency = |of: &dyn Fn(&&Outcome) -> bool| {
        Latency::of(outcomes.iter().filter(of).map(|outcome| outcome.nanos).collect())
    };
    let kinds = Kind::ALL.map(|kind| (kind.name(), latency(&|outcome| outcome.kind == kind)));
    let count = |of: &dyn Fn(&&Outcome) -> bool| outcomes.iter().filter(of).count();
    let slowest = outcomes.iter().max_by_key(|outcome| outcome.nanos);
    json!({
        "all": latency(&|_| true),
        "by_kind": BTreeMap::from(kinds),
        "with_hits": count(&|outcome| outcome.hits > 0),
        "partial": count(&|outcome| outcome.partial),
        "failed": count(&|outcome| outcome.failed.is_some()),
        "failure": outcomes.iter().find_map(|outcome| outcome.failed.as_ref()),
        "slowest": slowest.map(|outcome| &outcome.typed),
    })
}

/// The same rounds: first questions of a fresh process, warm, and while another process writes.
async fn with_fts5(args: &Args, filled: &Filled, rounds: &Rounds) -> anyhow::Result<Value> {
    let file = filled.bench.logs.join("search.sqlite");
    let now_ms = filled.bench.log.clock().now()?.as_millis();
    let Filled { world, texts, .. } = filled;
    say("queries: filling FTS5");
    let mut fts5 = Fts5::open(&file, None).await?;
    fts5.add(world, texts, 0..world.messages, now_ms).await?;
    fts5.add_members(world).await?;
    fts5.commit().await?;
    let optimized = fts5.optimize().await?;
    let versions = fts5.versions.clone();
    fts5.close().await?;

    let (mut outcomes, mut all_dropped) = (Vec::new(), true);
    for questions in &rounds.firsts {
        all_dropped &= machine::drop_page_cache();
        let mut fts5 = Fts5::open(&file, None).await?;
        outcomes.extend(find(&mut fts5, questions).await?);
        fts5.close().await?;
    }
    let mut cold = summary(&outcomes);
    cold["page_cache_dropped"] = json!(all_dropped);

    let some = |questions: &'_ [Question]| questions.len().min(args.fts5_queries);
    let Rounds { warming, alone, writing, .. } = rounds;
    let mut fts5 = Fts5::open(&file, None).await?;
    say("queries: asking FTS5");
    find(&mut fts5, &warming[..some(warming)]).await?;
    let alone = find(&mut fts5, &alone[..some(alone)]).await?;
    let writing = &writing[..some(writing)];
    let writing = while_writing(args, filled, &file, &mut fts5, writing).await?;
    fts5.close().await?;
    Ok(json!({
        "versions": versions,
        "bytes_per_message": optimized.bytes as f64 / world.messages.max(1) as f64,
        "after_a_restart": cold,
        "warm": summary(&alone),
        "warm_while_writing": writing,
    }))
}

/// Another process writes, and commits every second.
async fn while_writing(
    args: &Args,
    filled: &Filled,
    file: &Path,
    fts5: &mut Fts5,
    questions: &[Question],
) -> anyhow::Result<Value> {
    let Filled { world, texts, .. } = filled;
    let now_ms = filled.bench.log.clock().now()?.as_millis();
    let mut writer = Fts5::open(file, None).await?;
    let per_s = args.writes_per_second as usize;
    let mut written = world.messages;
    let writing = async {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        loop {
            tick.tick().await;
            writer.add(world, texts, written..written + per_s, now_ms).await?;
            writer.commit().await?;
            written += per_s;
        }
    };
    let asked = tokio::select! {
        asked = find(fts5, questions) => asked?,
        stopped = writing => {
            let stopped: anyhow::Result<()> = stopped;
            stopped?;
            anyhow::bail!("FTS5 is not written any more");
        }
    };
    Ok(summary(&asked))
}

/// Asks one after the other.
async fn find(fts5: &mut Fts5, questions: &[Question]) -> anyhow::Result<Vec<Outcome>> {
    let mut outcomes = Vec::with_capacity(questions.len());
    for question in questions {
        let Question { kind, reader, typed, words, sender, since_ms } = question;
        let (sender, since_ms) = (*sender, *since_ms);
        let found = fts5.find(&Match { user: *reader, words, sender, since_ms }).await?;
        outcomes.push(Outcome {
            kind: *kind,
            typed: typed.clone(),
            nanos: found.nanos,
            hits: found.ids.len(),
            partial: false,
            failed: None,
        });
    }
    Ok(outcomes)
}

//! `hansard bench search`: what the search costs, how fresh it is, and that nothing brings it down.
//!
//! Four parts: `index`, a fresh searcher on one core and a log that is there already; `queries`,
//! over HTTP at a gateway, just after a restart, warm, and while messages are written; `freshness`,
//! from an acknowledgement until the message is found; `fuzz`, queries of all shapes and of none.
//! The first has a deployment of its own, the others share one. Beside the first two SQLite's FTS5
//! has the same texts, the same questions and the same members, in one process of its own.
//!
//! Texts are those of a chat that `--jsonl` names, over and over, in conversations of equal length,
//! half of them groups ([`world`]). They go straight to the log. Paced requests are timed from the
//! moment they were due, so that a queue counts; FTS5 is timed within its process, and without HTTP.

mod filled;
mod freshness;
mod fts5;
mod fuzz;
mod index;
mod queries;
mod questions;
mod searcher;
mod shapes;
mod texts;
mod world;

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use self::texts::Texts;
use super::machine::CoreTime;
use super::people::random;
use super::{Place, say};

#[derive(clap::Args, Debug)]
pub(super) struct Args {
    #[command(flatten)]
    place: Place,
    /// What to measure.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "index,queries,freshness,fuzz")]
    only: Vec<Part>,
    /// The chat whose texts are searched: what `hansard import` reads.
    #[arg(long)]
    jsonl: PathBuf,
    /// Messages that are indexed on one core. Default: the chat, once.
    #[arg(long)]
    index_messages: Option<usize>,
    /// Messages that are searched.
    #[arg(long, default_value_t = 1_000_000)]
    messages: usize,
    /// Conversations that they are spread over; the part about indexing has as many messages in
    /// each.
    #[arg(long, default_value_t = 5_000)]
    conversations: usize,
    /// People, who are in conversations at random.
    #[arg(long, default_value_t = 2_000)]
    people: usize,
    /// People who search; each may ask a gateway 50 times a second.
    #[arg(long, default_value_t = 8)]
    readers: usize,
    /// Conversations that each of them is in.
    #[arg(long, default_value_t = 50)]
    of_reader: usize,
    /// Questions of each round, of all kinds together.
    #[arg(long, default_value_t = 1_200)]
    queries: usize,
    /// Questions per second.
    #[arg(long, default_value_t = 20.0)]
    queries_per_second: f64,
    /// Restarts of the searcher over which first questions are spread.
    #[arg(long, default_value_t = 3)]
    restarts: usize,
    /// Questions after each of them, one after the other.
    #[arg(long, default_value_t = 60)]
    restart_queries: usize,
    /// Questions that FTS5 is asked in each round: those that come first.
    #[arg(long, default_value_t = 300)]
    fts5_queries: usize,
    /// Leaves FTS5 out.
    #[arg(long)]
    no_fts5: bool,
    /// Messages written per second while questions are asked, and while freshness is measured.
    #[arg(long, default_value_t = 500.0)]
    writes_per_second: f64,
    /// How long freshness is measured, in seconds.
    #[arg(long, default_value_t = 60.0)]
    freshness_seconds: f64,
    /// Words that are looked for at a time, each 50 times a second; as many readers at least.
    #[arg(long, default_value_t = 2)]
    probes: usize,
    /// How long queries of all shapes are asked, in seconds.
    #[arg(long, default_value_t = 60.0)]
    fuzz_seconds: f64,
    /// Partitions of the log.
    #[arg(long, default_value_t = 16)]
    partitions: u16,
    /// Repeats the choices of an earlier run. Default: random, and printed.
    #[arg(long)]
    seed: Option<u64>,
}

/// A part that can be run alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    Index,
    Queries,
    Freshness,
    Fuzz,
}

impl Args {
    fn has(&self, part: Part) -> bool {
        self.only.contains(&part)
    }
}

pub(super) async fn run(args: Args) -> anyhow::Result<()> {
    let seed = match args.seed {
        Some(seed) => seed,
        // Short enough to be typed again.
        None => u64::from(u32::from_le_bytes(random()?)),
    };
    say(&format!("seed {seed}"));
    let file = args.jsonl.clone();
    let texts = tokio::task::spawn_blocking(move || Texts::read(&file)).await??;
    let (mut on, mut figures) = (Value::Null, Map::new());
    if args.has(Part::Index) {
        let (described, part) = Box::pin(index::run(&args, &texts, seed)).await?;
        on = described;
        figures.insert("index".to_owned(), part);
    }
    let mut failed = None;
    if args.only.iter().any(|part| *part != Part::Index) {
        let mut filled = Box::pin(filled::fill(&args, texts, seed)).await?;
        if args.has(Part::Queries) {
            let part = Box::pin(queries::run(&args, &mut filled)).await?;
            figures.insert("queries".to_owned(), part);
        }
        if args.has(Part::Freshness) {
            let part = Box::pin(freshness::run(&args, &mut filled)).await?;
            figures.insert("freshness".to_owned(), part);
        }
        if args.has(Part::Fuzz) {
            let (part, broken) = Box::pin(fuzz::run(&args, &mut filled)).await?;
            figures.insert("fuzz".to_owned(), part);
            failed = broken;
        }
        on = filled.bench.describe();
        filled.stop().await?;
    }
    let sizes = json!({
        "messages": args.messages,
        "conversations": args.conversations,
        "people": args.people,
        "readers": args.readers,
        "conversations_of_a_reader": args.of_reader,
    });
    let mut report = json!({ "bench": "search", "on": on, "seed": seed, "sizes": sizes });
    if let Some(report) = report.as_object_mut() {
        report.extend(figures);
    }
    super::print(&report)?;
    match failed {
        Some(failed) => anyhow::bail!(failed),
        None => Ok(()),
    }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / 1024.0 / 1024.0
}

/// The share of the cores' time that the hypervisor took since then.
fn stolen_since(before: CoreTime) -> anyhow::Result<f64> {
    Ok(CoreTime::read()?.stolen_since(before))
}

//! Queries of all shapes and of none, at a deployment that is full: whatever is typed is answered,
//! soon.

use std::collections::BTreeMap;
use std::time::Duration;

use futures_util::future::try_join_all;
use hansard_protocol::http::SearchList;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::super::dice::Dice;
use super::super::http::{Ask, Client};
use super::super::machine::CoreTime;
use super::super::report::Latency;
use super::super::say;
use super::filled::Filled;
use super::questions::path;
use super::shapes::{Shape, Typist};
use super::{Args, searcher, stolen_since};

/// Queries at a time: more would wait for each other on a small machine.
const AT_A_TIME: usize = 2;
/// No query is to take longer.
const BAR: Duration = Duration::from_millis(100);
/// Pause after a refusal for being too fast.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);
/// Slowest queries of a shape that are reported.
const SLOWEST_MAX: usize = 3;

/// What queries of a shape came to.
#[derive(Default)]
struct Tally {
    nanos: Vec<u64>,
    statuses: BTreeMap<u16, usize>,
    partial: usize,
    with_hits: usize,
    /// The slowest first.
    slowest: Vec<(u64, u16, String)>,
    /// What was typed and what came, when it was a fault.
    fault: Option<(String, String)>,
}

impl Tally {
    fn note_slow(&mut self, nanos: u64, status: u16, typed: String) {
        self.slowest.push((nanos, status, typed));
        self.slowest.sort_unstable_by(|one, other| other.cmp(one));
        self.slowest.truncate(SLOWEST_MAX);
    }

    fn add(&mut self, other: Self) {
        self.nanos.extend(other.nanos);
        self.partial += other.partial;
        self.with_hits += other.with_hits;
        for (status, count) in other.statuses {
            *self.statuses.entry(status).or_default() += count;
        }
        for (nanos, status, typed) in other.slowest {
            self.note_slow(nanos, status, typed);
        }
        self.fault = self.fault.take().or(other.fault);
    }

    fn faults(&self) -> usize {
        self.statuses.range(500..).map(|(_, count)| count).sum()
    }

    fn over_bar(&self) -> usize {
        self.nanos.iter().filter(|nanos| u128::from(**nanos) > BAR.as_nanos()).count()
    }

    fn into_figures(self) -> Value {
        let slowest = self.slowest.iter().map(|(nanos, status, typed)| {
            json!({ "ms": *nanos as f64 / 1e6, "status": status, "typed": typed })
        });
        json!({
            "slowest": slowest.collect::<Vec<_>>(),
            "over_100_ms": self.over_bar(),
            "statuses": self.statuses,
            "partial": self.partial,
            "with_hits": self.with_hits,
            "fault": self.fault,
            "latency": Latency::of(self.nanos),
        })
    }
}

/// The figures, and what is wrong with them.
pub(super) async fn run(
    args: &Args,
    filled: &mut Filled,
) -> anyhow::Result<(Value, Option<String>)> {
    let cores = CoreTime::read()?;
    let broken_off = searcher::broken_off(filled.searcher()?).await?;
    let before = searcher::query_seconds(filled.searcher()?).await?;
    let until = Instant::now() + Duration::from_secs_f64(args.fuzz_seconds);
    let dices: Vec<Dice> = (0..AT_A_TIME).map(|_| Dice::new(filled.dice.next())).collect();
    let filled = &*filled;
    let asking = dices.into_iter().map(|dice| ask(filled, dice, until));
    let mut tallies: BTreeMap<Shape, Tally> = BTreeMap::new();
    for of_one in try_join_all(asking).await? {
        for (shape, tally) in of_one {
            tallies.entry(shape).or_default().add(tally);
        }
    }
    let queries: usize = tallies.values().map(|tally| tally.nanos.len()).sum();
    let faults: usize = tallies.values().map(Tally::faults).sum();
    let over_bar: usize = tallies.values().map(Tally::over_bar).sum();
    let partial: usize = tallies.values().map(|tally| tally.partial).sum();
    let worst = tallies.values().flat_map(|tally| tally.slowest.first()).max();
    if let Some((nanos, _, typed)) = worst {
        say(&format!("fuzz: worst {:.1} ms: {typed:?}", *nanos as f64 / 1e6));
    }
    let broken_off = searcher::broken_off(filled.searcher()?).await? - broken_off;
    let searched = searcher::query_seconds(filled.searcher()?).await?.since(&before);
    let failed = (faults > 0 || broken_off > 0.0).then(|| {
        format!(
            "of {queries} queries {faults} were not answered, {broken_off} partitions broke off"
        )
    });
    let worst_ms = worst.map(|(nanos, ..)| *nanos as f64 / 1e6);
    let shapes: Map<String, Value> = tallies
        .into_iter()
        .map(|(shape, tally)| (shape.name().to_owned(), tally.into_figures()))
        .collect();
    let figures = json!({
        "seconds": args.fuzz_seconds,
        "queries": queries,
        "faults": faults,
        "broken_off": broken_off,
        "over_100_ms": over_bar,
        "partial": partial,
        "worst_ms": worst_ms,
        "in_the_searcher": searcher::in_the_searcher(&searched, queries),
        "shapes": shapes,
        "stolen": stolen_since(cores)?,
    });
    Ok((figures, failed))
}

/// Asks one query after the other, in the name of each reader in turn.
async fn ask(
    filled: &Filled,
    dice: Dice,
    until: Instant,
) -> anyhow::Result<BTreeMap<Shape, Tally>> {
    let mut typist = Typist { texts: &filled.texts, people: &filled.people, dice };
    let mut tallies: BTreeMap<Shape, Tally> = BTreeMap::new();
    let mut client = Client::open(filled.gateway()?).await?;
    let readers = filled.world.of_readers.len();
    for number in 0.. {
        if Instant::now() >= until {
            break;
        }
        let shape = Shape::ALL[number % Shape::ALL.len()];
        let typed = typist.types(shape);
        // Not in step with the shapes.
        let reader = typist.dice.below(readers);
        let ask = Ask { path: path(&typed), token: filled.people[reader].token.clone() };
        let began = Instant::now();
        let answer = client.ask(&ask).await?;
        let nanos = began.elapsed().as_nanos() as u64;
        let tally = tallies.entry(shape).or_default();
        *tally.statuses.entry(answer.status).or_default() += 1;
        if answer.status == 429 {
            tokio::time::sleep(REFUSED_PAUSE).await;
            continue;
        }
        tally.nanos.push(nanos);
        if answer.status == 200 {
            let list: SearchList = serde_json::from_slice(&answer.body)?;
            tally.partial += usize::from(list.partial);
            tally.with_hits += usize::from(!list.items.is_empty());
        } else if answer.status >= 500 && tally.fault.is_none() {
            let body = String::from_utf8_lossy(&answer.body).into_owned();
            tally.fault = Some((typed.clone(), body));
        }
        tally.note_slow(nanos, answer.status, typed);
    }
    Ok(tallies)
}

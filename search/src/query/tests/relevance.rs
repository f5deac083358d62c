//! How well what people mean is found: queries written by hand over real chat, each with the
//! messages that must be among the first ten.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use hansard_model::search::{SearchOrder, SearchOutcome, SearchRequest};
use hansard_model::{ConversationId, GroupId, LogTime, PartitionId, Seq, UserId};
use hansard_search_language::query::{Asks, parse};
use serde::Deserialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::request;
use crate::document::{Document, Membership, Message};
use crate::fold::tests::user;
use crate::index::{Change, Changes, Index, View};
use crate::position::Position;
use crate::query::search;

const QUERIES: &str = include_str!("../../../../tests/data/relevance.jsonl");
/// Of what must be among the first ten of a query, the share that is, as a mean of all queries. It
/// is what was reached when this was written: whoever makes it better raises it.
const RECALL_MIN: f64 = 0.993;
/// Results that are looked at.
const RESULTS: usize = 10;
/// With fewer the words may have been mistyped, as the gateway has it.
const FEW_HITS: usize = 3;
/// Messages of a commit.
const COMMIT: usize = 20_000;
const READER: u8 = 0;

#[derive(Deserialize)]
struct Line {
    ts: String,
    nick: String,
    text: String,
}

#[derive(Deserialize)]
struct Case {
    query: String,
    lines: Vec<u64>,
    why: String,
}

/// People of the corpus by their nicks, in any case of letters.
#[derive(Default)]
struct Nicks(HashMap<String, UserId>);

impl Nicks {
    fn user(&mut self, nick: &str) -> UserId {
        let next = self.0.len() as u64 + 1;
        let named = || {
            let mut entropy = [0xff; 20];
            entropy[..8].copy_from_slice(&next.to_be_bytes());
            UserId::from_entropy(entropy)
        };
        *self.0.entry(nick.to_lowercase()).or_insert_with(named)
    }
}

/// The corpus beside the tree, which is not in it.
fn corpus() -> Option<PathBuf> {
    // From the package, where tests run: what they were built in may have been another tree.
    Some(PathBuf::from("../../shared/data/ubuntu-irc.jsonl.gz")).filter(|path| path.exists())
}

/// Indexes the corpus as what was said in one group; when the last of it was said.
fn index(corpus: &Path, index: &mut Index, nicks: &mut Nicks) -> LogTime {
    let file = std::fs::File::open(corpus).expect("the corpus");
    let lines = BufReader::new(GzDecoder::new(file)).lines();
    let group = GroupId::from_entropy([1; 20]);
    let mut changes = Changes::new();
    let put = |changes: &mut Changes, document: Document| {
        let change = Change { now: Some(document), was_committed: false };
        changes.insert(change.now.as_ref().expect("there").key(), change);
    };
    let member = Membership { group, user: user(READER), view_from: Seq::ZERO };
    put(&mut changes, Document::Member(member));
    let mut position = Position::beginning(1);
    let mut last = 0;
    for (seq, line) in (1..).map(Seq).zip(lines) {
        let Line { ts, nick, text } =
            serde_json::from_str(&line.expect("a line")).expect("a message");
        let ts = OffsetDateTime::parse(&ts, &Rfc3339).expect("a time").unix_timestamp_nanos();
        last = u64::try_from(ts).expect("after 1970");
        let message = Message {
            conversation: ConversationId::Group(group),
            seq,
            ts: last,
            sender: nicks.user(&nick),
            text,
            mentions: Vec::new(),
            media: false,
            thread: false,
            reactions: Vec::new(),
        };
        put(&mut changes, Document::Message(message));
        position.seq = seq;
        if changes.len() >= COMMIT {
            index.commit(&changes, position.clone()).expect("committed");
            changes.clear();
        }
    }
    index.commit(&changes, position).expect("committed");
    LogTime::from_nanos(last)
}

/// The first results of a query, asked as the gateway asks.
fn results(view: &View, query: &str, now: LogTime, nicks: &mut Nicks) -> Vec<u64> {
    let parsed = parse(query).expect("a query");
    let people = parsed.leaves().into_iter().filter_map(|(leaf, _)| {
        let Asks::From(name) = &leaf.asks else { return None };
        Some(nicks.user(&name.text))
    });
    let asked = SearchRequest {
        people: people.collect(),
        now_ms: now.as_millis(),
        order: SearchOrder::Relevance,
        limit: RESULTS,
        ..request(READER, query)
    };
    let found = |typos| {
        let asked = SearchRequest { typos, ..asked.clone() };
        let outcome = search(view, PartitionId(0), &asked).expect("searched");
        let SearchOutcome::Found { hits, .. } = outcome else { panic!("{query}: {outcome:?}") };
        hits.iter().map(|hit| hit.seq.0).collect::<Vec<_>>()
    };
    let exact = found(false);
    if exact.len() < FEW_HITS { found(true) } else { exact }
}

#[test]
fn what_people_mean_is_among_the_first_ten() {
    let Some(corpus) = corpus() else {
        println!("skipped: the corpus is not beside the tree");
        return;
    };
    let path = tempfile::tempdir().expect("a directory");
    let (mut open, mut nicks) =
        (Index::open(path.path(), std::sync::Arc::default()).expect("an index"), Nicks::default());
    let now = index(&corpus, &mut open, &mut nicks);
    let view = open.view();
    let (mut recalls, mut worse) = (Vec::new(), String::new());
    for line in QUERIES.lines() {
        let Case { query, lines, why } = serde_json::from_str(line).expect("a case");
        let found = results(&view, &query, now, &mut nicks);
        let missing: Vec<u64> =
            lines.iter().copied().filter(|line| !found.contains(line)).collect();
        recalls.push(1.0 - missing.len() as f64 / lines.len() as f64);
        if !missing.is_empty() {
            worse += &format!("{query:?} ({why}): without {missing:?}, but {found:?}\n");
        }
    }
    let whole = recalls.iter().filter(|recall| **recall == 1.0).count();
    let recall = recalls.iter().sum::<f64>() / recalls.len() as f64;
    println!("{worse}recall {recall:.4} of {} queries, {whole} of them whole", recalls.len());
    assert!(recall >= RECALL_MIN, "recall fell to {recall:.4}:\n{worse}");
}

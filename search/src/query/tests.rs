mod leaks;
mod relevance;

use std::path::Path;

use hansard_model::search::{SearchOrder, TimePlace};
use hansard_model::{ConversationId, Seq, UserId};
use serde_json::{Value, json};

use super::*;
use crate::fold::tests::{group, incoming, indexed, user};
use crate::index::Index;

const PARTITION: PartitionId = PartitionId(0);

fn request(reader: u8, query: &str) -> SearchRequest {
    SearchRequest {
        reader: user(reader),
        query: query.to_owned(),
        people: Vec::new(),
        conversations: Vec::new(),
        now_ms: 1_700_000_100_000,
        utc_offset_minutes: 0,
        order: SearchOrder::Relevance,
        limit: 10,
        typos: false,
        behind: None,
        seen: Vec::new(),
        min: Vec::new(),
    }
}

fn found(view: &View, request: &SearchRequest) -> (Vec<u64>, bool) {
    let outcome = search(view, PARTITION, request).expect("searched");
    let SearchOutcome::Found { hits, more, .. } = outcome else { panic!("{outcome:?}") };
    (hits.iter().map(|hit| hit.seq.0).collect(), more)
}

fn seqs(view: &View, reader: u8, query: &str) -> Vec<u64> {
    let mut seqs = found(view, &request(reader, query)).0;
    seqs.sort_unstable();
    seqs
}

fn direct(x: u8, y: u8) -> ConversationId {
    ConversationId::direct(user(x), user(y))
}

fn log(path: &Path, events: &[(ConversationId, u8, Value)]) -> Index {
    let log: Vec<_> = (1..)
        .zip(events)
        .map(|(seq, (at, sender, event))| incoming(seq, *at, *sender, event))
        .collect();
    indexed(path, &log, |place| place % 3 == 0)
}

fn message(text: &str) -> Value {
    json!({"kind": "message", "text": text})
}

#[test]
fn only_what_the_reader_may_see_is_found() {
    let path = tempfile::tempdir().expect("a directory");
    let member = |of: u8, op: &str| json!({"kind": "member", "user": user(of), "op": op});
    let index = log(
        path.path(),
        &[
            (direct(1, 2), 1, message("secret one")),
            (direct(2, 3), 3, message("secret two")),
            (group(1), 1, json!({"kind": "create", "members": [user(2)]})),
            (group(1), 1, message("secret three")),
            (group(1), 1, member(4, "add")),
            (group(1), 2, message("secret four")),
            (direct(3, 3), 3, message("secret note")),
            (group(1), 1, member(2, "remove")),
        ],
    );
    let view = index.view();
    let of = |reader| seqs(&view, reader, "secret ");
    assert_eq!([1, 2, 3, 4, 5].map(of), [vec![1, 4, 6], vec![1, 2], vec![2, 7], vec![6], vec![]]);
    assert_eq!(seqs(&view, 2, "secret -two "), [1]);
}

#[test]
fn words_phrases_prefixes_and_filters_find_what_they_say() {
    let path = tempfile::tempdir().expect("a directory");
    let at = direct(1, 2);
    let index = log(
        path.path(),
        &[
            (at, 1, message("cannot open display")),
            (at, 2, message("open the cannot")),
            (at, 1, json!({"kind": "message", "text": "see https://ubuntu.com", "thread": 1})),
            (at, 2, json!({"kind": "message", "text": "you there?", "mentions": [user(1)]})),
            (at, 1, json!({"kind": "message", "text": "", "media": [{"id": "m"}]})),
            (at, 1, json!({"kind": "reaction", "target": 2, "emoji": "👍", "op": "add"})),
            (direct(1, 3), 3, message("displays differ")),
        ],
    );
    let view = index.view();
    let of = |query| seqs(&view, 1, query);
    assert_eq!(of("cannot open "), [1, 2]);
    assert_eq!(of("\"cannot open\""), [1]);
    assert_eq!(of("displ"), [1, 7]);
    assert_eq!(of("displ "), Vec::<u64>::new());
    assert_eq!(of("has:link "), [3]);
    assert_eq!(of("has:media "), [5]);
    assert_eq!(of("has:reaction "), [2]);
    assert_eq!(of("is:thread "), [3]);
    assert_eq!(of("mentions:me "), [4]);
    assert_eq!(of("there or display "), [1, 4]);
    assert_eq!(of("after:2023-01-01 open "), [1, 2]);
    assert_eq!(of("before:2023-01-01 open "), Vec::<u64>::new());
    let named = |query: &str, people: Vec<UserId>, conversations: Vec<ConversationId>| {
        found(&view, &SearchRequest { people, conversations, ..request(1, query) }).0
    };
    assert_eq!(named("from:x open ", vec![user(2)], vec![]), [2]);
    assert_eq!(named("in:x displ", vec![], vec![direct(1, 3)]), [7]);
    let unnamed = search(&view, PARTITION, &request(1, "from:x")).expect("searched");
    assert_eq!(unnamed, SearchOutcome::BadRequest);
}

#[test]
fn phrases_that_are_left_out_may_begin_anywhere() {
    let path = tempfile::tempdir().expect("a directory");
    let at = direct(1, 2);
    let view = log(
        path.path(),
        &[
            (at, 1, message("open the window")),
            (at, 1, message("open that comes now")),
            (at, 1, message("open what comes, and that")),
            (at, 1, message("open that comes")),
            (at, 1, message("open")),
        ],
    )
    .view();
    assert_eq!(seqs(&view, 1, "open -\"that comes\" "), [1, 3, 5]);
    assert_eq!(seqs(&view, 1, "open -\"comes that\" "), [1, 2, 3, 4, 5]);
    assert_eq!(seqs(&view, 1, "window or (open -\"that comes\") "), [1, 3, 5]);
    assert_eq!(seqs(&view, 1, "open -(\"the window\" or \"that comes now\") "), [3, 4, 5]);
}

#[test]
fn words_with_typos_are_found_when_that_is_asked_for() {
    let path = tempfile::tempdir().expect("a directory");
    let at = direct(1, 2);
    let index = log(
        path.path(),
        &[(at, 1, message("the partition is full")), (at, 1, message("partitions are fun"))],
    );
    let view = index.view();
    let asked = |query: &str| {
        let typos = SearchRequest { typos: true, ..request(1, query) };
        let outcome = search(&view, PARTITION, &typos).expect("searched");
        let SearchOutcome::Found { hits, terms, .. } = outcome else { panic!("not found") };
        (hits.iter().map(|hit| hit.seq.0).collect::<Vec<_>>(), terms)
    };
    assert_eq!(seqs(&view, 1, "partitoin "), Vec::<u64>::new());
    // One edit away, and the other two: the nearer is meant.
    assert_eq!(asked("partitoin "), (vec![1], vec!["partition".to_owned()]));
    assert_eq!(asked("partitoins "), (vec![2], vec!["partitions".to_owned()]));
    assert_eq!(asked("pratitoin "), (vec![1], vec!["partition".to_owned()]), "two edits");
}

#[test]
fn pages_in_either_order_have_every_hit_once() {
    let path = tempfile::tempdir().expect("a directory");
    let events: Vec<_> =
        (0..23).map(|place| (direct(1, 2), 1, message(&"word ".repeat(place % 4 + 1)))).collect();
    let view = log(path.path(), &events).view();
    let mut by_time: Vec<u64> = Vec::new();
    let mut behind = None;
    loop {
        let asked =
            SearchRequest { order: SearchOrder::Time, limit: 5, behind, ..request(1, "word ") };
        let (page, more) = found(&view, &asked);
        by_time.extend(&page);
        let Some(last) = page.last().filter(|_| more) else { break };
        let ts_ms = 1_700_000_000_000 + last * 1_000;
        behind = Some(TimePlace { ts_ms, partition: PARTITION, seq: Seq(*last) });
    }
    assert_eq!(by_time, (1..=23).rev().collect::<Vec<_>>());
    let mut by_relevance: Vec<Seq> = Vec::new();
    loop {
        let seen = vec![(PARTITION, by_relevance.clone())];
        let (page, more) = found(&view, &SearchRequest { limit: 5, seen, ..request(1, "word ") });
        by_relevance.extend(page.into_iter().map(Seq));
        if !more {
            break;
        }
    }
    by_relevance.sort_unstable();
    assert_eq!(by_relevance, (1..=23).map(Seq).collect::<Vec<_>>());
}

#[test]
fn of_equal_messages_the_newer_comes_first_and_of_unequal_the_better() {
    let path = tempfile::tempdir().expect("a directory");
    let at = direct(1, 2);
    let view = log(
        path.path(),
        &[
            (at, 1, message("kernel panic kernel panic")),
            (at, 1, message("a kernel and no such thing as what is asked for here today")),
            (at, 1, message("kernel one")),
            (at, 1, message("kernel two")),
        ],
    )
    .view();
    let (seqs, _) = found(&view, &request(1, "kernel "));
    assert_eq!(seqs[1..], [4, 3, 2]);
    assert_eq!(seqs[0], 1);
}

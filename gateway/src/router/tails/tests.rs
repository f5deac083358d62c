use hansard_model::query::Item;
use hansard_model::{GroupId, LogTime, PartitionCount};
use serde_json::value::RawValue;

use super::*;

/// The events of [`tail`]; that at 20 changes members.
pub(crate) const SEQS: [u64; 4] = [10, 20, 30, 40];

fn group() -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([9; 20]))
}

fn body(kind: &str) -> String {
    format!(r#"{{"event":{{"kind":"{kind}"}}}}"#)
}

fn item(seq: u64, prev: u64, kind: &str) -> Item {
    Item {
        seq: Seq(seq),
        prev: Seq(prev),
        n: seq,
        ts: LogTime::default(),
        body: RawValue::from_string(body(kind)).expect("JSON"),
        state: None,
    }
}

fn page(items: Vec<Item>, as_of: u64) -> Page {
    let (more_before, more_after) = (false, false);
    Page { items, as_of: Seq(as_of), more_before, more_after, view_from: Seq(1) }
}

/// A tail with [`SEQS`], everything after `from`.
pub(crate) fn tail(from: u64) -> Tail {
    let items = vec![
        item(10, 4, "message"),
        item(20, 10, "member"),
        item(30, 20, "message"),
        item(40, 30, "message"),
    ];
    Tail::of(group(), Seq(from), &page(items, 40))
}

/// A tail of a group with messages at 30 and 40 only, everything after 29.
pub(crate) fn messages() -> Tail {
    let items = vec![item(30, 20, "message"), item(40, 30, "message")];
    Tail::of(group(), Seq(29), &page(items, 40))
}

fn live(seq: u64, prev: u64, kind: &str) -> LiveEvent {
    LiveEvent {
        conversation: group(),
        seq: Seq(seq),
        prev: Seq(prev),
        n: 1,
        ts: LogTime::default(),
        follows: Seq(seq - 1),
        payload: body(kind).into(),
    }
}

fn router() -> Arc<Router> {
    let router = Arc::new(Router::new(PartitionCount::new(1).expect("one"), 1));
    router.advance(PartitionId(0), Seq(9), 1);
    router
}

fn kept(router: &Router) -> Option<(Vec<u64>, u64)> {
    let Current { tail, as_of } = router.tail(group())?;
    Some((seqs(&tail), as_of.0))
}

fn seqs(tail: &Tail) -> Vec<u64> {
    tail.events.iter().map(|event| event.seq.0).collect()
}

/// Reads 10 and 12 of a log up to 12 while `passing` passes.
fn read(router: &Arc<Router>, passing: &[LiveEvent]) {
    let reading = router.begin_tail(group(), Seq(5));
    assert_eq!(reading.min, Seq(9), "no less than the feed has passed");
    for event in passing {
        router.take(event, None, &[]);
    }
    let items = vec![item(10, 4, "message"), item(12, 10, "message")];
    let read = router.end_tail(&reading, Seq::ZERO, Seq(9), &page(items, 12)).expect("a tail");
    // Whatever passed: who waited for it gets what was read.
    assert_eq!((seqs(&read.tail), read.as_of), (vec![10, 12], Seq(12)));
}

#[test]
fn a_tail_is_exact_as_of_the_feed_whatever_passed_while_it_was_read() {
    let router = router();
    assert_eq!(kept(&router), None);
    read(&router, &[]);
    assert_eq!(kept(&router), Some((vec![10, 12], 12)), "the owner was ahead");
    for (seq, prev) in [(10, 4), (11, 4), (12, 10), (13, 12)] {
        router.take(&LiveEvent { seq: Seq(seq), ..live(seq, prev, "message") }, None, &[]);
    }
    assert_eq!(kept(&router), Some((vec![10, 12, 13], 13)));

    let router = self::router();
    let passing: Vec<LiveEvent> = [(10, 4), (12, 10), (13, 12)]
        .map(|(seq, prev)| LiveEvent { follows: Seq::ZERO, ..live(seq, prev, "message") })
        .into();
    read(&router, &passing);
    assert_eq!(kept(&router), Some((vec![10, 12, 13], 13)), "what the owner did not have");
}

#[test]
fn what_changes_earlier_events_ends_a_tail() {
    for kind in ["delete", "edit"] {
        let router = router();
        read(&router, &[]);
        router.take(&LiveEvent { follows: Seq::ZERO, ..live(14, 12, kind) }, None, &[]);
        assert_eq!(kept(&router), None, "{kind}");
        let passing = LiveEvent { follows: Seq::ZERO, ..live(14, 12, kind) };
        let other = self::router();
        read(&other, &[passing]);
        assert_eq!(kept(&other), None, "{kind} while it was read");
    }
}

#[test]
fn a_hole_and_another_log_end_a_tail() {
    let router = router();
    read(&router, &[]);
    router.take(&LiveEvent { follows: Seq::ZERO, ..live(14, 13, "message") }, None, &[]);
    assert_eq!(kept(&router), None, "13 is missing");
    let router = self::router();
    read(&router, &[]);
    router.forget_position(PartitionId(0));
    router.advance(PartitionId(0), Seq(20), 1);
    assert_eq!(kept(&router), None, "what passed meanwhile is not known");
    let reading = router.begin_tail(group(), Seq(5));
    router.begin_epoch(2);
    router.end_tail(&reading, Seq::ZERO, Seq(99), &page(vec![item(10, 4, "message")], 30));
    router.advance(PartitionId(0), Seq(3), 1);
    assert_eq!(kept(&router), None);
}

#[test]
fn a_tail_says_nothing_of_members_before_it() {
    let member = |from| tail(from).same_members_since();
    assert_eq!((member(5), member(25)), (Seq(20), Seq(25)));
    let user = |byte| hansard_model::UserId::from_entropy([byte; 20]);
    let direct = ConversationId::direct(user(1), user(2));
    let tail = Tail::of(direct, Seq(29), &page(vec![item(30, 20, "message")], 30));
    assert_eq!(tail.same_members_since(), Seq::ZERO, "who is in it never changes");
    let mut tail = messages();
    assert!(tail.follow(&live(50, 40, "member")));
    assert_eq!(tail.same_members_since(), Seq(50));
}

#[test]
fn a_read_that_began_while_the_feed_had_no_position_is_not_kept() {
    let router = router();
    router.forget_position(PartitionId(0));
    let reading = router.begin_tail(group(), Seq(5));
    router.advance(PartitionId(0), Seq(20), 1);
    let items = vec![item(10, 4, "message"), item(12, 10, "message")];
    router.end_tail(&reading, Seq::ZERO, Seq(9), &page(items, 12));
    assert_eq!(kept(&router), None, "what passed before 20 is not known");
}

#[test]
fn a_page_that_may_end_with_its_readers_view_is_not_kept() {
    let router = router();
    let reading = router.begin_tail(group(), Seq(5));
    // Its reader, whose membership is known as of 9, may be the one that was removed by 12.
    let items = vec![item(10, 4, "message"), item(12, 10, "member")];
    let read = router.end_tail(&reading, Seq::ZERO, Seq(9), &page(items, 14));
    assert!(read.is_none() && kept(&router).is_none());
    let reading = router.begin_tail(group(), Seq(15));
    let items = vec![item(10, 4, "message")];
    assert!(router.end_tail(&reading, Seq::ZERO, Seq(9), &page(items, 14)).is_none(), "behind");
}

#[test]
fn a_page_without_the_events_there_are_makes_a_tail_of_none() {
    let page = Page { more_before: true, ..page(Vec::new(), 40) };
    let mut tail = Tail::of(group(), Seq(5), &page);
    assert_eq!(tail.from, Seq(40), "it has nothing up to there");
    assert!(tail.follow(&live(50, 40, "message")));
    assert_eq!((seqs(&tail), tail.from), (vec![50], Seq(40)));
}

#[test]
fn tails_and_reads_are_bounded() {
    let mut tail = tail(5);
    for seq in 41..3_000_u64 {
        assert!(tail.follow(&live(seq, seq - 1, "message")));
    }
    assert_eq!((tail.events.len(), tail.from), (EVENTS_MAX, Seq(2_999 - EVENTS_MAX as u64)));
    let large =
        LiveEvent { payload: vec![b'x'; TAIL_BYTES_MAX].into(), ..live(3_000, 2_999, "message") };
    assert!(tail.follow(&large));
    assert!(tail.bytes <= TAIL_BYTES_MAX, "{}", tail.bytes);
    let counted: usize = tail.events.iter().map(TailEvent::bytes).sum();
    assert_eq!(tail.bytes, counted);
    let router = router();
    drop(router.begin_tail(group(), Seq(5)));
    assert_eq!(router.lock().tails.reading.len(), 0, "a read that was given up is forgotten");
}

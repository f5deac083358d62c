use hansard_model::query::Page;
use hansard_model::{GroupId, PartitionCount, PartitionId};

use super::*;
use crate::resume::plan::PlanRequest;
use crate::router::tests::{
    attach, entry, from, group, live, member, message, received, router, settled, take, user,
};

fn listing(event: &LiveEvent) -> Listed {
    let LiveEvent { conversation, seq, follows, .. } = *event;
    Listed { conversation, seq, follows }
}

fn pass(router: &Router, event: &LiveEvent) -> Taken {
    router.take_listed(&listing(event), None)
}

fn direct(seq: u64, x: u8, y: u8) -> LiveEvent {
    live(seq, ConversationId::direct(user(x), user(y)), r#"{"kind":"message","text":"x"}"#)
}

#[test]
fn the_feed_moves_over_what_nobody_here_gets_and_waits_for_what_somebody_does() {
    let router = router();
    let ana = settled(&router, 1, &[]);
    assert_eq!(pass(&router, &message(1)), Taken::Delivered);
    assert_eq!(pass(&router, &direct(2, 3, 4)), Taken::Delivered);
    assert_eq!(router.position(PartitionId(0)), Some(Seq(2)));
    let theirs = direct(3, 1, 4);
    assert_eq!(pass(&router, &theirs), Taken::Absent);
    assert_eq!(pass(&router, &direct(4, 3, 4)), Taken::Hole(Seq(2)), "nothing overtakes");
    assert_eq!(router.position(PartitionId(0)), Some(Seq(2)));
    assert_eq!(router.take_listed(&listing(&theirs), Some((&theirs, None))), Taken::Delivered);
    assert_eq!(router.take_listed(&listing(&theirs), Some((&theirs, None))), Taken::Repeated);
    assert_eq!(received(&ana), [3]);
}

#[test]
fn who_is_added_is_interested_from_that_event_on_and_who_is_removed_up_to_it() {
    let router = router();
    let ana = settled(&router, 1, &[]);
    assert_eq!(pass(&router, &message(1)), Taken::Delivered);
    take(&router, &member(2, "add", 1));
    let said = message(3);
    assert_eq!(pass(&router, &said), Taken::Absent);
    router.take_listed(&listing(&said), Some((&said, None)));
    take(&router, &member(4, "remove", 1));
    assert_eq!(pass(&router, &message(5)), Taken::Delivered);
    assert_eq!(received(&ana), [2, 3, 4]);
}

#[test]
fn who_is_joining_fetches_what_was_passed_over_meanwhile() {
    let router = router();
    pass(&router, &message(1));
    let mut ana = attach(&router, 1);
    assert_eq!(pass(&router, &message(2)), Taken::Delivered, "it is not known that it is theirs");
    let start = from(1);
    let partitions = PartitionCount::new(1).expect("one");
    let seen = HashMap::new();
    let request = PlanRequest { start: &start, seen: &seen, settings: &[], partitions };
    // The inbox was read before the event.
    let plan = router.plan(&mut ana, &[entry(1, None, 1)], &request).expect("in time");
    let turns: Vec<_> = plan.turns.iter().map(|turn| (turn.conversation, turn.min)).collect();
    assert_eq!(turns, [(group(), Seq(2))]);
    let begun = ana.link().with_merge(|merge| merge.begin(group(), Seq::ZERO));
    assert_eq!(begun, Some(Seq(2)), "its page is to reach what was passed over");
    assert_eq!(pass(&router, &message(3)), Taken::Absent, "from here on it is known");
}

#[test]
fn a_tail_ends_where_an_event_was_passed_over() {
    let router = router();
    let page = |as_of| Page {
        items: Vec::new(),
        view_from: Seq::ZERO,
        more_before: false,
        more_after: false,
        as_of: Seq(as_of),
    };
    let read = router.begin_tail(group(), Seq::ZERO);
    router.end_tail(&read, Seq::ZERO, Seq::ZERO, &page(0));
    assert!(router.tail(group()).is_some());
    pass(&router, &message(1));
    assert!(router.tail(group()).is_none(), "it would lack the event");

    let read = router.begin_tail(group(), Seq::ZERO);
    pass(&router, &message(2));
    router.end_tail(&read, Seq::ZERO, Seq::ZERO, &page(1));
    assert!(router.tail(group()).is_none(), "nor is one kept that was being read");
}

#[test]
fn interests_follow_who_comes_goes_joins_and_leaves() {
    let router = router();
    let bucket = |who| Interest::Bucket(user(who).bucket_id());
    let ours = Interest::Group(match group() {
        ConversationId::Group(id) => id,
        ConversationId::Direct(..) => GroupId::from_entropy([0; 20]),
    });
    router.advance(PartitionId(0), Seq(1), 1);
    let ana = settled(&router, 1, &[entry(1, None, 1)]);
    assert_eq!(router.interests(), Interests::Changed(Vec::new()), "nobody wants to know");
    router.watch_interests();
    assert_eq!(router.interests(), Interests::All(vec![bucket(1), ours]));
    assert_eq!(router.interests(), Interests::Changed(Vec::new()));

    let ben = settled(&router, 2, &[]);
    assert_eq!(router.interests(), Interests::Changed(vec![(bucket(2), true)]));
    let again = attach(&router, 1);
    assert_eq!(router.interests(), Interests::Changed(vec![(ours, true)]));
    take(&router, &member(2, "remove", 1));
    assert_eq!(router.interests(), Interests::Changed(vec![(ours, false)]));
    drop(ben);
    drop(ana);
    assert_eq!(router.interests(), Interests::Changed(vec![(bucket(2), false)]));
    drop(again);
    assert_eq!(router.interests(), Interests::Changed(vec![(bucket(1), false)]));
    router.ignore_interests();
    let _cem = attach(&router, 3);
    assert_eq!(router.interests(), Interests::Changed(Vec::new()));
}

#[test]
fn more_changes_than_are_kept_are_told_as_all_there_is() {
    let mut watch = Watch { changes: Some(Changes::default()), ..Watch::default() };
    for number in 0..=CHANGES_MAX {
        let mut entropy = [0; 20];
        for (place, byte) in entropy.iter_mut().take(4).enumerate() {
            *byte = (number >> (5 * place) & 31) as u8;
        }
        watch.roster(ConversationId::Group(GroupId::from_entropy(entropy)));
    }
    let changes = watch.changes.expect("kept");
    assert!(changes.all && changes.interests.is_empty());
}

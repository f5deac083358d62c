use hansard_model::inbox::{Head, MemberRecord};
use hansard_model::{GroupId, LogTime, Role};

use super::*;
use crate::router::tails::tests::{SEQS, messages, tail};

fn entry(as_of: u64, view_from: u64) -> InboxEntry {
    InboxEntry {
        conversation: ConversationId::Group(GroupId::from_entropy([9; 20])),
        head: Head {
            seq: Seq(as_of),
            ts: LogTime::default(),
            n: 1,
            title: None,
            member_count: 2,
            last: None,
        },
        member: MemberRecord {
            role: Some(Role::Member),
            joined: Seq(1),
            view_from: Seq(view_from),
            view_to: None,
            read: Seq(0),
            read_n: 0,
            mentions: 0,
            as_of: Seq(1),
        },
    }
}

fn turn(after: u64, min: u64, entry: &InboxEntry) -> Turn {
    Turn {
        conversation: entry.conversation,
        entry: Some(entry.clone()),
        after: Seq(after),
        min: Seq(min),
        only_gap_to: None,
        is_set: false,
    }
}

/// The positions that are taken, and whether there is more before them; `None`: nothing is.
fn take(
    (from, upto): (u64, u64),
    after: u64,
    min: u64,
    of: &InboxEntry,
    limit: usize,
) -> Option<(Vec<u64>, bool)> {
    let current = Current { tail: Arc::new(tail(from)), as_of: Seq(upto) };
    let fetched = taken(&current, &turn(after, min, of), of, limit).ok()?;
    assert_eq!(fetched.as_of, Seq(upto));
    Some((fetched.items.iter().map(|item| item.seq.0).collect(), fetched.more_before))
}

#[test]
fn a_tail_serves_who_is_not_behind_its_beginning() {
    assert_eq!(SEQS, [10, 20, 30, 40]);
    let member = entry(40, 1);
    let all = Some((vec![10, 20, 30, 40], true));
    assert_eq!(take((5, 40), 5, 40, &member, 100), all);
    assert_eq!(take((5, 40), 25, 40, &member, 100), Some((vec![30, 40], true)));
    assert_eq!(take((5, 40), 40, 40, &member, 100), Some((vec![], false)));
    assert_eq!(take((5, 40), 4, 40, &member, 100), None, "what is between 4 and 5 is not known");
    assert_eq!(take((5, 40), 4, 40, &member, 3), Some((vec![20, 30, 40], true)), "but not wanted");
    assert_eq!(take((5, 40), 5, 40, &member, 0), Some((vec![40], true)));
}

#[test]
fn a_tail_that_is_behind_serves_nobody() {
    let member = entry(40, 1);
    assert!(take((5, 40), 5, 41, &member, 100).is_none());
    assert!(take((5, 41), 5, 41, &member, 100).is_some());
}

#[test]
fn nobody_gets_what_is_before_their_view() {
    let late = entry(40, 30);
    assert_eq!(take((5, 40), 0, 40, &late, 100), Some((vec![30, 40], false)));
    assert_eq!(take((29, 40), 0, 40, &late, 100), Some((vec![30, 40], false)));
}

#[test]
fn who_may_have_been_removed_since_is_asked_for_alone() {
    // The tail has a change of members at 20.
    assert!(take((5, 40), 5, 40, &entry(20, 1), 100).is_some());
    let current = Current { tail: Arc::new(tail(5)), as_of: Seq(40) };
    let early = entry(19, 1);
    let unfit = taken(&current, &turn(5, 40, &early), &early, 100).err();
    assert_eq!(unfit, Some(Unfit::Changed));
}

#[test]
fn who_may_have_been_removed_before_the_tail_begins_is_asked_for_alone() {
    let current = Current { tail: Arc::new(messages()), as_of: Seq(40) };
    let take = |as_of: u64| {
        let member = entry(as_of, 1);
        taken(&current, &turn(29, 40, &member), &member, 100).err()
    };
    assert_eq!(take(29), None);
    assert_eq!(take(28), Some(Unfit::Changed), "29 may have removed them");
}

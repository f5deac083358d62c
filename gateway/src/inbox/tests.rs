use hansard_model::inbox::Preview;
use hansard_model::{GroupId, LogTime};
use serde_json::value::RawValue;

use super::*;

const PARTITIONS: PartitionCount = PartitionCount::DEFAULT;

fn group(of: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([of; 20]))
}

fn member(as_of: u64) -> MemberRecord {
    MemberRecord {
        role: Some(Role::Member),
        joined: Seq(5),
        view_from: Seq(5),
        view_to: None,
        read: Seq(5),
        read_n: 0,
        mentions: 0,
        as_of: Seq(as_of),
    }
}

fn head(seq: u64) -> Head {
    Head {
        seq: Seq(seq),
        ts: LogTime::from_millis(seq),
        n: 3,
        title: Some("plans".to_owned()),
        member_count: 4,
        last: Some(Preview {
            seq: Seq(seq),
            prev: Seq(seq - 1),
            n: 3,
            ts: LogTime::from_millis(seq),
            body: RawValue::from_string("{}".to_owned()).expect("JSON"),
        }),
    }
}

/// What the bucket says that covers `position`.
fn view(position: u64, head_seq: Option<u64>, as_of: u64) -> BucketView {
    let conversation = group(1);
    let mut positions = vec![Seq(1_000); 16];
    positions[conversation.partition(PARTITIONS).index()] = Seq(position);
    let records = vec![(conversation, member(as_of))];
    let mut view = BucketView::new(PARTITIONS, Memberships { records, positions });
    view.heads = head_seq.map(|seq| (conversation, head(seq))).into_iter().collect();
    view
}

/// The partitions to ask about, when the bucket covers `position` and the feed has `required`.
fn behind(
    position: u64,
    required: u64,
    head_seq: Option<u64>,
    as_of: u64,
) -> Vec<(PartitionId, Seq)> {
    let view = view(position, head_seq, as_of);
    let mut needed = vec![Seq::ZERO; 16];
    needed[group(1).partition(PARTITIONS).index()] = Seq(required);
    let behind = view.behind(&needed);
    if behind.is_empty() { view.inconsistent() } else { behind }
}

#[test]
fn a_head_that_is_newer_than_its_owners_answer_is_asked_for_again() {
    let partition = group(1).partition(PARTITIONS);
    let answer = |entries| Changed { partition, entries, as_of: Seq(30) };
    // Written while the owner answered: whether the member read it is not known.
    let mut newer = view(20, Some(31), 10);
    newer.take(vec![answer(Vec::new())]);
    assert_eq!(newer.inconsistent(), [(partition, Seq(20))]);
    // Of the answer's time: head and member are of one state.
    let mut answered = view(20, Some(31), 10);
    let entry = InboxEntry { conversation: group(1), head: head(29), member: member(29) };
    answered.take(vec![answer(vec![entry])]);
    assert_eq!(answered.inconsistent(), []);
    assert_eq!(answered.into_entries()[0].head.seq, Seq(29));
    let mut quiet = view(20, Some(20), 10);
    quiet.take(vec![answer(Vec::new())]);
    assert_eq!(quiet.inconsistent(), []);
}

#[test]
fn a_bucket_that_covers_everything_is_enough() {
    assert_eq!(behind(20, 20, Some(20), 10), []);
}

#[test]
fn the_owner_is_asked_for_what_the_bucket_does_not_cover() {
    let partition = group(1).partition(PARTITIONS);
    assert_eq!(behind(19, 20, Some(18), 10), [(partition, Seq(19))]);
}

#[test]
fn values_newer_than_the_position_are_not_trusted_to_fit_each_other() {
    let partition = group(1).partition(PARTITIONS);
    assert_eq!(behind(20, 20, Some(21), 10), [(partition, Seq(20))]);
    assert_eq!(behind(20, 20, Some(20), 21), [(partition, Seq(20))]);
    assert_eq!(behind(20, 20, None, 10), [(partition, Seq(20))]);
}

#[test]
fn a_removed_member_sees_nothing_from_after_the_removal() {
    let removed = MemberRecord { role: None, view_to: Some(Seq(9)), ..member(9) };
    let seen = seen_by(&removed, head(12));
    assert_eq!((seen.seq, seen.title, seen.member_count), (Seq(9), None, 0));
    assert!(seen.last.is_none());
}

#[test]
fn a_new_member_does_not_see_the_last_message_from_before_joining() {
    let joined_later = MemberRecord { view_from: Seq(13), joined: Seq(13), ..member(13) };
    assert!(seen_by(&joined_later, head(12)).last.is_none());
    assert!(seen_by(&member(6), head(12)).last.is_some());
}

#[test]
fn an_inbox_is_remembered_up_to_what_it_covers_and_not_for_another_log() {
    let user = UserId::from_entropy([1; 20]);
    let partition = group(1).partition(PARTITIONS);
    let mut read = view(20, Some(20), 10);
    read.take(vec![Changed { partition, entries: Vec::new(), as_of: Seq(30) }]);
    assert!(read.is_whole());
    let known = Known::new();
    known.note(user, 1, &read, Instant::now());
    assert!(known.of(user, 2).is_none());
    let remembered = known.of(user, 1).expect("remembered");
    assert_eq!(remembered.covered[partition.index()], Seq(30));
    assert_eq!(remembered.into_entries().len(), 1);
    // A value whose companion may be older is not carried on.
    assert!(!view(20, Some(21), 10).is_whole());
}

#[test]
fn an_inbox_of_a_moment_ago_is_for_who_needs_nothing_later() {
    let user = UserId::from_entropy([1; 20]);
    let mut read = view(20, Some(20), 10);
    let partition = group(1).partition(PARTITIONS);
    read.take(vec![Changed { partition, entries: Vec::new(), as_of: Seq(30) }]);
    let known = Known::new();
    assert!(known.lately(user, 1, &[]).is_none());
    known.note(user, 1, &read, Instant::now());
    assert!(known.lately(user, 1, &[(group(1), Seq(30))]).is_some());
    assert!(known.lately(user, 1, &[(group(1), Seq(31))]).is_none());
    assert!(known.lately(user, 2, &[]).is_none());
    let long_ago = Instant::now().checked_sub(known::LATELY).expect("a machine that is up");
    known.note(user, 1, &read, long_ago);
    assert!(known.lately(user, 1, &[]).is_none());
    assert!(known.of(user, 1).is_some());
}

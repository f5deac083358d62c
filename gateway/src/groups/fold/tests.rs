use hansard_model::draft::Draft;
use hansard_model::event::EventClass;
use hansard_model::{
    ConversationId, DeviceId, GroupId, LogTime, MessageId, Role, UserId, envelope,
};
use proptest::prelude::*;

use super::*;

fn user(number: u8) -> UserId {
    let mut entropy = [1; 20];
    (entropy[0], entropy[1]) = (number & 31, number >> 5);
    UserId::from_entropy(entropy)
}

fn record(seq: u64, event: &str) -> Record<Vec<u8>> {
    let draft = Draft::parse(event).expect("valid");
    let id = MessageId::new(seq, [0; 10]);
    let payload = envelope::encode(id, user(0), DeviceId::from_entropy([1; 20]), &draft);
    Record {
        seq: Seq(seq),
        ts: LogTime::from_millis(1),
        conversation: ConversationId::Group(GroupId::from_entropy([1; 20])),
        class: EventClass::Meta,
        vouch_until: Some(LogTime::from_millis(2)),
        key: None,
        payload: payload.into_bytes(),
    }
}

fn create(seq: u64) -> Record<Vec<u8>> {
    record(seq, r#"{"kind":"create","title":"tea","members":[]}"#)
}

fn change(seq: u64, op: &str, who: u8) -> Record<Vec<u8>> {
    record(seq, &format!(r#"{{"kind":"member","op":"{op}","user":"{}"}}"#, user(who)))
}

fn void(mut record: Record<Vec<u8>>) -> Record<Vec<u8>> {
    record.vouch_until = None;
    record
}

fn extent(first: u64, last: u64) -> Extent {
    Extent { first: Seq(first), last: Seq(last), bytes: 0, now: None }
}

fn whole(joined: Result<Joined, GroupsError>) -> Fold {
    match joined.expect("readable") {
        Joined::Whole(fold) => fold,
        other => panic!("{other:?}"),
    }
}

/// What the owner would say of a group at a position.
fn owner(log: &[Record<Vec<u8>>], as_of: u64) -> Fold {
    let mut group = Group::default();
    for record in log.iter().filter(|record| record.seq.0 <= as_of && !record.is_void()) {
        let envelope = Envelope::decode(&record.payload).expect("readable");
        group.apply(record.seq, envelope.sender, &envelope.event);
    }
    Fold::of_owner(GroupReply { group, as_of: Seq(as_of) })
}

#[test]
fn an_untrimmed_stream_is_enough() {
    let tail = [create(3), change(5, "add", 2), void(change(7, "add", 3))];
    let fold = whole(Fold::default().join(&tail, Seq(7), extent(1, 9)));
    assert_eq!(fold.group.members().len(), 2);
    assert_eq!((fold.group.last(), fold.covered()), (Seq(7), Seq(7)));
    assert!(fold.is_whole(Seq(7)) && !fold.is_whole(Seq(8)) && !fold.is_whole(Seq(0)));
}

#[test]
fn a_group_that_began_behind_the_cut_needs_no_owner() {
    let fold =
        whole(Fold::default().join(&[void(create(30)), create(31)], Seq(31), extent(20, 40)));
    assert_eq!(fold.group.created(), Some(Seq(31)));
}

#[test]
fn a_group_whose_beginning_has_left_the_stream_begins_from_the_owner() {
    let tail = [change(30, "add", 2)];
    let cut = Fold::default().join(&tail, Seq(30), extent(20, 40)).expect("readable");
    assert_eq!(cut, Joined::Cut(Seq(19)));
    // Of a stream without any meta event of the group it is not known whether there is one.
    let none: [Record<Vec<u8>>; 0] = [];
    let cut = Fold::default().join(&none, Seq(0), extent(20, 40)).expect("readable");
    assert_eq!(cut, Joined::Cut(Seq(19)));
    let untrimmed = whole(Fold::default().join(&none, Seq(0), extent(1, 40)));
    assert_eq!(untrimmed.group.created(), None);

    let log = [create(3), change(30, "add", 2)];
    let fold = whole(owner(&log, 25).join(&tail, Seq(30), extent(20, 40)));
    assert_eq!((fold.group.members().len(), fold.group.last()), (2, Seq(30)));
}

#[test]
fn an_owner_that_has_not_applied_what_was_trimmed_is_asked_again() {
    let log = [create(3)];
    let none: [Record<Vec<u8>>; 0] = [];
    let cut = owner(&log, 10).join(&none, Seq(0), extent(20, 40)).expect("readable");
    assert_eq!(cut, Joined::Cut(Seq(19)));
    assert!(owner(&log, 19).join(&none, Seq(0), extent(20, 40)).is_ok());
}

#[test]
fn a_change_that_came_and_went_while_nobody_looked_is_not_missed() {
    let first = whole(Fold::default().join(&[create(3)], Seq(3), extent(1, 10)));
    // 15 removed somebody and was trimmed; the stream shows an older state or a later change.
    let none: [Record<Vec<u8>>; 0] = [];
    let cut = first.join(&none, Seq(0), extent(20, 40)).expect("readable");
    assert_eq!(cut, Joined::Cut(Seq(19)));
    let cut = first.join(&[change(30, "add", 4)], Seq(30), extent(20, 40)).expect("readable");
    assert_eq!(cut, Joined::Cut(Seq(19)));
}

#[test]
fn a_quiet_group_is_not_asked_about_again_while_the_stream_moves_on() {
    let none: [Record<Vec<u8>>; 0] = [];
    let mut fold = owner(&[create(3)], 29);
    // Each comparison comes before anything is trimmed that the last but one has not seen.
    for at in 2..10_u64 {
        fold = whole(fold.join(&none, Seq(0), extent(at * 10, at * 10 + 20)));
    }
    assert!(fold.covered() >= Seq(90), "{fold:?}");
    assert_eq!(fold.group.last(), Seq(3));
}

#[test]
fn a_log_that_lost_its_end_is_folded_anew() {
    let tail = [create(3), change(30, "add", 2)];
    let fold = whole(Fold::default().join(&tail, Seq(30), extent(1, 40)));
    let none: [Record<Vec<u8>>; 0] = [];
    assert_eq!(fold.join(&none, Seq(3), extent(1, 20)).expect("readable"), Joined::Shrunk);
}

#[test]
fn nobody_vouches_for_what_they_do_not_understand() {
    let mut odd = change(5, "add", 2);
    odd.payload = br#"{"v":99}"#.to_vec();
    let joined = Fold::default().join(&[create(3), odd], Seq(5), extent(1, 9));
    assert!(matches!(joined, Err(GroupsError::Undecodable(Seq(5)))));
}

proptest! {
    /// However the stream is trimmed between comparisons, a comparison ends with the state that
    /// the whole log gives.
    #[test]
    fn any_trimming_gives_the_fold_of_the_whole_log(
        steps in prop::collection::vec((0_u64..3, 0_u64..6, prop::bool::ANY), 1..40)
    ) {
        let mut log = vec![create(1)];
        let (mut first, mut last) = (1_u64, 1_u64);
        let mut fold = Fold::default();
        for (number, (events, trim, compares)) in steps.into_iter().enumerate() {
            for event in 0..events {
                last += 1 + event;
                let who = (number % 20 + 2) as u8;
                let op = if event % 2 == 0 { "add" } else { "remove" };
                log.push(change(last, op, who));
            }
            last += 1;
            first = (first + trim).min(last);
            if !compares {
                continue;
            }
            let shown = |seq: u64| seq >= first;
            let to = log.iter().map(|r| r.seq.0).filter(|seq| shown(*seq)).max().unwrap_or(0);
            if !fold.is_whole(Seq(to)) {
                let mut rounds = 0;
                fold = loop {
                    rounds += 1;
                    prop_assert!(rounds < 4);
                    let covered = fold.covered().0;
                    let tail: Vec<_> = log
                        .iter()
                        .filter(|r| shown(r.seq.0) && r.seq.0 > covered && r.seq.0 <= to)
                        .cloned()
                        .collect();
                    match fold.join(&tail, Seq(to), extent(first, last)).expect("readable") {
                        Joined::Whole(fold) => break fold,
                        Joined::Cut(min) => fold = owner(&log, min.0),
                        Joined::Shrunk => prop_assert!(false, "nothing was lost"),
                    }
                };
            }
            let truth = owner(&log, last);
            prop_assert_eq!(&fold.group, &truth.group);
            prop_assert_eq!(fold.group.member(user(0)).map(|m| m.role), Some(Role::Owner));
        }
    }
}

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;
use hansard_model::draft::Draft;
use hansard_model::{DeviceId, LogTime, MessageId, Record, envelope};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::index::Index;

pub(crate) fn user(number: u8) -> UserId {
    UserId::from_entropy([number; 20])
}

pub(crate) fn group(number: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([number; 20]))
}

/// An event as the log would hold it.
pub(crate) fn incoming(seq: u64, at: ConversationId, sender: u8, event: &Value) -> Incoming {
    record(seq, at, sender, event, LogTime::from_nanos(u64::MAX))
}

/// One that was stored too late.
pub(crate) fn void(seq: u64, at: ConversationId, sender: u8, event: &Value) -> Incoming {
    record(seq, at, sender, event, LogTime::from_millis(1))
}

fn record(seq: u64, at: ConversationId, sender: u8, event: &Value, until: LogTime) -> Incoming {
    let draft = Draft::parse(&event.to_string()).expect("an event");
    let id = MessageId::new(seq, [1; 10]);
    let payload = envelope::encode(id, user(sender), DeviceId::from_entropy([2; 20]), &draft);
    Incoming::read(Record {
        seq: Seq(seq),
        ts: LogTime::from_millis(1_700_000_000_000 + seq * 1_000),
        conversation: at,
        class: draft.event().class(),
        vouch_until: Some(until),
        key: None,
        payload: Bytes::from(payload),
    })
}

/// An index with the events of a log, committed where `commits` says.
pub(crate) fn indexed(path: &Path, log: &[Incoming], commits: impl Fn(usize) -> bool) -> Index {
    let mut index = Index::open(path, std::sync::Arc::default()).expect("an index");
    let mut fold = Fold::new(Position::beginning(1), index.view());
    for (place, event) in log.iter().enumerate() {
        fold.apply(std::slice::from_ref(event)).expect("applied");
        if commits(place) {
            index.commit(fold.changes(), fold.position().clone()).expect("committed");
            fold.committed(index.view());
        }
    }
    index.commit(fold.changes(), fold.position().clone()).expect("committed");
    index
}

fn documents(index: &Index) -> BTreeMap<Key, Document> {
    let (mut documents, mut count) = (BTreeMap::new(), 0);
    let take = |document: Document| {
        count += 1;
        documents.insert(document.key(), document);
    };
    index.view().documents(take).expect("documents");
    assert_eq!(documents.len(), count, "one for each key");
    documents
}

fn message(text: &str) -> Value {
    json!({"kind": "message", "text": text})
}

#[test]
fn edits_reactions_and_deletions_change_messages_committed_or_not() {
    let at = group(1);
    let react = json!({"kind": "reaction", "target": 2, "emoji": "👍", "op": "add"});
    let edit = json!({"kind": "edit", "target": 2, "text": "second", "mentions": [user(2)]});
    let log = [
        incoming(1, at, 1, &json!({"kind": "create", "members": [user(2)]})),
        incoming(2, at, 1, &message("first")),
        incoming(3, at, 2, &edit),
        incoming(4, at, 2, &react),
        incoming(5, at, 2, &react),
        incoming(6, at, 1, &message("gone")),
        incoming(7, at, 1, &json!({"kind": "delete", "target": 6})),
        incoming(8, at, 1, &json!({"kind": "edit", "target": 6, "text": "back"})),
        // Of another conversation: none of its business.
        incoming(9, group(2), 1, &json!({"kind": "edit", "target": 2, "text": "stolen"})),
        incoming(10, group(2), 1, &json!({"kind": "delete", "target": 2})),
    ];
    for commits in [|_| false, |_| true] {
        let path = tempfile::tempdir().expect("a directory");
        let found = documents(&indexed(path.path(), &log, commits));
        let Some(Document::Message(message)) = found.get(&Key::Message(Seq(2))) else {
            panic!("{found:?}")
        };
        assert_eq!((message.text.as_str(), message.sender), ("second", user(1)));
        assert_eq!(message.reactions.len(), 1);
        assert_eq!(message.ts, LogTime::from_millis(1_700_000_002_000).as_nanos());
        assert_eq!(found.get(&Key::Message(Seq(6))), None);
    }
}

#[test]
fn void_and_unreadable_events_change_nothing_but_the_position() {
    let path = tempfile::tempdir().expect("a directory");
    let void = void(1, group(1), 1, &message("void"));
    let mut misplaced = incoming(2, group(1), 1, &message("meta"));
    misplaced.what = What::Unreadable;
    let index = indexed(path.path(), &[void, misplaced], |_| false);
    assert_eq!(documents(&index), BTreeMap::new());
    assert_eq!(index.position().map(|position| position.seq), Some(Seq(2)));
}

#[test]
fn memberships_are_those_of_the_group_and_say_from_where_on_it_is_seen() {
    let path = tempfile::tempdir().expect("a directory");
    let at = group(1);
    let member = |of: u8, op: &str| json!({"kind": "member", "user": user(of), "op": op});
    let log = [
        incoming(1, at, 1, &json!({"kind": "create", "members": [user(2), user(3)]})),
        incoming(2, at, 1, &member(4, "add")),
        incoming(3, at, 1, &member(3, "remove")),
        incoming(4, at, 2, &member(2, "leave")),
        incoming(5, at, 1, &member(2, "add")),
        incoming(6, at, 1, &json!({"kind": "settings", "history": "all"})),
        incoming(7, at, 1, &member(5, "add")),
    ];
    let view = indexed(path.path(), &log, |place| place == 3).view();
    let from = |number: u8| {
        let found = view.memberships(user(number)).expect("memberships");
        found.into_iter().map(|member| member.view_from.0).collect::<Vec<_>>()
    };
    assert_eq!([1, 2, 3, 4, 5].map(from), [vec![0], vec![5], vec![], vec![2], vec![0]]);
}

fn any_event() -> impl Strategy<Value = (u8, u8, Value)> {
    let target = 1_u64..40;
    let edit = |(target, text)| json!({"kind": "edit", "target": target, "text": text});
    let react = |(target, add)| {
        let op = if add { "add" } else { "remove" };
        json!({"kind": "reaction", "target": target, "emoji": "👍", "op": op})
    };
    let member = |(of, add)| {
        let op = if add { "add" } else { "remove" };
        json!({"kind": "member", "user": user(of), "op": op})
    };
    let settings = |all| {
        let history = if all { "all" } else { "joined" };
        json!({"kind": "settings", "history": history})
    };
    let what = prop_oneof![
        4 => "[a-d]{1,3}( [a-d]{1,3}){0,3}".prop_map(|text| message(&text)),
        2 => (target.clone(), "[a-d]{1,3}").prop_map(edit),
        1 => target.clone().prop_map(|target| json!({"kind": "delete", "target": target})),
        2 => (target, any::<bool>()).prop_map(react),
        1 => (1_u8..5).prop_map(|of| json!({"kind": "create", "members": [user(of)]})),
        2 => (1_u8..5, any::<bool>()).prop_map(member),
        1 => any::<bool>().prop_map(settings),
    ];
    (1_u8..3, 1_u8..5, what)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn documents_do_not_depend_on_where_commits_are(
        events in prop::collection::vec(any_event(), 1..40),
        every in 1_usize..9,
    ) {
        let log: Vec<Incoming> = (1..).zip(&events)
            .map(|(seq, (at, sender, event))| incoming(seq, group(*at), *sender, event))
            .collect();
        let one = tempfile::tempdir().expect("a directory");
        let other = tempfile::tempdir().expect("a directory");
        let often = indexed(one.path(), &log, |place| place % every == 0);
        let once = indexed(other.path(), &log, |_| false);
        prop_assert_eq!(documents(&often), documents(&once));
    }
}

#[test]
fn what_was_applied_before_is_passed_over() {
    let path = tempfile::tempdir().expect("a directory");
    let log =
        [incoming(1, group(1), 1, &message("one")), incoming(2, group(1), 1, &message("two"))];
    drop(indexed(path.path(), &log[..1], |_| false));
    let mut index = Index::open(path.path(), std::sync::Arc::default()).expect("an index");
    let position = index.position().cloned().expect("a position");
    assert_eq!((position.seq, position.digest.clone()), (Seq(1), log[0].digest()));
    let mut fold = Fold::new(position, index.view());
    let tally = fold.apply(&log).expect("applied");
    assert_eq!(tally, Tally { valid: 1, ..Tally::default() });
    index.commit(fold.changes(), fold.position().clone()).expect("committed");
    assert_eq!(documents(&index).len(), 2);
}

//! What counts say, and which events are behind them.

use hansard_model::query::{ConversationRequest, ReachRequest};
use hansard_model::receipt::Mark;

use super::*;

#[test]
fn counts_are_explained_by_the_events_behind_them() {
    let state = state_of(
        group(),
        &[
            (ANA, create(&[BEN, CLEO])),
            (ANA, json!({"kind": "message", "text": "1", "mentions": [user(BEN)]})),
            (BEN, message("2")),
            (ANA, json!({"kind": "message", "text": "3", "mentions": ["all"]})),
            (ANA, json!({"kind": "title", "title": "t"})),
            (ANA, json!({"kind": "message", "text": "4", "mentions": [user(BEN), user(CLEO)]})),
            (ANA, json!({"kind": "edit", "target": 6, "text": "4", "mentions": []})),
        ],
    );
    let ben = explain(&state, group(), BEN);
    assert_eq!((ben.read, ben.read_n, ben.n, ben.unread), (Seq(3), 2, 4, 2));
    assert_eq!((ben.unread_events, ben.mentions), (vec![Seq(4), Seq(6)], vec![Seq(4)]));
    let cleo = explain(&state, group(), CLEO);
    assert_eq!(cleo.unread_events, [2, 3, 4, 6].map(Seq));
    assert_eq!((cleo.mentions, cleo.last), (vec![Seq(4)], Seq(7)));
    assert!(explain(&state, group(), ANA).unread_events.is_empty());
}

#[test]
fn mentions_are_listed_newest_first_as_they_stand_now_and_paged() {
    let mut events = vec![(ANA, create(&[BEN, CLEO]))];
    for number in 0..10 {
        let of = if number % 2 == 0 { json!(["all"]) } else { json!([user(BEN)]) };
        events.push((ANA, json!({"kind": "message", "text": "m", "mentions": of})));
    }
    events.push((BEN, json!({"kind": "message", "text": "own", "mentions": ["all"]})));
    events.push((ANA, json!({"kind": "delete", "target": 11})));
    events.push((ANA, json!({"kind": "edit", "target": 10, "text": "none", "mentions": []})));
    events.push((
        ANA,
        json!({"kind": "edit", "target": 9, "text": "edited", "mentions": [user(BEN)]}),
    ));
    events.push((ANA, member(CLEO, "remove")));
    events.push((ANA, json!({"kind": "message", "text": "secret", "mentions": ["all"]})));
    let state = state_of(group(), &events);
    let listed = |reader| {
        let (mut all, mut before) = (Vec::new(), None);
        loop {
            let reply = mentions(&state, reader, before, 3);
            assert!(reply.items.len() <= 3);
            all.extend(reply.items.iter().map(|item| item.item.seq.0));
            if !reply.more {
                return all;
            }
            before = Some(reply.reached.0);
        }
    };
    assert_eq!(listed(BEN), [17, 9, 8, 7, 6, 5, 4, 3, 2]);
    assert_eq!(listed(CLEO), [12, 8, 6, 4, 2], "of all, while a member");
    assert_eq!(listed(ANA), [12]);
    let edited = mentions(&state, BEN, Some(10), 1);
    assert_eq!(text(&edited.items[0].item.body).as_deref(), Some("edited"));
}

#[test]
fn a_receipt_beyond_the_log_s_own_mark_leaves_what_comes_after_it() {
    let state = state_of(
        group(),
        &[
            (ANA, create(&[BEN, CLEO])),
            (ANA, json!({"kind": "message", "text": "1", "mentions": [user(BEN)]})),
            (ANA, json!({"kind": "message", "text": "2", "mentions": ["all"]})),
            (ANA, json!({"kind": "title", "title": "t"})),
            (ANA, json!({"kind": "message", "text": "3", "mentions": [user(BEN)]})),
            (ANA, message("4")),
            (ANA, member(CLEO, "remove")),
        ],
    );
    let reach = |reader, delivered, read| {
        let (delivered, read) = (Some(Seq(delivered)), Some(Seq(read)));
        let conversation = group();
        let reader = user(reader);
        let request = ReachRequest { conversation, reader, delivered, read, min_seq: None };
        state.answer(&Request::Reach(request))
    };
    let Ok(Answer::Reach(reply)) = reach(BEN, 99, 4) else { panic!("answers") };
    let (delivered, read) = (reply.delivered.expect("asked"), reply.read.expect("asked"));
    assert_eq!((delivered.seq, delivered.n), (Seq(7), 4), "not beyond the end");
    assert_eq!((read.seq, read.n, reply.member_count), (Seq(4), 2, 2));
    assert_eq!(reach(CLEO, 1, 1).unwrap_err(), QueryError::NotAMember);
    let Ok(Answer::Reach(reply)) = reach(BEN, 1, 0) else { panic!("answers") };
    assert!(reply.delivered.is_some() && reply.read.is_none(), "nothing from before joining");

    let read_to = |seq: u64, n: u64| {
        let read = Some(Mark { seq: Seq(seq), n, ts: LogTime::default() });
        let (conversation, reader) = (group(), user(BEN));
        let request = ConversationRequest { conversation, reader, read, min_seq: None };
        let Ok(Answer::Conversation(entry)) = state.answer(&Request::Conversation(request)) else {
            panic!("answers")
        };
        (entry.member.read.0, unread(&entry), entry.member.mentions)
    };
    assert_eq!([read_to(1, 0), read_to(2, 1)], [(1, 4, 3), (2, 3, 2)]);
    assert_eq!([read_to(4, 2), read_to(7, 4)], [(4, 2, 1), (7, 0, 0)]);
}

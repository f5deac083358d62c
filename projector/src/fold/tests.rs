use hansard_model::draft::Draft;
use hansard_model::event::EventClass;
use hansard_model::query::{
    Anchor, ChangedRequest, EventsRequest, FeedRequest, InboxEntry, LookupRequest, MessagesRequest,
    Page, QueryError,
};
use hansard_model::{DeviceId, GroupId, MessageId, Role, envelope};
use serde_json::{Value, json};

use super::*;
use crate::queries::{Answer, Request, entry_of};

mod properties;

const ANA: u8 = 1;
const BEN: u8 = 2;
const CLEO: u8 = 3;

fn user(number: u8) -> UserId {
    UserId::from_entropy([number; 20])
}

fn group() -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([9; 20]))
}

fn direct() -> ConversationId {
    ConversationId::direct(user(ANA), user(BEN))
}

fn id_of(seq: u64) -> MessageId {
    MessageId::new(seq, [0; 10])
}

fn raw_record(
    seq: u64,
    conversation: ConversationId,
    class: EventClass,
    payload: &str,
) -> Record<Bytes> {
    Record {
        seq: Seq(seq),
        ts: LogTime::from_millis(seq),
        conversation,
        class,
        vouch_until: Some(LogTime::from_millis(seq)),
        key: Some(EventKey { conversation, sender: user(ANA), id: id_of(seq) }),
        payload: Bytes::copy_from_slice(payload.as_bytes()),
    }
}

fn record(seq: u64, conversation: ConversationId, sender: u8, event: &Value) -> Record<Bytes> {
    let draft = Draft::parse(&event.to_string()).expect("an event");
    let device = DeviceId::from_entropy([sender; 20]);
    let payload = envelope::encode(id_of(seq), user(sender), device, &draft);
    let class = draft.event().class();
    let mut record = raw_record(seq, conversation, class, &payload);
    record.key = Some(EventKey { conversation, sender: user(sender), id: id_of(seq) });
    record
}

fn void(mut record: Record<Bytes>) -> Record<Bytes> {
    record.vouch_until = None;
    record
}

/// The state after these, one record per event, from seq 1 on.
fn state_of(conversation: ConversationId, events: &[(u8, Value)]) -> State {
    let mut state = State::default();
    for (seq, (sender, event)) in (1..).zip(events) {
        state.apply(record(seq, conversation, *sender, event));
    }
    state
}

fn create(members: &[u8]) -> Value {
    let members: Vec<UserId> = members.iter().map(|number| user(*number)).collect();
    json!({"kind": "create", "title": "tea", "members": members})
}

fn message(text: &str) -> Value {
    json!({"kind": "message", "text": text})
}

fn member(number: u8, op: &str) -> Value {
    json!({"kind": "member", "user": user(number), "op": op})
}

fn page(state: &State, request: Request) -> Result<Page, QueryError> {
    let Answer::Page(page) = request.answer(state)? else { panic!("not a page") };
    Ok(page)
}

fn events_request(conversation: ConversationId, reader: u8) -> EventsRequest {
    EventsRequest {
        conversation,
        reader: user(reader),
        after: None,
        before: None,
        limit: 100,
        newest: false,
        min_seq: None,
    }
}

fn messages_request(conversation: ConversationId, reader: u8, anchor: Anchor) -> MessagesRequest {
    MessagesRequest {
        conversation,
        reader: user(reader),
        anchor,
        thread: None,
        limit: 100,
        min_seq: None,
    }
}

fn events(state: &State, conversation: ConversationId, reader: u8) -> Result<Page, QueryError> {
    page(state, Request::Events(events_request(conversation, reader)))
}

fn messages(state: &State, conversation: ConversationId, reader: u8) -> Page {
    let request = messages_request(conversation, reader, Anchor::Newest);
    page(state, Request::Messages(request)).expect("a page")
}

fn seqs(page: &Page) -> Vec<u64> {
    page.items.iter().map(|item| item.seq.0).collect()
}

fn text(body: &RawValue) -> Option<String> {
    let body: Value = serde_json::from_str(body.get()).expect("json");
    body["event"]["text"].as_str().map(str::to_owned)
}

fn entry(state: &State, conversation: ConversationId, reader: u8) -> InboxEntry {
    entry_of(state, conversation, user(reader)).expect("an entry")
}

fn unread(entry: &InboxEntry) -> u64 {
    entry.head.n - entry.member.read_n
}

fn feed(state: &State, after: u64, limit: usize) -> (Vec<u64>, u64) {
    match Request::Feed(FeedRequest { after: Seq(after), limit }).answer(state) {
        Ok(Answer::Feed(reply)) => {
            (reply.items.iter().map(|item| item.item.seq.0).collect(), reply.as_of.0)
        }
        other => panic!("not a feed: {other:?}"),
    }
}

#[test]
fn the_chain_skips_void_events_and_other_conversations() {
    let mut state = State::default();
    let mut projected = Vec::new();
    for record in [
        record(1, direct(), ANA, &message("one")),
        record(2, group(), ANA, &create(&[BEN])),
        void(record(3, direct(), ANA, &message("void"))),
        record(4, direct(), BEN, &message("two")),
    ] {
        if let Applied::Event(event) = state.apply(record) {
            projected.push((event.seq.0, event.prev.0, event.n, event.follows.0));
        }
    }
    assert_eq!(projected, [(1, 0, 1, 0), (2, 0, 0, 1), (4, 1, 2, 2)]);
    assert_eq!(seqs(&events(&state, direct(), ANA).expect("a page")), [1, 4]);
    assert_eq!(feed(&state, 0, 100), (vec![1, 2, 4], 4));
}

#[test]
fn a_void_event_at_the_end_advances_what_answers_cover() {
    let mut state = state_of(direct(), &[(ANA, message("one"))]);
    state.apply(void(record(2, direct(), ANA, &message("void"))));
    assert_eq!(events(&state, direct(), ANA).expect("a page").as_of, Seq(2));
    assert_eq!(entry(&state, direct(), BEN).head.seq, Seq(1));
}

#[test]
fn unread_counts_messages_of_others_after_the_own_last() {
    let state = state_of(
        direct(),
        &[
            (ANA, message("1")),
            (BEN, message("2")),
            (ANA, message("3")),
            (ANA, json!({"kind": "reaction", "target": 2, "emoji": "x", "op": "add"})),
            (ANA, json!({"kind": "delete", "target": 3})),
        ],
    );
    assert_eq!(unread(&entry(&state, direct(), BEN)), 1, "a deletion does not reduce it");
    assert_eq!(unread(&entry(&state, direct(), ANA)), 0);
}

#[test]
fn who_joins_has_nothing_unread_and_sees_from_there() {
    let state = state_of(
        group(),
        &[
            (ANA, create(&[BEN])),
            (ANA, message("before")),
            (ANA, member(CLEO, "add")),
            (ANA, message("after")),
        ],
    );
    let cleo = entry(&state, group(), CLEO);
    assert_eq!((unread(&cleo), cleo.member.view_from), (1, Seq(3)));
    assert_eq!(unread(&entry(&state, group(), BEN)), 2);
    assert_eq!(seqs(&events(&state, group(), CLEO).expect("a page")), [3, 4]);
    assert_eq!(seqs(&messages(&state, group(), CLEO)), [3, 4]);
    assert_eq!(seqs(&messages(&state, group(), BEN)), [1, 2, 3, 4]);
}

#[test]
fn a_removed_member_sees_up_to_the_removal_and_nothing_after() {
    let state = state_of(
        group(),
        &[
            (ANA, create(&[BEN, CLEO])),
            (ANA, message("seen")),
            (ANA, json!({"kind": "edit", "target": 2, "text": "edited"})),
            (ANA, member(BEN, "remove")),
            (ANA, message("secret")),
            (ANA, json!({"kind": "edit", "target": 2, "text": "secret edit"})),
            (CLEO, json!({"kind": "reaction", "target": 2, "emoji": "x", "op": "add"})),
            (ANA, json!({"kind": "message", "text": "secret", "thread": 2})),
            (ANA, json!({"kind": "title", "title": "secret"})),
            (ANA, member(CLEO, "remove")),
        ],
    );
    assert_eq!(seqs(&events(&state, group(), BEN).expect("a page")), [1, 2, 3, 4]);
    let page = messages(&state, group(), BEN);
    assert_eq!(seqs(&page), [1, 2, 4]);
    assert!(!page.more_after);
    assert_eq!(text(&page.items[1].body).as_deref(), Some("edited"));
    let state_of_two = page.items[1].state.clone().expect("edited");
    assert_eq!(state_of_two.edited.map(|edited| edited.seq), Some(Seq(3)));
    assert!(state_of_two.reactions.is_empty() && state_of_two.thread.is_none());
    let ben = entry(&state, group(), BEN);
    assert_eq!((ben.member.role, ben.member.view_to), (None, Some(Seq(4))));
    assert_eq!((ben.head.seq, ben.head.n, ben.head.member_count), (Seq(4), 1, 2));
    assert_eq!(ben.head.title.as_deref(), Some("tea"));
    assert_eq!(text(&ben.head.last.expect("a preview").body).as_deref(), Some("edited"));
    let everything = serde_json::to_string(&page).expect("json");
    assert!(!everything.contains("secret"));
}

#[test]
fn who_is_added_again_sees_from_there_only() {
    let state = state_of(
        group(),
        &[
            (ANA, create(&[BEN])),
            (ANA, member(BEN, "remove")),
            (ANA, message("between")),
            (ANA, member(BEN, "add")),
            (ANA, message("after")),
        ],
    );
    assert_eq!(seqs(&events(&state, group(), BEN).expect("a page")), [4, 5]);
    let ben = entry(&state, group(), BEN);
    assert_eq!((ben.member.role, ben.member.view_to), (Some(Role::Member), None));
    assert_eq!(unread(&ben), 1);
    assert_eq!(state.directory.conversations_of(user(BEN)).len(), 1);
}

#[test]
fn strangers_learn_nothing() {
    let state = state_of(group(), &[(ANA, create(&[BEN]))]);
    assert_eq!(events(&state, group(), CLEO).unwrap_err(), QueryError::NotAMember);
    let unknown = ConversationId::Group(GroupId::from_entropy([8; 20]));
    assert_eq!(events(&state, unknown, CLEO).unwrap_err(), QueryError::NotAMember);
    assert_eq!(events(&state, direct(), CLEO).unwrap_err(), QueryError::NotAMember);
    assert!(events(&state, direct(), ANA).expect("an empty page").items.is_empty());
}

#[test]
fn a_deleted_text_is_on_no_path() {
    let state = state_of(
        direct(),
        &[
            (ANA, message("secret one")),
            (ANA, json!({"kind": "edit", "target": 1, "text": "secret two"})),
            (BEN, json!({"kind": "reaction", "target": 1, "emoji": "x", "op": "add"})),
            (ANA, json!({"kind": "delete", "target": 1})),
            (ANA, json!({"kind": "edit", "target": 1, "text": "secret three"})),
            (ANA, json!({"kind": "message", "text": "", "reply_to": 1, "media": [{}]})),
        ],
    );
    let page = messages(&state, direct(), BEN);
    let deleted = page.items[0].state.clone().expect("a state");
    assert_eq!(deleted.deleted.map(|deleted| (deleted.seq, deleted.by)), Some((Seq(4), user(ANA))));
    assert!(deleted.edited.is_none() && deleted.reactions.is_empty());
    let mut everything = serde_json::to_string(&page).expect("json");
    everything +=
        &serde_json::to_string(&events(&state, direct(), BEN).expect("a page")).expect("json");
    everything += &serde_json::to_string(&entry(&state, direct(), BEN)).expect("json");
    if let Ok(Answer::Feed(reply)) =
        Request::Feed(FeedRequest { after: Seq(0), limit: 9 }).answer(&state)
    {
        everything += &serde_json::to_string(&reply).expect("json");
    }
    assert!(everything.contains(r#""deleted":true"#) && !everything.contains("secret"));
}

#[test]
fn an_edit_after_the_deletion_is_published_without_its_text() {
    let mut state =
        state_of(direct(), &[(ANA, message("a")), (ANA, json!({"kind": "delete", "target": 1}))]);
    let late = record(3, direct(), ANA, &json!({"kind": "edit", "target": 1, "text": "secret"}));
    let Applied::Event(event) = state.apply(late) else { panic!("valid") };
    assert!(!String::from_utf8_lossy(&event.payload).contains("secret"));
}

#[test]
fn what_is_deleted_in_the_same_batch_is_published_without_its_text() {
    let mut state = State::default();
    let mut batch = Vec::new();
    for (seq, event) in (1..).zip([
        message("secret"),
        json!({"kind": "edit", "target": 1, "text": "secret"}),
        json!({"kind": "delete", "target": 1}),
        message("kept"),
    ]) {
        let Applied::Event(event) = state.apply(record(seq, direct(), ANA, &event)) else {
            panic!("valid")
        };
        batch.push(event);
    }
    let shown: Vec<Bytes> = crate::live::payloads(&state, &batch).collect();
    let all = shown.iter().map(|payload| String::from_utf8_lossy(payload)).collect::<String>();
    assert_eq!((shown.len(), all.contains("secret"), all.contains("kept")), (4, false, true));
    assert_eq!(shown[3], batch[3].payload);
}

#[test]
fn edits_reactions_threads_and_pins_are_folded_into_messages() {
    let state = state_of(
        direct(),
        &[
            (ANA, message("root")),
            (BEN, json!({"kind": "message", "text": "reply", "thread": 1})),
            (ANA, json!({"kind": "edit", "target": 1, "text": "edited"})),
            (ANA, json!({"kind": "reaction", "target": 1, "emoji": "x", "op": "add"})),
            (BEN, json!({"kind": "reaction", "target": 1, "emoji": "x", "op": "add"})),
            (BEN, json!({"kind": "reaction", "target": 1, "emoji": "y", "op": "add"})),
            (BEN, json!({"kind": "reaction", "target": 1, "emoji": "y", "op": "remove"})),
            (BEN, json!({"kind": "pin", "target": 1, "op": "add"})),
        ],
    );
    let page = messages(&state, direct(), BEN);
    assert_eq!(seqs(&page), [1, 2]);
    assert_eq!(text(&page.items[0].body).as_deref(), Some("edited"));
    let folded = serde_json::to_value(page.items[0].state.clone()).expect("json");
    assert_eq!(
        folded,
        json!({
            "edited": {"seq": 3, "ts": "1970-01-01T00:00:00.003Z"},
            "reactions": [{"emoji": "x", "count": 2, "me": true}],
            "thread": {"count": 1, "last": 2},
            "pinned": true,
        })
    );
    let mut request = messages_request(direct(), ANA, Anchor::Newest);
    request.thread = Some(Seq(1));
    assert_eq!(seqs(&self::page(&state, Request::Messages(request)).expect("a page")), [1, 2]);
}

#[test]
fn mentions_count_unread_messages_as_they_stand_now() {
    let mention = |text: &str, of: &[u8]| {
        let of: Vec<UserId> = of.iter().map(|number| user(*number)).collect();
        json!({"kind": "message", "text": text, "mentions": of})
    };
    let edit = |target: u64, of: &[u8]| {
        let of: Vec<UserId> = of.iter().map(|number| user(*number)).collect();
        json!({"kind": "edit", "target": target, "text": "t", "mentions": of})
    };
    let mut events = vec![
        (ANA, create(&[BEN, CLEO])),
        (ANA, mention("1", &[BEN])),
        (ANA, json!({"kind": "message", "text": "2", "mentions": ["all"]})),
        (ANA, message("3")),
    ];
    let mentions = |events: &[(u8, Value)], reader: u8| {
        entry(&state_of(group(), events), group(), reader).member.mentions
    };
    assert_eq!([ANA, BEN, CLEO].map(|reader| mentions(&events, reader)), [0, 2, 1]);
    events.push((ANA, edit(4, &[BEN, CLEO])));
    assert_eq!([BEN, CLEO].map(|reader| mentions(&events, reader)), [3, 2]);
    events.push((ANA, edit(2, &[])));
    events.push((ANA, json!({"kind": "delete", "target": 3})));
    assert_eq!([BEN, CLEO].map(|reader| mentions(&events, reader)), [1, 1]);
    events.push((BEN, message("read")));
    events.push((ANA, edit(2, &[BEN])));
    assert_eq!([BEN, CLEO].map(|reader| mentions(&events, reader)), [0, 1]);
}

#[test]
fn what_cannot_be_read_is_parked_and_the_chain_goes_on() {
    let mut state = state_of(direct(), &[(ANA, message("1"))]);
    let later = r#"{"v":1,"id":"x","event":{"kind":"hologram"}}"#;
    for (seq, payload) in [(2, "not json"), (3, later), (4, "7")] {
        let record = raw_record(seq, direct(), EventClass::Msg, payload);
        let Applied::Event(event) = state.apply(record) else { panic!("valid") };
        assert_eq!((event.prev.0, event.n), (seq - 1, 1));
        let _: serde_json::Map<String, Value> =
            serde_json::from_slice(&event.payload).expect("an object");
    }
    state.apply(record(5, direct(), BEN, &message("2")));
    let reasons: Vec<_> = state.parked.newest().map(|parked| parked.reason).collect();
    assert_eq!(reasons, [ParkReason::NotAnObject, ParkReason::Shape, ParkReason::NotAnObject]);
    let page = events(&state, direct(), BEN).expect("a page");
    assert_eq!(seqs(&page), [1, 2, 3, 4, 5]);
    assert_eq!(page.items[2].body.get(), later);
    let lookup = LookupRequest { conversation: direct(), sender: user(ANA), id: id_of(2) };
    let Ok(Answer::Lookup(found)) = Request::Lookup(lookup).answer(&state) else {
        panic!("answers")
    };
    assert_eq!(found.seq, Some(Seq(2)), "indexed from its headers");
}

#[test]
fn a_meta_event_on_the_free_subject_changes_no_membership() {
    let mut state = state_of(group(), &[(ANA, create(&[BEN]))]);
    let mut forged = record(2, group(), BEN, &member(CLEO, "add"));
    forged.class = EventClass::Msg;
    state.apply(forged);
    assert_eq!(events(&state, group(), CLEO).unwrap_err(), QueryError::NotAMember);
    assert_eq!(state.parked.count(), 1);
}

#[test]
fn pages_are_cut_at_both_ends_and_say_so() {
    let mut all = vec![(ANA, create(&[BEN]))];
    all.extend((0..20).map(|n| (ANA, message(&n.to_string()))));
    let state = state_of(group(), &all);
    let get = |anchor, limit| {
        let mut request = messages_request(group(), BEN, anchor);
        request.limit = limit;
        let page = page(&state, Request::Messages(request)).expect("a page");
        (seqs(&page), page.more_before, page.more_after)
    };
    assert_eq!(get(Anchor::Newest, 2), (vec![20, 21], true, false));
    assert_eq!(get(Anchor::Before(Seq(3)), 5), (vec![1, 2], false, true));
    assert_eq!(get(Anchor::After(Seq(18)), 2), (vec![19, 20], true, true));
    assert_eq!(get(Anchor::Around(Seq(10)), 4), (vec![8, 9, 10, 11], true, true));
    assert_eq!(get(Anchor::Around(Seq(21)), 4), (vec![18, 19, 20, 21], true, false));
    assert_eq!(get(Anchor::Around(Seq(1)), 3), (vec![1, 2, 3], false, true));
    assert_eq!(get(Anchor::At(LogTime::from_millis(10)), 2), (vec![9, 10], true, true));
    assert_eq!(get(Anchor::After(Seq(21)), 2), (vec![], true, false));
    assert_eq!(get(Anchor::Newest, 0), (vec![], true, false));
    let mut request = events_request(group(), BEN);
    (request.after, request.before, request.limit) = (Some(Seq(3)), Some(Seq(9)), 2);
    assert_eq!(seqs(&page(&state, Request::Events(request.clone())).expect("a page")), [4, 5]);
    request.newest = true;
    assert_eq!(seqs(&page(&state, Request::Events(request)).expect("a page")), [7, 8]);
}

#[test]
fn a_page_stays_below_its_bytes_and_continues() {
    let long = "x".repeat(16_000);
    let state = state_of(direct(), &vec![(ANA, message(&long)); 100]);
    let mut request = events_request(direct(), BEN);
    let first = page(&state, Request::Events(request.clone())).expect("a page");
    assert!(first.more_after && serde_json::to_string(&first).expect("json").len() < 600_000);
    let mut read = seqs(&first);
    while read.len() < 100 {
        request.after = read.last().map(|seq| Seq(*seq));
        read.extend(seqs(&page(&state, Request::Events(request.clone())).expect("a page")));
    }
    assert_eq!(read, (1..=100).collect::<Vec<u64>>());
    assert_eq!(feed(&state, 0, 0), (vec![], 100));
    let (items, as_of) = feed(&state, 0, 1_000);
    assert_eq!(items.last(), Some(&as_of));
}

#[test]
fn changed_names_what_changed_after_a_position_and_pages() {
    let mut state = State::default();
    for other in 10_u8..200 {
        let mut entropy = [20; 20];
        (entropy[0], entropy[1]) = (other & 31, other >> 5);
        let with = ConversationId::direct(user(ANA), UserId::from_entropy(entropy));
        state.apply(record(u64::from(other), with, ANA, &message(&"x".repeat(900))));
    }
    let changed = |after: u64| {
        let request = ChangedRequest { user: user(ANA), after: Seq(after), min_seq: None };
        match Request::Changed(request).answer(&state) {
            Ok(Answer::Changed(reply)) => reply,
            other => panic!("not changes: {other:?}"),
        }
    };
    assert_eq!(changed(150).items.len(), 49);
    assert!(changed(199).items.is_empty());
    let (mut found, mut after) = (0, 0);
    loop {
        let reply = changed(after);
        found += reply.items.len();
        after = reply.as_of.0;
        if !reply.more {
            break;
        }
    }
    assert_eq!((found, after), (190, 199));
}

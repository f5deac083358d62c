//! The fold and the queries together: rows in a map, so that nothing waits.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use hansard_model::draft::Draft;
use hansard_model::event::EventClass;
use hansard_model::query::{
    Anchor, ChangedRequest, EventsRequest, ExplainRequest, Explanation, FeedRequest, GroupRequest,
    InboxEntry, LookupRequest, MentionsReply, MentionsRequest, MessagesRequest, Page,
    ParkedRequest, QueryError,
};
use hansard_model::record::EventKey;
use hansard_model::{DeviceId, GroupId, MessageId, PartitionId, Record, Role, UserId, envelope};
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::*;
use crate::queries::{Answer, At, Refusal, Request, Windows, entry_of};
use crate::rows::Overlay;
use crate::rows::memory::Memory;

mod counts;
mod identical;
mod pages;
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

/// A partition: a fold and its rows.
struct State {
    fold: Fold,
    rows: Memory,
}

impl Default for State {
    fn default() -> Self {
        Self { fold: Fold::new(1, None), rows: Memory::default() }
    }
}

/// What waits for nothing but its turn is there after a few.
fn now<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    for _ in 0..1_000_000 {
        if let Poll::Ready(found) = future.as_mut().poll(&mut context) {
            return found;
        }
    }
    panic!("rows in memory wait for nothing")
}

impl State {
    /// Works out a batch, without writing it.
    fn work_out(&mut self, batch: &[Record<Bytes>]) -> Outcome {
        let batch: Vec<Incoming> = batch.iter().cloned().map(Incoming::read).collect();
        let loaded = now(load(&self.fold, &batch, &self.rows)).expect("rows");
        self.fold.apply(batch, loaded)
    }

    fn apply_all(&mut self, batch: &[Record<Bytes>]) -> Vec<Projected> {
        let outcome = self.work_out(batch);
        self.rows.write(outcome.rows);
        outcome.projected
    }

    fn apply(&mut self, record: Record<Bytes>) -> Option<Projected> {
        self.apply_all(&[record]).pop()
    }

    /// The next owner: it knows the rows and nothing else.
    fn taken_over(&self) -> Self {
        let applied = now(crate::rows::read(&self.rows, &RowKey::Applied)).expect("rows");
        Self { fold: Fold::new(1, applied), rows: self.rows.clone() }
    }

    fn applied(&self) -> Seq {
        self.fold.applied()
    }

    fn at(&self) -> At<&Memory> {
        At {
            rows: &self.rows,
            applied: self.applied(),
            bucket: Seq::ZERO,
            partition: PartitionId(0),
            generation: 1,
            kept: None,
            windows: Windows::new(),
        }
    }

    fn answer(&self, request: &Request) -> Result<Answer, QueryError> {
        now(request.answer(&self.at())).map_err(|refusal| match refusal {
            Refusal::Query(error) => error,
            Refusal::Store(error) => panic!("{error}"),
        })
    }
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
    let Answer::Page(page) = state.answer(&request)? else { panic!("not a page") };
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
    let entry = now(entry_of(&state.at(), conversation, user(reader))).expect("rows");
    entry.expect("an entry")
}

fn unread(entry: &InboxEntry) -> u64 {
    entry.head.n - entry.member.read_n
}

/// The events, how far the answer reaches, and whether there is more.
fn feed(state: &State, after: u64, limit: usize) -> (Vec<u64>, u64, bool) {
    match state.answer(&Request::Feed(FeedRequest { after: Seq(after), limit })) {
        Ok(Answer::Feed(reply)) => {
            let seqs = reply.items.iter().map(|item| item.item.seq.0).collect();
            (seqs, reply.as_of.0, reply.more)
        }
        other => panic!("not a feed: {other:?}"),
    }
}

fn explain(state: &State, conversation: ConversationId, reader: u8) -> Explanation {
    let request = ExplainRequest { conversation, reader: user(reader), read: None, min_seq: None };
    let Ok(Answer::Explanation(found)) = state.answer(&Request::Explain(request)) else {
        panic!("answers")
    };
    found
}

fn mentions(state: &State, reader: u8, before: Option<u64>, limit: usize) -> MentionsReply {
    let request =
        MentionsRequest { user: user(reader), before: before.map(Seq), limit, min_seq: None };
    let Ok(Answer::Mentions(found)) = state.answer(&Request::Mentions(request)) else {
        panic!("answers")
    };
    found
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
        if let Some(event) = state.apply(record) {
            projected.push((event.seq.0, event.prev.0, event.n, event.follows.0));
        }
    }
    assert_eq!(projected, [(1, 0, 1, 0), (2, 0, 0, 1), (4, 1, 2, 2)]);
    assert_eq!(seqs(&events(&state, direct(), ANA).expect("a page")), [1, 4]);
    assert_eq!(feed(&state, 0, 100), (vec![1, 2, 4], 4, false));
    assert_eq!(feed(&state, 0, 2), (vec![1, 2], 2, true));
    assert_eq!(feed(&state, 2, 1), (vec![4], 4, false), "the last is not asked for twice");
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
    let request = ChangedRequest { user: user(BEN), after: Seq(0), min_seq: None };
    let Ok(Answer::Changed(changed)) = state.answer(&Request::Changed(request)) else {
        panic!("answers")
    };
    assert_eq!(changed.items.len(), 1);
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
        state.answer(&Request::Feed(FeedRequest { after: Seq(0), limit: 9 }))
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
    let event = state.apply(late).expect("valid");
    assert!(!String::from_utf8_lossy(&event.payload).contains("secret"));
}

#[test]
fn what_is_deleted_in_the_same_batch_is_published_without_its_text() {
    let mut state = State::default();
    let batch: Vec<Record<Bytes>> = (1..)
        .zip([
            message("secret"),
            json!({"kind": "edit", "target": 1, "text": "secret"}),
            json!({"kind": "delete", "target": 1}),
            message("kept"),
        ])
        .map(|(seq, event)| record(seq, direct(), ANA, &event))
        .collect();
    let shown = state.apply_all(&batch);
    let all: String =
        shown.iter().map(|event| String::from_utf8_lossy(&event.payload).into_owned()).collect();
    assert_eq!((shown.len(), all.contains("secret"), all.contains("kept")), (4, false, true));
    assert_eq!(shown[3].payload, batch[3].payload);
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
        let event = state.apply(record).expect("valid");
        assert_eq!((event.prev.0, event.n), (seq - 1, 1));
        let _: serde_json::Map<String, Value> =
            serde_json::from_slice(&event.payload).expect("an object");
    }
    state.apply(record(5, direct(), BEN, &message("2")));
    assert_eq!(parked(&state), ["not_an_object", "shape", "not_an_object"]);
    let page = events(&state, direct(), BEN).expect("a page");
    assert_eq!(seqs(&page), [1, 2, 3, 4, 5]);
    assert_eq!(page.items[2].body.get(), later);
    let lookup = LookupRequest { conversation: direct(), sender: user(ANA), id: id_of(2) };
    let Ok(Answer::Lookup(found)) = state.answer(&Request::Lookup(lookup)) else {
        panic!("answers")
    };
    assert_eq!(found.seq, Some(Seq(2)), "indexed from its headers");
}

/// Why events are parked, in order.
fn parked(state: &State) -> Vec<String> {
    let request = Request::Parked(ParkedRequest { after: Seq(0), limit: 100 });
    let Ok(Answer::Parked(reply)) = state.answer(&request) else { panic!("answers") };
    assert_eq!(reply.count as usize, reply.items.len());
    reply.items.into_iter().map(|item| item.reason).collect()
}

#[test]
fn a_meta_event_on_the_free_subject_changes_no_membership() {
    let mut state = state_of(group(), &[(ANA, create(&[BEN]))]);
    let mut forged = record(2, group(), BEN, &member(CLEO, "add"));
    forged.class = EventClass::Msg;
    state.apply(forged);
    assert_eq!(events(&state, group(), CLEO).unwrap_err(), QueryError::NotAMember);
    assert_eq!(parked(&state), ["wrong_subject"]);
}

#[test]
fn a_group_is_told_as_it_is_folded() {
    let mut state = state_of(group(), &[(ANA, create(&[BEN])), (ANA, message("1"))]);
    state.apply(record(3, group(), ANA, &member(CLEO, "add")));
    let request = Request::Group(GroupRequest { conversation: group(), min_seq: None });
    for state in [&state, &state.taken_over()] {
        let Ok(Answer::Group(reply)) = state.answer(&request) else { panic!("answers") };
        assert_eq!((reply.group.members().len(), reply.group.last()), (3, Seq(3)));
        assert_eq!(reply.as_of, Seq(3));
    }
}

#[test]
fn what_is_not_written_yet_is_read_as_if_it_were() {
    let mut state = state_of(group(), &[(ANA, create(&[BEN])), (ANA, message("1"))]);
    let next = [
        record(3, group(), ANA, &member(CLEO, "add")),
        record(4, group(), ANA, &json!({"kind": "delete", "target": 2})),
    ];
    let outcome = state.work_out(&next);
    let overlay = Overlay { changed: &outcome.rows, rows: &state.rows };
    let before = state.at();
    let At { applied, bucket, partition, generation, kept, windows, .. } = before;
    let at = At { rows: overlay, applied, bucket, partition, generation, kept, windows };
    let shown = now(entry_of(&at, group(), user(CLEO))).expect("rows").expect("an entry");
    let shown = serde_json::to_string(&shown).expect("json");
    state.rows.write(outcome.rows);
    let written = serde_json::to_string(&entry(&state, group(), CLEO)).expect("json");
    assert_eq!(shown, written);
}

#[test]
fn a_view_that_ended_shows_the_edit_that_stood_then() {
    let state = state_of(
        group(),
        &[
            (ANA, create(&[BEN])),
            (ANA, message("first")),
            (ANA, json!({"kind": "edit", "target": 2, "text": "second"})),
            (ANA, member(BEN, "remove")),
            (ANA, json!({"kind": "edit", "target": 2, "text": "third"})),
        ],
    );
    assert_eq!(text(&messages(&state, group(), BEN).items[1].body).as_deref(), Some("second"));
    assert_eq!(text(&messages(&state, group(), ANA).items[1].body).as_deref(), Some("third"));
}

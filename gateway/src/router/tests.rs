use std::collections::VecDeque;

use hansard_model::draft::Draft;
use hansard_model::inbox::{Head, MemberRecord};
use hansard_model::query::InboxEntry;
use hansard_model::{GroupId, LogTime, MessageId, Role, envelope};
use hansard_protocol::server::Reconnect;
use proptest::prelude::*;

use super::*;
use crate::cursor::{Cursor, Start};
use crate::resume::plan::PlanRequest;

/// Each byte of entropy gives five bits only.
fn entropy(byte: u8) -> [u8; 20] {
    let mut entropy = [byte; 20];
    entropy[0] = byte >> 5;
    entropy
}

pub(super) fn user(byte: u8) -> UserId {
    UserId::from_entropy(entropy(byte))
}

fn device(byte: u8) -> DeviceId {
    DeviceId::from_entropy(entropy(byte))
}

pub(super) fn group() -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([9; 20]))
}

fn one() -> PartitionCount {
    PartitionCount::new(1).expect("one")
}

pub(super) fn router() -> Arc<Router> {
    let router = Arc::new(Router::new(one(), 1));
    router.advance(PartitionId(0), Seq::ZERO, 1);
    router
}

pub(super) fn from(position: u64) -> Start {
    Start::From { positions: vec![Seq(position)], accounts: Seq::ZERO, receipts: Seq::ZERO }
}

pub(super) fn attach(router: &Arc<Router>, who: u8) -> Attachment {
    let outbox = Arc::new(Outbox::new(1 << 20));
    router.attach(user(who), device(who), outbox, false, None).expect("a place")
}

/// An attachment whose catch-up found `entries` and nothing to fetch.
pub(super) fn settled(router: &Arc<Router>, who: u8, entries: &[InboxEntry]) -> Attachment {
    let mut attachment = attach(router, who);
    let start = from(u64::MAX);
    let request =
        PlanRequest { start: &start, seen: &HashMap::new(), settings: &[], partitions: one() };
    let plan = router.plan(&mut attachment, entries, &request).expect("in time");
    assert!(plan.turns.is_empty());
    attachment
}

pub(super) fn entry(joined: u64, ended: Option<u64>, head: u64) -> InboxEntry {
    InboxEntry {
        conversation: group(),
        head: Head {
            seq: Seq(head),
            ts: LogTime::default(),
            n: 0,
            title: None,
            member_count: 0,
            last: None,
        },
        member: MemberRecord {
            role: ended.is_none().then_some(Role::Member),
            joined: Seq(joined),
            view_from: Seq(joined),
            view_to: ended.map(Seq),
            read: Seq::ZERO,
            read_n: 0,
            mentions: 0,
            as_of: Seq(ended.unwrap_or(joined)),
        },
    }
}

pub(super) fn live(seq: u64, conversation: ConversationId, event: &str) -> LiveEvent {
    let draft = Draft::parse(event).expect("valid");
    let payload = envelope::encode(MessageId::new(1, [0; 10]), user(1), device(1), &draft);
    LiveEvent {
        conversation,
        seq: Seq(seq),
        prev: Seq::ZERO,
        n: 0,
        ts: LogTime::default(),
        follows: Seq(seq - 1),
        payload: payload.into(),
    }
}

pub(super) fn message(seq: u64) -> LiveEvent {
    live(seq, group(), r#"{"kind":"message","text":"x"}"#)
}

pub(super) fn member(seq: u64, op: &str, who: u8) -> LiveEvent {
    live(seq, group(), &format!(r#"{{"kind":"member","op":"{op}","user":"{}"}}"#, user(who)))
}

pub(super) fn take(router: &Router, event: &LiveEvent) -> Taken {
    router.take(event, Change::of(&event.payload).as_ref(), &[])
}

/// What a connection's cursor covers.
fn covered(router: &Router, attachment: &Attachment) -> Seq {
    let mut found = Seq::ZERO;
    let link = attachment.link();
    router.finish(link, None, |cursor| {
        found = Cursor::parse(&cursor).expect("a cursor").positions[0];
        ServerFrame::Cursor { cursor }
    });
    found
}

/// The `seq` of what waits in an outbox.
pub(super) fn received(attachment: &Attachment) -> Vec<u64> {
    let mut frames = VecDeque::new();
    attachment.link().outbox.take(&mut frames);
    frames
        .iter()
        .map(|frame| serde_json::from_slice::<serde_json::Value>(&frame.payload()).expect("JSON"))
        .filter_map(|frame| frame["seq"].as_u64())
        .collect()
}

#[test]
fn the_removed_get_the_removal_last_and_the_added_the_addition_first() {
    let router = router();
    let ana = settled(&router, 1, &[entry(0, None, 0)]);
    router.lock().set_member(user(1), group(), true, Seq(1));
    router.advance(PartitionId(0), Seq(1), 1);
    let ben = settled(&router, 2, &[]);
    for event in [
        message(2),
        member(3, "add", 2),
        message(4),
        member(5, "remove", 2),
        message(6),
        member(7, "leave", 1),
        message(8),
    ] {
        assert_eq!(take(&router, &event), Taken::Delivered);
    }
    assert_eq!(received(&ana), [2, 3, 4, 5, 6, 7]);
    assert_eq!(received(&ben), [3, 4, 5]);
}

#[test]
fn an_old_read_of_the_inbox_does_not_undo_a_removal() {
    let router = router();
    let mut ana = attach(&router, 1);
    let stale = [entry(1, None, 1)];
    router.advance(PartitionId(0), Seq(1), 1);
    // Removed between the read and its arrival.
    take(&router, &member(2, "remove", 1));
    let start = from(1);
    let request =
        PlanRequest { start: &start, seen: &HashMap::new(), settings: &[], partitions: one() };
    router.plan(&mut ana, &stale, &request).expect("in time");
    take(&router, &message(3));
    assert!(!router.is_member(user(1), group()));
    assert!(received(&ana).is_empty());
}

#[test]
fn what_passed_before_the_memberships_were_read_does_not_count() {
    let router = router();
    let mut ana = attach(&router, 1);
    for _ in 0..100_000 {
        router.lock().passed.note(group(), Seq(1));
    }
    router.begin_plan(&mut ana);
    let start = from(1);
    let request =
        PlanRequest { start: &start, seen: &HashMap::new(), settings: &[], partitions: one() };
    assert!(router.plan(&mut ana, &[], &request).is_ok(), "it waited long for its turn");
    router.begin_plan(&mut ana);
    drop(ana);
    assert_eq!(router.lock().passed.joining(), 0);
}

#[test]
fn nobody_is_attached_to_a_feed_that_has_no_position() {
    let router = router();
    // As between the moment that somebody found it ready, and their turn at the lock.
    router.lock().positions[0] = None;
    let outbox = Arc::new(Outbox::new(100));
    let refused = router.attach(user(1), device(1), outbox, false, None).err();
    assert_eq!(refused, Some(AttachError::NotReady));
}

#[test]
fn the_inbox_may_be_ahead_of_the_feed() {
    let router = router();
    router.advance(PartitionId(0), Seq(10), 1);
    // As of 30: a member since 20. The feed stands at 10: a removal at 15 is still to come by.
    let ana = settled(&router, 1, &[entry(20, None, 30)]);
    assert!(!router.is_member(user(1), group()));
    take(&router, &LiveEvent { follows: Seq(10), ..message(16) });
    take(&router, &LiveEvent { follows: Seq(16), ..member(20, "add", 1) });
    take(&router, &message(21));
    assert_eq!(received(&ana), [20, 21]);
}

#[test]
fn what_an_owner_said_of_a_log_that_is_no_more_moves_nothing() {
    let router = router();
    assert_eq!(router.standing(PartitionId(0)), (Some(Seq::ZERO), 1));
    // The owner is asked; before its answer is taken the log is another.
    router.begin_epoch(2);
    router.advance(PartitionId(0), Seq(1_000), 1);
    assert_eq!(router.standing(PartitionId(0)), (None, 2));
    assert!(!router.is_ready(), "nobody gets a cursor of the new log at a place in the old one");
    router.advance(PartitionId(0), Seq(500), 2);
    assert_eq!(router.standing(PartitionId(0)), (Some(Seq(500)), 2));
    assert!(router.is_ready());
}

#[test]
fn repeated_events_are_dropped_and_holes_are_seen() {
    let router = router();
    let conversation = ConversationId::direct(user(1), user(2));
    let event = |seq| live(seq, conversation, r#"{"kind":"message","text":"x"}"#);
    let ana = settled(&router, 1, &[]);
    assert_eq!(take(&router, &event(1)), Taken::Delivered);
    assert_eq!(take(&router, &event(1)), Taken::Repeated);
    assert_eq!(take(&router, &event(3)), Taken::Hole(Seq(1)));
    router.take_repaired(&event(2), None, &[]);
    router.take_repaired(&event(2), None, &[]);
    assert_eq!(take(&router, &event(3)), Taken::Delivered);
    assert_eq!(received(&ana), [1, 2, 3]);
}

#[test]
fn own_events_come_once_to_each_own_connection_and_notes_to_self_too() {
    let router = router();
    let (phone, desk) = (settled(&router, 1, &[]), settled(&router, 1, &[]));
    let text = r#"{"kind":"message","text":"x"}"#;
    take(&router, &live(1, ConversationId::direct(user(1), user(1)), text));
    take(&router, &live(2, ConversationId::direct(user(1), user(2)), text));
    assert_eq!(received(&phone), [1, 2]);
    assert_eq!(received(&desk), [1, 2]);
}

#[test]
fn one_frame_is_shared_by_all_receivers() {
    let router = router();
    let members: Vec<Attachment> =
        (1..=200).map(|who| settled(&router, who, &[entry(0, None, 0)])).collect();
    for who in 1..=200 {
        router.lock().set_member(user(who), group(), true, Seq(1));
    }
    take(&router, &message(1));
    let frames: std::collections::HashSet<*const u8> = members
        .iter()
        .map(|attachment| {
            let mut frames = VecDeque::new();
            attachment.link().outbox.take(&mut frames);
            assert_eq!(frames.len(), 1);
            frames[0].bytes().as_ptr()
        })
        .collect();
    assert_eq!(frames.len(), 1);
}

#[test]
fn a_device_holds_eight_connections_and_leaves_nothing_behind() {
    let router = router();
    let held: Vec<Attachment> = (0..8).map(|_| attach(&router, 1)).collect();
    let outbox = Arc::new(Outbox::new(100));
    let refused = router.attach(user(1), device(1), outbox, false, None).err();
    assert_eq!(refused, Some(AttachError::TooManyConnections));
    router.watch(held[0].link(), &[group()]);
    drop(held);
    let state = router.lock();
    assert!(state.users.is_empty() && state.rosters.is_empty() && state.watchers.is_empty());
    assert_eq!(state.passed.joining(), 0);
}

#[test]
fn typing_goes_to_members_who_watch_but_not_to_the_author() {
    let router = router();
    let conversation = ConversationId::direct(user(1), user(2));
    let watchers: Vec<Attachment> = (1..=3).map(|who| settled(&router, who, &[])).collect();
    for watcher in &watchers {
        router.watch(watcher.link(), &[conversation]);
    }
    router.typing(conversation, user(1), None);
    let waiting: Vec<bool> =
        watchers.iter().map(|watcher| watcher.link().outbox.backlog() > 0).collect();
    assert_eq!(waiting, [false, true, false], "the author, the other, a stranger");
}

#[test]
fn typing_reaches_nobody_whom_the_group_has_removed_before_the_feed_says_so() {
    let router = router();
    router.advance(PartitionId(0), Seq(1), 1);
    let watchers: Vec<Attachment> =
        (1..=3).map(|who| settled(&router, who, &[entry(1, None, 1)])).collect();
    for watcher in &watchers {
        router.watch(watcher.link(), &[group()]);
    }
    let mut fold = Group::default();
    let members = format!(r#""members":["{}","{}"]"#, user(2), user(3));
    let created = live(1, group(), &format!(r#"{{"kind":"create",{members},"title":"x"}}"#));
    let removed = member(2, "remove", 3);
    for event in [created, removed] {
        let envelope = envelope::Envelope::decode(&event.payload).expect("an event");
        fold.apply(event.seq, envelope.sender, &envelope.event);
    }
    assert!(fold.member(user(2)).is_some() && fold.member(user(3)).is_none());
    router.typing(group(), user(1), Some(&fold));
    let waiting = |who: usize| watchers[who - 1].link().outbox.backlog() > 0;
    assert_eq!([1, 2, 3].map(waiting), [false, true, false], "the author, a member, the removed");
    router.typing(group(), user(3), Some(&fold));
    assert!(!waiting(1), "nor is the removed seen");
}

#[tokio::test(start_paused = true)]
async fn a_drain_asks_everybody_to_leave_and_then_ends_them() {
    let router = router();
    let attachments: Vec<Attachment> = (1..=40).map(|who| settled(&router, who, &[])).collect();
    let outboxes: Vec<Arc<Outbox>> =
        attachments.iter().map(|attachment| attachment.link().outbox.clone()).collect();
    let leaving = tokio::spawn(async move {
        for attachment in attachments {
            while attachment.link().outbox.closing().is_none() {
                attachment.link().outbox.changed().await;
            }
        }
    });
    let reconnect = Reconnect { base_ms: 5, cap_ms: 50 };
    router.drain(std::time::Duration::from_secs(5), reconnect).await;
    leaving.await.expect("all left");
    for outbox in outboxes {
        assert_eq!(outbox.closing().map(|closing| closing.code), Some(1012));
        let mut frames = VecDeque::new();
        outbox.take(&mut frames);
        let frame = String::from_utf8(frames[0].payload().to_vec()).expect("text");
        assert!(frame.starts_with(r#"{"type":"drain""#), "{frame}");
        assert!(frame.ends_with(r#""reconnect":{"base_ms":5,"cap_ms":50}}"#), "{frame}");
    }
    let outbox = Arc::new(Outbox::new(100));
    let refused = router.attach(user(1), device(1), outbox, false, None).err();
    assert_eq!(refused, Some(AttachError::Draining));
}

/// What may happen next in the world of the property test.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The owner applies a message, or adds or removes the user.
    Message,
    Toggle,
    /// The gateway takes the next live event.
    Deliver,
    /// The connection goes on: reads the inbox, plans, begins a fetch, or takes its answer.
    Resume,
    /// The owner answers what was asked: as of what it must, or up to this much less than it has.
    Answer(u8),
}

/// One group, an owner that has applied all of `log`, and a connection of a user who is added and
/// removed (with the group's history hidden from the time before each addition).
struct World {
    router: Arc<Router>,
    log: Vec<LiveEvent>,
    /// By event: whether the user is to get it.
    owed: Vec<bool>,
    is_member: bool,
    /// Where the feed stood when the inbox was asked.
    asked_at: u64,
    cursor: u64,
    attachment: Attachment,
    stage: Stage,
}

enum Stage {
    Waiting,
    Reading(Option<Vec<InboxEntry>>),
    Turn { after: u64, min: Seq, answer: Option<(u64, Vec<u64>)> },
    Done,
}

impl World {
    fn new(before: &[bool], delivered: usize, away: usize) -> Self {
        // What is delivered before the connection is there.
        let delivered = delivered.min(before.len());
        let router = Arc::new(Router::new(one(), 1));
        router.advance(PartitionId(0), Seq(delivered as u64), 1);
        let mut world = Self {
            attachment: attach(&router, 1),
            router,
            log: Vec::new(),
            owed: Vec::new(),
            is_member: false,
            asked_at: 0,
            cursor: delivered.saturating_sub(away) as u64,
            stage: Stage::Waiting,
        };
        for toggle in before {
            world.append(*toggle);
        }
        world
    }

    fn append(&mut self, toggle: bool) {
        let seq = self.log.len() as u64 + 1;
        self.log.push(match (toggle, self.is_member) {
            (false, _) => message(seq),
            (true, false) => member(seq, "add", 1),
            (true, true) => member(seq, "remove", 1),
        });
        let was_member = self.is_member;
        self.is_member ^= toggle;
        self.owed.push(was_member || self.is_member);
    }

    /// The user's last membership as of a position: its adding and its removing event.
    fn stint(&self, as_of: u64) -> Option<(u64, Option<u64>)> {
        let mut stints: Vec<(u64, Option<u64>)> = Vec::new();
        for event in self.log.iter().take(as_of as usize) {
            match Change::of(&event.payload) {
                Some(Change::Added(_)) => stints.push((event.seq.0, None)),
                Some(Change::Removed(_)) => {
                    if let Some(last) = stints.last_mut() {
                        last.1 = Some(event.seq.0);
                    }
                }
                None => {}
            }
        }
        stints.pop()
    }

    fn deliver(&mut self) {
        let at = self.router.positions()[0].0 as usize;
        if let Some(event) = self.log.get(at) {
            assert_eq!(take(&self.router, event), Taken::Delivered);
        }
    }

    /// The owner's answer; gives where the view began in a page.
    fn answer(&mut self, lag: u8) -> Option<u64> {
        let head = (self.log.len() as u64).saturating_sub(lag.into());
        let as_of = match &self.stage {
            Stage::Reading(None) => head.max(self.asked_at),
            Stage::Turn { min, answer: None, .. } => head.max(min.0),
            Stage::Waiting | Stage::Reading(Some(_)) | Stage::Turn { .. } | Stage::Done => {
                return None;
            }
        };
        let stint = self.stint(as_of);
        match &mut self.stage {
            Stage::Turn { after, answer, .. } => {
                let visible = |seq: u64| {
                    stint.is_some_and(|(joined, ended)| {
                        seq >= joined && ended.is_none_or(|ended| seq <= ended)
                    })
                };
                let items = (*after + 1..=as_of).filter(|seq| visible(*seq)).collect();
                *answer = Some((as_of, items));
                stint.map(|(joined, _)| joined)
            }
            stage => {
                let entry = |(joined, ended): (u64, Option<u64>)| {
                    entry(joined, ended, ended.unwrap_or(as_of))
                };
                *stage = Stage::Reading(Some(stint.map(entry).into_iter().collect()));
                None
            }
        }
    }

    fn resume(&mut self) {
        let link = self.attachment.link().clone();
        self.stage = match std::mem::replace(&mut self.stage, Stage::Done) {
            Stage::Waiting => {
                self.router.begin_plan(&mut self.attachment);
                self.asked_at = self.router.positions()[0].0;
                Stage::Reading(None)
            }
            Stage::Reading(Some(entries)) => {
                let start = from(self.cursor);
                let seen = HashMap::new();
                let request =
                    PlanRequest { start: &start, seen: &seen, settings: &[], partitions: one() };
                let plan = self.router.plan(&mut self.attachment, &entries, &request);
                match plan.expect("in time").turns.first() {
                    Some(turn) => {
                        let min = link.with_merge(|merge| merge.begin(group(), turn.min));
                        let min = min.expect("catching up");
                        Stage::Turn { after: turn.after.0, min, answer: None }
                    }
                    None => Stage::Done,
                }
            }
            Stage::Turn { min, answer: Some((as_of, items)), .. } => {
                assert!(Seq(as_of) >= min);
                let frames: Vec<Frame> =
                    items.iter().map(|seq| Frame::event(&self.log[*seq as usize - 1])).collect();
                match link.push_page(group(), Seq(as_of), frames).expect("not behind") {
                    None => Stage::Done,
                    Some(min) => Stage::Turn { after: as_of, min, answer: None },
                }
            }
            waiting @ (Stage::Reading(None) | Stage::Turn { .. } | Stage::Done) => waiting,
        };
    }
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Message),
        1 => Just(Step::Toggle),
        4 => Just(Step::Deliver),
        2 => Just(Step::Resume),
        2 => (0..8_u8).prop_map(Step::Answer),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]
    /// Nothing twice, nothing out of order, nothing of the time when the user was no member; and
    /// nothing missing, from the later of the cursor and the membership that the catch-up found
    /// (of an earlier membership that ended and was followed by another, the view is gone).
    #[test]
    fn a_member_gets_each_event_once_at_any_interleaving(
        before in prop::collection::vec(prop::bool::weighted(0.2), 0..12),
        delivered in 0..12_usize,
        away in 0..6_usize,
        steps in prop::collection::vec(step(), 0..120),
    ) {
        let mut world = World::new(&before, delivered, away);
        // Where the view began when the owner answered the last page.
        let mut view_from = None;
        for step in steps.into_iter().chain([Step::Answer(0), Step::Resume].repeat(12)) {
            match step {
                Step::Message => world.append(false),
                Step::Toggle => world.append(true),
                Step::Deliver => world.deliver(),
                Step::Resume => world.resume(),
                Step::Answer(lag) => view_from = world.answer(lag).or(view_from),
            }
        }
        while (world.router.positions()[0].0 as usize) < world.log.len() {
            world.deliver();
        }
        let got = received(&world.attachment);
        let owed = |from: u64| -> Vec<u64> {
            (from + 1..=world.log.len() as u64).filter(|seq| world.owed[*seq as usize - 1]).collect()
        };
        let all = owed(world.cursor);
        prop_assert!(got.is_sorted_by(|a, b| a < b), "twice or out of order: {:?}", got);
        prop_assert!(got.iter().all(|seq| all.contains(seq)), "not owed: {:?} of {:?}", got, all);
        let from = view_from.map_or(world.cursor, |from| world.cursor.max(from - 1));
        let missing: Vec<u64> = owed(from).into_iter().filter(|seq| !got.contains(seq)).collect();
        prop_assert!(missing.is_empty(), "missing {:?}: got {:?}", missing, got);
    }
}

#[test]
fn a_cursor_stays_before_an_event_until_the_conversation_was_shown_for_it() {
    let router = router();
    let [his, hers] = [1, 2].map(|who| settled(&router, who, &[]));
    let added = member(1, "add", 1);
    router.take(&added, Change::of(&added.payload).as_ref(), &[user(1), user(7)]);
    take(&router, &message(2));
    assert_eq!((covered(&router, &his), covered(&router, &hers)), (Seq(0), Seq(2)));

    let upto = router.owed(user(1), group());
    let frame = Frame::server(&ServerFrame::Cursor { cursor: String::new() });
    router.show(user(1), group(), upto, &frame);
    assert_eq!(covered(&router, &his), Seq(2));
    assert_eq!(router.owed(user(7), group()), None, "who is not here resumes anyway");

    // Who could not be told comes again, from before it.
    let removed = member(3, "remove", 1);
    router.take(&removed, Change::of(&removed.payload).as_ref(), &[user(1)]);
    assert_eq!(covered(&router, &his), Seq(2));
    router.close_user(user(1));
    drop(his);
    assert_eq!(covered(&router, &settled(&router, 1, &[])), Seq(3));
}

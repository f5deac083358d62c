//! The machine against a server of a few lines that loses, repeats, refuses and restarts.

use std::collections::{BTreeMap, HashMap, VecDeque};

use hansard_model::{GroupId, LogTime, Seq};
use proptest::prelude::*;

use super::*;
use crate::event::StoredEvent;
use crate::frame::{Incoming, decode};
use crate::machine::action::OutboxEntry;
use crate::machine::receipts::Marks;

mod connection;
mod receipts;

const CONVERSATIONS: u8 = 3;

fn user(n: u8) -> UserId {
    UserId::from_entropy([n; 20])
}

fn group(n: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([n; 20]))
}

fn raw(text: &str) -> Box<RawValue> {
    RawValue::from_string(format!(r#"{{"kind":"message","text":"{text}"}}"#)).expect("json")
}

/// What survives a kill -9 of the client: changes of finished turns.
#[derive(Clone, Default)]
struct Disk {
    cursor: Option<String>,
    timelines: BTreeMap<ConversationId, (Seq, Seq)>,
    outbox: BTreeMap<u64, OutboxEntry>,
    next_row: u64,
    marks: BTreeMap<ConversationId, (Marks, Marks)>,
}

impl Disk {
    fn apply(&mut self, change: Change) {
        match change {
            Change::Enqueue(entry) => {
                self.next_row = entry.row + 1;
                self.outbox.insert(entry.row, entry);
            }
            Change::Attempted { row } => self.outbox.get_mut(&row).expect("a row").attempts = 1,
            Change::Rename { row, id } => {
                let entry = self.outbox.get_mut(&row).expect("a row");
                (entry.id, entry.attempts) = (id, 0);
            }
            Change::Settle { row } => drop(self.outbox.remove(&row).expect("a row")),
            Change::Event(event) => {
                self.timelines.entry(event.conversation).or_default().0 = event.seq;
            }
            Change::Skip { conversation, through } => {
                self.timelines.entry(conversation).or_default().0 = through;
            }
            Change::Conversation(_) | Change::User(_) => {}
            Change::Marks { conversation, marks, stored } => {
                self.marks.insert(conversation, (marks, stored));
            }
            Change::Cursor(cursor) => self.cursor = Some(cursor),
            Change::Uploaded { .. } => {}
            Change::Reset => (self.cursor, self.timelines) = (None, BTreeMap::new()),
        }
    }

    fn snapshot(&self) -> Snapshot {
        Snapshot {
            cursor: self.cursor.clone(),
            timelines: self.timelines.iter().map(|(c, (last, from))| (*c, *last, *from)).collect(),
            outbox: self.outbox.values().cloned().collect(),
            next_row: self.next_row,
            marks: self.marks.iter().map(|(id, (marks, stored))| (*id, *marks, *stored)).collect(),
        }
    }
}

#[derive(Clone)]
struct LogEntry {
    conversation: ConversationId,
    sender: UserId,
    id: MessageId,
    event: String,
}

/// The server, the network, the disk and the application around one machine.
struct World {
    machine: Machine,
    disk: Disk,
    now: Moment,
    log: Vec<LogEntry>,
    connected: bool,
    to_server: VecDeque<String>,
    to_client: VecDeque<String>,
    reads: VecDeque<EventsRequest>,
    skip_live: bool,
    refuse_next: Option<&'static str>,
    sent: Vec<MessageId>,
    acked: HashMap<MessageId, u32>,
    shown: BTreeMap<ConversationId, Vec<u64>>,
    gaps: u32,
    others: u64,
    restarts: u64,
    /// The gateways that were asked which one to use, and those that were tried.
    asked: Vec<String>,
    tried: Vec<String>,
    /// What the server was told by receipts.
    told: BTreeMap<ConversationId, Marks>,
    /// What the person has read.
    read: BTreeMap<ConversationId, Marks>,
}

fn options() -> Options {
    Options {
        token: "t".to_owned(),
        gateways: vec!["http://one".to_owned(), "http://two".to_owned()],
        discover: false,
        catch_up: None,
        background: false,
        backoff: Backoff { base_ms: 10, cap_ms: 100 },
        receipts: ReceiptPolicy::All,
        seed: 0,
    }
}

impl World {
    fn new() -> Self {
        let disk = Disk::default();
        Self {
            machine: Machine::new(options(), disk.snapshot()),
            disk,
            now: Moment { tick_ms: 0, wall_ms: 1_000_000 },
            log: Vec::new(),
            connected: false,
            to_server: VecDeque::new(),
            to_client: VecDeque::new(),
            reads: VecDeque::new(),
            skip_live: false,
            refuse_next: None,
            sent: Vec::new(),
            acked: HashMap::new(),
            shown: BTreeMap::new(),
            gaps: 0,
            others: 0,
            restarts: 0,
            asked: Vec::new(),
            tried: Vec::new(),
            told: BTreeMap::new(),
            read: BTreeMap::new(),
        }
    }

    fn frame_of(&self, seq: usize) -> String {
        let entry = &self.log[seq - 1];
        let prev = (1..seq).rev().find(|s| self.log[s - 1].conversation == entry.conversation);
        let n = (1..=seq).filter(|s| self.log[s - 1].conversation == entry.conversation).count();
        format!(
            r#"{{"type":"event","conversation":"{}","seq":{seq},"prev":{},"n":{n},"ts":"2025-11-22T00:45:45.123Z","body":{{"v":1,"id":"{}","sender":"{}","device":"{}","event":{}}}}}"#,
            entry.conversation,
            prev.unwrap_or(0),
            entry.id,
            entry.sender,
            user(1),
            entry.event
        )
    }

    fn append(&mut self, entry: LogEntry) -> usize {
        self.log.push(entry);
        let seq = self.log.len();
        if !std::mem::take(&mut self.skip_live) && self.connected {
            self.to_client.push_back(self.frame_of(seq));
        }
        seq
    }

    /// Carries out what the machine decided: first what is written down, as the loop does.
    fn turn(&mut self) {
        let (changes, rest): (Vec<_>, Vec<_>) = self
            .machine
            .take_actions()
            .into_iter()
            .partition(|action| matches!(action, Action::Persist(_)));
        for change in changes {
            if let Action::Persist(change) = change {
                self.disk.apply(change);
            }
        }
        for action in rest {
            match action {
                Action::Connect(url) => {
                    self.tried.push(url);
                    self.connected = true;
                    self.machine.connected(self.now);
                    self.turn();
                }
                Action::Discover(url) => self.asked.push(url),
                Action::Transmit(text) => self.to_server.push_back(text),
                Action::Disconnect => self.drop_socket(),
                Action::FetchEvents(request) => self.reads.push_back(request),
                Action::FetchView(request) => self.machine.view(self.now, request, None),
                Action::Publish(update) => self.show(update),
                Action::Persist(_) => unreachable!("partitioned"),
            }
        }
    }

    fn show(&mut self, update: Update) {
        match update {
            Update::Event(event) => {
                self.shown.entry(event.conversation).or_default().push(event.seq.0);
            }
            Update::Ack { conversation, id, seq } => {
                *self.acked.entry(id).or_default() += 1;
                let entry = &self.log[usize::try_from(seq.0).expect("small") - 1];
                assert_eq!((entry.conversation, entry.id), (conversation, id));
            }
            Update::Renamed { from, to, .. } => {
                assert!(self.log.iter().all(|entry| entry.id != from), "a stored id was changed");
                let sent = self.sent.iter_mut().find(|id| **id == from).expect("a send");
                *sent = to;
            }
            // What is before the first event shown is to be paged, and said so.
            Update::Gap(gap) if gap.from == Seq::ZERO => {
                assert!(!self.shown.contains_key(&gap.conversation));
            }
            Update::Gap(_) => self.gaps += 1,
            Update::Failed { .. } => panic!("nothing is refused for good here"),
            _ => {}
        }
    }

    fn drop_socket(&mut self) {
        self.connected = false;
        self.to_client.clear();
        self.to_server.clear();
    }

    fn serve_one(&mut self) {
        let Some(text) = self.to_server.pop_front() else { return };
        let outline: hansard_protocol::client::Outline =
            serde_json::from_str(&text).expect("a client frame");
        match outline.kind.as_deref() {
            Some("hello") => {
                let hello: Hello = serde_json::from_str(&text).expect("a hello");
                self.resume(hello.cursor.as_deref());
            }
            Some("send") => self.store(&serde_json::from_str(&text).expect("a send")),
            Some("receipt") => self.receive(&serde_json::from_str(&text).expect("a receipt")),
            other => panic!("{other:?}"),
        }
    }

    fn resume(&mut self, cursor: Option<&str>) {
        let after: usize = cursor.map_or(0, |cursor| cursor.parse().expect("our cursor"));
        let time = LogTime::from_millis(1_000_000 + self.now.tick_ms);
        self.to_client.clear();
        self.to_client.push_back(format!(
            r#"{{"type":"welcome","user":"{}","device":"{}","server_time":"{time}","heartbeat_s":30,"durability":"fsync","limits":{{"text_bytes":1,"frame_bytes":1,"group":1,"catch_up":1,"page":1,"in_flight":2}},"features":[]}}"#,
            user(0), user(1)
        ));
        for n in 0..CONVERSATIONS {
            for seq in after + 1..=self.log.len() {
                if self.log[seq - 1].conversation == group(n) {
                    self.to_client.push_back(self.frame_of(seq));
                }
            }
        }
        let cursor = self.log.len();
        self.to_client.push_back(format!(
            r#"{{"type":"synced","cursor":"{cursor}","complete":true,"reset":false}}"#
        ));
    }

    fn store(&mut self, send: &hansard_protocol::client::Send) {
        let Some(FrameRef::Number(reference)) = send.reference else { panic!("no ref") };
        if let Some(refusal) = self.refuse_next.take() {
            self.to_client.push_back(format!(r#"{{"type":"error","ref":{reference},{refusal}}}"#));
            return;
        }
        let known = self
            .log
            .iter()
            .position(|entry| (entry.conversation, entry.id) == (send.conversation, send.id));
        let seq = if let Some(index) = known {
            assert_eq!(self.log[index].event, send.event.get(), "content changed under an id");
            index + 1
        } else {
            self.append(LogEntry {
                conversation: send.conversation,
                sender: user(0),
                id: send.id,
                event: send.event.get().to_owned(),
            })
        };
        let duplicate = known.is_some();
        self.to_client.push_back(format!(
            r#"{{"type":"ack","ref":{reference},"conversation":"{}","id":"{}","seq":{seq},"duplicate":{duplicate}}}"#,
            send.conversation, send.id
        ));
    }

    fn deliver_one(&mut self, repeat: bool) {
        let Some(text) = self.to_client.pop_front() else { return };
        for _ in 0..=u8::from(repeat && !text.contains("welcome")) {
            self.machine.frame(self.now, decode(&text).expect("our own frame"));
            self.turn();
        }
    }

    fn read_one(&mut self, fails: bool) {
        let Some(request) = self.reads.pop_front() else { return };
        let after = usize::try_from(request.after.0).expect("small");
        let found: Vec<usize> = (after + 1..=self.log.len())
            .filter(|seq| self.log[seq - 1].conversation == request.conversation)
            .collect();
        let events: Vec<StoredEvent> = found
            .iter()
            .take(2)
            .map(|seq| match decode(&self.frame_of(*seq)) {
                Ok(Incoming::Event(event)) => *event,
                other => panic!("{other:?}"),
            })
            .collect();
        let page = Page { more: found.len() > events.len(), events };
        let answer = if fails { Err(ReadFailure::NoAnswer) } else { Ok(page) };
        self.machine.page(self.now, request, answer);
        self.turn();
    }

    fn send(&mut self, conversation: ConversationId) {
        let text = format!("m{}", self.sent.len());
        let id = self.machine.send(self.now, conversation, raw(&text)).expect("room");
        self.sent.push(id);
        self.turn();
    }

    fn other_sends(&mut self, conversation: ConversationId) {
        self.others += 1;
        let id = MessageId::new(self.others, [9; 10]);
        let event = raw("other").get().to_owned();
        self.append(LogEntry { conversation, sender: user(7), id, event });
    }

    fn restart(&mut self) {
        self.drop_socket();
        self.reads.clear();
        self.restarts += 1;
        let options = Options { seed: self.restarts, ..options() };
        self.machine = Machine::new(options, self.disk.snapshot());
    }

    fn advance(&mut self, ms: u64) {
        self.now.tick_ms += ms;
        self.now.wall_ms += ms;
        self.machine.tick(self.now);
        self.turn();
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Send(n) => self.send(group(n)),
            Step::OtherSends(n) => self.other_sends(group(n)),
            Step::Serve => self.serve_one(),
            Step::Deliver { repeat } => self.deliver_one(repeat),
            Step::Read { fails } => self.read_one(fails),
            Step::Cursor if self.connected && self.to_client.is_empty() => {
                let cursor = self.log.len();
                self.to_client.push_back(format!(r#"{{"type":"cursor","cursor":"{cursor}"}}"#));
            }
            Step::Cursor => {}
            Step::SkipLive => self.skip_live = true,
            Step::Refuse(refusal) => self.refuse_next = Some(refusal),
            Step::Drop if self.connected => {
                self.drop_socket();
                self.machine.disconnected(self.now, Loss::Closed(1006), None);
                self.turn();
            }
            Step::Drop => {}
            Step::Restart => self.restart(),
            Step::Advance(ms) => self.advance(ms),
            Step::Reads(n, private) => self.reads_up_to(group(n), private),
        }
    }

    /// Lets everything come to rest, on a network that loses nothing.
    fn settle(&mut self) {
        (self.skip_live, self.refuse_next) = (false, None);
        for n in 0..CONVERSATIONS {
            self.other_sends(group(n));
        }
        for _ in 0..2_000 {
            self.serve_one();
            self.deliver_one(false);
            self.read_one(false);
            self.advance(20);
            if self.machine.pending() == 0
                && self.to_client.is_empty()
                && self.to_server.is_empty()
                && self.machine.timelines.are_whole()
                && !self.machine.receipts_pending()
            {
                return;
            }
        }
        panic!("it does not come to rest");
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(u8),
    OtherSends(u8),
    Serve,
    Deliver {
        repeat: bool,
    },
    Read {
        fails: bool,
    },
    Cursor,
    SkipLive,
    Refuse(&'static str),
    Drop,
    Restart,
    Advance(u64),
    /// The person reads, in private or not.
    Reads(u8, bool),
}

const UNAVAILABLE: &str =
    r#""code":"unavailable","message":"","stored":"unknown","retry":"same_id","retry_after_ms":5"#;
const CLOCK_AHEAD: &str = r#""code":"clock_ahead","message":"","stored":"no","retry":"new_id""#;

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..CONVERSATIONS).prop_map(Step::Send),
        3 => (0..CONVERSATIONS).prop_map(Step::OtherSends),
        8 => Just(Step::Serve),
        10 => any::<bool>().prop_map(|repeat| Step::Deliver { repeat }),
        3 => any::<bool>().prop_map(|fails| Step::Read { fails }),
        1 => Just(Step::Cursor),
        2 => Just(Step::SkipLive),
        1 => Just(Step::Refuse(UNAVAILABLE)),
        1 => Just(Step::Refuse(CLOCK_AHEAD)),
        1 => Just(Step::Drop),
        1 => Just(Step::Restart),
        6 => (1u64..200).prop_map(Step::Advance),
        2 => (0..CONVERSATIONS, any::<bool>()).prop_map(|(n, private)| Step::Reads(n, private)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn every_send_is_acked_once_and_every_timeline_is_whole(
        steps in proptest::collection::vec(any_step(), 1..250),
    ) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        // Each send is in the log once, and was acked once.
        for id in &world.sent {
            prop_assert_eq!(world.acked.get(id), Some(&1), "acks of {}", id);
            prop_assert_eq!(world.log.iter().filter(|entry| entry.id == *id).count(), 1);
        }
        prop_assert_eq!(world.acked.len(), world.sent.len());
        // What was shown is the log of each conversation: no hole, no double, in order.
        for n in 0..CONVERSATIONS {
            let in_log: Vec<u64> = (1..=world.log.len())
                .filter(|seq| world.log[seq - 1].conversation == group(n))
                .map(|seq| seq as u64)
                .collect();
            let shown = world.shown.remove(&group(n)).unwrap_or_default();
            // A first event may be shown without what a lost live message was before it.
            let first = shown.first().copied().unwrap_or(0);
            let expected: Vec<u64> = in_log.into_iter().filter(|seq| *seq >= first).collect();
            prop_assert_eq!(shown, expected);
        }
        prop_assert_eq!(world.gaps, 0);
        world.everything_was_told();
    }
}

fn online() -> World {
    let mut world = World::new();
    world.advance(0);
    while !world.to_server.is_empty() || !world.to_client.is_empty() {
        world.serve_one();
        world.deliver_one(false);
    }
    world
}

#[test]
fn a_conversation_has_one_unanswered_send_and_conversations_go_in_parallel() {
    let mut world = online();
    for n in [0, 0, 1, 2] {
        world.send(group(n));
    }
    // Two conversations, each one send; the third waits for the server's limit of two in flight.
    assert_eq!(world.to_server.len(), 2);
    world.settle();
    assert_eq!(world.acked.len(), 4);
}

#[test]
fn an_id_that_was_sent_before_is_kept_when_the_clock_is_said_to_be_ahead() {
    let mut world = online();
    world.send(group(0));
    let id = world.sent[0];
    world.step(&Step::Drop);
    world.advance(1_000);
    world.serve_one();
    world.step(&Step::Refuse(CLOCK_AHEAD));
    while !world.to_server.is_empty() || !world.to_client.is_empty() {
        world.deliver_one(false);
        world.serve_one();
    }
    assert_eq!(world.sent[0], id);
    world.advance(20_000);
    world.settle();
    assert_eq!(world.acked.get(&id), Some(&1));
}

#[test]
fn ids_made_offline_with_a_fast_clock_are_renewed_before_they_are_sent() {
    let mut world = World::new();
    world.now.wall_ms += 3_600_000;
    world.send(group(0));
    let id = world.sent[0];
    world.settle();
    assert_ne!(world.sent[0], id);
    assert_eq!(world.acked.get(&world.sent[0]), Some(&1));
}

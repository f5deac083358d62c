use std::collections::{BTreeMap, BTreeSet};

use hansard_model::{GroupId, LogTime};
use proptest::prelude::*;

use super::*;

fn group(number: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([number; 20]))
}

fn event_of(conversation: ConversationId, seq: u64, follows: u64) -> LiveEvent {
    LiveEvent {
        conversation,
        seq: Seq(seq),
        prev: Seq::ZERO,
        n: 0,
        ts: LogTime::default(),
        follows: Seq(follows),
        payload: bytes::Bytes::from_static(b"{}"),
    }
}

fn event(seq: u64) -> LiveEvent {
    event_of(group(1), seq, seq.saturating_sub(1))
}

fn listed(seq: u64) -> Entry {
    let event = event(seq);
    let LiveEvent { conversation, seq, follows, .. } = event;
    Entry::Listed(Listed { conversation, seq, follows })
}

/// Where entries go, as the router decides.
#[derive(Default)]
struct Sink {
    position: u64,
    wanted: BTreeSet<ConversationId>,
    covered: BTreeSet<ConversationId>,
    /// What the position has moved over: whether it was delivered, and whether it should have been.
    passed: Vec<(u64, bool, bool)>,
}

impl Sink {
    fn at(position: u64) -> Self {
        let all = BTreeSet::from([group(1)]);
        Self { position, wanted: all.clone(), covered: all, passed: Vec::new() }
    }

    fn delivered(&self) -> Vec<u64> {
        self.passed.iter().filter(|(_, delivered, _)| *delivered).map(|(seq, ..)| *seq).collect()
    }

    fn pass(&mut self, conversation: ConversationId, seq: u64, has_content: bool) {
        let is_wanted = self.wanted.contains(&conversation);
        self.passed.push((seq, is_wanted && has_content, is_wanted));
        self.position = seq;
    }
}

impl Delivery for Sink {
    fn deliver(&mut self, entry: &Entry, content: Option<&LiveEvent>) -> Taken {
        let (conversation, follows) = match entry {
            Entry::Event(event) => (event.conversation, event.follows.0),
            Entry::Listed(listed) => (listed.conversation, listed.follows.0),
        };
        let seq = entry.seq().0;
        if seq <= self.position {
            return Taken::Repeated;
        }
        if follows > self.position {
            return Taken::Hole(Seq(self.position));
        }
        let has_content = matches!(entry, Entry::Event(_)) || content.is_some();
        if let Some(content) = content {
            assert_eq!((content.seq.0, content.conversation), (seq, conversation), "another's");
        }
        if self.wanted.contains(&conversation) && !has_content {
            return Taken::Absent;
        }
        self.pass(conversation, seq, has_content);
        Taken::Delivered
    }

    fn is_covered(&self, conversation: ConversationId) -> bool {
        self.covered.contains(&conversation)
    }
}

fn now() -> Instant {
    Instant::now()
}

fn hold(lane: &mut Lane, seqs: impl IntoIterator<Item = u64>) {
    let mut nowhere = Sink::default();
    for seq in seqs {
        lane.take(Entry::Event(event(seq)), now(), &mut nowhere);
    }
}

fn settle(lane: &mut Lane, is_cut: bool, position: u64, sink: &mut Sink) -> Next {
    lane.settle(is_cut, Seq(position), now(), sink)
}

#[test]
fn what_was_held_is_delivered_after_the_repair() {
    let (mut lane, mut sink) = (Lane::default(), Sink::at(4));
    lane.begin_repair();
    hold(&mut lane, 5..8);
    assert_eq!(settle(&mut lane, false, 4, &mut sink), Next::Flow);
    assert_eq!(sink.delivered(), [5, 6, 7]);
    assert!(lane.is_flowing());
}

#[test]
fn what_does_not_follow_is_kept_and_asked_for() {
    let (mut lane, mut sink) = (Lane::default(), Sink::at(4));
    lane.begin_repair();
    hold(&mut lane, [9]);
    assert_eq!(settle(&mut lane, false, 4, &mut sink), Next::Ask);
    assert!(lane.is_repairing());
    sink.position = 8;
    assert_eq!(settle(&mut lane, false, 8, &mut sink), Next::Flow);
    assert_eq!(sink.delivered(), [9]);
}

#[test]
fn a_flood_during_a_repair_is_bounded_and_asked_for() {
    let (mut lane, mut sink) = (Lane::default(), Sink::at(1));
    lane.begin_repair();
    let last = HELD_ENTRIES_MAX as u64 + 50;
    hold(&mut lane, 2..=last);
    assert_eq!(settle(&mut lane, false, 1, &mut sink), Next::Ask);
    assert_eq!(sink.delivered().len(), HELD_ENTRIES_MAX);
    sink.position = last;
    assert_eq!(settle(&mut lane, false, last, &mut sink), Next::Flow);
}

#[test]
fn an_answer_that_may_be_cut_is_asked_on_until_the_feed_joins_it() {
    let (mut lane, mut sink) = (Lane::default(), Sink::at(4));
    lane.begin_repair();
    hold(&mut lane, [3]);
    assert_eq!(settle(&mut lane, true, 4, &mut sink), Next::Ask, "delivered before");
    hold(&mut lane, [7]);
    sink.position = 6;
    assert_eq!(settle(&mut lane, true, 6, &mut sink), Next::Flow);
}

#[test]
fn what_was_held_before_the_owner_was_asked_does_not_join_an_answer_that_is_cut() {
    let (mut lane, mut sink) = (Lane::default(), Sink::at(4));
    // The content of 5 is late; then there is an interruption, in which all after 7 is lost.
    for seq in 5..8 {
        lane.take(listed(seq), now(), &mut sink);
    }
    lane.begin_repair();
    for seq in 5..8 {
        lane.content(event(seq), Some(Seq(4)), now(), &mut sink);
    }
    assert_eq!(sink.delivered(), [5, 6, 7]);
    assert_eq!(settle(&mut lane, true, 7, &mut sink), Next::Ask, "there is more");
    assert_eq!(settle(&mut lane, false, 9, &mut sink), Next::Flow);
}

#[test]
fn what_is_complete_flows_while_the_owner_is_asked() {
    let (mut lane, mut sink) = (Lane::default(), Sink::at(4));
    lane.begin_repair();
    assert_eq!(lane.take(listed(5), now(), &mut sink), Next::Wait);
    assert_eq!(lane.take(listed(6), now(), &mut sink), Next::Wait);
    assert_eq!(lane.content(event(6), Some(Seq(4)), now(), &mut sink), Next::Wait);
    assert_eq!(sink.delivered(), [0; 0]);
    assert_eq!(lane.content(event(5), Some(Seq(4)), now(), &mut sink), Next::Wait);
    assert_eq!(lane.take(Entry::Event(event(7)), now(), &mut sink), Next::Wait);
    assert_eq!(sink.delivered(), [5, 6, 7]);
    assert_eq!(lane.take(listed(9), now(), &mut sink), Next::Wait, "it is asked already");
    assert!(lane.is_repairing());
    sink.position = 8;
    assert_eq!(settle(&mut lane, false, 8, &mut sink), Next::Wait);
    assert_eq!(lane.content(event(9), Some(Seq(8)), now(), &mut sink), Next::Flow);
}

#[test]
fn a_content_that_its_owner_knows_nothing_of_is_asked_for_once() {
    let (start, patience) = (now(), Duration::from_millis(100));
    let (mut lane, mut sink) = (Lane::default(), Sink::at(4));
    lane.content(event(900), Some(Seq(4)), start, &mut sink);
    assert!(lane.is_late(start + patience, patience));
    // This one came behind the question.
    lane.content(event(901), Some(Seq(4)), start, &mut sink);
    assert_eq!(settle(&mut lane, false, 4, &mut sink), Next::Flow);
    assert!(lane.is_late(start + 2 * patience + patience, patience));
    assert_eq!(settle(&mut lane, false, 4, &mut sink), Next::Flow);
    assert!(lane.is_flowing() && lane.contents.is_empty());
}

#[test]
fn contents_that_no_order_tells_of_say_that_the_owner_publishes_none() {
    let (mut lane, mut sink) = (Lane::default(), Sink::at(4));
    lane.content(event(5), Some(Seq(4)), now(), &mut sink);
    assert!(lane.lacks_order());
    lane.take(listed(5), now(), &mut sink);
    assert!(!lane.lacks_order() && !lane.was_quiet());
    lane.take(listed(6), now(), &mut sink);
    lane.content(event(6), Some(Seq(5)), now(), &mut sink);
    assert!(!lane.lacks_order() && !lane.was_quiet() && lane.was_quiet());
}

#[test]
fn only_answers_in_a_row_from_before_the_position_say_that_the_log_is_cut_off() {
    let mut lane = Lane::default();
    lane.begin_repair();
    let answers = [true, true, false, true, true, true, true];
    let certain = answers.map(|is_behind| lane.is_cut_off(is_behind));
    assert_eq!(certain, [false, false, false, false, false, true, false]);
}

#[test]
fn an_interruption_during_a_repair_asks_once_more() {
    let (mut lane, mut sink) = (Lane::default(), Sink::at(4));
    lane.begin_repair();
    lane.ask_again();
    assert_eq!(settle(&mut lane, false, 4, &mut sink), Next::Ask);
    assert_eq!(settle(&mut lane, false, 4, &mut sink), Next::Flow);
}

#[test]
fn a_content_has_its_turn_whether_it_comes_before_the_order_or_behind() {
    let (mut lane, mut sink) = (Lane::default(), Sink::at(4));
    assert_eq!(lane.content(event(6), Some(Seq(4)), now(), &mut sink), Next::Wait);
    assert_eq!(lane.take(listed(5), now(), &mut sink), Next::Wait);
    assert_eq!(lane.take(listed(6), now(), &mut sink), Next::Wait);
    assert_eq!(lane.take(listed(7), now(), &mut sink), Next::Wait);
    assert_eq!(sink.delivered(), [0; 0]);
    assert_eq!(lane.content(event(5), Some(Seq(4)), now(), &mut sink), Next::Wait);
    assert_eq!(sink.delivered(), [5, 6]);
    assert_eq!(lane.content(event(7), Some(Seq(6)), now(), &mut sink), Next::Flow);
    assert_eq!(sink.delivered(), [5, 6, 7]);
    assert!(lane.is_flowing());
    lane.content(event(7), Some(Seq(7)), now(), &mut sink);
    assert!(lane.is_flowing() && lane.contents.is_empty(), "the second copy is dropped");
}

#[test]
fn what_nobody_wants_is_passed_over_and_what_is_not_on_its_way_is_asked_for_at_once() {
    let (mut lane, mut sink) = (Lane::default(), Sink::at(4));
    sink.wanted.clear();
    assert_eq!(lane.take(listed(5), now(), &mut sink), Next::Flow);
    assert_eq!(sink.passed, [(5, false, false)]);
    sink.wanted.insert(group(1));
    sink.covered.clear();
    assert_eq!(lane.take(listed(6), now(), &mut sink), Next::Hole);
    assert!(lane.is_repairing());
    sink.pass(group(1), 6, true);
    assert_eq!(settle(&mut lane, false, 6, &mut sink), Next::Flow);
}

#[test]
fn a_content_or_an_order_that_does_not_come_is_asked_for_in_time() {
    let (start, patience) = (now(), Duration::from_millis(100));
    for lost in ["content", "order"] {
        let (mut lane, mut sink) = (Lane::default(), Sink::at(4));
        let next = match lost {
            "content" => lane.take(listed(5), start, &mut sink),
            _ => lane.content(event(5), Some(Seq(4)), start, &mut sink),
        };
        assert_eq!(next, Next::Wait);
        assert!(!lane.is_late(start + patience / 2, patience));
        assert!(lane.is_late(start + patience, patience) && lane.is_repairing(), "{lost}");
        sink.pass(group(1), 5, true);
        assert_eq!(settle(&mut lane, false, 5, &mut sink), Next::Flow);
        assert!(lane.is_flowing(), "{lost}");
    }
}

#[test]
fn a_content_of_another_log_is_none() {
    let (mut lane, mut sink) = (Lane::default(), Sink::at(4));
    lane.content(event_of(group(2), 5, 4), Some(Seq(4)), now(), &mut sink);
    assert_eq!(lane.take(listed(5), now(), &mut sink), Next::Wait);
    assert_eq!(sink.delivered(), [0; 0]);
    lane.begin_repair();
    lane.forget();
    lane.content(event(5), Some(Seq(4)), now(), &mut sink);
    assert_eq!(settle(&mut lane, false, 4, &mut sink), Next::Ask, "all is asked for anew");
}

#[test]
fn more_entries_than_can_wait_for_a_content_are_asked_for() {
    let (mut lane, mut sink) = (Lane::default(), Sink::at(0));
    let last = HELD_ENTRIES_MAX as u64 + 2;
    let nexts: Vec<Next> = (1..=last).map(|seq| lane.take(listed(seq), now(), &mut sink)).collect();
    assert_eq!(nexts.iter().position(|next| *next == Next::Hole), Some(HELD_ENTRIES_MAX));
    assert_eq!(settle(&mut lane, false, 0, &mut sink), Next::Ask);
}

/// What may happen to the feed of a gateway.
#[derive(Clone, Debug)]
enum Happening {
    /// The owner publishes some more: whether the order of it is lost, and which contents.
    Publish {
        count: usize,
        order_lost: bool,
        contents_lost: u8,
    },
    /// One of the contents that are under way arrives; it may arrive once more later.
    Content {
        which: usize,
        again: bool,
    },
    /// One of the orders that are under way arrives: they do so in turn.
    Order,
    Want(u8, bool),
    Cover(u8, bool),
    TimePasses,
    OwnerAnswers {
        limit: usize,
    },
    Interruption,
    /// A content of a log that is no more arrives.
    Stale {
        beyond: u64,
    },
}

fn any_happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        3 => (1..6_usize, proptest::bool::weighted(0.15), any::<u8>()).prop_map(
            |(count, order_lost, lost)| {
                Happening::Publish { count, order_lost, contents_lost: lost & lost.rotate_left(3) }
            }
        ),
        6 => (any::<usize>(), proptest::bool::weighted(0.2))
            .prop_map(|(which, again)| Happening::Content { which, again }),
        3 => Just(Happening::Order),
        1 => (0..3_u8, any::<bool>()).prop_map(|(who, wanted)| Happening::Want(who, wanted)),
        1 => (0..3_u8, any::<bool>()).prop_map(|(who, covered)| Happening::Cover(who, covered)),
        2 => Just(Happening::TimePasses),
        2 => (1..4_usize).prop_map(|limit| Happening::OwnerAnswers { limit }),
        1 => Just(Happening::Interruption),
        1 => (1..40_u64).prop_map(|beyond| Happening::Stale { beyond }),
    ]
}

fn put(set: &mut BTreeSet<ConversationId>, conversation: ConversationId, is_in: bool) {
    if is_in {
        set.insert(conversation);
    } else {
        set.remove(&conversation);
    }
}

/// A gateway that follows one partition, and the way to it.
struct World {
    lane: Lane,
    sink: Sink,
    now: Instant,
    /// Everything that was published: where, and whether the order holds it.
    log: BTreeMap<u64, (ConversationId, bool)>,
    kinds: Vec<(u8, bool)>,
    orders: VecDeque<Vec<Entry>>,
    contents: Vec<LiveEvent>,
    /// After which position the owner is being asked.
    asked: Option<u64>,
}

impl World {
    fn new(kinds: Vec<(u8, bool)>) -> Self {
        Self {
            lane: Lane::default(),
            sink: Sink::default(),
            now: Instant::now(),
            log: BTreeMap::new(),
            kinds,
            orders: VecDeque::new(),
            contents: Vec::new(),
            asked: None,
        }
    }

    fn next(&mut self, next: Next) {
        match next {
            Next::Flow => {}
            Next::Wait => assert!(!self.lane.is_flowing(), "it waits"),
            Next::Ask | Next::Hole => {
                assert!(self.asked.is_none(), "it was asked already");
                self.asked = Some(self.sink.position);
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Publish { count, order_lost, contents_lost } => {
                let mut order = Vec::new();
                for number in 0..count {
                    let last = self.log.last_key_value().map_or(0, |(seq, _)| *seq);
                    let (who, is_inline) = self.kinds[self.log.len() % self.kinds.len()];
                    // Not every place in a stream is that of a valid event.
                    let event = event_of(group(who), last + 1 + u64::from(who), last);
                    self.log.insert(event.seq.0, (event.conversation, is_inline));
                    let LiveEvent { conversation, seq, follows, .. } = event;
                    order.push(match is_inline {
                        true => Entry::Event(event.clone()),
                        false => Entry::Listed(Listed { conversation, seq, follows }),
                    });
                    let is_lost = contents_lost >> (number % 8) & 1 == 1;
                    if !is_lost && self.sink.covered.contains(&event.conversation) {
                        self.contents.push(event);
                    }
                }
                if !order_lost {
                    self.orders.push_back(order);
                }
            }
            Happening::Content { which, again } => {
                if self.contents.is_empty() {
                    return;
                }
                let which = which % self.contents.len();
                let event = match again {
                    true => self.contents[which].clone(),
                    false => self.contents.swap_remove(which),
                };
                let position = Some(Seq(self.sink.position));
                let next = self.lane.content(event, position, self.now, &mut self.sink);
                self.next(next);
            }
            Happening::Order => {
                for entry in self.orders.pop_front().unwrap_or_default() {
                    let next = self.lane.take(entry, self.now, &mut self.sink);
                    self.next(next);
                }
            }
            Happening::Want(who, wanted) => put(&mut self.sink.wanted, group(who), wanted),
            Happening::Cover(who, covered) => put(&mut self.sink.covered, group(who), covered),
            Happening::TimePasses => {
                self.now += Duration::from_millis(60);
                if self.lane.is_late(self.now, Duration::from_millis(100)) {
                    self.next(Next::Hole);
                }
            }
            Happening::OwnerAnswers { limit } => self.answer(limit),
            Happening::Stale { beyond } => {
                let last = self.log.last_key_value().map_or(0, |(seq, _)| *seq);
                let event = event_of(group(9), last + beyond, last);
                let position = Some(Seq(self.sink.position));
                let next = self.lane.content(event, position, self.now, &mut self.sink);
                self.next(next);
            }
            Happening::Interruption => {
                if self.lane.is_repairing() {
                    self.lane.ask_again();
                } else {
                    self.lane.begin_repair();
                    self.next(Next::Ask);
                }
            }
        }
    }

    fn answer(&mut self, limit: usize) {
        let Some(after) = self.asked.take() else { return };
        let after: Vec<(u64, ConversationId)> = self
            .log
            .range(after + 1..)
            .map(|(seq, (conversation, _))| (*seq, *conversation))
            .collect();
        let page = &after[..limit.min(after.len())];
        for (seq, conversation) in page {
            // What flowed meanwhile is repeated.
            if *seq > self.sink.position {
                self.sink.pass(*conversation, *seq, true);
            }
        }
        let is_cut = page.len() < after.len();
        let position = Seq(self.sink.position);
        let next = self.lane.settle(is_cut, position, self.now, &mut self.sink);
        self.next(next);
    }

    /// Everything that is under way arrives, and time passes, until nothing happens any more.
    fn calm_down(&mut self) {
        while !self.orders.is_empty() {
            self.happen(Happening::Order);
        }
        while !self.contents.is_empty() {
            self.happen(Happening::Content { which: 0, again: false });
        }
        for _ in 0..1_000 {
            if self.lane.is_flowing() {
                break;
            }
            self.happen(Happening::TimePasses);
            self.happen(Happening::OwnerAnswers { limit: 4 });
        }
        // What was lost at the end is found by the next comparison, as ever.
        if self.lane.is_flowing() {
            self.happen(Happening::Interruption);
        }
        for _ in 0..1_000 {
            self.happen(Happening::TimePasses);
            self.happen(Happening::OwnerAnswers { limit: 4 });
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn whatever_is_lost_or_late_what_is_wanted_is_delivered_once_and_in_order(
        kinds in proptest::collection::vec((0..3_u8, proptest::bool::weighted(0.15)), 1..12),
        happenings in proptest::collection::vec(any_happening(), 1..120),
    ) {
        let mut world = World::new(kinds);
        for happening in happenings {
            world.happen(happening);
            let is_asked = world.asked.is_some();
            prop_assert_eq!(is_asked, world.lane.is_repairing(), "who is asked answers");
        }
        world.calm_down();
        prop_assert!(world.lane.is_flowing(), "stuck");
        let passed: Vec<u64> = world.sink.passed.iter().map(|(seq, ..)| *seq).collect();
        let all: Vec<u64> = world.log.keys().copied().collect();
        prop_assert_eq!(passed, all, "each once, in order");
        for (seq, was_delivered, was_wanted) in &world.sink.passed {
            prop_assert_eq!(was_delivered, was_wanted, "{}", seq);
        }
        prop_assert!(world.lane.contents.is_empty() && world.lane.held.is_empty());
        prop_assert_eq!(world.lane.bytes, 0);
    }
}

use hansard_model::GroupId;
use proptest::prelude::*;

use super::*;

fn group(byte: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([byte; 20]))
}

#[test]
fn before_the_plan_nothing_flows_and_after_it_what_is_not_in_it_does() {
    let mut merge = Merge::new();
    assert_eq!(merge.live(group(1), Seq(5), 1, || 5), None);
    merge.planned();
    assert_eq!(merge.live(group(2), Seq(6), 1, || 6), Some(6));
    assert_eq!(merge.live(group(1), Seq(7), 1, || 7), None);
    assert_eq!(merge.begin(group(1), Seq(3)), Seq(7));
    assert_eq!(merge.page(group(1), Seq(7)), Turned::Done(vec![]));
    assert_eq!(merge.live(group(1), Seq(8), 1, || 8), Some(8));
}

#[test]
fn a_page_that_lags_behind_what_came_by_is_worth_nothing() {
    let mut merge = Merge::new();
    merge.live(group(1), Seq(5), 1, || 5);
    merge.planned();
    merge.begin(group(1), Seq::ZERO);
    assert_eq!(merge.page(group(1), Seq(4)), Turned::Behind);
    assert_eq!(merge.live(group(1), Seq(6), 1, || 6), None, "silent: a hole is before it");
}

#[test]
fn events_that_the_page_has_are_not_delivered_again() {
    let mut merge = Merge::new();
    merge.expect(group(1));
    merge.planned();
    merge.begin(group(1), Seq::ZERO);
    assert_eq!(merge.live(group(1), Seq(5), 1, || 5), None);
    assert_eq!(merge.live(group(1), Seq(9), 1, || 9), None);
    assert_eq!(merge.page(group(1), Seq(7)), Turned::Done(vec![9]));
    assert_eq!(merge.live(group(1), Seq(9), 1, || 9), None);
    assert_eq!(merge.live(group(1), Seq(10), 1, || 10), Some(10));
}

#[test]
fn what_is_left_out_flows_behind_its_gap_and_not_before() {
    let mut merge = Merge::new();
    merge.expect(group(1));
    merge.planned();
    assert_eq!(merge.live(group(1), Seq(5), 1, || 5), None, "the gap is not told yet");
    assert!(!merge.leave_out(group(1), Seq(4)), "5 would be in neither");
    assert!(merge.leave_out(group(1), Seq(6)));
    assert_eq!(merge.live(group(1), Seq(6), 1, || 6), None);
    assert_eq!(merge.live(group(1), Seq(7), 1, || 7), Some(7));
}

#[test]
fn what_the_feed_has_passed_is_forgotten() {
    let mut merge: Merge<u64> = Merge::new();
    merge.expect(group(1));
    merge.planned();
    merge.begin(group(1), Seq::ZERO);
    merge.page(group(1), Seq(7));
    assert!(!merge.settle(|_| Seq(6)));
    assert!(merge.settle(|_| Seq(7)));
}

/// What may happen next in the world of the property test.
#[derive(Clone, Debug)]
enum Step {
    /// The log gets an event of conversation 0 or 1 and the owner applies it.
    Append(u8),
    /// The gateway takes the next events from the live feed.
    Deliver(u8),
    /// The connection goes on with what it does: plan, ask, or take an answer.
    Resume,
    /// The owner answers what was asked: as of what it must, or up to this much less than it has.
    Answer(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..2_u8).prop_map(Step::Append),
        3 => (1..100_u8).prop_map(Step::Deliver),
        2 => Just(Step::Resume),
        2 => (0..12_u8).prop_map(Step::Answer),
    ]
}

/// One partition with two conversations, a feed, and a connection that resumes from `cursor`.
struct World {
    log: Vec<u8>,
    delivered: usize,
    cursor: usize,
    /// Where the feed stood at the plan.
    planned_at: usize,
    merge: Merge<u64>,
    /// The roster is joined at the plan; before it, events pass unrouted and are only noted by
    /// the router. `None` once planned.
    passed: Option<Vec<(u8, u64)>>,
    routed_from_the_start: bool,
    turns: Vec<u8>,
    fetch: Option<Fetch>,
    out: Vec<(u8, u64)>,
}

struct Fetch {
    conversation: u8,
    after: u64,
    min: u64,
    answer: Option<(u64, Vec<u64>)>,
}

impl World {
    fn new(log: Vec<u8>, delivered: usize, cursor: usize, routed: bool) -> Self {
        Self {
            delivered,
            cursor,
            planned_at: 0,
            log,
            merge: Merge::new(),
            passed: Some(Vec::new()),
            routed_from_the_start: routed,
            turns: vec![0, 1],
            fetch: None,
            out: Vec::new(),
        }
    }

    fn take(&mut self, step: &Step) {
        match step {
            Step::Append(conversation) => self.log.push(*conversation),
            Step::Deliver(count) => {
                for _ in 0..*count {
                    self.deliver();
                }
            }
            Step::Resume => self.resume(),
            Step::Answer(lag) => self.answer(*lag),
        }
    }

    fn deliver(&mut self) {
        let Some(conversation) = self.log.get(self.delivered).copied() else { return };
        self.delivered += 1;
        let seq = self.delivered as u64;
        match &mut self.passed {
            Some(passed) if !self.routed_from_the_start => passed.push((conversation, seq)),
            Some(_) | None => {
                let frame = self.merge.live(group(conversation), Seq(seq), 1, || seq);
                self.out.extend(frame.map(|seq| (conversation, seq)));
            }
        }
    }

    fn resume(&mut self) {
        if let Some(passed) = self.passed.take() {
            self.planned_at = self.delivered;
            // The inbox was read as of the attachment, or later: here, what is in the log now.
            for (conversation, seq) in passed {
                self.merge.passed(group(conversation), Seq(seq));
            }
            let changed = |c: u8| self.log[self.cursor..].contains(&c);
            self.turns
                .retain(|c| changed(*c) || self.merge.noted().any(|noted| noted == group(*c)));
            for turn in &self.turns {
                self.merge.expect(group(*turn));
            }
            self.merge.planned();
            return;
        }
        match self.fetch.take() {
            None => {
                let Some(conversation) = self.turns.pop() else { return };
                let min = self.merge.begin(group(conversation), Seq(self.planned_at as u64)).0;
                let after = self.cursor as u64;
                self.fetch = Some(Fetch { conversation, after, min, answer: None });
            }
            Some(Fetch { conversation, answer: Some((as_of, items)), .. }) => {
                match self.merge.page(group(conversation), Seq(as_of)) {
                    Turned::Done(rest) => {
                        self.out.extend(items.into_iter().chain(rest).map(|s| (conversation, s)));
                    }
                    Turned::Again(Seq(min)) => {
                        self.out.extend(items.into_iter().map(|s| (conversation, s)));
                        self.fetch = Some(Fetch { conversation, after: as_of, min, answer: None });
                    }
                    Turned::Behind => panic!("the owner is never behind the feed"),
                }
            }
            waiting @ Some(_) => self.fetch = waiting,
        }
    }

    fn answer(&mut self, lag: u8) {
        if let Some(fetch) = &mut self.fetch
            && fetch.answer.is_none()
        {
            let as_of = (self.log.len() as u64).saturating_sub(lag.into()).max(fetch.min);
            let items = self.log.iter().zip(1_u64..).filter(|(c, seq)| {
                **c == fetch.conversation && *seq > fetch.after && *seq <= as_of
            });
            fetch.answer = Some((as_of, items.map(|(_, seq)| seq).collect()));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn every_event_is_delivered_once_and_in_order(
        before in prop::collection::vec(0..2_u8, 0..20),
        lag in 0..20_usize,
        away in 0..20_usize,
        routed: bool,
        steps in prop::collection::vec(step(), 0..400),
    ) {
        let delivered = before.len().saturating_sub(lag);
        let cursor = delivered.saturating_sub(away);
        let mut world = World::new(before, delivered, cursor, routed);
        for step in &steps {
            world.take(step);
        }
        // Then it becomes quiet, and everything gets done.
        for _ in 0..10 {
            world.resume();
            world.answer(0);
        }
        while world.delivered < world.log.len() {
            world.deliver();
        }
        for conversation in 0..2 {
            let got: Vec<u64> =
                world.out.iter().filter(|(c, _)| *c == conversation).map(|(_, s)| *s).collect();
            let wanted: Vec<u64> = world.log.iter().zip(1_u64..)
                .filter(|(c, seq)| **c == conversation && *seq > cursor as u64)
                .map(|(_, seq)| seq)
                .collect();
            prop_assert_eq!(got, wanted);
        }
        let position = Seq(world.delivered as u64);
        prop_assert!(world.merge.settle(|_| position), "something is remembered for ever");
    }
}

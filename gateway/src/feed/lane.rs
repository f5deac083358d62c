//! One partition of the feed: it flows, or it holds what comes until a hole is filled.

use std::collections::VecDeque;

use hansard_model::Seq;
use hansard_nats::live::LiveEvent;

/// Events held while a hole is filled; when there are more, all are asked for instead.
const HELD_EVENTS_MAX: usize = 4_096;
/// Bytes of them.
const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// A partition.
#[derive(Default)]
pub(super) struct Lane {
    /// Events came since the last sweep.
    pub(super) is_active: bool,
    repair: Option<Repair>,
}

#[derive(Default)]
struct Repair {
    held: VecDeque<LiveEvent>,
    bytes: usize,
    /// Events up to this one came and were not held.
    lost: Seq,
    /// Something may have been lost since the owner was asked.
    again: bool,
    /// Answers in a row from before the position.
    behind: u32,
}

/// Answers in a row from before the position that say that the log has lost its end. One may be of
/// an owner that has just taken over and is behind what its predecessor published last.
const BEHIND_MAX: u32 = 3;

/// How a repair goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It is done.
    Flow,
    /// The owner must be asked again.
    Ask,
}

impl Lane {
    pub(super) fn is_repairing(&self) -> bool {
        self.repair.is_some()
    }

    pub(super) fn begin_repair(&mut self) {
        self.repair.get_or_insert_default();
    }

    pub(super) fn ask_again(&mut self) {
        if let Some(repair) = &mut self.repair {
            repair.again = true;
        }
    }

    /// Notes whether an answer was from before the position; `true` when it is certain that the
    /// log has lost what was delivered.
    pub(super) fn is_cut_off(&mut self, is_behind: bool) -> bool {
        let Some(repair) = &mut self.repair else { return false };
        repair.behind = if is_behind { repair.behind + 1 } else { 0 };
        let is_cut_off = repair.behind >= BEHIND_MAX;
        if is_cut_off {
            // What is held or lost may be of before: everything is asked for anew.
            *repair = Repair { again: true, ..Repair::default() };
        }
        is_cut_off
    }

    /// Holds an event until the repair is done.
    pub(super) fn hold(&mut self, event: LiveEvent) {
        let Some(repair) = &mut self.repair else { return };
        let full = repair.held.len() >= HELD_EVENTS_MAX
            || repair.bytes + event.payload.len() > HELD_BYTES_MAX;
        if full || repair.lost > Seq::ZERO {
            // The owner has it; behind a lost one nothing can be delivered from here.
            repair.lost = repair.lost.max(event.seq);
        } else {
            repair.bytes += event.payload.len();
            repair.held.push_back(event);
        }
    }

    /// After an answer of the owner, up to `position`: hands on what was held, in order, as long
    /// as `deliver` takes it. `may_be_cut`: there may be more than the answer held; an event that
    /// was held and follows it shows that there is not.
    pub(super) fn settle(
        &mut self,
        may_be_cut: bool,
        position: Seq,
        mut deliver: impl FnMut(&LiveEvent) -> bool,
    ) -> Next {
        let Some(repair) = &mut self.repair else { return Next::Flow };
        let (mut is_stuck, mut is_joined) = (false, false);
        while let Some(event) = repair.held.front() {
            if !deliver(event) {
                is_stuck = true;
                break;
            }
            is_joined |= event.seq > position;
            repair.bytes = repair.bytes.saturating_sub(event.payload.len());
            repair.held.pop_front();
        }
        let is_lost = repair.lost > position;
        if (may_be_cut && !is_joined) || is_stuck || is_lost || repair.again {
            repair.again = false;
            if !is_stuck && !is_lost {
                repair.lost = Seq::ZERO;
            }
            return Next::Ask;
        }
        self.repair = None;
        Next::Flow
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::{ConversationId, GroupId, LogTime};

    use super::*;

    fn event(seq: u64) -> LiveEvent {
        LiveEvent {
            conversation: ConversationId::Group(GroupId::from_entropy([1; 20])),
            seq: Seq(seq),
            prev: Seq::ZERO,
            n: 0,
            ts: LogTime::default(),
            follows: Seq(seq.saturating_sub(1)),
            payload: bytes::Bytes::from_static(b"{}"),
        }
    }

    #[test]
    fn what_was_held_is_delivered_after_the_repair() {
        let mut lane = Lane::default();
        lane.begin_repair();
        (5..8).for_each(|seq| lane.hold(event(seq)));
        let mut delivered = Vec::new();
        let next = lane.settle(false, Seq(4), |event| {
            delivered.push(event.seq.0);
            true
        });
        assert_eq!((next, delivered), (Next::Flow, vec![5, 6, 7]));
        assert!(!lane.is_repairing());
    }

    #[test]
    fn what_does_not_follow_is_kept_and_asked_for() {
        let mut lane = Lane::default();
        lane.begin_repair();
        lane.hold(event(9));
        assert_eq!(lane.settle(false, Seq(4), |_| false), Next::Ask);
        assert!(lane.is_repairing());
        assert_eq!(lane.settle(false, Seq(8), |event| event.seq == Seq(9)), Next::Flow);
    }

    #[test]
    fn a_flood_during_a_repair_is_bounded_and_asked_for() {
        let mut lane = Lane::default();
        lane.begin_repair();
        let last = HELD_EVENTS_MAX as u64 + 50;
        (1..=last).for_each(|seq| lane.hold(event(seq)));
        let mut count = 0_u64;
        let next = lane.settle(false, Seq::ZERO, |_| {
            count += 1;
            true
        });
        assert_eq!((next, count), (Next::Ask, HELD_EVENTS_MAX as u64));
        assert_eq!(lane.settle(false, Seq(last), |_| true), Next::Flow);
    }

    #[test]
    fn an_answer_that_may_be_cut_is_asked_on_until_the_feed_joins_it() {
        let mut lane = Lane::default();
        lane.begin_repair();
        lane.hold(event(3));
        assert_eq!(lane.settle(true, Seq(4), |_| true), Next::Ask, "delivered before");
        lane.hold(event(7));
        assert_eq!(lane.settle(true, Seq(6), |_| true), Next::Flow);
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
        let mut lane = Lane::default();
        lane.begin_repair();
        lane.ask_again();
        assert_eq!(lane.settle(false, Seq(4), |_| true), Next::Ask);
        assert_eq!(lane.settle(false, Seq(4), |_| true), Next::Flow);
    }
}

//! One partition of the feed: it flows, or it holds what comes, until a content has come or a hole
//! is filled.
//!
//! What comes is the order of the partition: events, and, when the feed is followed by interest,
//! entries whose contents come by other ways, before them or after. The position moves along the
//! order alone; a content has no effect before its turn.

use std::collections::VecDeque;
use std::time::Duration;

use hansard_model::{ConversationId, Seq};
use hansard_nats::live::LiveEvent;
use tokio::time::Instant;

use super::contents::Contents;
use crate::router::{Listed, Taken};

/// Entries held while a hole is filled; when there are more, all are asked for instead.
const HELD_ENTRIES_MAX: usize = if cfg!(test) { 64 } else { 4_096 };
/// Bytes of them.
const HELD_BYTES_MAX: usize = 8 * 1024 * 1024;

/// An entry in the order of a partition.
#[derive(Clone, Debug)]
pub(super) enum Entry {
    /// With its content.
    Event(LiveEvent),
    /// Without.
    Listed(Listed),
}

impl Entry {
    fn seq(&self) -> Seq {
        match self {
            Self::Event(event) => event.seq,
            Self::Listed(listed) => listed.seq,
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Event(event) => event.payload.len(),
            Self::Listed(_) => 0,
        }
    }
}

/// Where entries go.
pub(super) trait Delivery {
    /// Delivers the next entry, if it is the next; `content` is that of one without.
    fn deliver(&mut self, entry: &Entry, content: Option<&LiveEvent>) -> Taken;

    /// Whether the content of a conversation is on its way without being asked for.
    fn is_covered(&self, conversation: ConversationId) -> bool;
}

/// A partition.
#[derive(Default)]
pub(super) struct Lane {
    /// Entries came since the last sweep.
    is_active: bool,
    /// So did a content that no entry had told of.
    is_surprised: bool,
    held: VecDeque<Entry>,
    bytes: usize,
    contents: Contents,
    pending: Pending,
}

/// What is waited for.
#[derive(Default)]
enum Pending {
    #[default]
    Nothing,
    /// The content of the first that is held, or, when none is, the order of the contents that are
    /// here. Since then nothing has moved.
    Content { since: Instant },
    /// An answer of the owner. What is complete flows meanwhile: nothing is lost by it, and the
    /// answer may take long.
    Owner(Repair),
}

#[derive(Default)]
struct Repair {
    /// Entries up to this one came and were not held.
    lost: Seq,
    /// Something may have been lost since the owner was asked.
    again: bool,
    /// Answers in a row from before the position.
    behind: u32,
    /// The last entry or content that was here when the owner was asked.
    ahead: Seq,
}

/// Answers in a row from before the position that say that the log has lost its end. One may be of
/// an owner that has just taken over and is behind what its predecessor published last.
const BEHIND_MAX: u32 = 3;

/// How a lane goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// It flows.
    Flow,
    /// It waits for what is on its way.
    Wait,
    /// The owner must be asked, or asked again.
    Ask,
    /// The same: something is missing that should have come.
    Hole,
}

/// What became of an entry.
enum Step {
    Done,
    Await,
    Stuck(Next),
}

impl Lane {
    /// Whether everything that has come was delivered.
    pub(super) fn is_flowing(&self) -> bool {
        matches!(self.pending, Pending::Nothing)
    }

    /// Whether its owner is being asked.
    pub(super) fn is_repairing(&self) -> bool {
        matches!(self.pending, Pending::Owner(_))
    }

    /// Whether nothing came since this was last asked.
    pub(super) fn was_quiet(&mut self) -> bool {
        self.is_surprised = false;
        !std::mem::take(&mut self.is_active)
    }

    /// Whether contents come without an order: the owner is of a version that publishes none.
    pub(super) fn lacks_order(&self) -> bool {
        self.is_surprised && !self.is_active
    }

    /// Whether entries came since the last sweep.
    pub(super) fn is_active(&self) -> bool {
        self.is_active
    }

    /// Entries that wait for a content; `None` when none is waited for.
    pub(super) fn waiting(&self) -> Option<usize> {
        matches!(self.pending, Pending::Content { .. }).then_some(self.held.len())
    }

    /// The owner is about to be asked; what is held stays.
    pub(super) fn begin_repair(&mut self) {
        if !self.is_repairing() {
            self.pending = Pending::Owner(Repair { ahead: self.last(), ..Repair::default() });
        }
    }

    /// The last that is here, entry or content.
    fn last(&self) -> Seq {
        self.held.back().map_or(Seq::ZERO, Entry::seq).max(self.contents.last())
    }

    pub(super) fn ask_again(&mut self) {
        if let Pending::Owner(repair) = &mut self.pending {
            repair.again = true;
        }
    }

    /// Notes whether an answer was from before the position; `true` when it is certain that the
    /// log has lost what was delivered.
    pub(super) fn is_cut_off(&mut self, is_behind: bool) -> bool {
        let Pending::Owner(repair) = &mut self.pending else { return false };
        repair.behind = if is_behind { repair.behind + 1 } else { 0 };
        let is_cut_off = repair.behind >= BEHIND_MAX;
        if is_cut_off {
            self.forget();
        }
        is_cut_off
    }

    /// What is held or lost may be of another log: everything is asked for anew.
    pub(super) fn forget(&mut self) {
        self.pending = Pending::Owner(Repair { again: true, ..Repair::default() });
        (self.held, self.bytes) = (VecDeque::new(), 0);
        self.contents.clear();
    }

    /// Takes the next entry of the order.
    pub(super) fn take(&mut self, entry: Entry, now: Instant, to: &mut impl Delivery) -> Next {
        self.is_active = true;
        match self.pending {
            Pending::Nothing => match self.step(&entry, to) {
                Step::Done => Next::Flow,
                Step::Await => {
                    self.pending = Pending::Content { since: now };
                    self.hold(entry);
                    Next::Wait
                }
                Step::Stuck(next) => {
                    self.begin_repair();
                    self.hold(entry);
                    next
                }
            },
            Pending::Content { .. } | Pending::Owner(_) => {
                let (is_first, is_asked) = (self.held.is_empty(), self.is_repairing());
                match self.hold(entry) {
                    true if is_first => self.pump(now, to),
                    false if !is_asked => Next::Hole,
                    true | false => Next::Wait,
                }
            }
        }
    }

    /// Takes a content. One that is not after `position` is dropped.
    pub(super) fn content(
        &mut self,
        event: LiveEvent,
        position: Option<Seq>,
        now: Instant,
        to: &mut impl Delivery,
    ) -> Next {
        let seq = event.seq;
        if position.is_some_and(|position| seq <= position) {
            return if self.is_flowing() { Next::Flow } else { Next::Wait };
        }
        self.contents.insert(event);
        match self.pending {
            Pending::Nothing => {
                // The order has not told of it yet, or was lost.
                self.is_surprised = true;
                self.pending = Pending::Content { since: now };
                Next::Wait
            }
            Pending::Content { .. } | Pending::Owner(_) => {
                let is_next = self.held.front().is_some_and(|entry| entry.seq() == seq);
                if is_next { self.pump(now, to) } else { Next::Wait }
            }
        }
    }

    /// Whether something is waited for since before `patience`: then its owner is to be asked.
    pub(super) fn is_late(&mut self, now: Instant, patience: Duration) -> bool {
        let Pending::Content { since } = self.pending else { return false };
        let is_late = now.saturating_duration_since(since) >= patience;
        if is_late {
            self.begin_repair();
        }
        is_late
    }

    /// After an answer of the owner, up to `position`: hands on what was held, in order, as long
    /// as it is taken. `is_cut`: there was more than the answer holds; an entry that follows it and
    /// has come since the owner was asked shows that there is nothing between.
    pub(super) fn settle(
        &mut self,
        is_cut: bool,
        position: Seq,
        now: Instant,
        to: &mut impl Delivery,
    ) -> Next {
        let Pending::Owner(Repair { ahead, .. }) = self.pending else { return Next::Flow };
        self.contents.forget(position);
        let (mut is_stuck, mut is_awaiting, mut is_joined) = (false, false, false);
        while let Some(entry) = self.held.pop_front() {
            match self.step(&entry, to) {
                Step::Done => {
                    is_joined |= entry.seq() > position.max(ahead);
                    self.bytes = self.bytes.saturating_sub(entry.bytes());
                    continue;
                }
                // It follows the position: there is nothing before it.
                Step::Await => {
                    is_awaiting = true;
                    is_joined |= entry.seq() > ahead;
                }
                Step::Stuck(_) => is_stuck = true,
            }
            self.held.push_front(entry);
            break;
        }
        let is_cut = is_cut && !is_joined;
        if !is_cut && self.held.is_empty() {
            // What the owner, asked behind it, knows nothing of is of a log that is no more.
            self.contents.forget(ahead);
        }
        let last = self.last();
        let Pending::Owner(repair) = &mut self.pending else { return Next::Flow };
        let is_lost = repair.lost > position;
        if is_cut || is_stuck || is_lost || repair.again {
            (repair.again, repair.ahead) = (false, last);
            if !is_stuck && !is_lost {
                repair.lost = Seq::ZERO;
            }
            return Next::Ask;
        }
        self.rest(now);
        if is_awaiting { Next::Wait } else { Next::Flow }
    }

    /// Hands on what is held, as far as its contents are here. While the owner is being asked, what
    /// is stuck has its answer to wait for.
    fn pump(&mut self, now: Instant, to: &mut impl Delivery) -> Next {
        let mut has_moved = false;
        while let Some(entry) = self.held.pop_front() {
            let step = self.step(&entry, to);
            if let Step::Done = step {
                has_moved = true;
                self.bytes = self.bytes.saturating_sub(entry.bytes());
                continue;
            }
            self.held.push_front(entry);
            match step {
                Step::Stuck(next) if !self.is_repairing() => {
                    self.begin_repair();
                    return next;
                }
                _ if has_moved && !self.is_repairing() => self.rest(now),
                _ => {}
            }
            return Next::Wait;
        }
        if self.is_repairing() {
            return Next::Wait;
        }
        self.rest(now);
        Next::Flow
    }

    /// From now on it waits for what is held or ahead of the order, if anything is.
    fn rest(&mut self, now: Instant) {
        self.pending = if self.held.is_empty() && self.contents.is_empty() {
            Pending::Nothing
        } else {
            Pending::Content { since: now }
        };
    }

    fn step(&mut self, entry: &Entry, to: &mut impl Delivery) -> Step {
        let (content, conversation) = match entry {
            Entry::Event(event) => (None, event.conversation),
            Entry::Listed(listed) => (self.contents.of(listed), listed.conversation),
        };
        match to.deliver(entry, content) {
            Taken::Delivered | Taken::Repeated => {
                self.contents.forget(entry.seq());
                Step::Done
            }
            Taken::Absent if to.is_covered(conversation) => Step::Await,
            Taken::Absent | Taken::Hole(_) => Step::Stuck(Next::Hole),
            Taken::Unplaced => Step::Stuck(Next::Ask),
        }
    }

    /// Holds an entry; `false` when there are too many: then its owner is to be asked.
    fn hold(&mut self, entry: Entry) -> bool {
        let is_full =
            self.held.len() >= HELD_ENTRIES_MAX || self.bytes + entry.bytes() > HELD_BYTES_MAX;
        if is_full {
            self.begin_repair();
        }
        if let Pending::Owner(repair) = &mut self.pending
            && (is_full || repair.lost > Seq::ZERO)
        {
            // The owner has it; behind a lost one nothing can be delivered from here.
            repair.lost = repair.lost.max(entry.seq());
            return false;
        }
        self.bytes += entry.bytes();
        self.held.push_back(entry);
        true
    }
}

#[cfg(test)]
mod tests;

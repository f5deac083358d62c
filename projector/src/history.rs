//! History: what was said, conversation by conversation, in memory.
//!
//! The next issue puts a store behind [`History`]; its callers keep their shape: the fold hands it
//! every valid event once, queries ask it for windows. Finding a window costs a binary search, so
//! a page is O(log n + page) whatever the conversation's length.

mod annotation;
mod body;
mod chain;
mod window;

use hansard_model::{Event, LogTime, Seq, UserId};
use serde_json::value::RawValue;

use crate::directory::ConversationSlot;

pub(crate) use self::body::{preview, stand_in};
pub(crate) use self::chain::{Chain, Entry, Kind, View};
pub(crate) use self::window::Window;

/// All valid events of a partition.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct History {
    chains: Vec<Chain>,
    order: Vec<Placed>,
}

/// Where the events stand in the partition's order: what the feed is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    seq: Seq,
    conversation: ConversationSlot,
    position: u32,
}

/// A valid event, as the fold hands it over.
#[derive(Debug)]
pub(crate) struct Recorded<'a> {
    pub(crate) seq: Seq,
    pub(crate) ts: LogTime,
    pub(crate) n: u64,
    pub(crate) body: Box<RawValue>,
    /// Sender and event; `None` when it is parked.
    pub(crate) said: Option<(UserId, &'a Event)>,
}

/// What an event did to the history.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It stands for itself, or changed the message it refers to.
    Took,
    /// It refers to nothing that it could change (no message, a deleted one): only the chain
    /// advances.
    Nothing,
}

impl History {
    /// Appends the next event of a conversation; `seq` is above all before.
    pub(crate) fn append(&mut self, slot: ConversationSlot, event: Recorded<'_>) -> Effect {
        if self.chains.len() <= slot.index() {
            self.chains.resize_with(slot.index() + 1, Chain::default);
        }
        let chain = &mut self.chains[slot.index()];
        self.order.push(Placed {
            seq: event.seq,
            conversation: slot,
            position: chain.next_position(),
        });
        chain.append(event)
    }

    /// The chain of a conversation.
    pub(crate) fn chain(&self, slot: ConversationSlot) -> Option<&Chain> {
        self.chains.get(slot.index())
    }

    /// Valid events after a position, in the partition's order, as they stand now.
    pub(crate) fn after(
        &self,
        after: Seq,
    ) -> impl Iterator<Item = (ConversationSlot, &Chain, Entry<'_>)> {
        let from = self.order.partition_point(|placed| placed.seq <= after);
        self.order[from..].iter().map(|placed| {
            let chain = &self.chains[placed.conversation.index()];
            (placed.conversation, chain, chain.entry(placed.position as usize))
        })
    }

    /// The valid event before a position of the partition's order; 0 for none.
    pub(crate) fn preceding(&self, seq: Seq) -> Seq {
        let index = self.order.partition_point(|placed| placed.seq < seq);
        index.checked_sub(1).map_or(Seq::ZERO, |before| self.order[before].seq)
    }

    /// The position after which at most `count` valid events stand.
    pub(crate) fn tail(&self, count: usize) -> Seq {
        let skipped = self.order.len().saturating_sub(count);
        skipped.checked_sub(1).map_or(Seq::ZERO, |last| self.order[last].seq)
    }
}

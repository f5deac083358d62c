//! The index (conversation, sender, id) -> seq: where an event is stored, for ever.

use std::collections::HashMap;

use hansard_model::record::EventKey;
use hansard_model::{MessageId, Seq};

use crate::directory::{ConversationSlot, UserSlot};

/// An event's identity within its partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct IndexKey {
    pub(crate) conversation: ConversationSlot,
    pub(crate) sender: UserSlot,
    pub(crate) id: MessageId,
}

/// Exact: keys are kept whole, not as hashes, because "once" is promised for ever.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Index {
    seqs: HashMap<IndexKey, Seq>,
    /// Void attempts: few, and needed so that two gateways give the next attempt one identity.
    void: HashMap<EventKey, Vec<Seq>>,
}

impl Index {
    /// Enters an event. The first one under a key stays: it is the one that was acknowledged.
    pub(crate) fn insert(&mut self, key: IndexKey, seq: Seq) {
        self.seqs.entry(key).or_insert(seq);
    }

    /// Enters a void attempt.
    pub(crate) fn insert_void(&mut self, key: EventKey, seq: Seq) {
        self.void.entry(key).or_default().push(seq);
    }

    /// The void attempts, in order.
    pub(crate) fn void(&self, key: &EventKey) -> &[Seq] {
        self.void.get(key).map_or(&[], Vec::as_slice)
    }

    /// Where it is stored.
    pub(crate) fn get(&self, key: IndexKey) -> Option<Seq> {
        self.seqs.get(&key).copied()
    }
}

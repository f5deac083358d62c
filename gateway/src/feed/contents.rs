//! Contents that came before their turn, or while others were waited for.

use std::collections::BTreeMap;

use hansard_model::Seq;
use hansard_nats::live::LiveEvent;

use crate::router::Listed;

/// Contents of a partition that are kept; one that comes when there are as many is dropped, and its
/// turn finds a hole. Few in tests, so that they meet the bound.
const CONTENTS_MAX: usize = if cfg!(test) { 8 } else { 4_096 };
/// Bytes of them.
const CONTENTS_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The contents of a partition, by their place.
#[derive(Default)]
pub(super) struct Contents {
    events: BTreeMap<Seq, LiveEvent>,
    bytes: usize,
}

impl Contents {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The place of the last one; 0 when there is none.
    pub(super) fn last(&self) -> Seq {
        self.events.last_key_value().map_or(Seq::ZERO, |(seq, _)| *seq)
    }

    /// Keeps a content, if there is room.
    pub(super) fn insert(&mut self, event: LiveEvent) {
        let is_full = self.events.len() >= CONTENTS_MAX
            || self.bytes + event.payload.len() > CONTENTS_BYTES_MAX;
        // Each of two subscriptions brings the conversation of two users who are here.
        if is_full || self.events.contains_key(&event.seq) {
            return;
        }
        self.bytes += event.payload.len();
        self.events.insert(event.seq, event);
    }

    /// The content of an event in the order. One of the same place in another log is none.
    pub(super) fn of(&self, listed: &Listed) -> Option<&LiveEvent> {
        self.events.get(&listed.seq).filter(|event| {
            event.conversation == listed.conversation && event.follows == listed.follows
        })
    }

    /// Forgets what is not after a position.
    pub(super) fn forget(&mut self, upto: Seq) {
        while let Some(first) = self.events.first_entry()
            && *first.key() <= upto
        {
            self.bytes = self.bytes.saturating_sub(first.remove().payload.len());
        }
    }

    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}

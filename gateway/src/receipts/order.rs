//! The receipts of one connection in their order: those that a catch-up reads from the stream, and
//! those that come by live meanwhile, which may be older or newer than what is read.
//!
//! Invariant: what is told of one member of one conversation never goes back.

use std::collections::HashMap;

use hansard_model::{ConversationId, Seq, UserId};

use super::told::Told;

/// Receipts kept while a connection catches up; with more it resumes. Few in tests.
const KEPT_MAX: usize = if cfg!(test) { 4 } else { 4_096 };

/// Whose marks.
type Of = (ConversationId, UserId);

/// See the module.
pub(crate) enum Order {
    /// The catch-up has not told those before: what comes by is kept, the latest of each.
    Catching(HashMap<Of, Told>),
    /// What a catch-up read may still come by, up to the last of it.
    Passing {
        /// What was told.
        told: HashMap<Of, Told>,
        /// The last of them.
        last: Seq,
    },
    /// The feed's own order is enough.
    Flowing,
}

/// What to do with a receipt that comes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Live {
    /// Tell it now.
    Tell,
    /// Not now, or never.
    Keep,
    /// There is no room to keep it.
    Overflow,
}

impl Order {
    pub(crate) fn new() -> Self {
        Self::Catching(HashMap::new())
    }

    /// A receipt comes by.
    pub(crate) fn live(&mut self, told: &Told) -> Live {
        match self {
            Self::Catching(kept) => {
                if kept.len() >= KEPT_MAX && !kept.contains_key(&told.of) {
                    return Live::Overflow;
                }
                keep(kept, told.clone());
                Live::Keep
            }
            Self::Passing { told: before, last } => {
                let is_passed = told.seq >= *last;
                let is_new = before.get(&told.of).is_none_or(|before| told.is_beyond(before));
                if is_passed {
                    *self = Self::Flowing;
                }
                if is_new { Live::Tell } else { Live::Keep }
            }
            Self::Flowing => Live::Tell,
        }
    }

    /// The catch-up has read these, and `passed` has come by last: gives what is to be told, the
    /// oldest first.
    pub(crate) fn catch_up(&mut self, fetched: Vec<Told>, passed: Seq) -> Vec<Told> {
        let mut latest = match std::mem::replace(self, Self::Flowing) {
            Self::Catching(kept) => kept,
            Self::Passing { .. } | Self::Flowing => HashMap::new(),
        };
        for told in fetched {
            keep(&mut latest, told);
        }
        let mut all: Vec<Told> = latest.into_values().collect();
        all.sort_unstable_by_key(|told| told.seq);
        if let Some(last) = all.last().filter(|last| last.seq > passed) {
            let ahead = all.iter().filter(|told| told.seq > passed);
            let told = ahead.map(|told| (told.of, told.clone())).collect();
            *self = Self::Passing { told, last: last.seq };
        }
        all
    }
}

fn keep(kept: &mut HashMap<Of, Told>, told: Told) {
    match kept.get(&told.of) {
        Some(before) if !told.is_beyond(before) => {}
        Some(_) | None => {
            kept.insert(told.of, told);
        }
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::receipt::{Audience, Mark, Marks, ReceiptKey};
    use hansard_model::{GroupId, LogTime};
    use hansard_nats::receipts::StoredMarks;
    use proptest::prelude::*;

    use super::*;

    fn told(user: u8, seq: u64) -> Told {
        let conversation = ConversationId::Group(GroupId::from_entropy([1; 20]));
        let user = UserId::from_entropy([user; 20]);
        let key = ReceiptKey { conversation, user, audience: Audience::Members };
        let mark = Mark { seq: Seq(seq), n: seq, ts: LogTime::default() };
        let marks = Marks::said(1, Some(mark), None, false, false);
        Told::to_others(&StoredMarks { seq: Seq(seq), key, marks }).expect("something")
    }

    proptest! {
        /// The stream has one mark after the other; a consumer brings all, late; a catch-up reads
        /// the last of each at some moment, and tells it at a later one.
        #[test]
        fn no_mark_goes_back_and_the_last_of_each_is_told(
            stream in prop::collection::vec(1..4_u8, 0..12),
            cuts in prop::collection::vec(0..13_usize, 3),
        ) {
            let cut = |n: usize| cuts[n].min(stream.len());
            // Attached where the consumer was at the first cut; it is at the second when what the
            // stream had at the third is told.
            let attached = cut(0);
            let (consumed, read) = (cut(1).max(attached), cut(2).max(attached));
            let all: Vec<Told> =
                stream.iter().zip(1..).map(|(user, seq)| told(*user, seq)).collect();
            let mut order = Order::new();
            let mut seen: Vec<Told> = Vec::new();
            for told in &all[attached..consumed] {
                prop_assume!(order.live(told) == Live::Keep);
            }
            let mut last: HashMap<Of, Told> = HashMap::new();
            for told in &all[..read] {
                last.insert(told.of, told.clone());
            }
            let passed = Seq(consumed as u64);
            seen.extend(order.catch_up(last.into_values().collect(), passed));
            for told in &all[consumed..] {
                if order.live(told) == Live::Tell {
                    seen.push(told.clone());
                }
            }
            let mut marks: HashMap<Of, Seq> = HashMap::new();
            for told in &seen {
                let before = marks.insert(told.of, told.seq);
                prop_assert!(before.is_none_or(|before| before < told.seq), "{seen:?}");
            }
            for told in &all {
                prop_assert!(marks.get(&told.of).is_some_and(|mark| *mark >= told.seq));
            }
        }
    }

    #[test]
    fn what_took_the_place_of_something_lost_is_told() {
        let at = |place: u64, mark: u64| {
            let mut told = told(1, mark);
            told.seq = Seq(place);
            told
        };
        let mut order = Order::new();
        assert_eq!(order.catch_up(vec![at(9, 5)], Seq(3)).len(), 1);
        assert_eq!(order.live(&at(4, 4)), Live::Keep, "told");
        assert_eq!(order.live(&at(5, 6)), Live::Tell);
    }

    #[test]
    fn what_cannot_be_kept_is_said() {
        let mut order = Order::new();
        let fits = (1..=4).all(|user| order.live(&told(user, u64::from(user))) == Live::Keep);
        assert!(fits);
        assert_eq!(order.live(&told(4, 5)), Live::Keep, "instead of the one before");
        assert_eq!(order.live(&told(5, 6)), Live::Overflow);
    }
}

//! The inbox: which entries of the bucket are stale, and what is written next.
//!
//! A stale key is here once, however often it changes until it is written, so the set is
//! bounded by the conversations and memberships of the partition, not by the traffic.

pub(crate) mod flush;

use std::collections::{HashMap, HashSet, VecDeque};

use hansard_model::Seq;
use hansard_model::inbox::InboxKey;

use crate::queries::{At, places_after};
use crate::rows::{Limit, MemberRow, Order, Prefix, RowKey, Rows, StoreError, decode};

/// Events looked at per step.
const STEP: usize = 1_024;
/// Places that are kept for keys when there are none: more is given back.
const KEPT_PLACES: usize = 1_024;

/// Keys whose value in the bucket is older than the owner's state, in the order in which they
/// became so.
#[derive(Debug, Default)]
pub(crate) struct Stale {
    since: HashMap<InboxKey, Seq>,
    queue: VecDeque<(Seq, InboxKey)>,
}

impl Stale {
    /// Notes that an event changed the value.
    pub(crate) fn mark(&mut self, key: InboxKey, seq: Seq) {
        if let std::collections::hash_map::Entry::Vacant(vacant) = self.since.entry(key) {
            vacant.insert(seq);
            self.queue.push_back((seq, key));
        }
    }

    /// Notes everything that events after a position may have changed: what a bucket lacks that
    /// stands there.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn mark_after<R: Rows>(
        &mut self,
        at: &At<R>,
        position: Seq,
    ) -> Result<(), StoreError> {
        let since = position.next();
        let (mut reached, mut found) = (position, HashSet::new());
        loop {
            let places = places_after(at, reached, STEP).await?;
            let Some((last, _)) = places.last() else { break };
            reached = *last;
            found.extend(places.iter().map(|(_, place)| place.conversation));
        }
        for id in found {
            self.mark(InboxKey::Head(id), since);
            let members = Prefix::Members(id).whole();
            let members = at.rows.scan(members, Order::Ascending, Limit::rows(usize::MAX)).await?;
            for (key, value) in &members {
                let Some(key @ RowKey::Member(id, user)) = RowKey::parse(key) else { continue };
                if decode::<MemberRow>(&key, value)?.record().as_of > position {
                    self.mark(InboxKey::Member(user, id), since);
                }
            }
        }
        Ok(())
    }

    /// Takes up to `count` keys, the longest stale first, with the event that made each so.
    pub(crate) fn take(&mut self, count: usize) -> Vec<(Seq, InboxKey)> {
        let mut taken = Vec::with_capacity(count.min(self.queue.len()));
        while taken.len() < count
            && let Some((seq, key)) = self.queue.pop_front()
        {
            // Otherwise it was put back earlier than here, and taken from there.
            if self.since.get(&key) == Some(&seq) {
                self.since.remove(&key);
                taken.push((seq, key));
            }
        }
        if self.queue.is_empty() {
            // A replay makes most of a partition stale, once.
            self.since.shrink_to(KEPT_PLACES);
            self.queue.shrink_to(KEPT_PLACES);
        }
        taken
    }

    /// Puts back what could not be written.
    pub(crate) fn put_back(&mut self, keys: Vec<(Seq, InboxKey)>) {
        for (seq, key) in keys.into_iter().rev() {
            self.since.insert(key, seq);
            self.queue.push_front((seq, key));
        }
    }

    /// Everything up to here is in the bucket, given what was applied, once all that was taken has
    /// been written.
    pub(crate) fn covered(&self, applied: Seq) -> Seq {
        let oldest = self.queue.iter().find(|(seq, key)| self.since.get(key) == Some(seq));
        oldest.map_or(applied, |(seq, _)| Seq(seq.0.saturating_sub(1)))
    }

    /// How many keys are stale.
    pub(crate) fn len(&self) -> usize {
        self.since.len()
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::{ConversationId, UserId};

    use super::*;

    fn key(number: u8) -> InboxKey {
        let user = UserId::from_entropy([number; 20]);
        InboxKey::Head(ConversationId::direct(user, user))
    }

    #[test]
    fn a_key_is_stale_once_since_its_first_change() {
        let mut stale = Stale::default();
        stale.mark(key(1), Seq(5));
        stale.mark(key(2), Seq(6));
        stale.mark(key(1), Seq(7));
        assert_eq!((stale.len(), stale.covered(Seq(7))), (2, Seq(4)));
        assert_eq!(stale.take(1), [(Seq(5), key(1))]);
        assert_eq!(stale.covered(Seq(7)), Seq(5));
        assert_eq!(stale.take(9), [(Seq(6), key(2))]);
        assert_eq!(stale.covered(Seq(7)), Seq(7));
    }

    #[test]
    fn what_could_not_be_written_holds_the_position_back_even_if_it_changed_meanwhile() {
        let mut stale = Stale::default();
        stale.mark(key(1), Seq(5));
        let taken = stale.take(1);
        stale.mark(key(1), Seq(8));
        stale.put_back(taken);
        assert_eq!((stale.len(), stale.covered(Seq(9))), (1, Seq(4)));
        assert_eq!(stale.take(9), [(Seq(5), key(1))]);
        assert_eq!((stale.len(), stale.covered(Seq(9))), (0, Seq(9)));
    }
}

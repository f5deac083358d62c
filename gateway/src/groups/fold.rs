//! The fold of a group from a stream that may have lost its beginning: pure, so that every way in
//! which a stream can be cut is tried without one.

use std::sync::Arc;

use hansard_model::query::GroupReply;
use hansard_model::{Envelope, Event, Group, Record, Seq};
use hansard_nats::log::Extent;

use super::GroupsError;

/// A group, and how far the fold of it reaches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Fold {
    /// The state.
    pub(super) group: Arc<Group>,
    /// Every meta event of the group up to here is in it.
    covered: Seq,
    /// The last event of the partition after it was last compared: covered as well, once the next
    /// comparison shows that the stream has lost nothing in between.
    ended: Seq,
}

/// What a comparison with the stream comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Joined {
    /// The fold has all that the log has.
    Whole(Fold),
    /// Meta events may have left the stream unseen: begin from the owner's fold, of everything up
    /// to this position at least.
    Cut(Seq),
    /// The log has lost events that were folded: begin from nothing.
    Shrunk,
}

impl Fold {
    /// The owner's fold.
    pub(super) fn of_owner(reply: GroupReply) -> Self {
        let GroupReply { group, as_of } = reply;
        let covered = as_of.max(group.last());
        Self { group: Arc::new(group), covered, ended: Seq::ZERO }
    }

    /// After which position it lacks what the stream has.
    pub(super) fn covered(&self) -> Seq {
        self.covered
    }

    /// Whether nothing is lacking when `to` is the last meta event that the stream shows. What
    /// the stream does not show may have come and gone.
    pub(super) fn is_whole(&self, to: Seq) -> bool {
        to > Seq::ZERO && to == self.group.last()
    }

    /// Takes in the stream's meta events in `covered < seq <= to`, where `to` was the last the
    /// leader showed; `extent` is of after they were read.
    ///
    /// # Errors
    /// [`GroupsError::Undecodable`]
    pub(super) fn join(
        &self,
        tail: &[Record<impl AsRef<[u8]>>],
        to: Seq,
        extent: Extent,
    ) -> Result<Joined, GroupsError> {
        if extent.last < self.covered {
            return Ok(Joined::Shrunk);
        }
        let mut events = Vec::with_capacity(tail.len());
        for record in tail.iter().filter(|record| !record.is_void()) {
            let envelope = Envelope::decode(record.payload.as_ref())
                .map_err(|_| GroupsError::Undecodable(record.seq))?;
            events.push((record.seq, envelope));
        }
        // A stream loses its oldest events first: what begins here has lost nothing.
        let begins_here = self.group.created().is_none()
            && events.first().is_some_and(|(seq, envelope)| {
                matches!(envelope.event, Event::Create(_)) && extent.first <= *seq
            });
        if extent.first > self.covered.next() && !begins_here {
            return Ok(Joined::Cut(Seq(extent.first.0.saturating_sub(1))));
        }
        let mut group = Arc::clone(&self.group);
        if to > group.last() {
            let folded = Arc::make_mut(&mut group);
            for (seq, envelope) in events {
                folded.apply(seq, envelope.sender, &envelope.event);
            }
            folded.advance(to);
        }
        let covered = self.covered.max(self.ended).max(to);
        Ok(Joined::Whole(Self { group, covered, ended: extent.last }))
    }
}

#[cfg(test)]
mod tests;

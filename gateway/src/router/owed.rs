//! What connected users are still to be shown of a conversation beside an event that changed their
//! view of it. Until it was pushed, their cursors stay before that event: whoever leaves in between
//! resumes from there, and the catch-up shows the conversation.

use std::collections::HashMap;

use hansard_model::{ConversationId, PartitionCount, Seq, UserId};

/// By user and conversation. There are no more than announcements that wait.
#[derive(Default)]
pub(super) struct Owed(HashMap<UserId, HashMap<ConversationId, Span>>);

/// The first and the last event that is owed for.
#[derive(Clone, Copy)]
struct Span {
    first: Seq,
    last: Seq,
}

impl Owed {
    /// An event changed what a user sees of the conversation.
    pub(super) fn note(&mut self, user: UserId, conversation: ConversationId, seq: Seq) {
        let spans = self.0.entry(user).or_default();
        spans.entry(conversation).or_insert(Span { first: seq, last: seq }).last = seq;
    }

    /// The last event that is owed for.
    pub(super) fn last(&self, user: UserId, conversation: ConversationId) -> Option<Seq> {
        Some(self.0.get(&user)?.get(&conversation)?.last)
    }

    /// The user was shown the conversation as of `upto` or later.
    pub(super) fn shown(&mut self, user: UserId, conversation: ConversationId, upto: Seq) {
        let Some(spans) = self.0.get_mut(&user) else { return };
        if let Some(span) = spans.get_mut(&conversation) {
            span.first = upto.next();
            if span.first > span.last {
                spans.remove(&conversation);
            }
        }
        if spans.is_empty() {
            self.0.remove(&user);
        }
    }

    /// The user has no connection here any more.
    pub(super) fn forget(&mut self, user: UserId) {
        self.0.remove(&user);
    }

    /// Holds the positions of the user's cursor before what is owed.
    pub(super) fn hold(&self, user: UserId, partitions: PartitionCount, positions: &mut [Seq]) {
        for (conversation, span) in self.0.get(&user).into_iter().flatten() {
            let partition = conversation.partition(partitions).index();
            if let Some(position) = positions.get_mut(partition) {
                *position = (*position).min(Seq(span.first.0.saturating_sub(1)));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::GroupId;

    use super::*;

    fn group() -> ConversationId {
        ConversationId::Group(GroupId::from_entropy([1; 20]))
    }

    fn held(owed: &Owed, user: UserId) -> u64 {
        let partitions = PartitionCount::new(1).expect("one");
        let mut positions = [Seq(100)];
        owed.hold(user, partitions, &mut positions);
        positions[0].0
    }

    #[test]
    fn a_cursor_stays_before_what_was_not_shown() {
        let [ana, ben] = [1, 2].map(|byte| UserId::from_entropy([byte; 20]));
        let mut owed = Owed::default();
        owed.note(ana, group(), Seq(7));
        assert_eq!((held(&owed, ana), held(&owed, ben)), (6, 100));
        let upto = owed.last(ana, group()).expect("owed");
        // It changes again while it is being read.
        owed.note(ana, group(), Seq(9));
        owed.shown(ana, group(), upto);
        assert_eq!(held(&owed, ana), 7);
        owed.shown(ana, group(), Seq(9));
        assert_eq!((held(&owed, ana), owed.last(ana, group())), (100, None));
    }
}

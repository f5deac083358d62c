//! Who is told of a receipt.

use hansard_model::receipt::Audience;
use hansard_model::{ConversationId, Group, Seq};
use hansard_nats::receipts::StoredMarks;

use crate::receipts::told::Told;
use crate::router::{Link, Router};

impl Router {
    /// Tells the user's own devices, and the other members if it concerns them; in one step with
    /// the cursors. `group` is the fold of a group, if it is known: it may be ahead of the rosters,
    /// and who was removed hears nothing more.
    pub(crate) fn receipt(&self, stored: &StoredMarks, group: Option<&Group>) {
        let key = stored.key;
        let mut state = self.lock();
        state.receipts = stored.seq;
        let own = Told::own(stored);
        for link in state.users.get(&key.user).iter().flat_map(|user| &user.links) {
            link.receipt(&own);
        }
        if key.audience == Audience::Own || stored.marks.wide {
            return;
        }
        let Some(told) = Told::to_others(stored) else { return };
        match key.conversation {
            ConversationId::Direct(..) => {
                let other = key.conversation.other(key.user).filter(|other| *other != key.user);
                let other = other.and_then(|other| state.users.get(&other));
                for link in other.iter().flat_map(|user| &user.links) {
                    link.receipt(&told);
                }
            }
            ConversationId::Group(_) => {
                let is_member = |user| group.is_none_or(|group| group.member(user).is_some());
                for link in state.rosters.get(&key.conversation).into_iter().flatten() {
                    if link.user != key.user && is_member(link.user) {
                        link.receipt(&told);
                    }
                }
            }
        }
    }

    /// Ends a connection's catch-up of receipts, in one step with those that come by.
    pub(crate) fn catch_up_receipts(&self, link: &Link, fetched: Vec<Told>) {
        let state = self.lock();
        link.catch_up_receipts(fetched, state.receipts);
    }

    /// Notes that nothing of a receipt is to be told.
    pub(crate) fn pass_receipt(&self, seq: Seq) {
        self.lock().receipts = seq;
    }

    /// Up to where receipts were told. It goes back when the stream did, or is read again.
    pub(crate) fn receipts(&self) -> Seq {
        self.lock().receipts
    }
}

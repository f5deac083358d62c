//! Who is told of a file.

use hansard_model::{ConversationId, Group, Seq};

use crate::frame::Frame;
use crate::router::Router;

impl Router {
    /// Tells those who see the event at `seq`. `group` is the fold of a group: it may be ahead of
    /// the rosters, and who was removed hears nothing more.
    pub(crate) fn media(
        &self,
        conversation: ConversationId,
        seq: Seq,
        group: Option<&Group>,
        frame: &Frame,
    ) {
        let state = self.lock();
        match conversation {
            ConversationId::Direct(x, y) => {
                let users = [Some(x), Some(y).filter(|y| *y != x)].into_iter().flatten();
                let users = users.filter_map(|user| state.users.get(&user));
                for link in users.flat_map(|user| &user.links) {
                    link.outbox.push(frame.clone());
                }
            }
            ConversationId::Group(_) => {
                let sees = |user| {
                    let member = group.and_then(|group| group.member(user));
                    member.is_some_and(|member| member.view_from <= seq)
                };
                for link in state.rosters.get(&conversation).into_iter().flatten() {
                    if sees(link.user) {
                        link.outbox.push(frame.clone());
                    }
                }
            }
        }
    }
}

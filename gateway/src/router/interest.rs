//! What of the live feed concerns somebody here, as it changes with who comes, goes, joins and
//! leaves; and what becomes of an event that is only known to exist.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use hansard_model::subject::Interest;
use hansard_model::{Bucket, ConversationId, Seq, UserId};
use hansard_nats::live::LiveEvent;
use tokio::sync::Notify;

use crate::metrics::delivery as metrics;
use crate::router::{Change, Router, State, Taken};

/// Changes that wait to be taken; with more, all that is of interest is told instead.
const CHANGES_MAX: usize = 65_536;

/// An event as the order of its partition lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    /// Where.
    pub(crate) conversation: ConversationId,
    /// Its place.
    pub(crate) seq: Seq,
    /// The preceding live event of the partition.
    pub(crate) follows: Seq,
}

/// What changed of what is of interest.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Interests {
    /// Everything that is of interest now.
    All(Vec<Interest>),
    /// Whether these are now.
    Changed(Vec<(Interest, bool)>),
}

/// Who is interested in what.
#[derive(Default)]
pub(super) struct Watch {
    /// Connected users by bucket.
    buckets: HashMap<Bucket, usize>,
    /// Here while somebody wants to know.
    changes: Option<Changes>,
    changed: Arc<Notify>,
}

#[derive(Default)]
struct Changes {
    interests: HashSet<Interest>,
    /// What changed is not in the set.
    all: bool,
}

impl Watch {
    /// Somebody came who was not here.
    pub(super) fn came(&mut self, user: UserId) {
        let bucket = user.bucket_id();
        *self.buckets.entry(bucket).or_default() += 1;
        self.touch(Interest::Bucket(bucket));
    }

    /// Somebody's last connection is gone.
    pub(super) fn went(&mut self, user: UserId) {
        let bucket = user.bucket_id();
        if let Some(count) = self.buckets.get_mut(&bucket) {
            *count -= 1;
            if *count == 0 {
                self.buckets.remove(&bucket);
            }
        }
        self.touch(Interest::Bucket(bucket));
    }

    /// The roster of a group has changed.
    pub(super) fn roster(&mut self, conversation: ConversationId) {
        if let ConversationId::Group(group) = conversation {
            self.touch(Interest::Group(group));
        }
    }

    fn touch(&mut self, interest: Interest) {
        let Some(changes) = &mut self.changes else { return };
        if changes.all || !changes.interests.insert(interest) {
            return;
        }
        if changes.interests.len() > CHANGES_MAX {
            *changes = Changes { interests: HashSet::new(), all: true };
        }
        self.changed.notify_one();
    }
}

impl State {
    /// Whether somebody here is to get the events of a conversation.
    fn is_wanted(&self, conversation: ConversationId) -> bool {
        match conversation {
            ConversationId::Direct(x, y) => {
                self.users.contains_key(&x) || self.users.contains_key(&y)
            }
            ConversationId::Group(_) => self.rosters.contains_key(&conversation),
        }
    }

    fn is_of_interest(&self, interest: Interest) -> bool {
        match interest {
            Interest::Bucket(bucket) => self.watch.buckets.contains_key(&bucket),
            Interest::Group(group) => self.rosters.contains_key(&ConversationId::Group(group)),
            Interest::Directs => !self.watch.buckets.is_empty(),
            Interest::Groups => !self.rosters.is_empty(),
        }
    }

    /// An event passes of which nobody here gets anything: what keeps account of a conversation's
    /// events learns that there was one.
    fn pass_over(&mut self, listed: &Listed) {
        self.tails.unseen(listed.conversation);
        if listed.conversation.is_group() {
            self.passed.note(listed.conversation, listed.seq);
        }
    }
}

impl Router {
    /// From here on changes of what is of interest are kept for [`Router::interests`], which begins
    /// with all there is.
    pub(crate) fn watch_interests(&self) {
        self.lock().watch.changes = Some(Changes { interests: HashSet::new(), all: true });
    }

    /// Changes are not kept any more.
    pub(crate) fn ignore_interests(&self) {
        self.lock().watch.changes = None;
    }

    /// Is notified when something has changed of what is of interest.
    pub(crate) fn interests_changed(&self) -> Arc<Notify> {
        self.lock().watch.changed.clone()
    }

    /// What changed since this was last asked.
    pub(crate) fn interests(&self) -> Interests {
        let mut state = self.lock();
        let Some(changes) = state.watch.changes.as_mut().map(std::mem::take) else {
            return Interests::Changed(Vec::new());
        };
        if changes.all {
            let buckets = state.watch.buckets.keys().copied().map(Interest::Bucket);
            let groups = state.rosters.keys().filter_map(|conversation| match conversation {
                ConversationId::Group(group) => Some(Interest::Group(*group)),
                ConversationId::Direct(..) => None,
            });
            return Interests::All(buckets.chain(groups).collect());
        }
        let is_now = |interest| (interest, state.is_of_interest(interest));
        Interests::Changed(changes.interests.into_iter().map(is_now).collect())
    }

    /// Takes the next event of a partition's order. Whether somebody here is to get it is decided
    /// in one step with the delivery: if nobody is, the feed moves over it; else `content` is
    /// delivered, and without it nothing happens ([`Taken::Absent`]).
    pub(crate) fn take_listed(
        &self,
        listed: &Listed,
        content: Option<(&LiveEvent, Option<&Change>)>,
    ) -> Taken {
        let partition = listed.conversation.partition(self.partitions).index();
        let mut state = self.lock();
        match state.positions.get(partition).copied().flatten() {
            None => return Taken::Unplaced,
            Some(position) if listed.seq <= position => return Taken::Repeated,
            Some(position) if listed.follows > position => return Taken::Hole(position),
            Some(_) => {}
        }
        if !state.is_wanted(listed.conversation) {
            metrics::live_passed_over();
            state.pass_over(listed);
            state.positions[partition] = Some(listed.seq);
            return Taken::Delivered;
        }
        let Some((event, change)) = content else { return Taken::Absent };
        metrics::live_event();
        state.deliver(event, change);
        state.positions[partition] = Some(listed.seq);
        drop(state);
        self.note(event, change);
        Taken::Delivered
    }

    /// Those of these users who have a connection here.
    pub(crate) fn present(&self, mut users: Vec<UserId>) -> Vec<UserId> {
        let state = self.lock();
        users.retain(|user| state.users.contains_key(user));
        users.sort_unstable();
        users.dedup();
        users
    }
}

#[cfg(test)]
mod tests;

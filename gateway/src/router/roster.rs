//! Memberships of connected users, and the plan of a catch-up, which both need the router's lock.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use hansard_model::query::InboxEntry;
use hansard_model::{ConversationId, DeviceId, Seq, UserId};

use crate::resume::plan::{Plan, PlanRequest};
use crate::router::{Attachment, Link, Router, State};

/// Events of groups remembered for connections whose memberships are being read.
const PASSED_MAX: usize = 65_536;

/// A user with a connection here.
#[derive(Default)]
pub(super) struct User {
    pub(super) links: Vec<Arc<Link>>,
    /// By group: whether the user is a member, and by which event. Events of the feed write it,
    /// and reads of the inbox; the later event wins, so that a read cannot undo a removal that it
    /// has not seen.
    memberships: HashMap<ConversationId, (bool, Seq)>,
}

/// Events of groups that passed while somebody's memberships were being read.
#[derive(Default)]
pub(super) struct Passed {
    events: VecDeque<(ConversationId, Seq)>,
    /// How many were forgotten before the first.
    forgotten: u64,
    joining: usize,
}

/// Too much passed while the memberships were read: read them again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many events passed while the memberships were read")]
pub(crate) struct Overrun;

impl Passed {
    pub(super) fn join(&mut self) -> u64 {
        self.joining += 1;
        self.end()
    }

    pub(super) fn leave(&mut self) {
        self.joining = self.joining.saturating_sub(1);
        if self.joining == 0 {
            self.forgotten = self.end();
            self.events = VecDeque::new();
        }
    }

    pub(super) fn note(&mut self, conversation: ConversationId, seq: Seq) {
        if self.joining == 0 {
            return;
        }
        if self.events.len() >= PASSED_MAX {
            self.events.pop_front();
            self.forgotten += 1;
        }
        self.events.push_back((conversation, seq));
    }

    #[cfg(test)]
    pub(super) fn joining(&self) -> usize {
        self.joining
    }

    fn end(&self) -> u64 {
        self.forgotten + self.events.len() as u64
    }

    fn since(&self, from: u64) -> Result<impl Iterator<Item = (ConversationId, Seq)>, Overrun> {
        let skip = from.checked_sub(self.forgotten).ok_or(Overrun)?;
        Ok(self.events.iter().skip(usize::try_from(skip).unwrap_or(usize::MAX)).copied())
    }
}

impl User {
    pub(super) fn connections_of(&self, device: DeviceId) -> usize {
        self.links.iter().filter(|link| link.device == device).count()
    }

    pub(super) fn is_member(&self, conversation: ConversationId) -> bool {
        self.memberships.get(&conversation).is_some_and(|(member, _)| *member)
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = ConversationId> {
        self.memberships.iter().filter(|(_, (member, _))| *member).map(|(group, _)| *group)
    }
}

impl State {
    pub(super) fn attach(&mut self, link: &Arc<Link>) {
        let user = self.users.entry(link.user).or_default();
        if user.links.is_empty() {
            self.watch.came(link.user);
        }
        user.links.push(link.clone());
        for group in user.groups() {
            self.watch.roster(group);
            self.rosters.entry(group).or_default().push(link.clone());
        }
    }

    pub(super) fn detach(&mut self, link: &Arc<Link>) {
        self.watch_typing(link, &[]);
        let Some(user) = self.users.get_mut(&link.user) else { return };
        user.links.retain(|other| !Arc::ptr_eq(other, link));
        for group in user.groups() {
            self.watch.roster(group);
            leave(&mut self.rosters, group, |other| Arc::ptr_eq(other, link));
        }
        if user.links.is_empty() {
            self.watch.went(link.user);
            self.users.remove(&link.user);
            self.owed.forget(link.user);
        }
    }

    /// Notes a membership, or its end, if `by` is later than what is known.
    pub(super) fn set_member(
        &mut self,
        user_id: UserId,
        group: ConversationId,
        member: bool,
        by: Seq,
    ) {
        let Some(user) = self.users.get_mut(&user_id) else { return };
        let (was, known) = user.memberships.get(&group).copied().unwrap_or((false, Seq::ZERO));
        if by <= known {
            return;
        }
        user.memberships.insert(group, (member, by));
        if was != member {
            self.watch.roster(group);
        }
        match (was, member) {
            (false, true) => {
                self.rosters.entry(group).or_default().extend(user.links.iter().cloned());
            }
            (true, false) => leave(&mut self.rosters, group, |link| link.user == user_id),
            (true, true) | (false, false) => {}
        }
    }

    pub(super) fn watch_typing(&mut self, link: &Arc<Link>, conversations: &[ConversationId]) {
        for conversation in link.replace_watched(conversations) {
            leave(&mut self.watchers, conversation, |other| Arc::ptr_eq(other, link));
        }
        for conversation in conversations {
            let links = self.watchers.entry(*conversation).or_default();
            if !links.iter().any(|other| Arc::ptr_eq(other, link)) {
                links.push(link.clone());
            }
        }
    }

    /// Takes over what the inbox says of a user's membership. The entry may be of before or after
    /// the feed's position: what is after it is left to the feed, which will bring it.
    fn learn(&mut self, user: UserId, entry: &InboxEntry, position: Seq) {
        let member = &entry.member;
        match (member.role, member.view_to) {
            (None, Some(ended)) if ended <= position => {
                self.set_member(user, entry.conversation, false, ended);
            }
            (Some(_), _) | (None, Some(_)) if member.joined <= position => {
                self.set_member(user, entry.conversation, true, member.joined);
            }
            (Some(_) | None, _) => {}
        }
    }
}

fn leave(
    rosters: &mut HashMap<ConversationId, Vec<Arc<Link>>>,
    group: ConversationId,
    who: impl Fn(&Arc<Link>) -> bool,
) {
    if let Some(roster) = rosters.get_mut(&group) {
        roster.retain(|link| !who(link));
        if roster.is_empty() {
            rosters.remove(&group);
        }
    }
}

impl Router {
    /// The user's memberships are about to be read, exact as of the feed's position from here on:
    /// what has passed since the attachment is in them, however long it has waited for its turn.
    pub(crate) fn begin_plan(&self, attachment: &mut Attachment) {
        let end = self.lock().passed.end();
        attachment.joining = attachment.joining.map(|_| end);
    }

    /// Puts the connection on the rosters of its user's groups and decides what its catch-up
    /// fetches, in one step with the feed. `entries` are as of [`Router::begin_plan`] or later.
    ///
    /// # Errors
    /// [`Overrun`]: begin again.
    pub(crate) fn plan(
        &self,
        attachment: &mut Attachment,
        entries: &[InboxEntry],
        request: &PlanRequest<'_>,
    ) -> Result<Plan, Overrun> {
        let link = attachment.link().clone();
        let mut state = self.lock();
        let Some(from) = attachment.joining else { return Ok(Plan::default()) };
        let passed: Vec<_> = state.passed.since(from)?.collect();
        let mut groups = HashMap::new();
        for entry in entries.iter().filter(|entry| entry.conversation.is_group()) {
            let position = state.known_position(entry.conversation.partition(self.partitions));
            state.learn(link.user, entry, position);
            let last = entry.member.view_to.filter(|_| entry.member.role.is_none());
            groups.insert(entry.conversation, last.unwrap_or(Seq(u64::MAX)));
        }
        let positions = state.known_positions();
        let plan = link.with_merge(|merge| {
            for (conversation, seq) in passed {
                // A former member is owed nothing of what came after.
                if groups.get(&conversation).is_some_and(|last| seq <= *last) {
                    merge.passed(conversation, seq);
                }
            }
            Plan::make(merge, entries, request, |conversation| {
                positions
                    .get(conversation.partition(self.partitions).index())
                    .copied()
                    .unwrap_or(Seq::ZERO)
            })
        });
        attachment.joining = None;
        state.passed.leave();
        Ok(plan.unwrap_or_default())
    }
}

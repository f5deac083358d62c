//! Who gets what: the connections of this gateway, and the members of groups among them.
//!
//! One lock guards the positions of the live feed and the rosters together, so that attaching,
//! delivering and reading a cursor are each one step in the same order. Nothing is awaited and
//! nothing is read from elsewhere under it; delivery is a loop of cheap pushes of shared frames.
//!
//! Invariant: an event of a group goes to those who are members at its `seq`: the removed get the
//! removing event as their last, the added get the adding event as their first.

mod change;
mod cursors;
mod drain;
mod interest;
mod link;
mod media;
mod owed;
mod receipts;
mod roster;
pub(crate) mod tails;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hansard_model::{ConversationId, DeviceId, Group, PartitionCount, PartitionId, Seq, UserId};
use hansard_nats::live::LiveEvent;
use hansard_protocol::ServerFrame;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::announce::Announcements;
use crate::frame::Frame;
use crate::heartbeat::Wheel;
use crate::metrics::delivery as metrics;
use crate::outbox::Outbox;
use crate::presence::notes::Notes;
use crate::resume::READS_MAX;
use crate::typing::Typing;

pub(crate) use self::change::{Change, is_meta, whose_view};
use self::drain::RESTARTING;
use self::interest::Watch;
pub(crate) use self::interest::{Interests, Listed};
pub(crate) use self::link::{Attachment, Link, Origin, PageBehind};
use self::owed::Owed;
use self::roster::{Passed, User};
use self::tails::Tails;

/// Connections a device may hold.
pub(crate) const CONNECTIONS_PER_DEVICE_MAX: usize = 8;

/// Why a connection was not attached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AttachError {
    /// The device holds as many as it may.
    #[error("the device holds {CONNECTIONS_PER_DEVICE_MAX} connections already")]
    TooManyConnections,
    /// It is not known yet where the live feed stands.
    #[error("the live feed is not there yet")]
    NotReady,
    /// The gateway is about to stop.
    #[error("this gateway is about to stop")]
    Draining,
}

/// What the router made of a live event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It went to whom it concerns.
    Delivered,
    /// It was delivered before.
    Repeated,
    /// Events after this position are missing before it; it was not delivered.
    Hole(Seq),
    /// It is not known where the feed stands; it was not delivered.
    Unplaced,
    /// Somebody here is to get it, and its content is not here; it was not delivered.
    Absent,
}

/// The connections of this gateway.
pub(crate) struct Router {
    state: Mutex<State>,
    partitions: PartitionCount,
    /// The epoch of the log: cursors are bound to it.
    epoch: watch::Sender<u64>,
    ready: watch::Sender<bool>,
    /// How many connections are attached; for the drain.
    attached: watch::Sender<usize>,
    /// Pings, deadlines and cursors of all connections.
    pub(crate) wheel: Wheel,
    /// What is still to be told to a user's own devices.
    pub(crate) announcements: Announcements,
    /// What clients type.
    pub(crate) typing: Typing,
    /// What presence is to know.
    pub(crate) notes: Notes,
    /// Places for the reads of catch-ups.
    pub(crate) reads: Semaphore,
}

struct State {
    /// By partition: everything up to here was delivered. `None`: not known yet.
    positions: Vec<Option<Seq>>,
    users: HashMap<UserId, User>,
    rosters: HashMap<ConversationId, Vec<Arc<Link>>>,
    watchers: HashMap<ConversationId, Vec<Arc<Link>>>,
    passed: Passed,
    owed: Owed,
    /// Who is interested in what.
    watch: Watch,
    /// The newest events of conversations, for those who catch up.
    tails: Tails,
    /// Every receipt up to here was told.
    receipts: Seq,
    draining: bool,
}

impl Router {
    /// A router without connections, for a log of `epoch`.
    pub(crate) fn new(partitions: PartitionCount, epoch: u64) -> Self {
        Self {
            state: Mutex::new(State {
                positions: vec![None; usize::from(partitions.get())],
                users: HashMap::new(),
                rosters: HashMap::new(),
                watchers: HashMap::new(),
                passed: Passed::default(),
                owed: Owed::default(),
                watch: Watch::default(),
                tails: Tails::new(),
                receipts: Seq::ZERO,
                draining: false,
            }),
            partitions,
            epoch: watch::Sender::new(epoch),
            ready: watch::Sender::new(false),
            attached: watch::Sender::new(0),
            wheel: Wheel::new(),
            announcements: Announcements::new(partitions),
            typing: Typing::new(),
            notes: Notes::default(),
            reads: Semaphore::new(READS_MAX),
        }
    }

    /// How many partitions the log has.
    pub(crate) fn partitions(&self) -> PartitionCount {
        self.partitions
    }

    /// The epoch of the log.
    pub(crate) fn epoch(&self) -> u64 {
        *self.epoch.borrow()
    }

    /// Tells when the log has become another.
    pub(crate) fn epochs(&self) -> watch::Receiver<u64> {
        self.epoch.subscribe()
    }

    /// The log is another than it was: nothing is known of it, and everybody begins anew. Cursors
    /// from here on are of this epoch.
    pub(crate) fn begin_epoch(&self, epoch: u64) {
        let mut state = self.lock();
        state.positions.fill(None);
        state.tails.clear();
        state.receipts = Seq::ZERO;
        self.ready.send_replace(false);
        state.close_all(RESTARTING, "the log was restored");
        self.epoch.send_replace(epoch);
    }

    /// By partition: everything up to here was delivered (0 where that is not known yet).
    pub(crate) fn positions(&self) -> Vec<Seq> {
        self.lock().known_positions()
    }

    /// Whether the position of every partition is known.
    pub(crate) fn is_ready(&self) -> bool {
        *self.ready.borrow()
    }

    /// Waits until [`Router::is_ready`].
    pub(crate) async fn ready(&self) {
        // The sender is part of self: it is not gone.
        let _ = self.ready.subscribe().wait_for(|ready| *ready).await;
    }

    /// The position of a partition, if it is known.
    pub(crate) fn position(&self, partition: PartitionId) -> Option<Seq> {
        self.lock().positions.get(partition.index()).copied().flatten()
    }

    /// The position of a partition, if it is known, and the epoch of its log.
    pub(crate) fn standing(&self, partition: PartitionId) -> (Option<Seq>, u64) {
        let state = self.lock();
        (state.positions.get(partition.index()).copied().flatten(), self.epoch())
    }

    /// Notes that in the log of `epoch` there is nothing more in a partition up to `seq`. Never
    /// goes back; what is of another log is of no account.
    pub(crate) fn advance(&self, partition: PartitionId, seq: Seq, epoch: u64) {
        let mut state = self.lock();
        if epoch != self.epoch() {
            return;
        }
        if let Some(position) = state.positions.get_mut(partition.index()) {
            *position = Some(position.map_or(seq, |at| at.max(seq)));
        }
        if state.positions.iter().all(Option::is_some) {
            self.ready.send_if_modified(|ready| !std::mem::replace(ready, true));
        }
    }

    /// The position of a partition is not to be relied on any more: where it stands is asked anew.
    pub(crate) fn forget_position(&self, partition: PartitionId) {
        let mut state = self.lock();
        if let Some(position) = state.positions.get_mut(partition.index()) {
            *position = None;
        }
        state.tails.clear();
        self.ready.send_replace(false);
    }

    /// Takes the next live event: delivers it if it is the next, and says so if it is not.
    ///
    /// `shown`: who is to be shown the conversation for it, by an announcement.
    pub(crate) fn take(
        &self,
        event: &LiveEvent,
        change: Option<&Change>,
        shown: &[UserId],
    ) -> Taken {
        let partition = event.conversation.partition(self.partitions).index();
        let mut state = self.lock();
        match state.positions.get(partition).copied().flatten() {
            None => return Taken::Unplaced,
            Some(position) if event.seq <= position => {
                metrics::live_repeated();
                return Taken::Repeated;
            }
            Some(position) if event.follows > position => return Taken::Hole(position),
            Some(_) => {}
        }
        metrics::live_event();
        state.deliver(event, change);
        state.owe(event, shown);
        state.positions[partition] = Some(event.seq);
        drop(state);
        self.note(event, change);
        Taken::Delivered
    }

    /// Delivers an event from a repair, whatever it follows; `false`: it was delivered before, or
    /// it is not known where the feed stands.
    pub(crate) fn take_repaired(
        &self,
        event: &LiveEvent,
        change: Option<&Change>,
        shown: &[UserId],
    ) -> bool {
        let partition = event.conversation.partition(self.partitions).index();
        let mut state = self.lock();
        let position = state.positions.get(partition).copied().flatten();
        let is_new = position.is_some_and(|position| event.seq > position);
        if is_new {
            metrics::live_event();
            state.deliver(event, change);
            state.owe(event, shown);
            state.positions[partition] = Some(event.seq);
            drop(state);
            self.note(event, change);
        }
        is_new
    }

    fn note(&self, event: &LiveEvent, change: Option<&Change>) {
        match change {
            Some(Change::Removed(user)) => self.notes.departed(event.conversation, *user),
            Some(Change::Added(_)) => self.notes.grown(event.conversation),
            None => {}
        }
    }

    /// Whether a connection of this device would be attached now: before something is taken for it
    /// that others have to do without.
    ///
    /// # Errors
    /// [`AttachError`]
    pub(crate) fn may_attach(&self, user: UserId, device: DeviceId) -> Result<(), AttachError> {
        self.lock().may_attach(user, device)
    }

    /// Attaches a connection at the feed's position. Until its catch-up is planned, live events
    /// are only noted for it. `welcome` becomes its first frame.
    ///
    /// # Errors
    /// [`AttachError`]; nothing was pushed then.
    pub(crate) fn attach(
        self: &Arc<Self>,
        user: UserId,
        device: DeviceId,
        outbox: Arc<Outbox>,
        background: bool,
        welcome: Option<Frame>,
    ) -> Result<Attachment, AttachError> {
        let mut state = self.lock();
        state.may_attach(user, device)?;
        if let Some(welcome) = welcome {
            outbox.push(welcome);
        }
        let link = Arc::new(Link::new(user, device, outbox, background));
        let from = state.passed.join();
        state.attach(&link);
        drop(state);
        metrics::identified();
        self.attached.send_modify(|count| *count += 1);
        Ok(Attachment::new(link, self.clone(), from))
    }

    fn detach(&self, link: &Arc<Link>, joining: bool) {
        let mut state = self.lock();
        state.detach(link);
        if joining {
            state.passed.leave();
        }
        drop(state);
        metrics::departed();
        self.attached.send_modify(|count| *count = count.saturating_sub(1));
    }

    /// Whether the user has a connection here.
    pub(crate) fn has_user(&self, user: UserId) -> bool {
        self.lock().users.contains_key(&user)
    }

    /// Whether a user with a connection here is in the conversation, as of the feed's position.
    pub(crate) fn is_member(&self, user: UserId, conversation: ConversationId) -> bool {
        if !conversation.is_group() {
            return conversation.other(user).is_some();
        }
        self.lock().users.get(&user).is_some_and(|user| user.is_member(conversation))
    }

    /// The groups of a user with a connection here, as of the feed's position.
    pub(crate) fn groups_of(&self, user: UserId) -> Vec<ConversationId> {
        self.lock().users.get(&user).map(|user| user.groups().collect()).unwrap_or_default()
    }

    /// The connections of a user here, each with where it comes from and since when.
    pub(crate) fn connections_of(&self, user: UserId) -> Vec<(Arc<Link>, Origin)> {
        let state = self.lock();
        let links = state.users.get(&user).into_iter().flat_map(|user| &user.links);
        links.filter_map(|link| Some((link.clone(), link.origin()?.clone()))).collect()
    }

    /// The users with a connection here who are in the conversation.
    pub(crate) fn members_here(&self, conversation: ConversationId) -> Vec<UserId> {
        let state = self.lock();
        let mut users: Vec<UserId> = match conversation {
            ConversationId::Direct(x, y) => {
                [x, y].into_iter().filter(|user| state.users.contains_key(user)).collect()
            }
            ConversationId::Group(_) => {
                let roster = state.rosters.get(&conversation).into_iter().flatten();
                roster.map(|link| link.user).collect()
            }
        };
        users.sort_unstable();
        users.dedup();
        users
    }

    /// Pushes a frame to all connections of a user.
    pub(crate) fn send_to_user(&self, user: UserId, frame: &Frame) {
        if let Some(user) = self.lock().users.get(&user) {
            for link in &user.links {
                link.outbox.push(frame.clone());
            }
        }
    }

    /// The last event for which a user with a connection here is owed the conversation.
    pub(crate) fn owed(&self, user: UserId, conversation: ConversationId) -> Option<Seq> {
        self.lock().owed.last(user, conversation)
    }

    /// Shows a conversation to all connections of a user: as of `upto`, or later.
    pub(crate) fn show(
        &self,
        user: UserId,
        conversation: ConversationId,
        upto: Option<Seq>,
        frame: &Frame,
    ) {
        let mut state = self.lock();
        let links = state.users.get(&user).into_iter().flat_map(|user| &user.links);
        links.for_each(|link| link.outbox.push(frame.clone()));
        if let Some(upto) = upto {
            state.owed.shown(user, conversation, upto);
        }
    }

    /// Ends all connections of a user, who resume: something could not be told to them.
    pub(crate) fn close_user(&self, user: UserId) {
        let mut state = self.lock();
        if let Some(user) = state.users.get(&user) {
            user.links.iter().for_each(|link| link.outbox.close(RESTARTING, "resume"));
        }
        // Their cursors are of before it; those who come again are shown it by their catch-up.
        state.owed.forget(user);
    }

    /// Ends all connections of a device with a close code, after what waits was written.
    pub(crate) fn close_device(&self, user: UserId, device: DeviceId, code: u16) {
        if let Some(user) = self.lock().users.get(&user) {
            for link in user.links.iter().filter(|link| link.device == device) {
                // Nothing that waits is owed to a device that may no longer read.
                link.outbox.abort(code, "the session is over");
            }
        }
    }

    /// Replaces the conversations whose typing a connection wants to see.
    pub(crate) fn watch(&self, link: &Arc<Link>, conversations: &[ConversationId]) {
        self.lock().watch_typing(link, conversations);
    }

    /// Tells those who watch a conversation that somebody types: members, but not the author.
    /// `group` is the fold of a group, if it is known: it may be ahead of the rosters, and who was
    /// removed neither sees nor is seen.
    pub(crate) fn typing(
        &self,
        conversation: ConversationId,
        author: UserId,
        group: Option<&Group>,
    ) {
        let is_left = |user| group.is_some_and(|group| group.member(user).is_none());
        if is_left(author) {
            return;
        }
        let state = self.lock();
        let Some(watchers) = state.watchers.get(&conversation) else { return };
        if !self.typing.is_news(conversation, author, Instant::now()) {
            return;
        }
        let mut frame = None;
        for link in watchers {
            let member = match conversation {
                ConversationId::Direct(..) => conversation.other(link.user).is_some(),
                ConversationId::Group(_) => {
                    state.users.get(&link.user).is_some_and(|user| user.is_member(conversation))
                }
            };
            // It is worth nothing later: a connection with a backlog goes without.
            let is_told = member && !is_left(link.user) && link.user != author;
            if is_told && link.outbox.backlog() == 0 {
                let frame = frame.get_or_insert_with(|| {
                    Frame::server(&ServerFrame::Typing { conversation, user: author })
                });
                link.outbox.push(frame.clone());
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every step leaves the state whole, and a panic in one is a fault of that step alone.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Notes who is to be shown the conversation for an event, of those who are here.
    fn owe(&mut self, event: &LiveEvent, shown: &[UserId]) {
        for user in shown.iter().filter(|user| self.users.contains_key(user)) {
            self.owed.note(*user, event.conversation, event.seq);
        }
    }

    fn may_attach(&self, user: UserId, device: DeviceId) -> Result<(), AttachError> {
        if self.draining {
            return Err(AttachError::Draining);
        }
        // Under the lock: who is attached is found by whoever ends all connections next.
        if self.positions.iter().any(Option::is_none) {
            return Err(AttachError::NotReady);
        }
        let held = self.users.get(&user).map_or(0, |user| user.connections_of(device));
        if held >= CONNECTIONS_PER_DEVICE_MAX {
            return Err(AttachError::TooManyConnections);
        }
        Ok(())
    }

    fn known_positions(&self) -> Vec<Seq> {
        self.positions.iter().map(|position| position.unwrap_or(Seq::ZERO)).collect()
    }

    fn known_position(&self, partition: PartitionId) -> Seq {
        self.positions.get(partition.index()).copied().flatten().unwrap_or(Seq::ZERO)
    }

    fn deliver(&mut self, event: &LiveEvent, change: Option<&Change>) {
        self.tails.live(event);
        let mut frame = None;
        match event.conversation {
            ConversationId::Direct(x, y) => {
                let others = [Some(x), (y != x).then_some(y)];
                for user in others.into_iter().flatten().filter_map(|id| self.users.get(&id)) {
                    for link in &user.links {
                        link.live(event, &mut frame);
                    }
                }
            }
            ConversationId::Group(_) => {
                self.passed.note(event.conversation, event.seq);
                if let Some(Change::Added(users)) = change {
                    for user in users {
                        self.set_member(*user, event.conversation, true, event.seq);
                    }
                }
                for link in self.rosters.get(&event.conversation).into_iter().flatten() {
                    link.live(event, &mut frame);
                }
                if let Some(Change::Removed(user)) = change {
                    self.set_member(*user, event.conversation, false, event.seq);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;

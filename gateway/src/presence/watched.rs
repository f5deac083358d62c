//! Who watches whom, what is known of them, and what is still to be told.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hansard_model::presence::{DeviceReport, PresenceKey};
use hansard_model::{ConversationId, DeviceId, LogTime, UserId, limit};
use hansard_nats::presence::Shards;
use hansard_presence::{Moment, Person, Shown};
use hansard_protocol::ServerFrame;
use hansard_protocol::server::PresenceFrame;

use crate::frame::Frame;
use crate::metrics::presence as metrics;
use crate::router::Link;

/// Bytes that wait for a reader before it is told of presence: later, and only the latest.
const BACKLOG_BYTES_MAX: usize = 64 * 1024;
/// Removals remembered for watches that were being checked when they happened.
const DEPARTURES_MAX: usize = 1_024;
/// How long a person is known whom nobody watches any more.
const UNWATCHED_FOR: Duration = Duration::from_secs(30);

/// Whom a connection may watch, and the conversation that they share: the reason why.
pub(super) type Shared = (UserId, ConversationId);

/// See the module. Connections are known by the address of their link, which they hold.
#[derive(Default)]
pub(super) struct Watched {
    people: HashMap<UserId, Seat>,
    watchers: HashMap<usize, Watcher>,
    /// Who may be shown otherwise than they are.
    due: HashSet<UserId>,
    /// Connections that are still to be told something.
    owing: HashSet<usize>,
    departures: VecDeque<(ConversationId, UserId)>,
    /// How many departures were forgotten before the first.
    forgotten: u64,
}

/// A person and those who watch them.
#[derive(Default)]
struct Seat {
    person: Person,
    watchers: Vec<usize>,
    /// When they were last read; not yet: nothing is known.
    read_at: Option<Moment>,
    touched_at: Moment,
}

impl Seat {
    /// Who was read is read anew at a moment.
    fn read_again(&mut self, at: Moment) {
        if let Some(read_at) = &mut self.read_at {
            *read_at = at.saturating_sub(super::READ_EVERY);
        }
    }
}

struct Watcher {
    link: Arc<Link>,
    shares: Vec<Shared>,
    /// Several people may be told in one frame.
    batch: bool,
    owed: HashSet<UserId>,
}

/// A removal came by while it was checked whom somebody may watch: check again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("somebody was removed meanwhile")]
pub(super) struct Departed;

fn place_of(link: &Arc<Link>) -> usize {
    Arc::as_ptr(link) as usize
}

impl Watched {
    /// A connection may watch from now on.
    pub(super) fn attach(&mut self, link: &Arc<Link>) {
        let watcher =
            Watcher { link: link.clone(), shares: Vec::new(), batch: false, owed: HashSet::new() };
        self.watchers.insert(place_of(link), watcher);
    }

    /// A connection is gone.
    pub(super) fn detach(&mut self, link: &Arc<Link>) {
        let place = place_of(link);
        self.owing.remove(&place);
        let Some(watcher) = self.watchers.remove(&place) else { return };
        for (user, _) in watcher.shares {
            self.leave(user, place);
        }
    }

    fn leave(&mut self, user: UserId, place: usize) {
        if let Some(seat) = self.people.get_mut(&user) {
            seat.watchers.retain(|watcher| *watcher != place);
        }
    }

    /// Of these, who was not read yet: nothing can be told of them before.
    pub(super) fn unread(&mut self, now: Moment, users: &[Shared]) -> Vec<UserId> {
        let mut unread = Vec::new();
        for (user, _) in users {
            let seat = self.people.entry(*user).or_default();
            seat.touched_at = now;
            if seat.read_at.is_none() {
                unread.push(*user);
            }
        }
        unread
    }

    /// How many removals there were.
    pub(super) fn departed(&self) -> u64 {
        self.forgotten + self.departures.len() as u64
    }

    /// Replaces whom a connection watches by those who were found, when there had been so many
    /// removals, to be such that it may; tells it of those whom it did not watch before. From now
    /// on several people come in one frame if it takes a `batch`.
    ///
    /// # Errors
    /// [`Departed`]
    pub(super) fn watch(
        &mut self,
        link: &Arc<Link>,
        shares: Vec<Shared>,
        departed: u64,
        batch: bool,
    ) -> Result<(), Departed> {
        if departed < self.forgotten {
            return Err(Departed);
        }
        let skip = usize::try_from(departed - self.forgotten).unwrap_or(usize::MAX);
        for (group, user) in self.departures.iter().skip(skip) {
            let is_hit = |(of, by): &Shared| by == group && (of == user || link.user == *user);
            if shares.iter().any(is_hit) {
                return Err(Departed);
            }
        }
        let place = place_of(link);
        let Some(watcher) = self.watchers.get_mut(&place) else { return Ok(()) };
        let wanted: HashSet<UserId> = shares.iter().map(|(user, _)| *user).collect();
        watcher.batch = batch;
        watcher.owed.retain(|user| wanted.contains(user));
        let before = std::mem::replace(&mut watcher.shares, shares);
        let before: HashSet<UserId> = before.into_iter().map(|(user, _)| user).collect();
        for user in before.difference(&wanted) {
            self.leave(*user, place);
        }
        for user in wanted.difference(&before) {
            self.people.entry(*user).or_default().watchers.push(place);
            self.owe(place, *user);
        }
        self.pay(place, &mut HashMap::new());
        Ok(())
    }

    /// Takes a report of a device.
    pub(super) fn report(&mut self, now: Moment, key: &PresenceKey, report: DeviceReport) {
        if let Some(seat) = self.people.get_mut(&key.user) {
            seat.person.report(now, key, report);
            self.due.insert(key.user);
        }
    }

    /// Takes a read of a person that began at `began`.
    pub(super) fn read(
        &mut self,
        now: Moment,
        began: Moment,
        user: UserId,
        held: &[(PresenceKey, DeviceReport)],
        last_seen: Option<LogTime>,
    ) {
        let Some(seat) = self.people.get_mut(&user) else { return };
        last_seen.into_iter().for_each(|at| seat.person.seen(at));
        seat.person.read(now, began, held);
        if seat.read_at.replace(now).is_none() {
            // What is shown from the start is no change.
            seat.person.poll(now);
        }
        self.due.insert(user);
    }

    /// A person cannot be read: what is known of them stays, until the next time.
    pub(super) fn unknown(&mut self, now: Moment, user: UserId) {
        if let Some(seat) = self.people.get_mut(&user) {
            seat.read_at = Some(now);
            self.due.insert(user);
        }
    }

    /// The person lets nobody know any more when they were there.
    pub(super) fn forget_last_seen(&mut self, user: UserId) {
        if let Some(seat) = self.people.get_mut(&user) {
            seat.person.forget_last_seen();
        }
    }

    /// How a person is shown, if that is known.
    pub(super) fn shown(&self, user: UserId) -> Option<Shown> {
        let seat = self.people.get(&user)?;
        // Whom nobody watches, nobody listens to.
        (seat.read_at.is_some() && !seat.watchers.is_empty()).then(|| seat.person.shown())
    }

    /// Takes which gateways are there.
    pub(super) fn gateways(&mut self, now: Moment, present: &HashSet<DeviceId>) {
        for (user, seat) in &mut self.people {
            seat.person.gateways(now, present);
            if seat.person.is_pending(now) {
                self.due.insert(*user);
            }
        }
    }

    /// Users are no longer members of groups: nobody is told any more because of these. Gives the
    /// connections for which there may be another reason.
    pub(super) fn depart(&mut self, departed: &[(ConversationId, UserId)]) -> Vec<Arc<Link>> {
        if departed.is_empty() {
            return Vec::new();
        }
        self.departures.extend(departed);
        while self.departures.len() > DEPARTURES_MAX {
            self.departures.pop_front();
            self.forgotten += 1;
        }
        // One pass for all of them: everybody is looked at.
        let departed: HashSet<&(ConversationId, UserId)> = departed.iter().collect();
        self.drop_shares(|watcher, (of, by)| {
            departed.contains(&(*by, *of)) || departed.contains(&(*by, watcher))
        })
    }

    /// The same, when it is not known who.
    pub(super) fn depart_all(&mut self) -> Vec<Arc<Link>> {
        self.forgotten = self.departed() + 1;
        self.departures.clear();
        self.drop_shares(|_, (_, by)| by.is_group())
    }

    /// The connections that watch somebody because of one of these groups.
    pub(super) fn because_of(&self, groups: &HashSet<ConversationId>) -> Vec<Arc<Link>> {
        if groups.is_empty() {
            return Vec::new();
        }
        let is_hit = |watcher: &&Watcher| watcher.shares.iter().any(|(_, by)| groups.contains(by));
        self.watchers.values().filter(is_hit).map(|watcher| watcher.link.clone()).collect()
    }

    fn drop_shares(&mut self, is_over: impl Fn(UserId, &Shared) -> bool) -> Vec<Arc<Link>> {
        let (mut again, mut left) = (Vec::new(), Vec::new());
        for (place, watcher) in &mut self.watchers {
            let count = watcher.shares.len();
            let user = watcher.link.user;
            for (of, _) in watcher.shares.extract_if(.., |share| is_over(user, share)) {
                watcher.owed.remove(&of);
                left.push((of, *place));
            }
            if watcher.shares.len() < count {
                again.push(watcher.link.clone());
            }
        }
        for (user, place) in left {
            self.leave(user, place);
        }
        again
    }

    /// Tells everybody the latest of whom they watch.
    pub(super) fn tell(&mut self, now: Moment) {
        for user in std::mem::take(&mut self.due) {
            let Some(seat) = self.people.get_mut(&user) else { continue };
            if seat.person.is_pending(now) {
                self.due.insert(user);
            }
            if seat.person.poll(now).is_some() {
                for place in seat.watchers.clone() {
                    self.owe(place, user);
                }
            }
        }
        let mut frames = HashMap::new();
        for place in std::mem::take(&mut self.owing) {
            self.pay(place, &mut frames);
        }
    }

    fn owe(&mut self, place: usize, user: UserId) {
        if let Some(watcher) = self.watchers.get_mut(&place) {
            watcher.owed.insert(user);
            self.owing.insert(place);
        }
    }

    /// Pushes what a connection is owed, unless its reader is slow. A frame of one person is encoded
    /// once for all, so a single one is no batch.
    fn pay(&mut self, place: usize, frames: &mut HashMap<UserId, Frame>) {
        let Some(watcher) = self.watchers.get_mut(&place) else { return };
        if watcher.owed.is_empty() {
            return;
        }
        if watcher.link.outbox.backlog() > BACKLOG_BYTES_MAX {
            self.owing.insert(place);
            return;
        }
        self.owing.remove(&place);
        let owed = std::mem::take(&mut watcher.owed);
        let people = &self.people;
        let presence = |user: UserId| {
            let shown = people.get(&user).map(|seat| seat.person.shown()).unwrap_or_default();
            PresenceFrame { user, state: shown.state, last_seen: shown.last_seen }
        };
        if watcher.batch && owed.len() > 1 {
            let owed: Vec<PresenceFrame> = owed.into_iter().map(presence).collect();
            for people in owed.chunks(limit::PRESENCE_BATCH_MAX) {
                let people = people.to_vec();
                watcher.link.outbox.push(Frame::server(&ServerFrame::Presences { people }));
                metrics::told();
            }
            return;
        }
        for user in owed {
            let encoded = || Frame::server(&ServerFrame::Presence(presence(user)));
            watcher.link.outbox.push(frames.entry(user).or_insert_with(encoded).clone());
            metrics::told();
        }
    }

    /// Who was not read for so long, at most so many.
    pub(super) fn unread_since(&self, now: Moment, age: Duration, most: usize) -> Vec<UserId> {
        let is_old = |seat: &Seat| seat.read_at.is_some_and(|at| now >= at + age);
        let old = self.people.iter().filter(|(_, seat)| is_old(seat));
        old.map(|(user, _)| *user).take(most).collect()
    }

    /// Everybody is read anew at a moment.
    pub(super) fn read_again(&mut self, at: Moment) {
        self.people.values_mut().for_each(|seat| seat.read_again(at));
    }

    /// These could not be read: they are at a moment.
    pub(super) fn read_later(&mut self, users: &[UserId], at: Moment) {
        for user in users {
            if let Some(seat) = self.people.get_mut(user) {
                seat.read_again(at);
            }
        }
    }

    /// Forgets whom nobody watches; gives the shards of the others.
    pub(super) fn forget_the_unwatched(&mut self, now: Moment) -> Shards {
        self.people.retain(|_, seat| {
            !seat.watchers.is_empty() || now.saturating_sub(seat.touched_at) < UNWATCHED_FOR
        });
        metrics::watched(self.people.len());
        let mut shards = Shards::default();
        self.people.keys().for_each(|user| shards.add(*user));
        shards
    }
}

#[cfg(test)]
mod tests;

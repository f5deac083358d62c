//! Tells a user's own devices, and the people they talk to, what changed other than by an event:
//! settings of a conversation, a profile.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use hansard_model::query::QueryError;
use hansard_model::{ConversationId, PartitionCount, Seq, UserId};
use hansard_nats::log::ReadError;
use hansard_nats::query::AskError;
use hansard_protocol::ServerFrame;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::Gateway;
use crate::accounts::Change;
use crate::frame::Frame;
use crate::inbox::InboxError;
use crate::metrics;

/// Announcements that wait or are being made. With more, everybody resumes: a catch-up tells the
/// same.
const WAITING_MAX: usize = 65_536;
/// Close code of those who are to resume.
const RESUME: u16 = 1012;
/// Announcements of one lane that are prepared at once.
const AT_ONCE: usize = 4;
/// Pause of a lane in which one could not be prepared.
const PAUSE: Duration = Duration::from_millis(500);
/// How long one is tried; a partition has another owner long before.
const GIVE_UP_AFTER: Duration = Duration::from_secs(60);

/// What is to be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Announcement {
    Settings(UserId, ConversationId),
    Profile(UserId),
}

impl Announcement {
    /// Whose cursors stay before it until it was made; `None`: everybody's.
    fn audience(self) -> Option<UserId> {
        match self {
            Self::Settings(user, _) => Some(user),
            Self::Profile(_) => None,
        }
    }
}

/// What is to be announced; the same change twice is announced once. There is a lane for each
/// partition, whose owner is asked, and one for profiles: a silent owner delays its own alone.
#[derive(Clone)]
pub(crate) struct Announcements {
    queue: Arc<Mutex<Queue>>,
    /// By lane: something was added.
    added: Arc<[Notify]>,
    partitions: PartitionCount,
}

struct Queue {
    /// By lane.
    waiting: Vec<HashMap<Announcement, Waiting>>,
    /// Of those that wait or are being made.
    held: HashMap<Option<UserId>, Held>,
    /// How many these are.
    count: usize,
    /// The last event of the accounts that was applied.
    noted: Seq,
    /// The first event that there was no room for.
    overflowed: Option<Seq>,
    /// The same, while everybody's connections are being ended for it.
    closing: Option<Seq>,
}

#[derive(Clone, Copy)]
struct Waiting {
    since: Instant,
    /// The event of the accounts that it is for; `None`: it is for something else.
    seq: Option<Seq>,
}

/// The events of the accounts that the same people's cursors stay before.
struct Held {
    first: Seq,
    count: usize,
}

impl Queue {
    /// Whether there was room.
    fn add(&mut self, lane: usize, announcement: Announcement, seq: Option<Seq>) -> bool {
        let since = Instant::now();
        match self.waiting[lane].get_mut(&announcement) {
            Some(waiting) if waiting.seq.is_some() || seq.is_none() => return true,
            Some(waiting) => waiting.seq = seq,
            None if self.count < WAITING_MAX => {
                self.waiting[lane].insert(announcement, Waiting { since, seq });
                self.count += 1;
            }
            None => {
                // Without an event of the accounts, none that was noted is held back by it.
                let first = seq.unwrap_or(self.noted.next());
                self.overflowed.get_or_insert(first);
                metrics::announcement_skipped();
                return false;
            }
        }
        if let Some(seq) = seq {
            let held = self.held.entry(announcement.audience());
            held.or_insert(Held { first: seq, count: 0 }).count += 1;
        }
        true
    }

    /// One was made, or given up.
    fn done(&mut self, announcement: Announcement, waiting: Waiting) {
        self.count -= 1;
        if waiting.seq.is_none() {
            return;
        }
        let audience = announcement.audience();
        if let Some(held) = self.held.get_mut(&audience) {
            held.count -= 1;
            if held.count == 0 {
                self.held.remove(&audience);
            }
        }
    }

    /// One waits again, together with what came meanwhile.
    fn put_back(&mut self, lane: usize, announcement: Announcement, before: Waiting) {
        match self.waiting[lane].insert(announcement, before) {
            Some(waiting) if before.seq.is_some() => self.done(announcement, waiting),
            Some(waiting) => {
                let both = Waiting { seq: waiting.seq, ..before };
                self.waiting[lane].insert(announcement, both);
                self.done(announcement, before);
            }
            None => {}
        }
    }
}

impl Announcements {
    /// None yet, of a log with so many partitions.
    pub(crate) fn new(partitions: PartitionCount) -> Self {
        let lanes = usize::from(partitions.get()) + 1;
        let queue = Queue {
            waiting: vec![HashMap::new(); lanes],
            held: HashMap::new(),
            count: 0,
            noted: Seq::ZERO,
            overflowed: None,
            closing: None,
        };
        let added = (0..lanes).map(|_| Notify::new()).collect();
        Self { queue: Arc::new(Mutex::new(queue)), added, partitions }
    }

    fn lane_of(&self, announcement: Announcement) -> usize {
        match announcement {
            Announcement::Settings(_, conversation) => {
                conversation.partition(self.partitions).index()
            }
            Announcement::Profile(_) => usize::from(self.partitions.get()),
        }
    }

    /// Takes note of an event of the accounts, and of what it changed for others. Never waits.
    pub(crate) fn note(&self, seq: Seq, change: Option<Change>) {
        let announcement = match change {
            Some(Change::SettingsChanged(user, conversation)) => {
                Some(Announcement::Settings(user, conversation))
            }
            Some(Change::ProfileChanged(user)) => Some(Announcement::Profile(user)),
            Some(Change::SessionRevoked(..) | Change::PresenceChanged(_)) | None => None,
        };
        let mut queue = self.lock();
        if let Some(announcement) = announcement {
            queue.add(self.lane_of(announcement), announcement, Some(seq));
        }
        queue.noted = seq;
        drop(queue);
        announcement.into_iter().for_each(|it| self.added[self.lane_of(it)].notify_one());
    }

    /// A user's view of a conversation changed by something that is not of the accounts.
    pub(crate) fn show(&self, user: UserId, conversation: ConversationId) {
        let announcement = Announcement::Settings(user, conversation);
        let lane = self.lane_of(announcement);
        self.lock().add(lane, announcement, None);
        self.added[lane].notify_one();
    }

    /// Everything up to this event of the accounts that concerns the user was told, if they have a
    /// connection here.
    pub(crate) fn told(&self, user: UserId) -> Seq {
        let queue = self.lock();
        let held = [Some(user), None].map(|of| queue.held.get(&of).map(|held| held.first));
        let first = held.into_iter().chain([queue.overflowed, queue.closing]).flatten().min();
        let before = |first: Seq| Seq(first.0.saturating_sub(1));
        first.map_or(queue.noted, |first| before(first).min(queue.noted))
    }

    /// Announces until dropped.
    pub(crate) async fn run(self, gateway: Arc<Gateway>) -> Infallible {
        let (announcements, gateway) = (&self, &*gateway);
        stream::iter(0..self.added.len())
            .for_each_concurrent(None, |lane| announcements.run_lane(gateway, lane))
            .await;
        pending().await
    }

    async fn run_lane(&self, gateway: &Gateway, lane: usize) {
        loop {
            self.added[lane].notified().await;
            let (batch, has_overflowed) = self.take(lane);
            if has_overflowed {
                gateway.router.close_all(RESUME, "too many changes at once");
                self.lock().closing = None;
            }
            // Who does not answer one is not asked for the others.
            let is_silent = AtomicBool::new(false);
            let make = |(announcement, waiting)| {
                let is_silent = &is_silent;
                async move {
                    let is_made =
                        !is_silent.load(Ordering::Relaxed) && announce(gateway, announcement).await;
                    if is_made {
                        self.lock().done(announcement, waiting);
                        return None;
                    }
                    is_silent.store(true, Ordering::Relaxed);
                    Some((announcement, waiting))
                }
            };
            let made = stream::iter(batch).map(make).buffer_unordered(AT_ONCE);
            let left: Vec<_> = made.filter_map(ready).collect().await;
            if left.is_empty() {
                continue;
            }
            for announcement in self.put_back(lane, left, Instant::now()) {
                give_up(gateway, announcement);
            }
            tokio::time::sleep(PAUSE).await;
            self.added[lane].notify_one();
        }
    }

    /// What waits in a lane, and whether everybody is to resume.
    fn take(&self, lane: usize) -> (Vec<(Announcement, Waiting)>, bool) {
        let mut queue = self.lock();
        queue.closing = queue.overflowed.take();
        let batch = queue.waiting[lane].drain().collect();
        (batch, queue.closing.is_some())
    }

    /// Lets announcements wait again, but for those that were tried too long: these it gives.
    fn put_back(
        &self,
        lane: usize,
        left: Vec<(Announcement, Waiting)>,
        now: Instant,
    ) -> Vec<Announcement> {
        let mut queue = self.lock();
        let mut given_up = Vec::new();
        for (announcement, waiting) in left {
            if now.saturating_duration_since(waiting.since) < GIVE_UP_AFTER {
                queue.put_back(lane, announcement, waiting);
            } else {
                queue.done(announcement, waiting);
                given_up.push(announcement);
            }
        }
        given_up
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether it is over: announced, or given up. Otherwise it is worth another try.
async fn announce(gateway: &Gateway, announcement: Announcement) -> bool {
    let announced = match announcement {
        Announcement::Settings(user, conversation) => settings(gateway, user, conversation).await,
        Announcement::Profile(user) => profile(gateway, user).await,
    };
    let Err(error) = announced else { return true };
    tracing::debug!(%error, "a change was not announced");
    if is_passing(&error) {
        return false;
    }
    give_up(gateway, announcement);
    true
}

fn give_up(gateway: &Gateway, announcement: Announcement) {
    metrics::announcement_skipped();
    if let Announcement::Settings(user, _) = announcement {
        // Their cursors are of before it: the catch-up tells it.
        gateway.router.close_user(user);
    }
}

/// Whether the same question may be answered a moment later.
fn is_passing(error: &InboxError) -> bool {
    match error {
        InboxError::Late | InboxError::Owner(AskError::Unavailable) => true,
        InboxError::Bucket(error) => match error {
            ReadError::Unavailable(_) | ReadError::Replaced => true,
            ReadError::TooMany | ReadError::Unexpected(_) => false,
        },
        InboxError::Owner(AskError::Unreadable(_)) => false,
        InboxError::Owner(AskError::Query(error)) => match error {
            QueryError::Behind | QueryError::Busy | QueryError::Unavailable => true,
            QueryError::BadRequest
            | QueryError::NotAMember
            | QueryError::NotFound
            | QueryError::TooFarBack => false,
        },
    }
}

/// To the user's own devices.
async fn settings(
    gateway: &Gateway,
    user: UserId,
    conversation: ConversationId,
) -> Result<(), InboxError> {
    if !gateway.router.has_user(user) {
        return Ok(());
    }
    // What changes from here on is announced again.
    let upto = gateway.router.owed(user, conversation);
    let view = match gateway.inbox.entry(user, conversation, None).await? {
        Some(entry) => gateway.inbox.view(user, &entry),
        None => gateway.inbox.unspoken(user, conversation),
    };
    let frame = Frame::server(&ServerFrame::Conversation(view));
    gateway.router.show(user, conversation, upto, &frame);
    Ok(())
}

/// To everybody here who shares a conversation with the user.
async fn profile(gateway: &Gateway, user: UserId) -> Result<(), InboxError> {
    let Some(shown) = gateway.directory.account(user) else { return Ok(()) };
    let entries = gateway.inbox.entries(user, &[]).await?;
    let current = entries.iter().filter(|entry| entry.member.role.is_some());
    let mut audience: HashSet<UserId> =
        current.flat_map(|entry| gateway.router.members_here(entry.conversation)).collect();
    audience.insert(user);
    let frame = Frame::server(&ServerFrame::User(shown));
    for person in audience {
        gateway.router.send_to_user(person, &frame);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(byte: u8) -> UserId {
        UserId::from_entropy([byte; 20])
    }

    fn announcements() -> Announcements {
        Announcements::new(PartitionCount::new(4).expect("four"))
    }

    fn settings_of(user: UserId, other: u8) -> (Announcement, Option<Change>) {
        let conversation = ConversationId::direct(user, self::user(other));
        let change = Change::SettingsChanged(user, conversation);
        (Announcement::Settings(user, conversation), Some(change))
    }

    /// What waits in the lane of an announcement, taken.
    fn take(of: Announcement, from: &Announcements) -> Vec<(Announcement, Waiting)> {
        from.take(from.lane_of(of)).0
    }

    fn done(made: Vec<(Announcement, Waiting)>, of: &Announcements) {
        made.into_iter().for_each(|(announcement, waiting)| of.lock().done(announcement, waiting));
    }

    #[test]
    fn a_cursor_covers_what_was_told_and_not_what_is_being_told() {
        let announcements = announcements();
        let [ana, ben] = [1, 2].map(user);
        announcements.note(Seq(4), None);
        assert_eq!(announcements.told(ana), Seq(4));
        let (settings, change) = settings_of(ana, 2);
        announcements.note(Seq(5), change);
        announcements.note(Seq(6), None);
        assert_eq!((announcements.told(ana), announcements.told(ben)), (Seq(4), Seq(6)));
        let made = take(settings, &announcements);
        assert_eq!(made.len(), 1);
        announcements.note(Seq(7), change);
        assert_eq!(announcements.told(ana), Seq(4), "being told");
        done(made, &announcements);
        assert!(announcements.told(ana) < Seq(7), "told, but for the next");
        done(take(settings, &announcements), &announcements);
        assert_eq!(announcements.told(ana), Seq(7));
        announcements.note(Seq(8), Some(Change::ProfileChanged(ben)));
        assert_eq!(announcements.told(ana), Seq(7), "a profile is told to others as well");
        done(take(Announcement::Profile(ben), &announcements), &announcements);
        assert_eq!((announcements.told(ana), announcements.lock().count), (Seq(8), 0));
    }

    #[test]
    fn what_one_partition_lacks_is_waited_for_there_alone_and_not_for_ever() {
        let announcements = announcements();
        let ana = user(1);
        let (late, change) = settings_of(ana, 2);
        let (other, other_change) = (3..30)
            .map(|number| settings_of(ana, number))
            .find(|(it, _)| announcements.lane_of(*it) != announcements.lane_of(late))
            .expect("of another partition");
        let start = Instant::now();
        announcements.note(Seq(5), change);
        let left = take(late, &announcements);
        announcements.note(Seq(6), other_change);
        let made = take(other, &announcements);
        assert_eq!(made.iter().map(|(it, _)| *it).collect::<Vec<_>>(), [other]);
        done(made, &announcements);

        let lane = announcements.lane_of(late);
        assert_eq!(announcements.put_back(lane, left, start), []);
        assert_eq!(announcements.told(ana), Seq(4));
        let left = take(late, &announcements);
        assert_eq!(left.len(), 1, "it waits again");
        // It changes once more while it is asked for in vain.
        announcements.note(Seq(7), change);
        assert_eq!(announcements.put_back(lane, left, start), []);
        assert_eq!((announcements.told(ana), announcements.lock().count), (Seq(4), 1));
        let left = take(late, &announcements);
        assert_eq!(left.len(), 1);
        let at = Instant::now() + GIVE_UP_AFTER;
        assert_eq!(announcements.put_back(lane, left, at), [late]);
        assert_eq!((announcements.told(ana), announcements.lock().count), (Seq(7), 0));
    }

    #[test]
    fn more_changes_than_can_wait_make_everybody_resume() {
        let announcements = announcements();
        let mut last = user(0);
        for n in 0..=WAITING_MAX {
            let mut entropy = [0; 20];
            (entropy[0], entropy[1]) = ((n & 31) as u8, (n >> 5 & 31) as u8);
            (entropy[2], entropy[3]) = ((n >> 10 & 31) as u8, (n >> 15) as u8);
            last = UserId::from_entropy(entropy);
            announcements.note(Seq(n as u64 + 1), Some(Change::ProfileChanged(last)));
        }
        let lane = announcements.lane_of(Announcement::Profile(last));
        let (batch, has_overflowed) = announcements.take(lane);
        assert_eq!((batch.len(), has_overflowed), (WAITING_MAX, true));
        done(batch, &announcements);
        assert_eq!(announcements.told(last), Seq(WAITING_MAX as u64), "not before all are ended");
        announcements.lock().closing = None;
        assert_eq!(announcements.told(last), Seq(WAITING_MAX as u64 + 1));
        assert!(!announcements.take(lane).1);
    }
}

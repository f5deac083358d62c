//! Tells a user's own devices, and the people they talk to, what changed other than by an event:
//! settings of a conversation, a profile.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream;
use hansard_model::{ConversationId, Seq, UserId};
use hansard_protocol::ServerFrame;
use tokio::sync::Notify;

use crate::Gateway;
use crate::accounts::Change;
use crate::frame::Frame;
use crate::inbox::InboxError;
use crate::metrics;

/// Announcements that wait. With more, everybody resumes: a catch-up tells the same.
const WAITING_MAX: usize = 65_536;
/// Close code of those who are to resume.
const RESUME: u16 = 1012;
/// Announcements that are prepared at once.
const AT_ONCE: usize = 16;

/// What waits to be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Announcement {
    Settings(UserId, ConversationId),
    Profile(UserId),
}

/// What is to be announced, in the order of the accounts: the same change twice is announced once.
#[derive(Clone, Default)]
pub(crate) struct Announcements {
    queue: Arc<Mutex<Queue>>,
    added: Arc<Notify>,
}

#[derive(Default)]
struct Queue {
    waiting: HashSet<Announcement>,
    /// The first event of those that wait.
    first: Option<Seq>,
    /// The first event of those being announced.
    announcing: Option<Seq>,
    /// The last event of the accounts that was applied.
    noted: Seq,
    /// There were too many: some are not in here.
    overflowed: bool,
}

impl Announcements {
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
        queue.noted = seq;
        let Some(announcement) = announcement else { return };
        queue.first.get_or_insert(seq);
        if queue.waiting.len() < WAITING_MAX {
            queue.waiting.insert(announcement);
        } else {
            queue.overflowed = true;
            metrics::announcement_skipped();
        }
        drop(queue);
        self.added.notify_one();
    }

    /// A user's view of a conversation changed by something that is not of the accounts.
    pub(crate) fn show(&self, user: UserId, conversation: ConversationId) {
        let mut queue = self.lock();
        if queue.waiting.len() < WAITING_MAX {
            queue.waiting.insert(Announcement::Settings(user, conversation));
        } else {
            queue.overflowed = true;
            metrics::announcement_skipped();
        }
        drop(queue);
        self.added.notify_one();
    }

    /// Everything up to this event of the accounts was told to those with a connection here.
    pub(crate) fn told(&self) -> Seq {
        let queue = self.lock();
        let first = queue.announcing.or(queue.first);
        first.map_or(queue.noted, |first| Seq(first.0.saturating_sub(1)))
    }

    /// Announces until dropped.
    pub(crate) async fn run(self, gateway: Arc<Gateway>) -> std::convert::Infallible {
        loop {
            self.added.notified().await;
            let (batch, overflowed) = self.take();
            if overflowed {
                gateway.router.close_all(RESUME, "too many changes at once");
            }
            stream::iter(batch)
                .for_each_concurrent(AT_ONCE, |announcement| announce(&gateway, announcement))
                .await;
            self.lock().announcing = None;
        }
    }

    fn take(&self) -> (Vec<Announcement>, bool) {
        let mut queue = self.lock();
        queue.announcing = queue.first.take();
        let batch = queue.waiting.drain().collect();
        (batch, std::mem::take(&mut queue.overflowed))
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn announce(gateway: &Gateway, announcement: Announcement) {
    let announced = match announcement {
        Announcement::Settings(user, conversation) => settings(gateway, user, conversation).await,
        Announcement::Profile(user) => profile(gateway, user).await,
    };
    if let Err(error) = announced {
        metrics::announcement_skipped();
        tracing::debug!(%error, "a change was not announced");
        if let Announcement::Settings(user, _) = announcement {
            // Their cursors are of before it: the catch-up tells it.
            gateway.router.close_user(user);
        }
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

    #[test]
    fn a_cursor_covers_what_was_told_and_not_what_is_being_told() {
        let announcements = Announcements::default();
        announcements.note(Seq(4), None);
        assert_eq!(announcements.told(), Seq(4));
        let change =
            Some(Change::SettingsChanged(user(1), ConversationId::direct(user(1), user(2))));
        announcements.note(Seq(5), change);
        announcements.note(Seq(6), None);
        assert_eq!(announcements.told(), Seq(4));
        assert_eq!(announcements.take().0.len(), 1);
        announcements.note(Seq(7), change);
        assert_eq!(announcements.told(), Seq(4), "being told");
        announcements.lock().announcing = None;
        assert_eq!(announcements.told(), Seq(6), "told, but for the next");
        announcements.take();
        announcements.lock().announcing = None;
        assert_eq!(announcements.told(), Seq(7));
    }

    #[test]
    fn more_changes_than_can_wait_make_everybody_resume() {
        let announcements = Announcements::default();
        for n in 0..=WAITING_MAX {
            let mut entropy = [0; 20];
            (entropy[0], entropy[1]) = ((n & 31) as u8, (n >> 5 & 31) as u8);
            (entropy[2], entropy[3]) = ((n >> 10 & 31) as u8, (n >> 15) as u8);
            let person = UserId::from_entropy(entropy);
            announcements.note(Seq(n as u64 + 1), Some(Change::ProfileChanged(person)));
        }
        let (batch, overflowed) = announcements.take();
        assert_eq!((batch.len(), overflowed), (WAITING_MAX, true));
        assert!(!announcements.take().1);
    }
}

//! Tells a user's own devices, and the people they talk to, what changed other than by an event:
//! settings of a conversation, a profile.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::StreamExt as _;
use futures_util::stream;
use hansard_model::{ConversationId, UserId};
use hansard_protocol::ServerFrame;
use tokio::sync::Notify;

use crate::Gateway;
use crate::accounts::Change;
use crate::frame::Frame;
use crate::inbox::InboxError;
use crate::metrics;

/// Announcements that wait; more are left to the next resume, which tells the same.
const WAITING_MAX: usize = 65_536;
/// Announcements that are prepared at once.
const AT_ONCE: usize = 16;

/// What waits to be announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Announcement {
    Settings(UserId, ConversationId),
    Profile(UserId),
}

/// A set of announcements: the same change twice is announced once.
#[derive(Clone, Default)]
pub(crate) struct Announcements {
    waiting: Arc<Mutex<HashSet<Announcement>>>,
    added: Arc<Notify>,
}

impl Announcements {
    /// Takes note of a change. Never waits.
    pub(crate) fn note(&self, change: Change) {
        let announcement = match change {
            Change::SettingsChanged(user, conversation) => {
                Announcement::Settings(user, conversation)
            }
            Change::ProfileChanged(user) => Announcement::Profile(user),
            Change::SessionRevoked(..) => return,
        };
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() < WAITING_MAX {
            waiting.insert(announcement);
            self.added.notify_one();
        } else {
            metrics::announcement_skipped();
        }
    }

    /// Announces until dropped.
    pub(crate) async fn run(self, gateway: Arc<Gateway>) -> std::convert::Infallible {
        loop {
            self.added.notified().await;
            let batch: Vec<Announcement> = {
                let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
                waiting.drain().collect()
            };
            stream::iter(batch)
                .for_each_concurrent(AT_ONCE, |announcement| announce(&gateway, announcement))
                .await;
        }
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
    let view = match gateway.inbox.entry(user, conversation, None).await? {
        Some(entry) => gateway.inbox.view(user, &entry),
        None => gateway.inbox.unspoken(user, conversation),
    };
    gateway.router.send_to_user(user, &Frame::server(&ServerFrame::Conversation(view)));
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

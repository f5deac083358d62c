//! Watches that are to be looked at: who may be watched takes reads, and may change.

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use hansard_model::{ConversationId, UserId};
use hansard_nats::presence::Shards;
use hansard_protocol::client::Watch;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::{Presence, share};
use crate::Gateway;
use crate::router::Link;

/// Watches that are looked at at a time.
const AT_ONCE: usize = 16;
/// How long one may take.
const WITHIN: Duration = Duration::from_secs(5);
/// How often the watches of one connection are looked at, at most.
const SPACING: Duration = Duration::from_millis(500);
/// How often it is looked whether a connection is caught up.
const NOT_YET_PAUSE: Duration = Duration::from_millis(200);
/// When those who were not found to share a conversation are looked for again: it may have begun a
/// moment ago.
const AGAIN_AFTER: [Duration; 3] =
    [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];

/// The watches; one for each connection at most.
#[derive(Default)]
pub(crate) struct Asks {
    asks: Mutex<HashMap<usize, Ask>>,
    added: Notify,
}

/// Whom a connection wants to watch.
#[derive(Clone)]
struct Ask {
    link: Arc<Link>,
    users: Arc<[UserId]>,
    /// The conversations that it has open.
    first: Arc<[ConversationId]>,
    /// Whether several people may be told in one frame.
    batch: bool,
    /// When it is to be looked at; `None`: not before something happens.
    due: Option<Instant>,
    looked_at: Option<Instant>,
    times: usize,
}

fn place_of(link: &Arc<Link>) -> usize {
    Arc::as_ptr(link) as usize
}

impl Asks {
    /// A connection wants to watch these people, in place of those before.
    pub(super) fn ask(&self, link: &Arc<Link>, watch: Watch) {
        let Watch { users, conversations, batch } = watch;
        let users: BTreeSet<UserId> = users.into_iter().collect();
        let users: Arc<[UserId]> = users.into_iter().collect();
        let mut asks = self.lock();
        let looked_at = asks.get(&place_of(link)).and_then(|ask| ask.looked_at);
        let now = Instant::now();
        let due = Some(looked_at.map_or(now, |at| (at + SPACING).max(now)));
        let (link, first) = (link.clone(), conversations.into());
        asks.insert(place_of(&link), Ask { link, users, first, batch, due, looked_at, times: 0 });
        drop(asks);
        self.added.notify_one();
    }

    /// Something changed: it is looked at again whom a connection may watch.
    pub(super) fn repeat(&self, link: Arc<Link>) {
        if let Some(ask) = self.lock().get_mut(&place_of(&link)) {
            (ask.due, ask.times) = (Some(Instant::now()), 0);
            self.added.notify_one();
        }
    }

    /// The same, but no sooner than the connection itself may ask again: what it watches meanwhile
    /// is watched.
    pub(super) fn repeat_in_turn(&self, link: &Arc<Link>) {
        if let Some(ask) = self.lock().get_mut(&place_of(link)) {
            let now = Instant::now();
            (ask.due, ask.times) = (Some(ask.looked_at.map_or(now, |at| at + SPACING).max(now)), 0);
            self.added.notify_one();
        }
    }

    /// A connection is gone.
    pub(super) fn forget(&self, link: &Arc<Link>) {
        self.lock().remove(&place_of(link));
    }

    /// What is due, and when the next is.
    fn take(&self, now: Instant) -> (Vec<Ask>, Option<Instant>) {
        let mut due = Vec::new();
        let mut next: Option<Instant> = None;
        for ask in self.lock().values_mut() {
            match ask.due {
                Some(at) if at <= now => {
                    (ask.due, ask.looked_at) = (None, Some(now));
                    due.push(ask.clone());
                }
                Some(at) => next = Some(next.map_or(at, |next| next.min(at))),
                None => {}
            }
        }
        (due, next)
    }

    /// Looks again at a watch, unless there is another in its place.
    fn again(&self, ask: &Ask, after: Duration, counts: bool) {
        let mut asks = self.lock();
        let place = asks.get_mut(&place_of(&ask.link));
        if let Some(held) = place
            && Arc::ptr_eq(&held.users, &ask.users)
            && held.due.is_none()
        {
            held.due = Some(Instant::now() + after);
            held.times += usize::from(counts);
        }
    }

    fn is_current(&self, ask: &Ask) -> bool {
        let asks = self.lock();
        asks.get(&place_of(&ask.link)).is_some_and(|held| Arc::ptr_eq(&held.users, &ask.users))
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<usize, Ask>> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Presence {
    /// Looks at watches until dropped.
    pub(crate) async fn look(self: Arc<Self>, gateway: Arc<Gateway>) -> Infallible {
        loop {
            let (due, next) = self.asks.take(Instant::now());
            if due.is_empty() {
                let next = next.unwrap_or_else(|| Instant::now() + Duration::from_secs(60));
                tokio::select! {
                    () = self.asks.added.notified() => {}
                    () = tokio::time::sleep_until(next) => {}
                }
                continue;
            }
            stream::iter(due).for_each_concurrent(AT_ONCE, |ask| self.look_at(&gateway, ask)).await;
        }
    }

    async fn look_at(&self, gateway: &Gateway, ask: Ask) {
        // Before that it is not known of which groups the user is a member.
        if !ask.link.is_synced() {
            self.asks.again(&ask, NOT_YET_PAUSE, false);
            return;
        }
        let found = tokio::time::timeout(WITHIN, self.find(gateway, &ask)).await;
        let again = AGAIN_AFTER.get(ask.times).copied();
        match found {
            Ok(Ok(true)) => {}
            Ok(Ok(false)) => {
                again.into_iter().for_each(|after| self.asks.again(&ask, after, true));
            }
            Ok(Err(error)) => {
                tracing::debug!(%error, user.id = %ask.link.user, "watch not looked at");
                self.asks.again(&ask, again.unwrap_or(AGAIN_AFTER[2]), true);
            }
            Err(_late) => self.asks.again(&ask, again.unwrap_or(AGAIN_AFTER[2]), true),
        }
    }

    /// Lets a connection watch those whom it may; whether these are all.
    async fn find(&self, gateway: &Gateway, ask: &Ask) -> Result<bool, share::ShareError> {
        loop {
            let departed = self.watched().departed();
            let user = ask.link.user;
            let shares = share::with(gateway, user, &ask.users, &ask.first).await?;
            let unread = self.watched().unread(self.now(), &shares);
            if !unread.is_empty() {
                self.listen_to(&unread).await;
                self.read(gateway, &unread).await?;
            }
            let is_all = shares.len() == ask.users.len();
            if !self.asks.is_current(ask) {
                return Ok(true);
            }
            self.depart(gateway.router.notes.take_departed());
            // Otherwise somebody has left meanwhile, and may have been the reason: it looks again.
            if self.watched().watch(&ask.link, shares, departed, ask.batch).is_ok() {
                return Ok(is_all);
            }
        }
    }

    /// Returns when what is said of these people is heard.
    async fn listen_to(&self, users: &[UserId]) {
        let mut needed = Shards::default();
        users.iter().for_each(|user| needed.add(*user));
        self.wanted.send_if_modified(|wanted| {
            let is_more = !wanted.contains(needed);
            users.iter().for_each(|user| wanted.add(*user));
            is_more
        });
        // The sender is part of self: it is not gone.
        let _ = self.followed.subscribe().wait_for(|followed| followed.contains(needed)).await;
    }
}

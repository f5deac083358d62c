//! Inboxes that are remembered, so that the next read has little to ask.

use std::sync::Arc;
use std::time::{Duration, Instant};

use hansard_model::{ConversationId, Seq, UserId};
use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::BucketView;

/// Conversations in the inboxes that are remembered: about a kilobyte each.
const REMEMBERED_MAX: u64 = 65_536;
/// How long an inbox is remembered: then it is read anew, whatever an operator has repaired.
const REMEMBERED_FOR: Duration = Duration::from_secs(300);
/// How old an inbox may be for who only looks through it: two seconds of typing.
pub(super) const LATELY: Duration = Duration::from_secs(2);

/// Inboxes as they were read last: each is exact up to a position of every partition, so that the
/// next read asks only for what came after it.
pub(super) struct Known {
    inboxes: Cache<UserId, Arc<Remembered>, Conversations>,
}

struct Remembered {
    view: BucketView,
    epoch: u64,
    /// When it was read from the bucket.
    at: Instant,
    /// When it was last made exact.
    exact_at: Instant,
}

/// Weighs an inbox by its conversations.
#[derive(Clone)]
struct Conversations;

impl Weighter<UserId, Arc<Remembered>> for Conversations {
    fn weight(&self, _: &UserId, remembered: &Arc<Remembered>) -> u64 {
        remembered.view.members.len() as u64 + 1
    }
}

impl Known {
    pub(super) fn new() -> Self {
        let users = usize::try_from(REMEMBERED_MAX / 64).unwrap_or(usize::MAX);
        Self { inboxes: Cache::with_weighter(users, REMEMBERED_MAX, Conversations) }
    }

    pub(super) fn of(&self, user: UserId, epoch: u64) -> Option<BucketView> {
        let known = self.inboxes.get(&user)?;
        let fresh = known.epoch == epoch && known.at.elapsed() < REMEMBERED_FOR;
        fresh.then(|| known.view.clone())
    }

    /// An inbox that was exact a moment ago, and has `min`.
    pub(super) fn lately(
        &self,
        user: UserId,
        epoch: u64,
        min: &[(ConversationId, Seq)],
    ) -> Option<BucketView> {
        let known = self.inboxes.get(&user)?;
        let fresh = known.epoch == epoch && known.exact_at.elapsed() < LATELY;
        (fresh && known.view.has(min)).then(|| known.view.clone())
    }

    /// Remembers an inbox that is exact as of `asked`, at least. One that only caught up keeps its
    /// age: it is of an older reading.
    pub(super) fn note(&self, user: UserId, epoch: u64, view: &BucketView, asked: Instant) {
        let before = self
            .inboxes
            .get(&user)
            .filter(|known| known.epoch == epoch && known.at.elapsed() < REMEMBERED_FOR);
        let at = before.map_or_else(Instant::now, |known| known.at);
        let view = view.clone();
        self.inboxes.insert(user, Arc::new(Remembered { view, epoch, at, exact_at: asked }));
    }

    /// Nothing is known any more.
    pub(super) fn forget(&self) {
        self.inboxes.clear();
    }
}

//! Follows the receipts and tells the connections of this gateway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hansard_model::query::InboxEntry;
use hansard_model::receipt::Marks;
use hansard_model::{ConversationId, Seq, UserId, limit};
use hansard_nats::log::ReadError;
use hansard_nats::receipts::{StoredMarks, Wanted};

use super::generations::Generations;
use super::recent::Recent;
use super::told::Told;
use crate::Gateway;
use crate::cursor::Start;
use crate::metrics::delivery as metrics;

/// A gateway that starts reads so many places back, so that who was away for a moment while it was
/// not there costs no look at everything.
const BEGIN_BEFORE: u64 = 4_096;
/// Marks remembered as told, in each of two generations: about 200 bytes each.
const TOLD_MAX: usize = 32_768;
/// Conversations whose receipts a catch-up looks at when it is not known where they changed.
const LOOKED_AT_MAX: usize = 1_000;
/// Conversations whose receipts a first load has.
const FIRST_LOAD: usize = limit::FIRST_LOAD_CONVERSATIONS;
const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The stream is not synced: for so long after its server was away, or this gateway was not there,
/// a cursor may be of what was lost, with something else at its place.
const UNSETTLED_FOR: Duration = Duration::from_secs(600);
/// A catch-up then begins so many places before its cursor, and may repeat what was told.
const READ_AGAIN: u64 = 512;

/// Where receipts changed lately; clones share it.
#[derive(Clone)]
pub(crate) struct Changes {
    /// `None` before the stream was reached.
    recent: Arc<Mutex<Option<Recent>>>,
    unsettled: Arc<Mutex<Instant>>,
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self { recent: Arc::default(), unsettled: Arc::new(Mutex::new(Instant::now())) }
    }

    /// Follows the receipts until dropped.
    pub(crate) async fn run(self, gateway: Arc<Gateway>) -> std::convert::Infallible {
        let stream = gateway.receipts.stream();
        let end = loop {
            match stream.end().await {
                Ok(end) => break end,
                Err(error) => tracing::debug!(%error, "receipts not available"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        };
        let begin = Seq(end.0.saturating_sub(BEGIN_BEFORE));
        *self.lock() = Some(Recent::new(begin));
        let mut reader = stream.follow(begin);
        let mut told: Generations<(ConversationId, UserId), Marks> = Generations::new(TOLD_MAX);
        let mut interruptions = gateway.connection.interruptions();
        loop {
            tokio::select! {
                stored = reader.next() => self.take(&gateway, stored, &mut told),
                Ok(()) = interruptions.changed() => {
                    *self.unsettled.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
                }
            }
        }
    }

    fn take(
        &self,
        gateway: &Gateway,
        mut stored: StoredMarks,
        told: &mut Generations<(ConversationId, UserId), Marks>,
    ) {
        let key = stored.key;
        if let Some(recent) = &mut *self.lock() {
            recent.note(key.conversation, stored.seq);
        }
        let before = told.get(&(key.conversation, key.user)).copied();
        // After an interruption the stream may have lost what was told: nobody goes back.
        stored.marks = before.map_or(stored.marks, |before| before.merge(stored.marks));
        let is_told = before.is_some_and(|before| stored.marks.is_within(&before));
        let is_of_this_log = stored.marks.epoch == gateway.router.epoch();
        if is_told || !is_of_this_log {
            gateway.router.pass_receipt(stored.seq);
            return;
        }
        told.insert((key.conversation, key.user), stored.marks);
        metrics::receipt_told();
        let group = gateway.groups.known(key.conversation);
        gateway.router.receipt(&stored, group.as_deref());
        let has_read = before.is_none_or(|before| before.own.seq < stored.marks.own.seq);
        if has_read && stored.marks.own.seq > Seq::ZERO && gateway.router.has_user(key.user) {
            gateway.router.announcements.show(key.user, key.conversation);
        }
    }

    /// What a client lacks that comes from `start`, of these conversations of its user.
    ///
    /// # Errors
    /// [`ReadError`]
    pub(crate) async fn missed(
        &self,
        gateway: &Gateway,
        reader: UserId,
        entries: &[InboxEntry],
        start: &Start,
    ) -> Result<Vec<StoredMarks>, ReadError> {
        let (after, most) = match start {
            // Of before the stream lost its end: what took its place is at the same positions.
            Start::From { receipts, .. } if *receipts > gateway.router.receipts() => {
                (Seq::ZERO, LOOKED_AT_MAX)
            }
            Start::From { receipts, .. } => (*receipts, LOOKED_AT_MAX),
            Start::Nothing | Start::Reset => (Seq::ZERO, FIRST_LOAD),
        };
        let unsettled = *self.unsettled.lock().unwrap_or_else(PoisonError::into_inner);
        let again = if unsettled.elapsed() < UNSETTLED_FOR { READ_AGAIN } else { 0 };
        let after = Seq(after.0.saturating_sub(again));
        let mut current: Vec<&InboxEntry> =
            entries.iter().filter(|entry| entry.member.role.is_some()).collect();
        if let Some(recent) = self.lock().as_ref().filter(|recent| recent.covers(after)) {
            current.retain(|entry| recent.is_changed(entry.conversation, after));
        }
        if current.len() > most {
            current.sort_unstable_by_key(|entry| std::cmp::Reverse(entry.head.ts));
            current.truncate(most);
        }
        let is_told =
            |entry: &InboxEntry| entry.head.member_count <= limit::RECEIPTS_TOLD_MEMBERS_MAX;
        let (told, wide): (Vec<_>, Vec<_>) = current.into_iter().partition(|e| is_told(e));
        let wanted = |entry: &&InboxEntry| Wanted {
            conversation: entry.conversation,
            members: entry.head.member_count,
        };
        let told: Vec<Wanted> = told.iter().map(wanted).collect();
        let stream = gateway.receipts.stream();
        let mut missed = stream.changed(reader, &told, after).await?;
        let own = stream.of_user(reader, wide.iter().map(|entry| entry.conversation)).await?;
        missed.extend(own.into_values().filter(|stored| stored.seq > after));
        let epoch = gateway.router.epoch();
        let views: HashMap<_, _> =
            entries.iter().map(|entry| (entry.conversation, entry.member.view_from)).collect();
        missed.retain(|StoredMarks { key, marks, .. }| {
            // Of who left before this reader came there is nothing to know.
            let is_seen = |from: &Seq| key.user == reader || marks.delivered.seq >= *from;
            let has_left = gateway
                .groups
                .known(key.conversation)
                .is_some_and(|group| group.member(key.user).is_none());
            marks.epoch == epoch && !has_left && views.get(&key.conversation).is_some_and(is_seen)
        });
        Ok(missed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Recent>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What was missed, as `reader` is told of it.
pub(crate) fn as_told(reader: UserId, missed: &[StoredMarks]) -> Vec<Told> {
    missed.iter().filter_map(|stored| Told::to(reader, stored)).collect()
}

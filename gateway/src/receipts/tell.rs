//! Follows the receipts and tells the connections of this gateway.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hansard_model::query::InboxEntry;
use hansard_model::receipt::Marks;
use hansard_model::{ConversationId, Group, Seq, UserId, limit};
use hansard_nats::log::ReadError;
use hansard_nats::receipts::{StoredMarks, Wanted};

use super::generations::Generations;
use super::recent::Recent;
use super::told::Told;
use crate::Gateway;
use crate::cursor::Start;
use crate::groups::GroupsError;
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

/// The stream is not synced: a cursor may be of what was lost, however long ago, with something
/// else at its place. A catch-up begins so many places before it, and may repeat what was told.
const READ_AGAIN: u64 = 512;

/// Why it is not known what a client missed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MissedError {
    #[error("the receipts do not answer")]
    Read(#[from] ReadError),
    #[error("the members of a group are not known")]
    Members(#[from] GroupsError),
}

/// Where receipts changed lately; clones share it.
#[derive(Clone)]
pub(crate) struct Changes {
    /// `None` before the stream was reached.
    recent: Arc<Mutex<Option<Recent>>>,
}

/// What was told.
struct Before {
    told: Generations<(ConversationId, UserId), At>,
    /// How often the stream was away.
    interruptions: u64,
}

#[derive(Clone, Copy)]
struct At {
    marks: Marks,
    interruptions: u64,
}

/// What to do with marks that were stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Taken {
    /// They were told before.
    Told,
    /// Tell these; the user has read further, or not.
    Tell { marks: Marks, has_read: bool },
}

impl Before {
    fn new() -> Self {
        Self { told: Generations::new(TOLD_MAX), interruptions: 0 }
    }

    /// The stream was away. It may have lost what was told, and who caught up since lacks that:
    /// when it is raised again, it is told again.
    fn interrupted(&mut self) {
        self.interruptions += 1;
    }

    /// Marks of the log of `epoch` come by.
    fn take(&mut self, key: (ConversationId, UserId), marks: Marks, epoch: u64) -> Taken {
        let before = self.told.get(&key).copied();
        // After an interruption the stream may have lost what was told: nobody goes back.
        let merged = before.map_or(marks, |before| before.marks.merge(marks));
        // How many there are in the conversation is as it was when the last was said.
        let marks = Marks { wide: marks.wide, ..merged };
        let is_told = before.is_some_and(|before| {
            before.interruptions == self.interruptions && marks.is_within(&before.marks)
        });
        if is_told || marks.epoch != epoch {
            return Taken::Told;
        }
        self.told.insert(key, At { marks, interruptions: self.interruptions });
        let has_read = before.is_none_or(|before| before.marks.own.seq < marks.own.seq);
        Taken::Tell { marks, has_read: has_read && marks.own.seq > Seq::ZERO }
    }
}

impl Changes {
    pub(crate) fn new() -> Self {
        Self { recent: Arc::default() }
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
        let mut before = Before::new();
        let mut interruptions = gateway.connection.interruptions();
        loop {
            tokio::select! {
                biased;
                Ok(()) = interruptions.changed() => before.interrupted(),
                stored = reader.next() => self.take(&gateway, stored, &mut before),
            }
        }
    }

    fn take(&self, gateway: &Gateway, mut stored: StoredMarks, before: &mut Before) {
        let key = stored.key;
        if let Some(recent) = &mut *self.lock() {
            recent.note(key.conversation, stored.seq);
        }
        let of = (key.conversation, key.user);
        let has_read = match before.take(of, stored.marks, gateway.router.epoch()) {
            Taken::Told => return gateway.router.pass_receipt(stored.seq),
            Taken::Tell { marks, has_read } => {
                stored.marks = marks;
                has_read
            }
        };
        metrics::receipt_told();
        let group = gateway.groups.known(key.conversation);
        gateway.router.receipt(&stored, group.as_deref());
        if has_read && gateway.router.has_user(key.user) {
            gateway.router.announcements.show(key.user, key.conversation);
        }
    }

    /// What a client lacks that comes from `start`, of these conversations of its user.
    ///
    /// # Errors
    /// [`MissedError`]
    pub(crate) async fn missed(
        &self,
        gateway: &Gateway,
        reader: UserId,
        entries: &[InboxEntry],
        start: &Start,
    ) -> Result<Vec<StoredMarks>, MissedError> {
        let (after, most) = match start {
            // Of before the stream lost its end: what took its place is at the same positions.
            Start::From { receipts, .. } if *receipts > gateway.router.receipts() => {
                (Seq::ZERO, LOOKED_AT_MAX)
            }
            Start::From { receipts, .. } => (*receipts, LOOKED_AT_MAX),
            Start::Nothing | Start::Reset => (Seq::ZERO, FIRST_LOAD),
        };
        let after = Seq(after.0.saturating_sub(READ_AGAIN));
        self.told_after(gateway, reader, entries, after, most).await
    }

    /// What was told after `after` in these conversations of a user, of as many as are looked at.
    ///
    /// # Errors
    /// [`MissedError`]
    pub(crate) async fn told_since(
        &self,
        gateway: &Gateway,
        reader: UserId,
        entries: &[InboxEntry],
        after: Seq,
    ) -> Result<Vec<StoredMarks>, MissedError> {
        self.told_after(gateway, reader, entries, after, LOOKED_AT_MAX).await
    }

    async fn told_after(
        &self,
        gateway: &Gateway,
        reader: UserId,
        entries: &[InboxEntry],
        after: Seq,
        most: usize,
    ) -> Result<Vec<StoredMarks>, MissedError> {
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
        let changed = stream.changed(reader, &told, after).await?;
        let mut missed = changed.marks;
        for conversation in changed.crowded {
            let members = gateway.groups.members(conversation).await?;
            let members: Vec<UserId> = members.into_iter().map(|(user, _)| user).collect();
            missed.extend(stream.changed_of(reader, conversation, &members, after).await?);
        }
        let own = stream.of_user(reader, wide.iter().map(|entry| entry.conversation)).await?;
        missed.extend(own.into_values().filter(|stored| stored.seq > after));
        let epoch = gateway.router.epoch();
        let views: HashMap<_, _> =
            entries.iter().map(|entry| (entry.conversation, entry.member.view_from)).collect();
        missed.retain(|StoredMarks { key, marks, .. }| {
            // Of who left before this reader came there is nothing to know.
            let is_seen = |from: &Seq| key.user == reader || marks.delivered.seq >= *from;
            let group = gateway.groups.known(key.conversation);
            let is_over = key.user != reader
                && group
                    .is_some_and(|group| is_of_a_membership_that_is_over(&group, key.user, marks));
            marks.epoch == epoch && !is_over && views.get(&key.conversation).is_some_and(is_seen)
        });
        Ok(missed)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Recent>> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who has left tells nothing more, and who was added again nothing from before.
fn is_of_a_membership_that_is_over(group: &Group, user: UserId, marks: &Marks) -> bool {
    group.member(user).is_none_or(|member| marks.delivered.seq < member.joined)
}

/// What was missed, as `reader` is told of it.
pub(crate) fn as_told(reader: UserId, missed: &[StoredMarks]) -> Vec<Told> {
    missed.iter().filter_map(|stored| Told::to(reader, stored)).collect()
}

#[cfg(test)]
mod tests {
    use hansard_model::receipt::Mark;
    use hansard_model::{GroupId, LogTime};

    use super::*;

    fn key() -> (ConversationId, UserId) {
        let group = ConversationId::Group(GroupId::from_entropy([1; 20]));
        (group, UserId::from_entropy([2; 20]))
    }

    fn said(delivered: u64, read: u64, wide: bool) -> Marks {
        let mark = |seq| Some(Mark { seq: Seq(seq), n: seq, ts: LogTime::default() });
        Marks::said(1, mark(delivered), mark(read), false, wide)
    }

    #[test]
    fn marks_of_a_membership_that_is_over_are_none() {
        let (owner, member) = (UserId::from_entropy([1; 20]), key().1);
        let mut group = Group::default();
        let mut apply = |seq: u64, event: String| {
            let draft = hansard_model::draft::Draft::parse(&event).expect("valid");
            let id = hansard_model::MessageId::new(1, [0; 10]);
            let device = hansard_model::DeviceId::from_entropy([1; 20]);
            let stored = hansard_model::envelope::encode(id, owner, device, &draft);
            let envelope =
                hansard_model::envelope::Envelope::decode(stored.as_bytes()).expect("an event");
            group.apply(Seq(seq), envelope.sender, &envelope.event);
            [3, 9].map(|at| is_of_a_membership_that_is_over(&group, member, &said(at, 0, false)))
        };
        let created = format!(r#"{{"kind":"create","title":"x","members":["{member}"]}}"#);
        let change = |op| format!(r#"{{"kind":"member","op":"{op}","user":"{member}"}}"#);
        assert_eq!(apply(1, created), [false, false]);
        assert_eq!(apply(5, change("remove")), [true, true]);
        assert_eq!(apply(7, change("add")), [true, false]);
    }

    #[test]
    fn a_group_that_has_become_small_is_told_again() {
        let mut before = Before::new();
        let wide = said(5, 5, true);
        assert_eq!(before.take(key(), wide, 1), Taken::Tell { marks: wide, has_read: true });
        let small = said(6, 5, false);
        assert_eq!(before.take(key(), small, 1), Taken::Tell { marks: small, has_read: false });
        let grown = said(7, 5, true);
        assert_eq!(before.take(key(), grown, 1), Taken::Tell { marks: grown, has_read: false });
    }

    #[test]
    fn what_is_raised_again_after_a_loss_is_told_again_and_nothing_goes_back() {
        let mut before = Before::new();
        let marks = said(5, 4, false);
        assert_eq!(before.take(key(), marks, 1), Taken::Tell { marks, has_read: true });
        assert_eq!(before.take(key(), marks, 1), Taken::Told);
        before.interrupted();
        let again = Taken::Tell { marks, has_read: false };
        assert_eq!(before.take(key(), said(3, 3, false), 1), again, "with what was told before");
        assert_eq!(before.take(key(), marks, 1), Taken::Told, "once");
        assert_eq!(before.take(key(), said(9, 9, false), 2), Taken::Told, "of another log");
    }
}

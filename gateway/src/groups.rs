//! The groups that this gateway vouches for: folded meta state, held under a lease.
//!
//! The data's way: [`Groups::vouch`] finds the group's entry, compares its fold with the leader
//! when that was longer than a second ago, and hands out a [`Vouch`]: the state, the log time until
//! which it may be relied on, and a token that says "something checked against this state is on its
//! way". A removal is complete here when the state is newer and all tokens of older states are
//! back ([`Groups::settle`]).

mod entry;
mod fold;
mod in_flight;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hansard_model::group::Membership;
use hansard_model::{ConversationId, Group, LogTime, Seq, UserId, limit};
use hansard_nats::live::LiveEvent;
use hansard_nats::log::{NotSynchronized, ReadError};
use hansard_nats::registry::REGISTRATION_TTL;

use self::entry::Entry;
pub(crate) use self::in_flight::InFlight;
use crate::past::{Past, PastError};

/// Groups in memory; beyond, those that nobody uses are forgotten.
const GROUPS_MAX: usize = 50_000;
/// A group that was not used for this long may be forgotten.
const IDLE: Duration = Duration::from_secs(60);
/// Without a confirmed registration for this long the gateway vouches for no group: its entry in
/// the registry could end before its vouches do.
const REGISTRATION_TRUSTED_FOR: Duration = Duration::from_millis(
    REGISTRATION_TTL.as_millis() as u64 - limit::MEMBERSHIP_LEASE_MS - 2 * limit::LOG_TIME_ERROR_MS,
);

/// Why a group's state cannot be relied on now. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum GroupsError {
    /// The leader does not answer.
    #[error("the group's state cannot be compared with the log")]
    Unavailable(#[from] ReadError),
    /// The owner that knows what the stream has lost does not answer.
    #[error("the beginning of the group cannot be read")]
    Past(#[from] PastError),
    /// Log time is not known.
    #[error(transparent)]
    Clock(#[from] NotSynchronized),
    /// The registry does not know this gateway.
    #[error("the gateway is not registered")]
    Unregistered,
    /// The log does not hold a meta event that is known to exist.
    #[error("the log is behind what is known of the group")]
    Behind,
    /// A meta event cannot be read: nobody vouches for what they do not understand.
    #[error("a meta event of the group at {0} cannot be read")]
    Undecodable(Seq),
}

/// A group's state and how far it may be relied on.
pub(crate) struct Vouch {
    /// The state.
    pub(crate) group: Arc<Group>,
    /// Log time until which events checked against it are valid.
    pub(crate) until: LogTime,
    /// The last meta event that the stream shows: what an append is guarded by.
    pub(crate) guard: Seq,
    /// To be kept until the event is known to be stored, or can no longer be valid.
    pub(crate) in_flight: InFlight,
}

/// The groups in memory.
#[derive(Default)]
struct Entries {
    by_group: HashMap<ConversationId, Arc<Entry>>,
    /// How many there may be before those nobody uses are looked for again: a look costs time in
    /// proportion, so there is not one for every call.
    look_at: usize,
}

impl Entries {
    fn of(&mut self, group: ConversationId) -> Arc<Entry> {
        if self.by_group.len() >= self.look_at.max(GROUPS_MAX) {
            // An entry somebody holds has something in flight, or is about to.
            self.by_group.retain(|_, entry| {
                Arc::strong_count(entry) > 1 || (entry.exists() && !entry.is_idle(IDLE))
            });
            self.look_at = self.by_group.len().saturating_mul(2);
        }
        Arc::clone(self.by_group.entry(group).or_default())
    }
}

/// All groups of this gateway; clones share them.
#[derive(Clone)]
pub(crate) struct Groups {
    past: Past,
    entries: Arc<Mutex<Entries>>,
    registered: Arc<Mutex<Option<Instant>>>,
}

impl Groups {
    pub(crate) fn new(past: Past) -> Self {
        Self { past, entries: Arc::default(), registered: Arc::default() }
    }

    /// The group's state, no older than the lease allows.
    ///
    /// # Errors
    /// [`GroupsError`]
    pub(crate) async fn vouch(&self, group: ConversationId) -> Result<Vouch, GroupsError> {
        self.vouch_since(group, Duration::from_millis(limit::MEMBERSHIP_COMPARE_AFTER_MS)).await
    }

    /// The group's state, compared with the leader after this call began: before refusing
    /// somebody, and before appending a meta event.
    ///
    /// # Errors
    /// [`GroupsError`]
    pub(crate) async fn vouch_freshly(&self, group: ConversationId) -> Result<Vouch, GroupsError> {
        self.vouch_since(group, Duration::ZERO).await
    }

    async fn vouch_since(
        &self,
        group: ConversationId,
        age_max: Duration,
    ) -> Result<Vouch, GroupsError> {
        self.check_registration()?;
        let entry = self.entry(group);
        let (state, until) = entry.compared(&self.past, group, age_max).await?;
        // Again: the entry must outlive the vouch, and the comparison may have taken long.
        self.check_registration()?;
        Ok(Vouch {
            group: state.group,
            until,
            guard: state.guard,
            in_flight: InFlight::new(state.token, entry, until, self.past.log().clock().clone()),
        })
    }

    /// The lock under which this gateway appends meta events of a group, one at a time.
    pub(crate) fn entry(&self, group: ConversationId) -> Arc<Entry> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.of(group)
    }

    /// The membership of a user, compared with the leader within the lease; and at once before
    /// saying that there is none.
    ///
    /// # Errors
    /// [`GroupsError`]
    pub(crate) async fn membership(
        &self,
        group: ConversationId,
        user: UserId,
    ) -> Result<Option<Membership>, GroupsError> {
        if let Some(membership) = self.vouch(group).await?.group.member(user) {
            return Ok(Some(*membership));
        }
        Ok(self.vouch_freshly(group).await?.group.member(user).copied())
    }

    /// All members, sorted by user.
    ///
    /// # Errors
    /// [`GroupsError`]
    pub(crate) async fn members(
        &self,
        group: ConversationId,
    ) -> Result<Vec<(UserId, Membership)>, GroupsError> {
        let state = self.vouch(group).await?.group;
        let mut members: Vec<_> = state.members().map(|(user, member)| (user, *member)).collect();
        members.sort_unstable_by_key(|(user, _)| *user);
        Ok(members)
    }

    /// The group's state, if it is in memory and nothing later is known to exist. It is at least
    /// that of the last removal that was acknowledged.
    pub(crate) fn known(&self, group: ConversationId) -> Option<Arc<Group>> {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.by_group.get(&group)?.known()
    }

    /// Takes note of a live meta event: the next use compares again.
    pub(crate) fn observe(&self, live: &LiveEvent) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = entries.by_group.get(&live.conversation) {
            entry.observe(live.seq);
        }
    }

    /// Completes when nothing that this gateway checked against a state before `seq` can become
    /// valid any more: it relies on a newer state, and what was on its way has arrived or lapsed.
    ///
    /// # Errors
    /// [`GroupsError`] when the newer state cannot be read: wait out the lease.
    pub(crate) async fn settle(&self, group: ConversationId, seq: Seq) -> Result<(), GroupsError> {
        // An entry is made before its first comparison starts, so that one under way is found.
        let entry = self.entry(group);
        entry.require(seq);
        entry
            .compared(&self.past, group, Duration::from_millis(limit::MEMBERSHIP_COMPARE_AFTER_MS))
            .await?;
        entry.drained(seq).await;
        Ok(())
    }

    /// The log is another than it was (restored, cut off): everything is folded anew.
    pub(crate) fn forget(&self) {
        let entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        entries.by_group.values().for_each(|entry| entry.forget());
    }

    /// The registry has acknowledged this gateway's entry, asked at `asked`.
    pub(crate) fn registered(&self, asked: Instant) {
        *self.registered.lock().unwrap_or_else(PoisonError::into_inner) = Some(asked);
    }

    /// The entry is about to end: nothing is vouched for any more.
    pub(crate) fn unregistered(&self) {
        *self.registered.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    fn check_registration(&self) -> Result<(), GroupsError> {
        match *self.registered.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(at) if at.elapsed() < REGISTRATION_TRUSTED_FOR => Ok(()),
            Some(_) | None => Err(GroupsError::Unregistered),
        }
    }
}

//! One group: its fold, when it was compared, and what is in flight against which state of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hansard_model::{ConversationId, Group, LogTime, Seq, limit};
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::GroupsError;
use super::fold::{Fold, Joined};
use crate::past::Past;

/// How often a fold is begun anew in one comparison, because the stream is trimmed meanwhile.
const ROUNDS_MAX: usize = 4;

/// See the module.
#[derive(Default)]
pub(crate) struct Entry {
    state: Mutex<State>,
    /// One comparison at a time; those who wait share its result.
    comparing: tokio::sync::Mutex<()>,
    /// One meta append of this gateway at a time: more would only conflict.
    pub(crate) appending: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct State {
    fold: Fold,
    /// The last meta event that the leader showed, 0 for none: what an append is guarded by.
    guard: Seq,
    compared: Option<Compared>,
    /// Meta events that are known to exist: an older state is not to be relied on.
    required: Seq,
    /// What is in flight against the current state.
    current: TaskTracker,
    /// What is in flight against earlier states, with the last event of each.
    earlier: Vec<(Seq, TaskTracker)>,
    used: Option<Instant>,
}

#[derive(Clone, Copy)]
struct Compared {
    at: Instant,
    log_time: LogTime,
}

/// A state to rely on.
pub(super) struct Relied {
    pub(super) group: Arc<Group>,
    /// The last meta event that the stream shows.
    pub(super) guard: Seq,
    pub(super) token: TaskTrackerToken,
}

impl Entry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The state as compared with the leader at most `age_max` before this call, and the log time
    /// until which it may be relied on.
    pub(super) async fn compared(
        &self,
        past: &Past,
        group: ConversationId,
        age_max: Duration,
    ) -> Result<(Relied, LogTime), GroupsError> {
        let called = Instant::now();
        if let Some(relied) = self.rely(called, age_max) {
            return Ok(relied);
        }
        let _one = self.comparing.lock().await;
        // Another's comparison counts if it began after this call did, less what is allowed.
        if let Some(relied) = self.rely(called, age_max) {
            return Ok(relied);
        }
        self.compare(past, group).await?;
        self.rely(called, age_max).ok_or(GroupsError::Behind)
    }

    fn rely(&self, called: Instant, age_max: Duration) -> Option<(Relied, LogTime)> {
        let mut state = self.state();
        state.used = Some(called);
        let compared = state.compared?;
        let fresh = compared.at + age_max >= called && state.fold.covered() >= state.required;
        let until = compared.log_time.plus(Duration::from_millis(limit::MEMBERSHIP_LEASE_MS));
        fresh.then(|| {
            let (group, token) = (Arc::clone(&state.fold.group), state.current.token());
            (Relied { group, guard: state.guard, token }, until)
        })
    }

    /// Reads what the log has beyond the fold, and folds it.
    async fn compare(&self, past: &Past, group: ConversationId) -> Result<(), GroupsError> {
        // Both before the read: the state is as of a moment after them.
        let (at, log_time) = (Instant::now(), past.log().clock().now()?);
        let known = self.state().fold.clone();
        let to = past.log().last_meta_seq(group).await?;
        let fold =
            if known.is_whole(to) { known } else { catch_up(known, past, group, to).await? };
        let mut state = self.state();
        if fold.group.last() != state.fold.group.last() {
            state.supersede();
        }
        state.fold = fold;
        state.guard = to;
        state.compared = Some(Compared { at, log_time });
        Ok(())
    }

    /// The log is another than it was: nothing that was folded is relied on.
    pub(super) fn forget(&self) {
        let mut state = self.state();
        state.supersede();
        (state.fold, state.compared, state.required) = (Fold::default(), None, Seq::ZERO);
    }

    /// A meta event exists: states before it are not to be relied on.
    pub(crate) fn require(&self, seq: Seq) {
        let mut state = self.state();
        state.required = state.required.max(seq);
    }

    /// The fold, if it has everything that is known to exist.
    pub(super) fn known(&self) -> Option<Arc<Group>> {
        let state = self.state();
        let is_whole = state.compared.is_some() && state.fold.covered() >= state.required;
        is_whole.then(|| Arc::clone(&state.fold.group))
    }

    /// A live meta event has passed.
    pub(super) fn observe(&self, seq: Seq) {
        self.require(seq);
    }

    /// Completes when nothing is in flight against a state before `seq`.
    pub(super) async fn drained(&self, seq: Seq) {
        let earlier: Vec<TaskTracker> = {
            let state = self.state();
            let older = state.earlier.iter().filter(|(last, _)| *last < seq);
            older.map(|(_, tracker)| tracker.clone()).collect()
        };
        for tracker in earlier {
            tracker.wait().await;
        }
    }

    /// Whether there is such a group, as far as the fold says.
    pub(super) fn exists(&self) -> bool {
        self.state().fold.group.created().is_some()
    }

    /// Whether it was not used for `idle`.
    pub(super) fn is_idle(&self, idle: Duration) -> bool {
        self.state().used.is_none_or(|used| used.elapsed() > idle)
    }
}

impl State {
    /// What is in flight is against an earlier state from here on.
    fn supersede(&mut self) {
        let before = std::mem::replace(&mut self.current, TaskTracker::new());
        before.close();
        self.earlier.retain(|(_, tracker)| !tracker.is_empty());
        self.earlier.push((self.fold.group.last(), before));
    }
}

/// The fold with all that the log has of a group, of which the leader shows meta events up to `to`.
async fn catch_up(
    mut fold: Fold,
    past: &Past,
    group: ConversationId,
    to: Seq,
) -> Result<Fold, GroupsError> {
    let log = past.log();
    for _ in 0..ROUNDS_MAX {
        let (mut tail, mut reached) = (Vec::new(), fold.covered());
        while reached < to {
            let (records, page_end) = log.meta_events(group, reached, to).await?;
            tail.extend(records);
            reached = page_end;
        }
        let extent = past.extent(log.partition_of(group)).await?;
        fold = match fold.join(&tail, to, extent)? {
            Joined::Whole(fold) => return Ok(fold),
            Joined::Cut(min) => Fold::of_owner(past.group(group, min).await?),
            Joined::Shrunk => Fold::default(),
        };
    }
    Err(GroupsError::Behind)
}

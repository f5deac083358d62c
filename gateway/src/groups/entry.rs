//! One group: its fold, when it was compared, and what is in flight against which state of it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hansard_model::{ConversationId, Envelope, Group, LogTime, Seq, limit};
use hansard_nats::Log;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

use super::GroupsError;

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
    group: Arc<Group>,
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
        log: &Log,
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
        self.compare(log, group).await?;
        self.rely(called, age_max).ok_or(GroupsError::Behind)
    }

    fn rely(&self, called: Instant, age_max: Duration) -> Option<(Relied, LogTime)> {
        let mut state = self.state();
        state.used = Some(called);
        let compared = state.compared?;
        let fresh = compared.at + age_max >= called && state.group.last() >= state.required;
        let until = compared.log_time.plus(Duration::from_millis(limit::MEMBERSHIP_LEASE_MS));
        fresh.then(|| {
            (Relied { group: Arc::clone(&state.group), token: state.current.token() }, until)
        })
    }

    /// Reads what the leader has beyond the fold, and folds it.
    async fn compare(&self, log: &Log, group: ConversationId) -> Result<(), GroupsError> {
        // Both before the read: the state is as of a moment after them.
        let (at, log_time) = (Instant::now(), log.clock().now()?);
        let mut fold = Arc::clone(&self.state().group);
        let to = log.last_meta_seq(group).await?;
        while fold.last() < to {
            let (records, reached) = log.meta_events(group, fold.last(), to).await?;
            let folded = Arc::make_mut(&mut fold);
            for record in records.iter().filter(|record| !record.is_void()) {
                let envelope = Envelope::decode(&record.payload)
                    .map_err(|_| GroupsError::Undecodable(record.seq))?;
                folded.apply(record.seq, envelope.sender, &envelope.event);
            }
            folded.advance(reached);
        }
        let mut state = self.state();
        if fold.last() > state.group.last() {
            let before = std::mem::replace(&mut state.current, TaskTracker::new());
            before.close();
            let last = state.group.last();
            state.earlier.retain(|(_, tracker)| !tracker.is_empty());
            state.earlier.push((last, before));
            state.group = fold;
        }
        state.compared = Some(Compared { at, log_time });
        Ok(())
    }

    /// A meta event exists: states before it are not to be relied on.
    pub(crate) fn require(&self, seq: Seq) {
        let mut state = self.state();
        state.required = state.required.max(seq);
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
        self.state().group.created().is_some()
    }

    /// Whether it was not used for `idle`.
    pub(super) fn is_idle(&self, idle: Duration) -> bool {
        self.state().used.is_none_or(|used| used.elapsed() > idle)
    }
}

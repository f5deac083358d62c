//! How far the partitions of this process are: what readiness asks.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hansard_model::{PartitionCount, PartitionId, Seq};
use hansard_nats::ownership::Tenure;

/// A view of a running searcher; clones share it.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    partitions: Arc<OnceLock<Box<[Mutex<Cell>]>>>,
}

/// How far one partition is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionProgress {
    /// Which.
    pub partition: PartitionId,
    /// This process owns it, and holds the lease now.
    pub owned: bool,
    /// It has caught up with what was there when it became the owner, and answers.
    pub serving: bool,
    /// It stopped on a fault (see the log of the process) and is tried again later.
    pub stopped: bool,
    /// All up to here is searchable; as of the end of the ownership when not owned.
    pub searchable: Seq,
    /// A new start goes on from here.
    pub committed: Seq,
    /// The last event of the partition as last heard.
    pub last_known: Seq,
}

impl PartitionProgress {
    fn of_nobody(partition: PartitionId) -> Self {
        let zero = Seq::ZERO;
        let (owned, serving, stopped) = (false, false, false);
        let (searchable, committed, last_known) = (zero, zero, zero);
        Self { partition, owned, serving, stopped, searchable, committed, last_known }
    }

    /// How many events are known of and not searchable.
    pub fn lag(&self) -> u64 {
        self.last_known.0.saturating_sub(self.searchable.0)
    }
}

#[derive(Debug)]
struct Cell {
    now: PartitionProgress,
    /// Without it an owner is none: it may have been paused, or cut off.
    tenure: Option<Tenure>,
}

impl Cell {
    fn now(&self) -> PartitionProgress {
        let is_held = self.tenure.as_ref().is_some_and(Tenure::is_held);
        let PartitionProgress { owned, serving, .. } = self.now;
        PartitionProgress { owned: owned && is_held, serving: serving && is_held, ..self.now }
    }
}

impl Progress {
    /// A view of nothing yet: give it to [`crate::Config`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Every partition, in order; empty until the searcher knows how many there are.
    pub fn partitions(&self) -> Vec<PartitionProgress> {
        let cells = self.partitions.get().map_or(&[][..], |cells| cells);
        cells.iter().map(|cell| cell.lock().unwrap_or_else(PoisonError::into_inner).now()).collect()
    }

    /// Whether this process owns every partition and answers for each.
    pub fn serves_all(&self) -> bool {
        let partitions = self.partitions();
        !partitions.is_empty() && partitions.iter().all(|partition| partition.serving)
    }

    pub(crate) fn begin(&self, count: PartitionCount) {
        let cell = |partition| {
            Mutex::new(Cell { now: PartitionProgress::of_nobody(partition), tenure: None })
        };
        self.partitions.get_or_init(|| count.partitions().map(cell).collect());
    }

    fn update(&self, partition: PartitionId, change: impl FnOnce(&mut Cell)) {
        if let Some(cell) = self.partitions.get().and_then(|cells| cells.get(partition.index())) {
            change(&mut cell.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// A partition is owned under this lease from now on.
    pub(crate) fn owned(&self, partition: PartitionId, tenure: &Tenure) {
        self.update(partition, |cell| {
            cell.tenure = Some(tenure.clone());
            (cell.now.owned, cell.now.stopped) = (true, false);
        });
    }

    pub(crate) fn report(&self, now: PartitionProgress) {
        self.update(now.partition, |cell| cell.now = now);
    }

    /// Notes that a partition is no longer owned, and whether a fault ended that.
    pub(crate) fn ended(&self, partition: PartitionId, stopped: bool) {
        self.update(partition, |cell| {
            (cell.now.owned, cell.now.serving, cell.now.stopped) = (false, false, stopped);
        });
    }
}

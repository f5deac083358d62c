//! How far the partitions of this process are: what readiness asks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hansard_model::{PartitionCount, PartitionId, Seq};
use hansard_nats::ownership::Tenure;

/// A view of a running projector; clones share it, reading it is a few loads per partition.
#[derive(Clone, Debug, Default)]
pub struct Progress {
    partitions: Arc<OnceLock<Box<[Cell]>>>,
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
    /// It stopped on a fault of the log (see the log of the process) and is tried again later.
    pub stopped: bool,
    /// All up to here is applied; as of the end of the ownership when not owned.
    pub applied: Seq,
    /// The rows survive the owner's death up to here.
    pub flushed: Seq,
    /// The last event of the partition as last heard.
    pub last_known: Seq,
    /// Valid events that could not be read, ever.
    pub parked: u64,
    /// Entries of the inbox bucket waiting to be written.
    pub stale: u64,
}

impl PartitionProgress {
    /// How many events are known of and not applied.
    pub fn lag(&self) -> u64 {
        self.last_known.0.saturating_sub(self.applied.0)
    }

    /// How many applied events the next owner would read from the log again.
    pub fn unflushed(&self) -> u64 {
        self.applied.0.saturating_sub(self.flushed.0)
    }
}

#[derive(Debug, Default)]
struct Cell {
    owned: AtomicBool,
    serving: AtomicBool,
    stopped: AtomicBool,
    applied: AtomicU64,
    flushed: AtomicU64,
    last_known: AtomicU64,
    parked: AtomicU64,
    stale: AtomicU64,
    /// Without it an owner is none: it may have been paused, or cut off.
    tenure: Mutex<Option<Tenure>>,
}

impl Cell {
    fn is_held(&self) -> bool {
        let tenure = self.tenure.lock().unwrap_or_else(PoisonError::into_inner);
        tenure.as_ref().is_some_and(Tenure::is_held)
    }

    fn is_serving(&self) -> bool {
        self.serving.load(Relaxed) && self.is_held()
    }
}

impl Progress {
    /// A view of nothing yet: give it to [`crate::Config`].
    pub fn new() -> Self {
        Self::default()
    }

    /// Every partition, in order; empty until the projector knows how many there are.
    pub fn partitions(&self) -> Vec<PartitionProgress> {
        let cells = self.partitions.get().map_or(&[][..], |cells| cells);
        let of = |(index, cell): (usize, &Cell)| PartitionProgress {
            partition: PartitionId(index as u16),
            owned: cell.owned.load(Relaxed) && cell.is_held(),
            serving: cell.is_serving(),
            stopped: cell.stopped.load(Relaxed),
            applied: Seq(cell.applied.load(Relaxed)),
            flushed: Seq(cell.flushed.load(Relaxed)),
            last_known: Seq(cell.last_known.load(Relaxed)),
            parked: cell.parked.load(Relaxed),
            stale: cell.stale.load(Relaxed),
        };
        cells.iter().enumerate().map(of).collect()
    }

    /// Whether this process owns every partition and answers for each: ready, when it is alone.
    pub fn serves_all(&self) -> bool {
        self.partitions.get().is_some_and(|cells| cells.iter().all(Cell::is_serving))
    }

    pub(crate) fn begin(&self, count: PartitionCount) {
        self.partitions.get_or_init(|| count.partitions().map(|_| Cell::default()).collect());
    }

    fn cell(&self, partition: PartitionId) -> Option<&Cell> {
        self.partitions.get()?.get(partition.index())
    }

    /// A partition is owned under this lease from now on.
    pub(crate) fn owned(&self, partition: PartitionId, tenure: &Tenure) {
        if let Some(cell) = self.cell(partition) {
            *cell.tenure.lock().unwrap_or_else(PoisonError::into_inner) = Some(tenure.clone());
        }
    }

    pub(crate) fn report(&self, now: PartitionProgress) {
        if let Some(cell) = self.cell(now.partition) {
            cell.owned.store(now.owned, Relaxed);
            cell.serving.store(now.serving, Relaxed);
            cell.stopped.store(now.stopped, Relaxed);
            cell.applied.store(now.applied.0, Relaxed);
            cell.flushed.store(now.flushed.0, Relaxed);
            cell.last_known.store(now.last_known.0, Relaxed);
            cell.parked.store(now.parked, Relaxed);
            cell.stale.store(now.stale, Relaxed);
        }
    }

    /// Notes that a partition is no longer owned, and whether a fault of the log ended that.
    pub(crate) fn ended(&self, partition: PartitionId, stopped: bool) {
        if let Some(cell) = self.cell(partition) {
            cell.owned.store(false, Relaxed);
            cell.serving.store(false, Relaxed);
            cell.stopped.store(stopped, Relaxed);
        }
    }
}

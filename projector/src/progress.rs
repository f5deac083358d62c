//! How far the partitions of this process are: what readiness asks.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hansard_model::{PartitionCount, PartitionId, Seq};

use crate::parked::ParkedEvent;

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
    /// This process owns it (or did, until it last heard of its lease).
    pub owned: bool,
    /// It has caught up with what was there when it became the owner, and answers.
    pub serving: bool,
    /// It stopped on a fault of the log (see the log of the process) and is tried again later.
    pub stopped: bool,
    /// All up to here is applied; as of the end of the ownership when not owned.
    pub applied: Seq,
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
}

#[derive(Debug, Default)]
struct Cell {
    owned: AtomicBool,
    serving: AtomicBool,
    stopped: AtomicBool,
    applied: AtomicU64,
    last_known: AtomicU64,
    parked: AtomicU64,
    stale: AtomicU64,
    parked_events: Mutex<Vec<ParkedEvent>>,
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
            owned: cell.owned.load(Relaxed),
            serving: cell.serving.load(Relaxed),
            stopped: cell.stopped.load(Relaxed),
            applied: Seq(cell.applied.load(Relaxed)),
            last_known: Seq(cell.last_known.load(Relaxed)),
            parked: cell.parked.load(Relaxed),
            stale: cell.stale.load(Relaxed),
        };
        cells.iter().enumerate().map(of).collect()
    }

    /// The newest parked events of a partition that this process owns, ascending.
    pub fn parked_events(&self, partition: PartitionId) -> Vec<ParkedEvent> {
        self.cell(partition).map_or_else(Vec::new, |cell| {
            cell.parked_events.lock().unwrap_or_else(PoisonError::into_inner).clone()
        })
    }

    /// Whether this process owns every partition and answers for each: ready, when it is alone.
    pub fn serves_all(&self) -> bool {
        self.partitions
            .get()
            .is_some_and(|cells| cells.iter().all(|cell| cell.serving.load(Relaxed)))
    }

    pub(crate) fn begin(&self, count: PartitionCount) {
        self.partitions.get_or_init(|| count.partitions().map(|_| Cell::default()).collect());
    }

    fn cell(&self, partition: PartitionId) -> Option<&Cell> {
        self.partitions.get()?.get(partition.index())
    }

    pub(crate) fn report(&self, now: PartitionProgress) {
        if let Some(cell) = self.cell(now.partition) {
            cell.owned.store(now.owned, Relaxed);
            cell.serving.store(now.serving, Relaxed);
            cell.stopped.store(now.stopped, Relaxed);
            cell.applied.store(now.applied.0, Relaxed);
            cell.last_known.store(now.last_known.0, Relaxed);
            cell.parked.store(now.parked, Relaxed);
            cell.stale.store(now.stale, Relaxed);
        }
    }

    /// Shows the parked events of a partition in place of those shown before.
    pub(crate) fn show_parked<'a>(
        &self,
        partition: PartitionId,
        events: impl Iterator<Item = &'a ParkedEvent>,
    ) {
        if let Some(cell) = self.cell(partition) {
            let shown = events.copied().collect();
            *cell.parked_events.lock().unwrap_or_else(PoisonError::into_inner) = shown;
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

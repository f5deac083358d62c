//! How far the partitions are that this process reads.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use hansard_model::{PartitionId, Seq};

use crate::metrics;

/// Where the owned partitions of a process stand; clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Standing {
    partitions: Arc<Mutex<BTreeMap<PartitionId, Reached>>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Reached {
    /// Everything up to here is in the records; `None`: nothing was read yet.
    seq: Option<Seq>,
    /// The last event of the partition as last heard.
    last_known: Seq,
}

impl Standing {
    /// A partition is owned from now on.
    pub(super) fn owns(&self, partition: PartitionId) {
        self.change(|partitions| {
            partitions.insert(partition, Reached::default());
        });
    }

    /// It is owned no longer.
    pub(super) fn left(&self, partition: PartitionId) {
        self.change(|partitions| {
            partitions.remove(&partition);
        });
    }

    /// A partition is read up to here.
    pub(super) fn reached(&self, partition: PartitionId, seq: Seq, last_known: Seq) {
        self.change(|partitions| {
            if let Some(reached) = partitions.get_mut(&partition) {
                *reached = Reached { seq: Some(seq), last_known };
            }
        });
    }

    /// Whether every owned partition is being read.
    pub(super) fn is_settled(&self) -> bool {
        let partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        partitions.values().all(|reached| reached.seq.is_some())
    }

    /// Tells it as metrics.
    pub(super) fn tell(&self) {
        let partitions = self.partitions.lock().unwrap_or_else(PoisonError::into_inner);
        let lag = |reached: &Reached| {
            reached.last_known.0.saturating_sub(reached.seq.map_or(0, |seq| seq.0))
        };
        metrics::following(partitions.len(), partitions.values().map(lag).sum());
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<PartitionId, Reached>)) {
        change(&mut self.partitions.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

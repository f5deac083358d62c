//! Which partitions this process owns, whatever it does with them.
//!
//! Each partition has one owner of a kind, the holder of its lease. A process takes free partitions
//! one at a time with a short random pause between them, so that processes that start together get
//! about equal shares, and looks for free ones again every second, so that the partitions of one
//! that died are shared by those that are left. It does not rebalance: a process that joins a
//! deployment where everything is owned stands by until a lease ends. Nobody starves: a partition
//! is always owned by somebody who is alive, or taken within [`LEASE_TTL`] and about two seconds.
//!
//! [`LEASE_TTL`]: crate::lease::LEASE_TTL

mod tenure;

use std::collections::{HashMap, HashSet};
use std::fmt::Display;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use hansard_model::{PartitionCount, PartitionId};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use self::tenure::Tenure;
use crate::lease::{Lease, Leases};

/// How often free partitions are looked for, about.
const LOOK_EVERY: Duration = Duration::from_millis(1_000);
/// Between two partitions, at most.
const PAUSE_MAX: Duration = Duration::from_millis(20);
/// How long a partition that stopped on a fault is left alone; doubled each time.
const FAULT_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest it is left alone.
const FAULT_PAUSE_MAX: Duration = Duration::from_secs(30);

/// A kind of owners: what is done with a partition while it is owned.
pub trait Owners: Clone + Send + Sync + 'static {
    /// Why an owner stops by itself.
    type Stop: Display + Send + 'static;

    /// What the names of the leases begin with.
    const LEASES: &'static str;

    /// Holds a partition until `ending` or the end of the tenure.
    fn own(
        self,
        partition: PartitionId,
        tenure: Tenure,
        ending: CancellationToken,
    ) -> impl Future<Output = Result<(), Self::Stop>> + Send;

    /// A partition is no longer owned; `stopped` by a fault, after which it is left alone for a
    /// while.
    fn ended(&self, partition: PartitionId, stopped: bool);

    /// Free partitions were looked for: about once in a second.
    fn looked(&self);
}

/// The partitions of a process.
pub struct Ownership<O: Owners> {
    owning: O,
    leases: Leases,
    holder: String,
    partitions: PartitionCount,
    owners: JoinSet<Result<(), O::Stop>>,
    owned: HashMap<Id, PartitionId>,
    faults: HashMap<PartitionId, Fault>,
    jitter: Jitter,
}

/// A partition that stopped by itself.
#[derive(Clone, Copy)]
struct Fault {
    pause: Duration,
    until: Instant,
}

impl<O: Owners> Ownership<O> {
    /// Of nothing yet. `holder` is unique among all processes that run now; one that is started
    /// again under the same name takes its partitions at once.
    pub fn new(owning: O, leases: Leases, holder: String, partitions: PartitionCount) -> Self {
        Self {
            owning,
            leases,
            holder,
            partitions,
            owners: JoinSet::new(),
            owned: HashMap::new(),
            faults: HashMap::new(),
            jitter: Jitter::default(),
        }
    }

    /// Takes and holds partitions until `shutdown`, then gives them back.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            self.take_free(&shutdown).await;
            self.owning.looked();
            let pause = self.jitter.around(LOOK_EVERY);
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                Some(ended) = self.owners.join_next_with_id() => self.settle(ended),
                () = shutdown.cancelled() => {}
            }
        }
        while let Some(ended) = self.owners.join_next_with_id().await {
            self.settle(ended);
        }
    }

    async fn take_free(&mut self, shutdown: &CancellationToken) {
        let owned: HashSet<PartitionId> = self.owned.values().copied().collect();
        let count = self.partitions.get();
        let first = self.jitter.below(u64::from(count)) as u16;
        for offset in 0..count {
            let partition = PartitionId((first + offset) % count);
            let is_left_alone =
                self.faults.get(&partition).is_some_and(|fault| Instant::now() < fault.until);
            if owned.contains(&partition) || is_left_alone || shutdown.is_cancelled() {
                continue;
            }
            let asked = Instant::now();
            match self.leases.acquire(&key::<O>(partition), &self.holder).await {
                Ok(Some(lease)) => {
                    self.own(partition, lease, asked, shutdown);
                    let micros = self.jitter.below(PAUSE_MAX.as_micros() as u64);
                    tokio::time::sleep(Duration::from_micros(micros)).await;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, %partition, "leases");
                    return;
                }
            }
        }
    }

    fn own(
        &mut self,
        partition: PartitionId,
        lease: Lease,
        since: Instant,
        shutdown: &CancellationToken,
    ) {
        let (tenure, keeper) =
            Tenure::begin(self.leases.clone(), key::<O>(partition), lease, since);
        let (owning, ending) = (self.owning.clone(), shutdown.clone());
        let holder = self.holder.clone();
        let owner = self.owners.spawn(async move {
            let ended = CancellationToken::new();
            // Ends with this task also when that is cut off: nothing may renew without an owner.
            let keeping = AbortOnDropHandle::new(tokio::spawn(keeper.keep(holder, ended.clone())));
            let outcome = owning.own(partition, tenure, ending).await;
            ended.cancel();
            // The keeper gives the lease back; without it the lease ends by itself.
            let _ = keeping.await;
            outcome
        });
        self.owned.insert(owner.id(), partition);
    }

    fn settle(&mut self, ended: Result<(Id, Result<(), O::Stop>), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome.map_err(|reason| reason.to_string())),
            Err(panic) => (panic.id(), Err(panic.to_string())),
        };
        let Some(partition) = self.owned.remove(&id) else { return };
        self.owning.ended(partition, outcome.is_err());
        match outcome {
            Ok(()) => {
                self.faults.remove(&partition);
                tracing::info!(%partition, of = O::LEASES, "no longer the owner");
            }
            Err(reason) => {
                let pause = self
                    .faults
                    .get(&partition)
                    .map_or(FAULT_PAUSE_MIN, |fault| (fault.pause * 2).min(FAULT_PAUSE_MAX));
                self.faults.insert(partition, Fault { pause, until: Instant::now() + pause });
                tracing::error!(
                    %partition,
                    of = O::LEASES,
                    reason,
                    retry_s = pause.as_secs(),
                    "partition stopped"
                );
            }
        }
    }
}

fn key<O: Owners>(partition: PartitionId) -> String {
    format!("{}.{partition}", O::LEASES)
}

/// Spreads what several processes would do at the same moment. Nothing depends on its quality.
#[derive(Default)]
struct Jitter {
    keys: RandomState,
    drawn: u64,
}

impl Jitter {
    fn below(&mut self, limit: u64) -> u64 {
        self.drawn += 1;
        self.keys.hash_one(self.drawn) % limit.max(1)
    }

    /// Three to five quarters of a duration.
    fn around(&mut self, duration: Duration) -> Duration {
        let half = duration / 2;
        duration * 3 / 4 + Duration::from_micros(self.below(half.as_micros() as u64))
    }
}

//! Which partitions this process owns, whatever it does with them.
//!
//! Each partition has one owner of a kind, the holder of its lease. About every second a process
//! looks at all leases of its kind and
//!
//! 1. takes free partitions up to its share, one at a time with a short random pause between
//!    them, so that those who start together get about equal shares; what is still free at the
//!    next look it takes whatever it has;
//! 2. says that it wants one, if somebody owns at least two more and it serves all that it owns;
//! 3. gives one back, if it owns the most, nothing is free, and somebody who wants one owns at
//!    least two fewer. Its owner finishes as at a shutdown, so that the next one begins at once.
//!
//! So the partitions of a process that died are shared by those that are left, and one that joins
//! gets its share, a partition at a time. Nobody starves: a partition is always owned by somebody
//! who is alive, or taken within [`LEASE_TTL`] and two looks. A process whose partitions stopped on
//! a fault wants nothing for a while.
//!
//! [`LEASE_TTL`]: crate::lease::LEASE_TTL

mod shares;
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

use self::shares::Shares;
pub use self::tenure::Tenure;
use crate::direct::ReadError;
use crate::lease::{Lease, Leases};

/// How often free partitions are looked for, about.
const LOOK_EVERY: Duration = Duration::from_millis(1_000);
/// Between two partitions, at most.
const PAUSE_MAX: Duration = Duration::from_millis(20);
/// How long a partition that stopped on a fault is left alone; doubled each time.
const FAULT_PAUSE_MIN: Duration = Duration::from_secs(1);
/// The longest it is left alone.
const FAULT_PAUSE_MAX: Duration = Duration::from_secs(30);
/// A partition that was given back is left to others for so long.
const GIFT_LEFT_ALONE: Duration = Duration::from_secs(3);
/// The next one is given back only after somebody has the last, or after so long.
const GIFT_PAUSE: Duration = Duration::from_secs(30);

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

    /// Whether each partition that this process owns does what it is owned for.
    fn is_settled(&self) -> bool;

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
    owned: HashMap<Id, Owned>,
    faults: HashMap<PartitionId, Fault>,
    /// At the last look, and not taken then.
    seen_free: HashSet<PartitionId>,
    /// The last partition that was given back, and when.
    gift: Option<(PartitionId, Instant)>,
    /// Others may think that it wants a partition.
    is_announced: bool,
    jitter: Jitter,
}

/// A partition that is owned.
struct Owned {
    partition: PartitionId,
    /// Of its owner alone.
    ending: CancellationToken,
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
            seen_free: HashSet::new(),
            gift: None,
            is_announced: false,
            jitter: Jitter::default(),
        }
    }

    /// Takes and holds partitions until `shutdown`, then gives them back.
    pub async fn run(mut self, shutdown: CancellationToken) {
        while !shutdown.is_cancelled() {
            if let Err(error) = self.look(&shutdown).await {
                tracing::debug!(%error, of = O::LEASES, "leases");
            }
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

    async fn look(&mut self, shutdown: &CancellationToken) -> Result<(), ReadError> {
        let leases = self.leases.holders(O::LEASES).await?;
        let wanting = self.leases.holders(&wanting_prefix::<O>()).await?;
        let shares = Shares::new(&self.holder, self.partitions, &leases, &wanting);
        self.take_free(&shares, shutdown).await?;
        let is_well = self.is_well() && !shutdown.is_cancelled();
        if is_well && shares.is_mine_too_large() && self.may_give(&shares) {
            self.give();
        }
        self.say_whether_wanting(is_well && shares.is_mine_too_small()).await
    }

    async fn take_free(
        &mut self,
        shares: &Shares,
        shutdown: &CancellationToken,
    ) -> Result<(), ReadError> {
        let owned: HashSet<PartitionId> = self.owned.values().map(|one| one.partition).collect();
        let (count, mut owns) = (self.partitions.get(), owned.len());
        let seen_free = std::mem::take(&mut self.seen_free);
        let first = self.jitter.below(u64::from(count)) as u16;
        for offset in 0..count {
            let partition = PartitionId((first + offset) % count);
            let is_taken = owned.contains(&partition) || shares.is_of_another(partition);
            if is_taken || self.is_left_alone(partition) || shutdown.is_cancelled() {
                continue;
            }
            if owns >= shares.limit() && !seen_free.contains(&partition) {
                self.seen_free.insert(partition);
                continue;
            }
            let asked = Instant::now();
            if let Some(lease) = self.leases.acquire(&key::<O>(partition), &self.holder).await? {
                self.own(partition, lease, asked, shutdown);
                owns += 1;
                let micros = self.jitter.below(PAUSE_MAX.as_micros() as u64);
                tokio::time::sleep(Duration::from_micros(micros)).await;
            }
        }
        Ok(())
    }

    fn is_left_alone(&self, partition: PartitionId) -> bool {
        let is_faulty =
            self.faults.get(&partition).is_some_and(|fault| Instant::now() < fault.until);
        let is_given =
            self.gift.is_some_and(|(gift, at)| gift == partition && at.elapsed() < GIFT_LEFT_ALONE);
        is_faulty || is_given
    }

    /// What it would be given it would also serve, as far as can be told.
    fn is_well(&self) -> bool {
        let is_over = |fault: &Fault| fault.until + FAULT_PAUSE_MAX < Instant::now();
        self.faults.values().all(is_over) && self.owning.is_settled()
    }

    fn may_give(&self, shares: &Shares) -> bool {
        self.gift.is_none_or(|(gift, at)| shares.is_of_another(gift) || at.elapsed() >= GIFT_PAUSE)
    }

    fn give(&mut self) {
        let place = self.jitter.below(self.owned.len() as u64) as usize;
        let Some(owned) = self.owned.values().nth(place) else { return };
        tracing::info!(partition = %owned.partition, of = O::LEASES, "given to one who has fewer");
        self.gift = Some((owned.partition, Instant::now()));
        owned.ending.cancel();
    }

    async fn say_whether_wanting(&mut self, is_wanting: bool) -> Result<(), ReadError> {
        let key = format!("{}.{}", wanting_prefix::<O>(), self.holder);
        if is_wanting {
            self.is_announced = true;
            self.leases.announce(&key, &self.holder).await?;
        } else if self.is_announced {
            self.leases.withdraw(&key).await?;
            self.is_announced = false;
        }
        Ok(())
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
        let (owning, ending) = (self.owning.clone(), shutdown.child_token());
        let owned = Owned { partition, ending: ending.clone() };
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
        self.owned.insert(owner.id(), owned);
    }

    fn settle(&mut self, ended: Result<(Id, Result<(), O::Stop>), JoinError>) {
        let (id, outcome) = match ended {
            Ok((id, outcome)) => (id, outcome.map_err(|reason| reason.to_string())),
            Err(panic) => (panic.id(), Err(panic.to_string())),
        };
        let Some(Owned { partition, .. }) = self.owned.remove(&id) else { return };
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

/// Above it are the keys of those who want a partition.
fn wanting_prefix<O: Owners>() -> String {
    format!("{}.wanting", O::LEASES)
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

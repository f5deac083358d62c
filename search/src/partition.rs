//! The index of a partition as its owner holds it.
//!
//! The way of an event: `source` reads it, the indexer folds it into documents that wait, and a
//! commit makes them searchable. One step of the indexer runs at a time, beside the loop, so that
//! questions are taken meanwhile. `desk` answers them, each from the view of the last commit.

mod begin;
mod desk;
mod rebuild;
mod source;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hansard_archive::{Archive, FollowError};
use hansard_model::{PartitionId, Seq};
use hansard_nats::deployment::{SearchView, Versioned, raise_epoch};
use hansard_nats::log::ReadError;
use hansard_nats::ownership::{Owners, Tenure};
use hansard_nats::search::{Asking, Questions};
use hansard_nats::{Connection, Log};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::desk::Desk;
use self::rebuild::Rebuilding;
use self::source::{Batch, Source};
use crate::index::{IndexError, SUSPECT};
use crate::indexer::Indexer;
use crate::metrics;
use crate::progress::{PartitionProgress, Progress};
use crate::query::Lexicon;
use crate::snapshot::{Snapshots, Staged};

/// Between two commits of a partition: what was said is searchable about so long after.
const COMMIT_EVERY: Duration = Duration::from_millis(1_000);
/// After a quiet time the first event waits so long for others.
const COMMIT_LINGER: Duration = Duration::from_millis(200);
/// Between two commits while somebody waits for what they have just said.
const COMMIT_AWAITED_EVERY: Duration = Duration::from_millis(50);
/// Events that wait for a commit at most.
const COMMIT_EVENTS: u64 = 10_000;
/// The same, while the index is brought to the end of the log: fewer, larger files are merged less.
const COMMIT_EVENTS_CATCHING_UP: u64 = 40_000;
/// Bytes of documents that wait for a commit at most, about.
const COMMIT_BYTES: usize = 16 * 1024 * 1024;
/// Where files of a snapshot are held.
const STAGING: &str = "snapshot";
/// Partitions whose snapshots are spread over the time between two of one.
const SNAPSHOT_PLACES: u32 = 16;
/// How often what waits is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(25);
/// Pause before a beginning owner asks again what did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long an owner that gives up its partition may commit what waits.
const FINISH_WITHIN: Duration = Duration::from_secs(3);

/// What the owners of one process share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) connection: Connection,
    pub(crate) log: Log,
    pub(crate) archive: Archive,
    pub(crate) snapshots: Snapshots,
    pub(crate) snapshot_every: Duration,
    /// Where the indexes are.
    pub(crate) directory: Arc<Path>,
    /// As last seen.
    pub(crate) epoch: watch::Receiver<u64>,
    pub(crate) catching_up: Arc<Semaphore>,
    pub(crate) committing: Arc<Semaphore>,
    pub(crate) searching: Arc<Semaphore>,
    pub(crate) lexicon: Arc<Lexicon>,
    pub(crate) progress: Progress,
}

impl Shared {
    /// Where files of a snapshot are held on their way to the object store.
    fn staging_of(&self, partition: PartitionId) -> PathBuf {
        self.directory.join(partition.to_string()).join(STAGING)
    }

    /// Where the index of a generation is.
    pub(crate) fn directory_of(&self, partition: PartitionId, generation: u64) -> PathBuf {
        self.directory.join(partition.to_string()).join(generation.to_string())
    }
}

/// Why an owner stopped by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StopReason {
    /// The log is not what it should be.
    #[error(transparent)]
    Log(#[from] FollowError),
    /// The index cannot be read or written.
    #[error(transparent)]
    Index(#[from] IndexError),
    /// A step of the indexer panicked, which the library does on files that are not what it wrote.
    #[error("the index was given up: {0}")]
    Panicked(String),
    /// The NATS client is closed.
    #[error("the connection is closed")]
    Closed,
}

impl Owners for Shared {
    type Stop = StopReason;

    const LEASES: &'static str = "search";

    async fn own(
        self,
        partition: PartitionId,
        tenure: Tenure,
        ending: CancellationToken,
    ) -> Result<(), StopReason> {
        Box::pin(own(self, partition, tenure, ending)).await
    }

    fn ended(&self, partition: PartitionId, stopped: bool) {
        metrics::tenure_ended(if stopped { "stopped" } else { "ended" });
        self.progress.ended(partition, stopped);
    }

    fn is_settled(&self) -> bool {
        self.progress.partitions().iter().all(|one| one.serving || !one.owned)
    }

    fn looked(&self) {
        metrics::standing(&self.progress.partitions());
    }
}

/// The owner of the index of a partition.
pub(crate) struct Owner {
    shared: Shared,
    partition: PartitionId,
    tenure: Tenure,
    /// Of the log that the index is made from.
    epoch: u64,
    /// Which generation counts.
    pointer: Versioned<SearchView>,
    directory: PathBuf,
    snapshot: Snapshot,
    rebuilding: Rebuilding,
    indexing: Indexing,
    /// How far it was after its last step: applied, and committed.
    standing: (Seq, Seq),
    /// Read, and not yet applied.
    ahead: Option<Batch>,
    desk: Desk,
    last_known: Seq,
    committed_at: Instant,
    /// When the first event came that is not committed.
    waiting_since: Option<Instant>,
    serving: bool,
}

/// The indexer, here or in a step.
enum Indexing {
    Idle(Box<Indexer>),
    Working(JoinHandle<(Box<Indexer>, Result<Step, IndexError>)>),
    /// A step took it along.
    Gone,
}

/// The next snapshot of a partition.
struct Snapshot {
    due: Instant,
    /// How far the last one is.
    covers: Arc<AtomicU64>,
    /// Ends with the owner.
    taking: Option<AbortOnDropHandle<()>>,
}

impl Snapshot {
    /// Partitions that begin together take theirs one after the other.
    fn first(partition: PartitionId, every: Duration) -> Self {
        let place = u32::from(partition.0) % SNAPSHOT_PLACES;
        let due = Instant::now() + every + every * place / SNAPSHOT_PLACES;
        // Whether there is one of this index is not known.
        Self { due, covers: Arc::default(), taking: None }
    }

    fn is_due(&self, committed: Seq) -> bool {
        let is_idle = self.taking.as_ref().is_none_or(AbortOnDropHandle::is_finished);
        is_idle && committed.0 > self.covers.load(Relaxed) && Instant::now() >= self.due
    }
}

/// What a step did.
#[derive(Debug)]
enum Step {
    Applied,
    Committed,
    Staged(Option<Staged>),
}

/// Holds a partition until `ending` or the end of the lease.
async fn own(
    shared: Shared,
    partition: PartitionId,
    tenure: Tenure,
    ending: CancellationToken,
) -> Result<(), StopReason> {
    let (began, lost) = (Instant::now(), tenure.lost());
    shared.progress.owned(partition, &tenure);
    let mut epoch = shared.epoch.clone();
    let begin = Owner::begin(shared, partition, tenure, &ending);
    let begun = tokio::select! {
        begun = begin => begun?,
        () = lost.cancelled() => return Ok(()),
    };
    let Some((mut owner, mut source, mut questions)) = begun else { return Ok(()) };
    let (of, took) = (owner.epoch, began.elapsed());
    tracing::info!(%partition, event.seq = owner.last_known.0, took_ms = took.as_millis(), "searching");
    let stopped = tokio::select! {
        stopped = owner.serve(&mut source, &mut questions, &ending) => stopped,
        () = lost.cancelled() => return Ok(()),
        // The next owner finds an index of an older epoch.
        _ = epoch.wait_for(|now| *now != of) => return Ok(()),
    };
    drop((questions, source));
    if let Err(StopReason::Index(_) | StopReason::Panicked(_)) = &stopped {
        owner.suspect();
    }
    match stopped {
        Ok(()) => {
            owner.finish().await;
            Ok(())
        }
        Err(StopReason::Log(error)) if error.is_truncated() => {
            // The next owner finds an index of an older epoch, and builds it anew.
            patiently(|| raise_epoch(&owner.shared.connection, owner.epoch)).await;
            Err(error.into())
        }
        Err(error) => Err(error),
    }
}

impl Owner {
    async fn serve(
        &mut self,
        source: &mut Source,
        questions: &mut Questions,
        ending: &CancellationToken,
    ) -> Result<(), StopReason> {
        let mut tick = tokio::time::interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.work_on(false);
            tokio::select! {
                done = self.indexing.done() => self.settle(done?),
                batch = source.next(), if self.ahead.is_none() => {
                    self.ahead = Some(batch.ok_or(StopReason::Closed)??);
                }
                asking = questions.next() => match asking.ok_or(StopReason::Closed)? {
                    Asking::Search(question) => self.desk.take(question),
                    Asking::Views(question) => self.answer_operator(question),
                },
                built = self.rebuilding.built() => self.switch(*built, source).await?,
                () = ending.cancelled() => return Ok(()),
                _ = tick.tick() => {
                    self.desk.expire();
                    self.report();
                }
            }
        }
    }

    /// Begins the next step of the indexer, if it is idle and there is one.
    fn work_on(&mut self, is_catching_up: bool) {
        let Indexing::Idle(indexer) = &self.indexing else { return };
        // Who wakes up after a pause finds out here, and not only when NATS says that it is over.
        if !is_catching_up && !self.tenure.is_held() {
            return;
        }
        if self.is_commit_due(indexer, is_catching_up) {
            self.commit_now();
        } else if let Some(batch) = self.ahead.take() {
            self.last_known = self.last_known.max(batch.last_known);
            self.waiting_since.get_or_insert_with(Instant::now);
            self.indexing
                .step(None, move |indexer| indexer.apply(&batch.records).map(|_| Step::Applied));
        } else if !is_catching_up && self.snapshot.is_due(indexer.committed()) {
            self.snapshot.due = Instant::now() + self.shared.snapshot_every;
            let staging = self.shared.staging_of(self.partition);
            self.indexing.step(None, move |indexer| {
                let staged = indexer.stage(&staging).unwrap_or_else(|error| {
                    // The index itself is none the worse for it.
                    tracing::warn!(%error, "no snapshot");
                    None
                });
                Ok(Step::Staged(staged))
            });
        }
    }

    /// Begins a commit; the indexer is idle.
    fn commit_now(&mut self) {
        self.committed_at = Instant::now();
        self.waiting_since = None;
        let committing = Arc::clone(&self.shared.committing);
        let commit = |indexer: &mut Indexer| indexer.commit().map(|()| Step::Committed);
        self.indexing.step(Some(committing), commit);
    }

    fn is_commit_due(&self, indexer: &Indexer, is_catching_up: bool) -> bool {
        let waiting = indexer.applied().0 - indexer.committed().0;
        let events_max = if is_catching_up { COMMIT_EVENTS_CATCHING_UP } else { COMMIT_EVENTS };
        if waiting >= events_max || indexer.weight() >= COMMIT_BYTES {
            return true;
        }
        let is_searchable = indexer.searchable() == indexer.applied();
        let (Some(since), false, false) = (self.waiting_since, is_searchable, is_catching_up)
        else {
            return false;
        };
        let quiet = self.committed_at.elapsed();
        let is_awaited = self.desk.is_awaited(indexer.applied());
        (is_awaited && quiet >= COMMIT_AWAITED_EVERY)
            || (quiet >= COMMIT_EVERY && since.elapsed() >= COMMIT_LINGER)
    }

    /// Takes note of what a step did.
    fn settle(&mut self, (indexer, step): (Box<Indexer>, Step)) {
        let is_committed = matches!(step, Step::Committed);
        if let Step::Staged(Some(staged)) = step {
            self.take_snapshot(staged);
        }
        if is_committed || indexer.searchable() == indexer.applied() {
            self.desk.advance(indexer.view(), indexer.searchable());
        }
        if indexer.searchable() == indexer.applied() {
            self.waiting_since = None;
        }
        self.standing = (indexer.applied(), indexer.committed());
        self.rebuilding.advance(indexer.applied());
        self.indexing = Indexing::Idle(indexer);
    }

    /// Stores what is staged, beside the loop.
    fn take_snapshot(&mut self, staged: Staged) {
        let covers = Arc::clone(&self.snapshot.covers);
        let (snapshots, partition) = (self.shared.snapshots.clone(), self.partition);
        let (generation, tenure) = (self.pointer.value.generation, self.tenure.clone());
        let taking = tokio::spawn(async move {
            let seq = staged.position.seq.0;
            match snapshots.take(partition, generation, staged, || tenure.is_held()).await {
                Ok(()) => {
                    covers.store(seq, Relaxed);
                    metrics::snapshot("taken");
                    tracing::debug!(%partition, event.seq = seq, "snapshot");
                }
                Err(error) => {
                    metrics::snapshot("failed");
                    tracing::warn!(%partition, %error, "no snapshot");
                }
            }
        });
        self.snapshot.taking = Some(AbortOnDropHandle::new(taking));
    }

    /// Commits what the next owner would have to do again.
    async fn finish(mut self) {
        let finish = async {
            if let Indexing::Working(_) = &self.indexing {
                let done = self.indexing.done().await?;
                self.settle(done);
            }
            if let Indexing::Idle(mut indexer) =
                std::mem::replace(&mut self.indexing, Indexing::Gone)
            {
                let closing = tokio::task::spawn_blocking(move || {
                    if indexer.applied() > indexer.committed() {
                        indexer.commit()?;
                    }
                    indexer.close()
                });
                closing.await.map_err(|panic| StopReason::Panicked(panic.to_string()))??;
            }
            Ok::<_, StopReason>(())
        };
        match tokio::time::timeout(FINISH_WITHIN, finish).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(partition = %self.partition, %error, "not committed"),
            Err(_) => tracing::info!(partition = %self.partition, "left events to the next owner"),
        }
    }

    /// The next owner looks at every file before it uses the index.
    fn suspect(&self) {
        if let Err(error) = std::fs::write(self.directory.join(SUSPECT), "") {
            tracing::warn!(partition = %self.partition, %error, "a damaged index is not marked");
        }
    }

    fn report(&self) {
        let Indexing::Idle(indexer) = &self.indexing else { return };
        self.shared.progress.report(PartitionProgress {
            partition: self.partition,
            owned: true,
            serving: self.serving,
            stopped: false,
            searchable: indexer.searchable(),
            committed: indexer.committed(),
            last_known: self.last_known.max(indexer.applied()),
        });
    }
}

impl Indexing {
    /// Takes the indexer into a step, which waits for its place first if it needs one.
    fn step(
        &mut self,
        places: Option<Arc<Semaphore>>,
        step: impl FnOnce(&mut Indexer) -> Result<Step, IndexError> + Send + 'static,
    ) {
        match std::mem::replace(self, Self::Gone) {
            Self::Idle(mut indexer) => {
                *self = Self::Working(tokio::spawn(async move {
                    let place = match places {
                        // The semaphore is never closed.
                        Some(places) => places.acquire_owned().await.ok(),
                        None => None,
                    };
                    let stepping = tokio::task::spawn_blocking(move || {
                        let _place = place;
                        let done = step(&mut indexer);
                        (indexer, done)
                    });
                    match stepping.await {
                        Ok(stepped) => stepped,
                        Err(panic) => std::panic::resume_unwind(Box::new(panic.to_string())),
                    }
                }));
            }
            other @ (Self::Working(_) | Self::Gone) => *self = other,
        }
    }

    /// Waits for the step that runs; for ever when none does. Safe to drop.
    async fn done(&mut self) -> Result<(Box<Indexer>, Step), StopReason> {
        let Self::Working(step) = self else { return std::future::pending().await };
        let stepped = step.await;
        *self = Self::Gone;
        let (indexer, step) = stepped.map_err(|panic| StopReason::Panicked(panic.to_string()))?;
        Ok((indexer, step?))
    }
}

/// Asks until there is an answer: an owner without one cannot begin.
pub(crate) async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<T, ReadError>>,
{
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => tracing::debug!(%error, "not yet"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

//! A partition as its owner holds it: one task that applies the log, so that there are no locks.
//!
//! The way of an event: `source` reads it, the fold works it out, `live` publishes it, and only
//! then are stores written: its rows, together with those of others, and at its own pace the inbox
//! bucket. Whoever reads makes the rows be written first, so that an answer has everything that was
//! applied.

pub(crate) mod begin;
mod desk;
pub(crate) mod source;
mod waiting;

use std::sync::Arc;
use std::time::Duration;

use hansard_archive::{Archive, Archiver, ArchiverSettings, FollowError};
use hansard_model::query::ViewsStatus;
use hansard_model::{PartitionId, Seq};
use hansard_nats::deployment::{HistoryView, Versioned, raise_epoch};
use hansard_nats::inbox::InboxBucket;
use hansard_nats::log::ReadError;
use hansard_nats::ownership::{Owners, Tenure};
use hansard_nats::query::{Question, Questions};
use hansard_nats::{Connection, Log};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use self::desk::Desk;
use self::source::{Batch, Source};
use self::waiting::Asked;
use crate::conversation::Conversation;
use crate::fold::{Fold, Incoming, Outcome, Projected, load};
use crate::inbox::Stale;
use crate::inbox::flush::{FLUSH_EVERY, Flush, Pace};
use crate::live::Live;
use crate::metrics;
use crate::progress::{PartitionProgress, Progress};
use crate::queries::{Answer, At, Request, Windows};
use crate::rows::{Rows, StoreError};
use crate::store::{Buffered, Snapshot, Stores};
use crate::views::{Jobs, Standing};

/// Pause before a beginning owner asks again what did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long an owner that gives up its partition may write what is stale.
const FINISH_WITHIN: Duration = Duration::from_secs(2);
/// How often rows are made to survive; what was not is read from the log again.
const STORE_FLUSH_EVERY: Duration = Duration::from_secs(10);
/// Partitions that a process flushes one after the other within that time: together they would be
/// in the way of whoever reads.
const FLUSH_PLACES: u16 = 16;
/// A flush that takes so long is told of.
const FLUSH_SLOW_AFTER: Duration = Duration::from_secs(5);

/// What the owners of one process share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) connection: Connection,
    pub(crate) log: Log,
    pub(crate) archive: Archive,
    pub(crate) archiving: ArchiverSettings,
    pub(crate) stores: Stores,
    pub(crate) windows: Windows,
    pub(crate) bucket: InboxBucket,
    pub(crate) pace: Pace,
    pub(crate) progress: Progress,
}

impl Owners for Shared {
    type Stop = StopReason;

    const LEASES: &'static str = "projector";

    async fn own(
        self,
        partition: PartitionId,
        tenure: Tenure,
        ending: CancellationToken,
    ) -> Result<(), StopReason> {
        // In a box: it is large, and there are few.
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

/// Why an owner stopped by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StopReason {
    /// The log is not what it should be.
    #[error(transparent)]
    Log(#[from] FollowError),
    /// The store cannot be read or written, or somebody else has it.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The NATS client is closed.
    #[error("the connection is closed")]
    Closed,
}

/// The owner of a partition.
pub(crate) struct Owner {
    pub(crate) shared: Shared,
    pub(crate) partition: PartitionId,
    pub(crate) tenure: Tenure,
    /// Of the log that the rows are made from.
    pub(crate) epoch: u64,
    pub(crate) view: Versioned<HistoryView>,
    /// The rows after the last batch.
    pub(crate) store: Buffered,
    pub(crate) fold: Fold,
    pub(crate) stale: Stale,
    pub(crate) flush: Flush,
    live: Live,
    desk: Desk,
    pub(crate) jobs: Jobs,
    /// The inbox bucket holds everything up to here already.
    in_bucket: Seq,
    pub(crate) last_known: Seq,
    /// The rows survive up to here.
    surviving: Seq,
    flushing: Option<JoinHandle<Result<Seq, StoreError>>>,
    /// When the last flush began.
    flushed: Instant,
    /// When the next one may begin.
    flush_due: Instant,
    /// It was told of.
    is_flush_slow: bool,
    serving: bool,
}

/// Holds a partition until `ending` or the end of the lease.
///
/// # Errors
/// [`StopReason`]
async fn own(
    shared: Shared,
    partition: PartitionId,
    tenure: Tenure,
    ending: CancellationToken,
) -> Result<(), StopReason> {
    let began = Instant::now();
    let lost = tenure.lost();
    shared.progress.owned(partition, &tenure);
    let begin = Owner::begin(shared, partition, tenure);
    let (mut owner, mut source, mut questions) = tokio::select! {
        begun = begin => begun?,
        () = ending.cancelled() => return Ok(()),
        () = lost.cancelled() => return Ok(()),
    };
    let (applied, took) = (owner.fold.applied().0, began.elapsed());
    tracing::info!(%partition, event.seq = applied, took_ms = took.as_millis(), "serving");
    let archiving = owner.archiving();
    let stopped = tokio::select! {
        stopped = owner.serve(&mut source, &mut questions, &ending) => stopped,
        () = lost.cancelled() => Ok(Stopped::HalfWay),
        () = overdue(&ending) => Ok(Stopped::HalfWay),
    };
    drop(archiving);
    // The next owner may answer as soon as nobody else does.
    drop((questions, source));
    let outcome = match stopped {
        Ok(Stopped::Between) => {
            // Large, and needed once.
            Box::pin(owner.finish()).await;
            return Ok(());
        }
        Ok(Stopped::HalfWay) => Ok(()),
        // Somebody else has opened it, and owns the partition now or soon.
        Err(StopReason::Store(error)) if error.is_closed() => {
            tracing::warn!(%partition, %error, "the store was taken over");
            Ok(())
        }
        Err(StopReason::Log(error)) if error.is_truncated() => {
            // The next owner finds rows of an older epoch, and builds them anew.
            patiently(|| raise_epoch(&owner.shared.connection, owner.epoch)).await;
            Err(error.into())
        }
        Err(error) => Err(error),
    };
    owner.abandon().await;
    outcome
}

/// Where the work of an owner was when it stopped.
enum Stopped {
    /// Between two pieces: what is applied is also in the rows.
    Between,
    /// Anywhere: only the log is sure.
    HalfWay,
}

/// Ends when the owner was asked to end, and has not in time.
async fn overdue(ending: &CancellationToken) {
    ending.cancelled().await;
    tokio::time::sleep(FINISH_WITHIN).await;
}

impl Owner {
    /// Archives the partition while this handle is kept.
    fn archiving(&self) -> AbortOnDropHandle<()> {
        let Shared { archive, log, archiving, .. } = &self.shared;
        let tenure = self.tenure.clone();
        let held = move || tenure.is_held();
        let archiver = Archiver::new(archive, log, self.partition, *archiving, held);
        AbortOnDropHandle::new(tokio::spawn(archiver.run(CancellationToken::new())))
    }

    async fn serve(
        &mut self,
        source: &mut Source,
        questions: &mut Questions,
        ending: &CancellationToken,
    ) -> Result<Stopped, StopReason> {
        let mut interruptions = self.shared.connection.interruptions();
        interruptions.mark_unchanged();
        let mut tick = tokio::time::interval(FLUSH_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                batch = source.next() => {
                    self.advance(batch.ok_or(StopReason::Closed)??).await?;
                }
                question = questions.next() => {
                    self.take(question.ok_or(StopReason::Closed)?).await?;
                }
                () = ending.cancelled() => return Ok(Stopped::Between),
                _ = tick.tick() => {
                    let at = self.at(None).await?;
                    self.flush.start(&at, &mut self.stale);
                    self.desk.expire();
                    self.flush_store();
                    self.tell_slow_flush();
                    self.tell_jobs();
                    self.report();
                }
                () = self.flush.ended(&mut self.stale) => {}
                flushed = ended(&mut self.flushing) => {
                    self.flushing = None;
                    self.surviving = flushed?;
                    if std::mem::take(&mut self.is_flush_slow) {
                        tracing::info!(partition = %self.partition, "rows are flushed again");
                    }
                }
                built = self.jobs.built() => self.switch(built).await?,
                changed = interruptions.changed() => {
                    changed.map_err(|_| StopReason::Closed)?;
                    let at = self.at(None).await?;
                    self.flush.rewind(&at, &mut self.stale).await?;
                    // What was published around it may be lost.
                    self.live.publish_again(&at, self.flush.written()).await?;
                }
            }
        }
    }

    async fn take(&mut self, question: Question) -> Result<(), StoreError> {
        match self.desk.take(self.fold.applied(), question) {
            Some(asked) => self.answer(asked).await,
            None => Ok(()),
        }
    }

    async fn answer(&mut self, (question, request): Asked) -> Result<(), StoreError> {
        if let Request::Views(request) = &request {
            let rows = self.store.write().await?;
            let begun = self.begin_job(*request, rows);
            let answer = begun.map(|()| Answer::Views(Box::new(self.status())));
            self.desk.respond(question, answer);
            return Ok(());
        }
        let kept = request.conversation().and_then(|id| self.fold.peek(id));
        let rows = self.store.shared().await?;
        self.desk.answer(self.at_rows(rows, kept), (question, request));
        Ok(())
    }

    /// Where the views stand.
    fn status(&self) -> ViewsStatus {
        ViewsStatus {
            partition: self.partition,
            applied: self.fold.applied(),
            flushed: self.surviving,
            last_known: self.last_known.max(self.fold.applied()),
            epoch: self.epoch,
            generation: self.view.value.generation,
            previous: self.view.value.previous,
            bucket: self.flush.written(),
            stale: self.stale.len() as u64,
            parked: self.fold.position().parked,
            job: self.jobs.standing(),
        }
    }

    /// The partition after the last batch, for whoever reads it beside the loop.
    pub(crate) async fn at(
        &mut self,
        kept: Option<Arc<Conversation>>,
    ) -> Result<At<Snapshot>, StoreError> {
        let rows = self.store.write().await?;
        Ok(self.at_rows(rows, kept))
    }

    fn at_rows<R: Rows>(&self, rows: R, kept: Option<Arc<Conversation>>) -> At<R> {
        At {
            rows,
            applied: self.fold.applied(),
            bucket: self.flush.written(),
            partition: self.partition,
            generation: self.view.value.generation,
            kept,
            windows: self.shared.windows.clone(),
        }
    }

    /// Applies a batch, publishes it, writes it, and answers who waited for it.
    async fn advance(&mut self, batch: Batch) -> Result<(), StopReason> {
        let began = Instant::now();
        self.shared.pace.events_came(batch.records.len());
        let projected = self.apply(batch).await?;
        self.live.publish(&projected).await;
        metrics::published(projected.len() as u64, began.elapsed());
        if self.store.is_full() {
            self.store.write().await?;
        }
        self.tell_jobs();
        for asked in self.desk.take_ready(self.fold.applied()) {
            self.answer(asked).await?;
        }
        Ok(())
    }

    /// Works out a batch; its valid events. Its rows are in the buffer.
    async fn apply(&mut self, batch: Batch) -> Result<Vec<Projected>, StopReason> {
        self.last_known = self.last_known.max(batch.last_known);
        let Outcome { projected, void, rows } =
            work_out(&mut self.fold, &self.store.rows(), batch.records).await?;
        self.store.add(rows);
        metrics::applied(projected.len() as u64, void);
        for event in &projected {
            if let Some(reason) = event.parked {
                metrics::parked(reason);
                tracing::warn!(
                    partition = %self.partition,
                    conversation.id = %event.conversation,
                    event.seq = event.seq.0,
                    reason = reason.as_str(),
                    "parked"
                );
            }
            if event.stands_alone {
                self.shared.windows.follow(self.view.value.generation, event);
            }
            if event.seq > self.in_bucket {
                for key in event.stale() {
                    self.stale.mark(key, event.seq);
                }
            }
        }
        Ok(projected)
    }

    fn tell_jobs(&self) {
        let (applied, written) = (self.fold.applied(), self.flush.written());
        self.jobs.advance(Standing { applied, written });
    }

    /// The rows are in another store from now on, and nothing is known of what survives there.
    pub(crate) fn forget_flush(&mut self) {
        self.flushing = None;
        self.is_flush_slow = false;
        self.surviving = Seq::ZERO;
        self.flushed = Instant::now();
    }

    /// When the rows of a partition that begins now are flushed first, if there are any.
    pub(crate) fn first_flush(partition: PartitionId) -> Instant {
        let place = partition.0 % FLUSH_PLACES;
        Instant::now() + STORE_FLUSH_EVERY * u32::from(place) / u32::from(FLUSH_PLACES)
    }

    /// Makes the rows survive, beside the loop, when it is time. They are written.
    fn flush_store(&mut self) {
        let applied = self.fold.applied();
        let now = Instant::now();
        let is_due = now >= self.flush_due && self.surviving < applied;
        if !is_due || self.flushing.is_some() || !self.tenure.is_held() {
            return;
        }
        self.flushed = now;
        while self.flush_due <= now {
            self.flush_due += STORE_FLUSH_EVERY;
        }
        let flush = self.store.flush();
        self.flushing = Some(tokio::spawn(async move { flush.await.map(|()| applied) }));
    }

    /// The store asks again for as long as it takes, without a word.
    fn tell_slow_flush(&mut self) {
        let is_slow = self.flushing.is_some() && self.flushed.elapsed() >= FLUSH_SLOW_AFTER;
        if is_slow && !self.is_flush_slow {
            self.is_flush_slow = true;
            let unflushed = self.fold.applied().0 - self.surviving.0;
            tracing::warn!(
                partition = %self.partition,
                unflushed,
                "rows are not flushed: the object store is slow or away"
            );
        }
    }

    /// Writes what the next owner would have to do again.
    async fn finish(mut self) {
        let at = match self.at(None).await {
            Ok(at) => at,
            Err(error) => {
                tracing::info!(partition = %self.partition, %error, "left rows to the next owner");
                return self.abandon().await;
            }
        };
        let finish = self.flush.finish(&at, &mut self.stale);
        if tokio::time::timeout(FINISH_WITHIN, finish).await.is_err() {
            tracing::info!(partition = %self.partition, "left stale inbox entries to the next owner");
        }
        let is_held = self.tenure.is_held();
        if tokio::time::timeout(FINISH_WITHIN, self.store.close(is_held)).await.is_err() {
            tracing::info!(partition = %self.partition, "left rows to the next owner");
        }
    }

    /// Closes the store without a word: it may be somebody else's.
    async fn abandon(self) {
        let closed = tokio::time::timeout(FINISH_WITHIN, self.store.close(false)).await;
        tracing::debug!(partition = %self.partition, ?closed, "closed");
    }

    fn report(&self) {
        self.shared.progress.report(PartitionProgress {
            partition: self.partition,
            owned: true,
            serving: self.serving,
            stopped: false,
            applied: self.fold.applied(),
            flushed: self.surviving,
            last_known: self.last_known.max(self.fold.applied()),
            parked: self.fold.position().parked,
            stale: self.stale.len() as u64,
        });
    }
}

/// Works out a batch from rows, whoever asks for it.
///
/// # Errors
/// [`StoreError`]
pub(crate) async fn work_out<R: Rows>(
    fold: &mut Fold,
    rows: &R,
    batch: Vec<Incoming>,
) -> Result<Outcome, StoreError> {
    let loaded = load(fold, &batch, rows).await?;
    Ok(fold.apply(batch, loaded))
}

/// Waits for a flush of the store that runs; for ever when none does. Safe to drop.
async fn ended(
    flushing: &mut Option<JoinHandle<Result<Seq, StoreError>>>,
) -> Result<Seq, StoreError> {
    let Some(running) = flushing else { return std::future::pending().await };
    match running.await {
        Ok(flushed) => flushed,
        Err(panic) => std::panic::resume_unwind(Box::new(panic.to_string())),
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

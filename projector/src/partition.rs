//! A partition as its owner holds it: one task that owns the state, so that there are no locks.
//!
//! The way of an event: [`source`] reads it, [`state`] applies it in memory, `live` publishes it,
//! and only then are stores written: `inbox` notes what is stale and writes it at its own pace.

pub(crate) mod conversation;
mod desk;
mod source;
pub(crate) mod state;
mod waiting;

use std::time::Duration;

use bytes::Bytes;
use hansard_model::{PartitionId, Record, Seq};
use hansard_nats::inbox::InboxBucket;
use hansard_nats::log::{FollowError, ReadError};
use hansard_nats::query::{self, Questions};
use hansard_nats::{Connection, Log};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use self::desk::Desk;
use self::source::{Batch, Source};
use self::state::{Applied, Projected, State};
use crate::inbox::Stale;
use crate::inbox::flush::{FLUSH_EVERY, Flush, Pace};
use crate::live::Live;
use crate::metrics;
use crate::ownership::tenure::Tenure;
use crate::progress::{PartitionProgress, Progress};

/// Pause before a beginning owner asks again what did not answer.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// How long an owner that gives up its partition may write what is stale.
const FINISH_WITHIN: Duration = Duration::from_secs(2);

/// What the owners of one process share.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) connection: Connection,
    pub(crate) log: Log,
    pub(crate) bucket: InboxBucket,
    pub(crate) pace: Pace,
    pub(crate) progress: Progress,
}

/// Why an owner stopped by itself.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StopReason {
    /// The log is not what it should be.
    #[error(transparent)]
    Log(#[from] FollowError),
    /// The NATS client is closed.
    #[error("the connection is closed")]
    Closed,
}

/// The owner of a partition.
pub(crate) struct Owner {
    shared: Shared,
    partition: PartitionId,
    state: State,
    stale: Stale,
    flush: Flush,
    live: Live,
    desk: Desk,
    /// The inbox bucket holds everything up to here already.
    in_bucket: Seq,
    last_known: Seq,
    serving: bool,
}

/// Holds a partition until `ending` or the end of the lease.
///
/// # Errors
/// [`StopReason`]
pub(crate) async fn own(
    shared: Shared,
    partition: PartitionId,
    tenure: Tenure,
    ending: CancellationToken,
) -> Result<(), StopReason> {
    let began = Instant::now();
    let lost = tenure.lost();
    let begin = Owner::begin(shared, partition, tenure);
    let (mut owner, mut source, mut questions) = tokio::select! {
        begun = begin => begun?,
        () = ending.cancelled() => return Ok(()),
        () = lost.cancelled() => return Ok(()),
    };
    let (applied, took) = (owner.state.applied().0, began.elapsed());
    tracing::info!(%partition, event.seq = applied, took_ms = took.as_millis(), "serving");
    tokio::select! {
        stopped = owner.serve(&mut source, &mut questions) => return stopped,
        () = lost.cancelled() => return Ok(()),
        () = ending.cancelled() => {}
    }
    // The next owner may answer as soon as nobody else does.
    drop((questions, source));
    let finish = owner.flush.finish(&owner.state, &mut owner.stale);
    if tokio::time::timeout(FINISH_WITHIN, finish).await.is_err() {
        tracing::info!(%partition, "left stale inbox entries to the next owner");
    }
    Ok(())
}

impl Owner {
    /// Folds the partition up to what is there, and takes questions only then: before, an answer
    /// could be older than one of the predecessor.
    async fn begin(
        shared: Shared,
        partition: PartitionId,
        tenure: Tenure,
    ) -> Result<(Self, Source, Questions), StopReason> {
        let in_bucket = patiently(|| shared.bucket.position(partition)).await;
        let to = patiently(|| shared.log.last_seq(partition)).await;
        let Shared { connection, bucket, pace, .. } = &shared;
        let mut owner = Self {
            partition,
            state: State::default(),
            stale: Stale::default(),
            flush: Flush::new(connection, bucket.clone(), partition, pace.clone(), in_bucket),
            live: Live::new(connection, partition),
            desk: Desk::new(tenure),
            in_bucket,
            last_known: to,
            serving: false,
            shared: shared.clone(),
        };
        // In memory, so far: from the beginning. With a store, from the store's position.
        let mut source = Source::start(shared.log.follow(partition, Seq::ZERO));
        owner.report();
        while owner.state.applied() < to {
            let batch = source.next().await.ok_or(StopReason::Closed)??;
            owner.apply(batch);
            owner.report();
        }
        let questions = patiently(|| query::serve(&shared.connection, partition)).await;
        // The predecessor published everything up to where the bucket stands.
        owner.live.publish_again(&owner.state, in_bucket).await;
        owner.serving = true;
        owner.report();
        Ok((owner, source, questions))
    }

    async fn serve(
        &mut self,
        source: &mut Source,
        questions: &mut Questions,
    ) -> Result<(), StopReason> {
        let mut interruptions = self.shared.connection.interruptions();
        interruptions.mark_unchanged();
        let mut tick = tokio::time::interval(FLUSH_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                batch = source.next() => {
                    self.advance(batch.ok_or(StopReason::Closed)??).await;
                }
                question = questions.next() => {
                    self.desk.take(&self.state, question.ok_or(StopReason::Closed)?).await;
                }
                _ = tick.tick() => {
                    self.flush.start(&self.state, &mut self.stale);
                    self.desk.expire().await;
                    self.report();
                }
                () = self.flush.ended(&mut self.stale) => {}
                changed = interruptions.changed() => {
                    changed.map_err(|_| StopReason::Closed)?;
                    self.flush.rewind(&self.state, &mut self.stale).await;
                    // What was published around it may be lost.
                    self.live.publish_again(&self.state, self.flush.written()).await;
                }
            }
        }
    }

    /// Applies a batch, publishes it, and answers who waited for it.
    async fn advance(&mut self, batch: Batch) {
        let began = Instant::now();
        self.shared.pace.events_came(batch.records.len());
        let projected = self.apply(batch);
        self.live.publish(&self.state, &projected).await;
        metrics::published(projected.len() as u64, began.elapsed());
        self.desk.advance(&self.state).await;
    }

    fn apply(&mut self, batch: Batch) -> Vec<Projected> {
        self.last_known = self.last_known.max(batch.last_known);
        let mut projected = Vec::with_capacity(batch.records.len());
        let mut void = 0;
        for record in batch.records {
            match self.apply_one(record) {
                Applied::Event(event) => projected.push(event),
                Applied::Void => void += 1,
                Applied::Seen => {}
            }
        }
        metrics::applied(projected.len() as u64, void);
        if projected.iter().any(|event| event.parked.is_some()) {
            self.shared.progress.show_parked(self.partition, self.state.parked.newest());
        }
        projected
    }

    fn apply_one(&mut self, record: Record<Bytes>) -> Applied {
        let applied = self.state.apply(record);
        if let Applied::Event(event) = &applied {
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
            if event.seq > self.in_bucket {
                for key in event.stale() {
                    self.stale.mark(key, event.seq);
                }
            }
        }
        applied
    }

    fn report(&self) {
        self.shared.progress.report(PartitionProgress {
            partition: self.partition,
            owned: true,
            serving: self.serving,
            stopped: false,
            applied: self.state.applied(),
            last_known: self.last_known.max(self.state.applied()),
            parked: self.state.parked.count(),
            stale: self.stale.len() as u64,
        });
    }
}

/// Asks until there is an answer: an owner without one cannot begin.
async fn patiently<T, F>(mut ask: impl FnMut() -> F) -> T
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

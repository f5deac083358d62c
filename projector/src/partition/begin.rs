//! The beginning of an ownership: which rows there are, whether they are of this log, and the
//! rest of the log.

use hansard_model::{PartitionId, Seq};
use hansard_nats::deployment::{
    self, HistoryView, ReplaceError, Versioned, raise_epoch, replace_history_view,
};
use hansard_nats::log::digest;
use hansard_nats::ownership::Tenure;
use hansard_nats::query::{self, Questions};
use tokio::time::Instant;

use super::desk::Desk;
use super::source::Source;
use super::{Owner, RETRY_PAUSE, Shared, StopReason, patiently};
use crate::fold::Fold;
use crate::inbox::Stale;
use crate::inbox::flush::Flush;
use crate::live::Live;
use crate::rows::{AppliedRow, Decode, RowKey, Rows, SCHEMA, StoreError};
use crate::store::Buffered;
use crate::views::Jobs;

/// What rows are worth.
enum Verdict {
    /// They are of this log.
    Good,
    /// They are of another shape: the log says the same, in other rows.
    OtherShape,
    /// They are of another log.
    OtherLog,
}

/// Rows to go on from.
struct Opened {
    store: Buffered,
    applied: Option<AppliedRow>,
    view: Versioned<HistoryView>,
    epoch: u64,
    in_bucket: Seq,
}

impl Owner {
    /// Goes on from the rows there are, up to what is in the log, and takes questions only then:
    /// before, an answer could be older than one of the predecessor.
    pub(super) async fn begin(
        shared: Shared,
        partition: PartitionId,
        tenure: Tenure,
    ) -> Result<(Self, Source, Questions), StopReason> {
        let Opened { store, applied, view, epoch, in_bucket } = open(&shared, partition).await?;
        let to = patiently(|| shared.log.last_seq(partition)).await;
        let Shared { connection, bucket, pace, log, archive, .. } = &shared;
        let fold = Fold::new(epoch, applied);
        let (bucket, pace) = (bucket.clone(), pace.clone());
        let flush = Flush::new(connection, bucket, partition, pace, tenure.clone(), in_bucket);
        let desk = Desk::new(partition, tenure.clone(), log.clone(), archive.clone());
        let mut owner = Self {
            partition,
            epoch,
            view,
            store,
            surviving: fold.applied(),
            stale: Stale::default(),
            flush,
            live: Live::new(connection, partition),
            desk,
            jobs: Jobs::default(),
            in_bucket,
            last_known: to,
            flushing: None,
            flushed: Instant::now(),
            flush_due: Self::first_flush(partition),
            is_flush_slow: false,
            serving: false,
            fold,
            tenure,
            shared: shared.clone(),
        };
        // What the rows have and the bucket does not.
        let at = owner.at(None).await?;
        owner.stale.mark_after(&at, in_bucket).await?;
        let after = owner.fold.applied();
        let mut source = Source::start(shared.archive.follow(&shared.log, partition, after));
        owner.report();
        while owner.fold.applied() < to {
            let batch = source.next().await.ok_or(StopReason::Closed)??;
            owner.apply(batch).await?;
            if owner.store.is_full() {
                owner.store.write().await?;
            }
            owner.report();
        }
        let questions = patiently(|| query::serve(&shared.connection, partition)).await;
        // The predecessor published everything up to where the bucket stands.
        let at = owner.at(None).await?;
        owner.live.publish_again(&at, in_bucket).await?;
        owner.serving = true;
        owner.report();
        Ok((owner, source, questions))
    }
}

/// Opens the generation that is served, or begins one if its rows are not of this log.
async fn open(shared: &Shared, partition: PartitionId) -> Result<Opened, StoreError> {
    let Shared { connection, stores, bucket, .. } = shared;
    loop {
        let found = patiently(|| deployment::history_view(connection, partition)).await;
        let Some(value) = found.value else {
            let first = HistoryView { generation: 1, previous: None };
            point(shared, partition, first, found.revision).await;
            continue;
        };
        let view = Versioned { value, revision: found.revision };
        let epoch = patiently(|| deployment::epoch(connection)).await;
        let store = Buffered::new(stores.open(partition, value.generation).await?)?;
        let bytes = store.rows().get(&RowKey::Applied).await?;
        let applied = bytes.as_ref().and_then(AppliedRow::decode);
        let in_bucket = patiently(|| bucket.position(partition)).await;
        let verdict = if applied.is_none() && bytes.is_some() {
            Verdict::OtherShape
        } else {
            examine(shared, partition, applied.as_ref(), epoch, in_bucket).await
        };
        let is_other_log = match verdict {
            Verdict::Good => return Ok(Opened { store, applied, view, epoch, in_bucket }),
            Verdict::OtherShape => false,
            Verdict::OtherLog => true,
        };
        tracing::warn!(%partition, generation = value.generation, is_other_log, "rows are built anew");
        if is_other_log {
            // Before the pointer: who dies here finds the same again.
            let of = applied.map_or(epoch, |applied| applied.epoch);
            patiently(|| raise_epoch(connection, of)).await;
            patiently(|| bucket.forget(partition)).await;
        }
        store.close(false).await?;
        let generation = value.generation.max(value.previous.unwrap_or(0)) + 1;
        stores.remove(partition, generation).await?;
        // Rows of another log are nothing to go back to.
        point(shared, partition, HistoryView { generation, previous: None }, view.revision).await;
    }
}

/// Points readers to a generation, unless somebody else was faster.
async fn point(shared: &Shared, partition: PartitionId, view: HistoryView, revision: u64) {
    loop {
        match replace_history_view(&shared.connection, partition, view, revision).await {
            Ok(_) | Err(ReplaceError::Conflict) => return,
            Err(ReplaceError::Unavailable(error)) => tracing::debug!(%error, "not yet"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Compares rows with the log: its epoch, its end, and the event at their position.
async fn examine(
    shared: &Shared,
    partition: PartitionId,
    applied: Option<&AppliedRow>,
    epoch: u64,
    in_bucket: Seq,
) -> Verdict {
    let last = patiently(|| shared.log.last_seq(partition)).await;
    if in_bucket > last {
        return Verdict::OtherLog;
    }
    let Some(applied) = applied else { return Verdict::Good };
    if applied.epoch != epoch || applied.seq > last {
        return Verdict::OtherLog;
    }
    if applied.seq > Seq::ZERO {
        let same = loop {
            match shared.archive.read(&shared.log, partition, applied.seq).await {
                Ok(record) => {
                    break record.is_some_and(|record| digest(&record) == applied.digest);
                }
                Err(error) => tracing::debug!(%error, "not yet"),
            }
            tokio::time::sleep(RETRY_PAUSE).await;
        };
        if !same {
            return Verdict::OtherLog;
        }
    }
    if applied.schema == SCHEMA { Verdict::Good } else { Verdict::OtherShape }
}

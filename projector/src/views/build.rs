//! Rows made anew from the log, beside those that serve.

use hansard_model::Seq;

use super::compare::compare;
use super::{Context, JobError};
use crate::fold::{Fold, Incoming};
use crate::partition::source::{Batch, Source};
use crate::partition::work_out;
use crate::queries::At;
use crate::rows::{AppliedRow, RowKey, SCHEMA, StoreError, read};
use crate::store::{Buffered, Snapshot};

/// Events that a generation may be behind when the switch to it begins.
const NEAR_EVENTS: u64 = 256;

/// Which rows are built.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) generation: u64,
}

/// Rows that follow the log.
pub(crate) struct Built {
    pub(crate) plan: Plan,
    pub(crate) store: Buffered,
    pub(crate) fold: Fold,
    source: Source,
    /// Of a batch that went beyond what was asked for.
    ahead: Vec<Incoming>,
    context: Context,
}

impl Built {
    async fn begin(context: &Context, plan: Plan, is_new: bool) -> Result<Self, JobError> {
        let (shared, partition) = (&context.shared, context.partition);
        if is_new {
            shared.stores.remove(partition, plan.generation).await?;
        }
        let store = Buffered::new(shared.stores.open(partition, plan.generation).await?)?;
        let applied: Option<AppliedRow> = read(&store.rows(), &RowKey::Applied).await?;
        // Without a position there are no rows: nothing had happened yet.
        let is_other = |row: &AppliedRow| row.schema != SCHEMA || row.epoch != context.epoch;
        if applied.as_ref().is_some_and(is_other) {
            return Err(JobError::OtherRows);
        }
        let fold = Fold::new(context.epoch, applied);
        let source = Source::start(shared.archive.follow(&shared.log, partition, fold.applied()));
        let context = context.clone();
        Ok(Self { plan, store, fold, source, ahead: Vec::new(), context })
    }

    /// Applies the log up to a position that is in it.
    pub(super) async fn advance(&mut self, to: Seq) -> Result<(), JobError> {
        while self.fold.applied() < to {
            let mut batch = std::mem::take(&mut self.ahead);
            if batch.is_empty() {
                let Batch { records, .. } = self.source.next().await.ok_or(JobError::Ended)??;
                batch = records;
            }
            let within = batch.partition_point(|event| event.seq <= to);
            self.ahead = batch.split_off(within);
            if batch.is_empty() {
                // The next event lies beyond: there is none in between.
                return Ok(());
            }
            let outcome = work_out(&mut self.fold, &self.store.rows(), batch).await?;
            self.store.add(outcome.rows);
            if self.store.is_full() {
                self.store.write().await?;
            }
            let applied = self.fold.applied();
            self.context.report.update(|job| job.applied = applied);
        }
        Ok(())
    }

    /// Follows the log until it is about where the owner is.
    async fn follow(&mut self) -> Result<(), JobError> {
        loop {
            let applied = self.context.standing.borrow_and_update().applied;
            if self.fold.applied().0 + NEAR_EVENTS >= applied.0 {
                return Ok(());
            }
            self.advance(applied).await?;
        }
    }

    /// As queries read it.
    pub(super) async fn at(&mut self) -> Result<At<Snapshot>, StoreError> {
        let rows = self.store.write().await?;
        Ok(At {
            rows,
            applied: self.fold.applied(),
            bucket: Seq::ZERO,
            partition: self.context.partition,
            // Nobody else's windows.
            generation: u64::MAX,
            kept: None,
            windows: self.context.shared.windows.clone(),
        })
    }

    /// Rows made for a comparison are of no use afterwards.
    pub(super) async fn discard(self) {
        let Self { context, store, plan, .. } = self;
        let closed = store.close(false).await;
        let removed = context.shared.stores.remove(context.partition, plan.generation).await;
        if let Err(error) = closed.and(removed) {
            tracing::warn!(%error, partition = %context.partition, "scratch rows were left");
        }
    }
}

/// Builds a generation beside the one that serves, compares the two where that one was when the
/// job began, and follows until it is ready.
pub(super) async fn beside(
    context: &Context,
    rows: &Snapshot,
    to: Seq,
) -> Result<Option<Built>, JobError> {
    let generation = context.view.generation.max(context.view.previous.unwrap_or(0)) + 1;
    let mut built = Built::begin(context, Plan { generation }, true).await?;
    built.advance(to).await?;
    compare(rows, &built.store.write().await?, &context.report).await?;
    built.follow().await?;
    Ok(Some(built))
}

/// Brings the generation before up to the present.
pub(super) async fn previous(context: &Context) -> Result<Option<Built>, JobError> {
    let generation = context.view.previous.ok_or(JobError::NoPrevious)?;
    let mut built = Built::begin(context, Plan { generation }, false).await?;
    built.follow().await?;
    Ok(Some(built))
}

/// Compares the rows that serve with rows made for it.
pub(super) async fn verify(context: &Context, rows: &Snapshot, to: Seq) -> Result<(), JobError> {
    let mut scratch = scratch(context, to).await?;
    let compared = match scratch.store.write().await {
        Ok(made) => compare(rows, &made, &context.report).await,
        Err(error) => Err(error.into()),
    };
    scratch.discard().await;
    compared
}

/// Rows at a position, made for a comparison.
pub(super) async fn scratch(context: &Context, to: Seq) -> Result<Built, JobError> {
    let plan = Plan { generation: Plan::SCRATCH };
    let mut built = Built::begin(context, plan, true).await?;
    built.advance(to).await?;
    Ok(built)
}

//! Jobs of an owner on its views: examining them, building them anew beside those that serve,
//! going back. Each runs in a task of its own, one at a time; only the moment of a switch is the
//! loop's.

mod build;
mod compare;
mod entries;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hansard_model::query::{
    DIFFERENCES_MAX, Difference, DifferenceKind, JobState, QueryError, View, ViewsJob, ViewsOp,
    ViewsRequest,
};
use hansard_model::{PartitionId, Seq};
use hansard_nats::deployment::{HistoryView, ReplaceError, Versioned, replace_history_view};
use tokio::sync::{oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

pub(crate) use self::build::Built;
use self::build::Plan;
use crate::metrics;
use crate::partition::{Owner, Shared, StopReason};
use crate::rows::StoreError;
use crate::store::Snapshot;

/// How long the switch to a generation may hold up the partition.
const SWITCH_WITHIN: Duration = Duration::from_secs(5);

/// Why a job gave up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum JobError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Log(#[from] hansard_archive::FollowError),
    #[error("the inbox bucket does not answer")]
    Bucket(#[from] hansard_nats::log::ReadError),
    #[error("the inbox bucket was not written")]
    Put(#[from] hansard_nats::inbox::PutError),
    #[error("the inbox bucket does not reach the position that it is compared at")]
    Behind,
    #[error("there is no generation to go back to")]
    NoPrevious,
    #[error("the generation before is of another shape or another log")]
    OtherRows,
    #[error("the pointer to the generation was not replaced")]
    Pointer(#[from] ReplaceError),
    #[error("the new generation did not catch up in time")]
    Slow,
    #[error("the owner ended")]
    Ended,
}

/// How far the owner is: what a job follows.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Standing {
    pub(crate) applied: Seq,
    pub(crate) written: Seq,
}

/// A job as it is shown; its task writes it.
#[derive(Clone)]
pub(crate) struct Report(Arc<Mutex<ViewsJob>>);

impl Report {
    fn new(request: ViewsRequest) -> Self {
        Self(Arc::new(Mutex::new(ViewsJob {
            op: request.op,
            view: request.view,
            state: JobState::Running,
            applied: Seq::ZERO,
            to: Seq::ZERO,
            compared: 0,
            differences: 0,
            found: Vec::new(),
            failure: None,
        })))
    }

    fn update(&self, change: impl FnOnce(&mut ViewsJob)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn differs(&self, key: String, what: DifferenceKind) {
        metrics::view_differs();
        self.update(|job| {
            job.differences += 1;
            if job.found.len() < DIFFERENCES_MAX {
                job.found.push(Difference { key, what });
            }
        });
    }

    fn end(&self, outcome: Result<(), JobError>) {
        self.update(|job| match outcome {
            Ok(()) => job.state = JobState::Done,
            Err(error) => {
                job.state = JobState::Failed;
                job.failure = Some(error.to_string());
            }
        });
    }

    fn now(&self) -> ViewsJob {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The job of an owner.
#[derive(Default)]
pub(crate) struct Jobs {
    report: Option<Report>,
    running: Option<AbortOnDropHandle<()>>,
    built: Option<oneshot::Receiver<Box<Built>>>,
    standing: watch::Sender<Standing>,
}

impl Jobs {
    /// The job that runs, or the last.
    pub(crate) fn standing(&self) -> Option<ViewsJob> {
        self.report.as_ref().map(Report::now)
    }

    /// The owner is that far.
    pub(crate) fn advance(&self, standing: Standing) {
        self.standing.send_replace(standing);
    }

    fn is_running(&self) -> bool {
        self.standing().is_some_and(|job| job.state == JobState::Running)
    }

    /// A generation that is ready to be switched to. Waits for ever when none is built; safe to
    /// drop.
    pub(crate) async fn built(&mut self) -> Box<Built> {
        loop {
            let Some(receiver) = &mut self.built else { return std::future::pending().await };
            let built = receiver.await;
            self.built = None;
            // Otherwise its task ended without one, and has said why.
            if let Ok(built) = built {
                return built;
            }
        }
    }
}

/// What a job works with.
#[derive(Clone)]
pub(crate) struct Context {
    shared: Shared,
    partition: PartitionId,
    epoch: u64,
    view: HistoryView,
    standing: watch::Receiver<Standing>,
    report: Report,
}

impl Owner {
    /// Begins what is asked for, with the rows as they are.
    ///
    /// # Errors
    /// [`QueryError::Busy`] while a job runs; [`QueryError::BadRequest`] for what cannot be done
    /// with a view.
    pub(crate) fn begin_job(
        &mut self,
        request: ViewsRequest,
        rows: Snapshot,
    ) -> Result<(), QueryError> {
        if request.op == ViewsOp::Status {
            return Ok(());
        }
        let is_of_others = request.view == View::Search;
        if is_of_others || (request.op, request.view) == (ViewsOp::Rollback, View::Inbox) {
            return Err(QueryError::BadRequest);
        }
        if self.jobs.is_running() {
            return Err(QueryError::Busy);
        }
        let report = Report::new(request);
        let applied = self.fold.applied();
        self.jobs.advance(Standing { applied, written: self.flush.written() });
        let context = Context {
            shared: self.shared.clone(),
            partition: self.partition,
            epoch: self.epoch,
            view: self.view.value,
            standing: self.jobs.standing.subscribe(),
            report: report.clone(),
        };
        let (built, receiver) = oneshot::channel();
        let to = applied;
        report.update(|job| job.to = to);
        tracing::info!(partition = %self.partition, op = ?request.op, view = ?request.view, "views");
        self.jobs.built = Some(receiver);
        let task = async move {
            let outcome = match (request.op, request.view) {
                (ViewsOp::Rebuild, View::History) => build::beside(&context, &rows, to).await,
                (ViewsOp::Rollback, _) => build::previous(&context).await,
                (ViewsOp::Verify, View::History) => {
                    build::verify(&context, &rows, to).await.map(|()| None)
                }
                (ViewsOp::Verify, View::Inbox) => {
                    entries::examine(&context, to, false).await.map(|()| None)
                }
                (ViewsOp::Rebuild, View::Inbox) => {
                    entries::examine(&context, to, true).await.map(|()| None)
                }
                // Refused above.
                (ViewsOp::Status, _) | (ViewsOp::Verify | ViewsOp::Rebuild, View::Search) => {
                    Ok(None)
                }
            };
            match outcome {
                Ok(None) => context.report.end(Ok(())),
                Ok(Some(ready)) => {
                    // The loop ends the job, when it has switched.
                    if built.send(Box::new(ready)).is_err() {
                        context.report.end(Err(JobError::Ended));
                    }
                }
                Err(error) => context.report.end(Err(error)),
            }
        };
        self.jobs.running = Some(AbortOnDropHandle::new(tokio::spawn(task)));
        self.jobs.report = Some(report);
        Ok(())
    }

    /// Switches to a generation that was built beside. The partition stands still meanwhile, for
    /// as long as it takes to apply the last few events.
    ///
    /// # Errors
    /// [`StopReason`]
    pub(crate) async fn switch(&mut self, mut built: Box<Built>) -> Result<(), StopReason> {
        let report = self.jobs.report.clone();
        let to = self.fold.applied();
        let outcome = match tokio::time::timeout(SWITCH_WITHIN, built.advance(to)).await {
            Ok(Ok(())) => self.point_to(&built).await,
            Ok(Err(error)) => Err(error),
            Err(_) => Err(JobError::Slow),
        };
        match outcome {
            Ok(view) => {
                tracing::info!(partition = %self.partition, generation = view.value.generation, "switched");
                self.take_over(*built, view).await?;
                if let Some(report) = report {
                    report.end(Ok(()));
                }
            }
            Err(error) => {
                tracing::warn!(partition = %self.partition, %error, "not switched");
                if let Some(report) = report {
                    report.end(Err(error));
                }
            }
        }
        Ok(())
    }

    async fn point_to(&self, built: &Built) -> Result<Versioned<HistoryView>, JobError> {
        if !self.tenure.is_held() {
            return Err(JobError::Ended);
        }
        let value = HistoryView {
            generation: built.plan.generation,
            previous: Some(self.view.value.generation),
        };
        let connection = &self.shared.connection;
        let revision =
            replace_history_view(connection, self.partition, value, self.view.revision).await?;
        Ok(Versioned { value, revision })
    }

    /// From here on this is what the owner has; what it had is closed, to go back to.
    async fn take_over(
        &mut self,
        built: Built,
        view: Versioned<HistoryView>,
    ) -> Result<(), StoreError> {
        let dropped = self.view.value.previous;
        let HistoryView { generation, previous } = view.value;
        self.view = view;
        self.store.write().await?;
        let before = std::mem::replace(&mut self.store, built.store);
        self.fold = built.fold;
        self.forget_flush();
        let (stores, partition) = (self.shared.stores.clone(), self.partition);
        tokio::spawn(async move {
            if let Err(error) = before.close(true).await {
                tracing::debug!(%error, %partition, "the previous generation");
            }
            let dropped = dropped.filter(|old| *old != generation && Some(*old) != previous);
            if let Some(dropped) = dropped
                && let Err(error) = stores.remove(partition, dropped).await
            {
                tracing::warn!(%error, %partition, generation = dropped, "not removed");
            }
        });
        Ok(())
    }
}

impl Plan {
    /// A generation that nobody reads: made for a comparison, then removed.
    const SCRATCH: u64 = 0;
}

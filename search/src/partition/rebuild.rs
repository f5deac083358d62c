//! An index made anew from the log, beside the one that is searched, and the moment of the switch.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hansard_model::query::{
    JobState, QueryError, View, ViewsJob, ViewsOp, ViewsRequest, ViewsStatus,
};
use hansard_model::{PartitionId, Seq};
use hansard_nats::deployment::{SearchView, Versioned, replace_search_view};
use hansard_nats::search::ViewsQuestion;
use tokio::sync::{oneshot, watch};
use tokio_util::task::AbortOnDropHandle;

use super::source::{Batch, Source};
use super::{
    COMMIT_BYTES, COMMIT_EVENTS_CATCHING_UP, Indexing, Owner, Shared, Snapshot, StopReason,
};
use crate::indexer::Indexer;
use crate::metrics;
use crate::query::Lexicon;

/// Events that a new index may be behind when the switch to it begins.
const NEAR_EVENTS: u64 = 256;
/// How long the switch may hold up what becomes searchable.
const SWITCH_WITHIN: Duration = Duration::from_secs(5);

/// The rebuild of an owner, if there is one.
#[derive(Default)]
pub(super) struct Rebuilding {
    job: Option<Arc<Mutex<ViewsJob>>>,
    running: Option<AbortOnDropHandle<()>>,
    built: Option<oneshot::Receiver<Box<Built>>>,
    applied: watch::Sender<Seq>,
}

/// An index that is ready to be switched to.
pub(super) struct Built {
    indexer: Box<Indexer>,
    source: Source,
    directory: PathBuf,
    generation: u64,
}

impl Rebuilding {
    /// The one that is searched is that far.
    pub(super) fn advance(&self, applied: Seq) {
        self.applied.send_replace(applied);
    }

    /// The index that was built. Waits for ever when none is; safe to drop.
    pub(super) async fn built(&mut self) -> Box<Built> {
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

    fn now(&self) -> Option<ViewsJob> {
        let job = self.job.as_ref()?;
        Some(job.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn end(&self, failure: Option<String>) {
        if let Some(job) = &self.job {
            end(job, failure);
        }
    }
}

fn end(job: &Mutex<ViewsJob>, failure: Option<String>) {
    let mut job = job.lock().unwrap_or_else(PoisonError::into_inner);
    job.state = if failure.is_some() { JobState::Failed } else { JobState::Done };
    job.failure = failure;
}

impl Built {
    /// Reads the log into an index of the next generation until it is about where the one is that
    /// is searched.
    async fn make(
        shared: &Shared,
        partition: PartitionId,
        epoch: u64,
        generation: u64,
        mut standing: watch::Receiver<Seq>,
        job: &Mutex<ViewsJob>,
    ) -> Result<Self, StopReason> {
        let directory = shared.directory_of(partition, generation);
        let indexer = begin(&directory, epoch, Arc::clone(&shared.lexicon)).await?;
        let source = Source::start(shared.archive.follow(&shared.log, partition, Seq::ZERO));
        let mut built = Self { indexer: Box::new(indexer), source, directory, generation };
        // The semaphore is never closed.
        let _place = shared.catching_up.acquire().await;
        loop {
            let to = *standing.borrow_and_update();
            if built.indexer.applied().0 + NEAR_EVENTS >= to.0 {
                return Ok(built);
            }
            built = built.advance(to).await?;
            let mut job = job.lock().unwrap_or_else(PoisonError::into_inner);
            job.applied = built.indexer.applied();
        }
    }

    /// Applies the log up to a position at least, and commits.
    async fn advance(self, to: Seq) -> Result<Self, StopReason> {
        let Self { mut indexer, mut source, directory, generation } = self;
        while indexer.applied() < to {
            let Batch { records, .. } = source.next().await.ok_or(StopReason::Closed)??;
            indexer = step(indexer, move |indexer| {
                indexer.apply(&records)?;
                let waiting = indexer.applied().0 - indexer.committed().0;
                if waiting >= COMMIT_EVENTS_CATCHING_UP || indexer.weight() >= COMMIT_BYTES {
                    indexer.commit()?;
                }
                Ok(())
            })
            .await?;
        }
        let indexer = step(indexer, Indexer::commit).await?;
        Ok(Self { indexer, source, directory, generation })
    }
}

async fn begin(directory: &Path, epoch: u64, lexicon: Arc<Lexicon>) -> Result<Indexer, StopReason> {
    let directory = directory.to_owned();
    let begin = tokio::task::spawn_blocking(move || {
        // Of a rebuild that was cut off.
        match std::fs::remove_dir_all(&directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Indexer::open(&directory, epoch, lexicon),
        }
    });
    Ok(begin.await.map_err(|panic| StopReason::Panicked(panic.to_string()))??)
}

/// Computes where blocking is allowed.
async fn step(
    mut indexer: Box<Indexer>,
    step: impl FnOnce(&mut Indexer) -> Result<(), crate::index::IndexError> + Send + 'static,
) -> Result<Box<Indexer>, StopReason> {
    let stepping = tokio::task::spawn_blocking(move || step(&mut indexer).map(|()| indexer));
    Ok(stepping.await.map_err(|panic| StopReason::Panicked(panic.to_string()))??)
}

impl Owner {
    /// Answers an operator, and begins what they ask for.
    pub(super) fn answer_operator(&mut self, question: ViewsQuestion) {
        let ViewsRequest { op, view } = question.request;
        let is_running = self.rebuilding.now().is_some_and(|job| job.state == JobState::Running);
        let begun = match (op, view) {
            (_, View::History | View::Inbox) | (ViewsOp::Verify | ViewsOp::Rollback, _) => {
                Err(QueryError::BadRequest)
            }
            (ViewsOp::Status, View::Search) => Ok(()),
            (ViewsOp::Rebuild, View::Search) if is_running => Err(QueryError::Busy),
            (ViewsOp::Rebuild, View::Search) => {
                self.rebuild();
                Ok(())
            }
        };
        let (answer, tenure) = (begun.map(|()| self.status()), self.tenure.clone());
        tokio::spawn(async move {
            // Without the lease another owner answers.
            if tenure.is_held() {
                question.respond(&answer).await;
            }
        });
    }

    fn status(&self) -> ViewsStatus {
        let (applied, committed) = self.standing;
        ViewsStatus {
            partition: self.partition,
            applied,
            flushed: committed,
            last_known: self.last_known.max(applied),
            epoch: self.epoch,
            generation: self.pointer.value.generation,
            previous: None,
            bucket: Seq::ZERO,
            stale: 0,
            parked: 0,
            job: self.rebuilding.now(),
        }
    }

    fn rebuild(&mut self) {
        let (applied, generation) = (self.standing.0, self.pointer.value.generation + 1);
        tracing::info!(partition = %self.partition, generation, "the index is built anew beside");
        metrics::begun_anew("asked");
        let job = Arc::new(Mutex::new(ViewsJob {
            op: ViewsOp::Rebuild,
            view: View::Search,
            state: JobState::Running,
            applied: Seq::ZERO,
            to: applied,
            compared: 0,
            differences: 0,
            found: Vec::new(),
            failure: None,
        }));
        self.rebuilding.advance(applied);
        let (sender, receiver) = oneshot::channel();
        let (shared, partition, epoch) = (self.shared.clone(), self.partition, self.epoch);
        let (standing, report) = (self.rebuilding.applied.subscribe(), Arc::clone(&job));
        let task = async move {
            match Built::make(&shared, partition, epoch, generation, standing, &report).await {
                Ok(built) => {
                    // The loop ends the job, when it has switched.
                    if sender.send(Box::new(built)).is_err() {
                        end(&report, Some("the owner ended".to_owned()));
                    }
                }
                Err(error) => end(&report, Some(error.to_string())),
            }
        };
        self.rebuilding.running = Some(AbortOnDropHandle::new(tokio::spawn(task)));
        self.rebuilding.built = Some(receiver);
        self.rebuilding.job = Some(job);
    }

    /// Switches to an index that was built beside. What comes meanwhile waits, for as long as it
    /// takes to apply the last few events; who searches does not.
    ///
    /// # Errors
    /// [`StopReason`]
    pub(super) async fn switch(
        &mut self,
        built: Built,
        source: &mut Source,
    ) -> Result<(), StopReason> {
        if let Indexing::Working(_) = &self.indexing {
            let done = self.indexing.done().await?;
            self.settle(done);
        }
        let to = self.standing.0;
        let generation = built.generation;
        let failure = match tokio::time::timeout(SWITCH_WITHIN, built.advance(to)).await {
            Ok(Ok(built)) => match self.point_to(generation).await {
                Ok(()) => {
                    self.take_over(built, source);
                    None
                }
                Err(failure) => Some(failure),
            },
            Ok(Err(error)) => Some(error.to_string()),
            Err(_) => Some("the new index did not catch up in time".to_owned()),
        };
        match &failure {
            None => tracing::info!(partition = %self.partition, generation, "switched"),
            Some(failure) => {
                tracing::warn!(partition = %self.partition, failure, "not switched");
            }
        }
        self.rebuilding.end(failure);
        Ok(())
    }

    async fn point_to(&mut self, generation: u64) -> Result<(), String> {
        if !self.tenure.is_held() {
            return Err("the lease is lost".to_owned());
        }
        let value = SearchView { generation };
        let connection = &self.shared.connection;
        let replaced =
            replace_search_view(connection, self.partition, value, self.pointer.revision).await;
        let revision = replaced.map_err(|error| error.to_string())?;
        self.pointer = Versioned { value, revision };
        Ok(())
    }

    /// From here on this is what is searched; what was is removed.
    fn take_over(&mut self, built: Built, source: &mut Source) {
        let Built { indexer, source: next, directory, .. } = built;
        let before = std::mem::replace(&mut self.directory, directory);
        self.desk.advance(indexer.view(), indexer.searchable());
        self.standing = (indexer.applied(), indexer.committed());
        *source = next;
        // Read for the other; the new source reads it again.
        self.ahead = None;
        self.waiting_since = None;
        self.snapshot = Snapshot::first(self.partition, self.shared.snapshot_every);
        let replaced = std::mem::replace(&mut self.indexing, Indexing::Idle(indexer));
        tokio::task::spawn_blocking(move || {
            drop(replaced);
            if let Err(error) = std::fs::remove_dir_all(&before) {
                tracing::warn!(%error, "the index before is left");
            }
        });
    }
}

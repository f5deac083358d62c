//! Working out what can be known and shown of files, away from all requests.
//!
//! A bounded queue leads to a bounded number of workers. Whatever does not fit, or dies with its
//! process, is found again by the collector, as the record says [`State::Processing`] until it is
//! done. `work` is what one worker does with one upload.

mod work;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hansard_media_processing::{Limits, Programs};
use hansard_model::UploadId;
use tokio::sync::mpsc;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use self::work::{Outcome, Work};
use crate::fault::Fault;
use crate::metrics;
use crate::uploads::Uploads;

/// Uploads that wait to be processed; beyond, the collector finds them again.
pub(crate) const QUEUE_MAX: usize = 1_024;
/// Workers at most: each may need twice the memory of the largest picture.
const WORKERS_MAX: usize = 4;
/// Uploads that are tried again by this process; beyond, the collector finds them again.
const RETRIES_MAX: usize = 64;
/// Pause before that.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// Nobody works on an upload for longer.
const WORK_MAX: Duration = Duration::from_secs(10 * 60);

/// The workers of a process.
pub(crate) struct Processing {
    work: Arc<Work>,
    queue: mpsc::Receiver<UploadId>,
    workers: JoinSet<Result<Outcome, Fault>>,
    busy: HashMap<Id, (UploadId, Instant)>,
    working_on: HashSet<UploadId>,
    /// When which are tried again.
    retries: Vec<(Instant, UploadId)>,
}

impl Processing {
    /// Workers for what comes out of `queue`. Blocks for the start of one small process.
    pub(crate) fn new(uploads: Uploads, queue: mpsc::Receiver<UploadId>) -> Self {
        let work = Work { uploads, limits: Limits::default(), programs: Programs::find() };
        Self {
            work: Arc::new(work),
            queue,
            workers: JoinSet::new(),
            busy: HashMap::new(),
            working_on: HashSet::new(),
            retries: Vec::new(),
        }
    }

    /// Works until `shutdown`. What is not done by then is found again.
    pub(crate) async fn run(mut self, shutdown: CancellationToken) {
        let places =
            std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(WORKERS_MAX);
        loop {
            let has_place = self.workers.len() < places;
            let next_retry = self.retries.iter().map(|(at, _)| *at).min();
            let due = next_retry.unwrap_or_else(|| Instant::now() + WORK_MAX);
            tokio::select! {
                () = shutdown.cancelled() => return,
                Some(done) = self.workers.join_next_with_id() => match done {
                    Ok((worker, done)) => self.settle(worker, done),
                    Err(panic) => {
                        tracing::error!(error = %panic, "a worker of files panicked");
                        self.settle(panic.id(), Err(Fault::from(std::io::Error::other(panic))));
                    }
                },
                next = self.queue.recv(), if has_place => match next {
                    Some(upload) => self.begin(upload),
                    None => return,
                },
                () = tokio::time::sleep_until(due), if has_place && next_retry.is_some() => {
                    self.retry();
                }
            }
        }
    }

    fn begin(&mut self, upload: UploadId) {
        if !self.working_on.insert(upload) {
            return;
        }
        let work = Arc::clone(&self.work);
        let working = async move {
            let done = tokio::time::timeout(WORK_MAX, work.process(upload)).await;
            done.unwrap_or_else(|elapsed| Err(Fault::from(std::io::Error::from(elapsed))))
        };
        let worker = self.workers.spawn(working).id();
        self.busy.insert(worker, (upload, Instant::now()));
    }

    fn settle(&mut self, worker: Id, done: Result<Outcome, Fault>) {
        let Some((upload, began)) = self.busy.remove(&worker) else { return };
        self.working_on.remove(&upload);
        match done {
            Ok(outcome) => metrics::processed(outcome.as_str(), began.elapsed()),
            Err(fault) => {
                metrics::processed("failed", began.elapsed());
                tracing::warn!(upload.id = %upload, error = %fault, "a file was not processed");
                if self.retries.len() < RETRIES_MAX {
                    self.retries.push((Instant::now() + RETRY_PAUSE, upload));
                }
            }
        }
    }

    fn retry(&mut self) {
        let now = Instant::now();
        if let Some(place) = self.retries.iter().position(|(at, _)| *at <= now) {
            let (_, upload) = self.retries.swap_remove(place);
            self.begin(upload);
        }
    }
}

//! Working out what can be known and shown of files, away from all requests.
//!
//! A bounded queue, in turn for each user, leads to a bounded number of workers. Whatever does not
//! fit, or dies with its process, is found again by the collector, as the record says
//! [`State::Processing`] until it is done. A picture that cannot be stripped for a fault of the
//! machine is tried for ever, with pauses that grow; one that takes its worker with it each time, or
//! whose bytes are lost, is not. `work` is what one worker does with one upload.

mod queue;
mod work;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hansard_media_processing::{Limits, Programs};
use hansard_model::UploadId;
use tokio::task::{Id, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

pub(crate) use self::queue::Queue;
use self::work::{Outcome, Work};
use crate::fault::Fault;
use crate::metrics;
use crate::uploads::Uploads;

/// Workers at most: each may need twice the memory of the largest picture.
const WORKERS_MAX: usize = 4;
/// Uploads that are tried again by this process; beyond, the collector finds them again.
const RETRIES_MAX: usize = 64;
/// Pause before that, which doubles with each failure in a row.
const RETRY_PAUSE: Duration = Duration::from_secs(2);
/// The longest pause: as long as the collector waits for one that died with its process.
const RETRY_PAUSE_MAX: Duration = Duration::from_secs(5 * 60);
/// How long workers get to say that they were interrupted.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The workers of a process.
pub(crate) struct Processing {
    work: Arc<Work>,
    queue: Queue,
    workers: JoinSet<Result<Outcome, Fault>>,
    busy: HashMap<Id, Attempt>,
    working_on: HashSet<UploadId>,
    retries: Vec<Retry>,
}

/// What a worker is busy with.
struct Attempt {
    upload: UploadId,
    began: Instant,
    /// Attempts of this process before, all in vain.
    failures: u32,
}

/// An upload that is tried again.
struct Retry {
    at: Instant,
    upload: UploadId,
    /// Attempts of this process before, all in vain.
    failures: u32,
}

impl Processing {
    /// Workers for what comes out of `queue`. Blocks for the start of one small process.
    pub(crate) fn new(uploads: Uploads, queue: Queue) -> Self {
        let (limits, programs) = (Limits::default(), Programs::find());
        let work = Work { uploads, limits, programs, stop: CancellationToken::new() };
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
            let next_retry = self.retries.iter().map(|retry| retry.at).min();
            let due = next_retry.unwrap_or_else(|| Instant::now() + RETRY_PAUSE_MAX);
            tokio::select! {
                () = shutdown.cancelled() => break,
                Some(done) = self.workers.join_next_with_id() => match done {
                    Ok((worker, done)) => self.settle(worker, done),
                    Err(panic) => {
                        tracing::error!(error = %panic, "a worker of files panicked");
                        self.settle(panic.id(), Err(Fault::from(std::io::Error::other(panic))));
                    }
                },
                // One that is to be retried waits for its time, whoever asks for it meanwhile.
                upload = self.queue.next(), if has_place => if !self.waits(upload) {
                    self.begin(upload, 0);
                },
                () = tokio::time::sleep_until(due), if has_place && next_retry.is_some() => {
                    self.retry();
                }
            }
        }
        self.work.stop.cancel();
        let ended = async { while self.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_WITHIN, ended).await.is_err() {
            tracing::warn!("attempts were cut off: they count as if they had died");
        }
    }

    fn waits(&self, upload: UploadId) -> bool {
        self.retries.iter().any(|retry| retry.upload == upload)
    }

    fn begin(&mut self, upload: UploadId, failures: u32) {
        if !self.working_on.insert(upload) {
            return;
        }
        let work = Arc::clone(&self.work);
        let worker = self.workers.spawn(async move { work.process(upload).await }).id();
        self.busy.insert(worker, Attempt { upload, began: Instant::now(), failures });
    }

    fn settle(&mut self, worker: Id, done: Result<Outcome, Fault>) {
        let Some(Attempt { upload, began, failures }) = self.busy.remove(&worker) else { return };
        self.working_on.remove(&upload);
        match done {
            Ok(outcome) => metrics::processed(outcome.as_str(), began.elapsed()),
            Err(fault) => {
                metrics::processed("failed", began.elapsed());
                tracing::warn!(upload.id = %upload, error = %fault, "a file was not processed");
                if self.retries.len() < RETRIES_MAX {
                    let at = Instant::now() + pause_after(failures);
                    self.retries.push(Retry { at, upload, failures: failures.saturating_add(1) });
                }
            }
        }
    }

    fn retry(&mut self) {
        let now = Instant::now();
        if let Some(place) = self.retries.iter().position(|retry| retry.at <= now) {
            let Retry { upload, failures, .. } = self.retries.swap_remove(place);
            self.begin(upload, failures);
        }
    }
}

/// The pause after a failure that so many came before in a row.
fn pause_after(failures: u32) -> Duration {
    RETRY_PAUSE.saturating_mul(2_u32.saturating_pow(failures)).min(RETRY_PAUSE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_five_minutes() {
        let pauses = [0, 1, 2, 7, 8, 9, u32::MAX].map(|failures| pause_after(failures).as_secs());
        assert_eq!(pauses, [2, 4, 8, 256, 300, 300, 300]);
    }
}

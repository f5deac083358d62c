//! The collector: finds uploads that ended, got stuck, or are referred to no more.
//!
//! There is one in a deployment, with the first partition of the log. It looks at the watches that
//! are due; `rules` says what is to be done about each, and `removal` removes what nobody refers to.
//!
//! - Invariant: nothing is removed before it was [`State::Dying`] for a while, and every partition
//!   of the log was read to where it ended afterwards. What a gateway let in before is stored, or
//!   void, by then; and what is dying is not let in.
//! - Invariant: every step can be made again. A collector that dies leaves its watches, and the
//!   next one goes on.
//! - Invariant: nothing is removed before the records were compared with the object store in the
//!   present epoch of the log.

mod avatar;
mod removal;
mod rules;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use futures_util::stream::{self, StreamExt as _};
use hansard_archive::Objects;
use hansard_model::media::{MediaKey, Position, Sha256, State, Upload};
use hansard_model::{LogTime, PartitionId, Seq, UploadId};
use hansard_nats::Log;
use hansard_nats::media::{Change, MediaBucket, Revision};
use hansard_nats::ownership::Tenure;
use tokio::time::Instant;

pub use self::rules::Patience;
use self::rules::{Verdict, judge};
use crate::fault::Fault;
use crate::metrics;
use crate::processing::Queue;
use crate::reconcile::{self, Reconciliation};
use crate::uploads::Uploads;
use crate::watch::{self, Watch, hour_of};

/// Uploads that are looked at at a time.
const AT_ONCE: usize = 8;
/// Uploads that are removed in one round; the next one goes on.
const REMOVED_MAX: usize = 1_000;
/// How long a round waits for the log to be read to its end.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(10);
/// Before a round that ended early is begun again.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Between two looks for what killed processes were writing.
const TIDY_EVERY: Duration = Duration::from_secs(60 * 60);
/// Between two looks at how far it is read.
const CATCHING_UP_PAUSE: Duration = Duration::from_millis(200);

/// What a collector needs; clones share it.
#[derive(Clone)]
pub(crate) struct Collector {
    pub(crate) uploads: Uploads,
    pub(crate) objects: Objects,
    pub(crate) log: Log,
    /// Uploads that are to be processed. When it is full, the next look finds them again.
    pub(crate) processing: Queue,
    pub(crate) patience: Patience,
}

/// An upload that is due.
#[derive(Clone, Copy, Debug)]
struct Due {
    hour: u64,
    upload: UploadId,
}

impl Due {
    fn key(self) -> MediaKey {
        MediaKey::Watch(self.hour, self.upload)
    }
}

impl Collector {
    /// The records.
    pub(crate) fn bucket(&self) -> &MediaBucket {
        &self.uploads.bucket
    }

    /// Collects until it is dropped.
    pub(crate) async fn run(self, epoch: u64, tenure: Tenure) {
        let mut tidied: Option<Instant> = None;
        loop {
            let began = Instant::now();
            let mut pause = self.patience.look_every;
            if tenure.is_held() {
                if tidied.is_none_or(|tidied| tidied.elapsed() >= TIDY_EVERY)
                    && let Ok(now) = self.now()
                {
                    tidied = Some(began);
                    self.tidy_directory(now).await;
                }
                match self.round(epoch, &tenure).await {
                    Ok(is_settled) => {
                        metrics::collected(began.elapsed());
                        // Gateways wait for it.
                        if !is_settled {
                            pause = pause.min(RETRY_PAUSE);
                        }
                    }
                    Err(fault) => {
                        metrics::collection_failed();
                        tracing::warn!(error = %fault, "a round of the collector ended early");
                        pause = pause.min(RETRY_PAUSE);
                    }
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// Removes what killed processes left in a directory.
    async fn tidy_directory(&self, now: LogTime) {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(now.as_millis());
        match self.objects.remove_unfinished(now).await {
            Ok(0) => {}
            Ok(count) => tracing::info!(count, "removed what killed processes left of objects"),
            Err(error) => tracing::warn!(%error, "what killed processes left stays for now"),
        }
    }

    /// One look at everything; `false`: the records do not have all that the log says.
    async fn round(&self, epoch: u64, tenure: &Tenure) -> Result<bool, Fault> {
        if !reconcile::is_done(self.bucket(), epoch).await? {
            Reconciliation { collector: self, epoch, tenure }.run().await?;
        }
        let now = self.now()?;
        let mut dying = Vec::new();
        for hour in self.bucket().watched_hours().await? {
            if hour > hour_of(now) {
                break;
            }
            dying.extend(self.look_at(hour, tenure).await?);
        }
        dying.truncate(REMOVED_MAX);
        self.settle(dying, epoch, tenure).await?;
        Reconciliation { collector: self, epoch, tenure }.sweep().await
    }

    /// Looks at what is due in an hour, and returns what is to be removed. What fails is due again
    /// in the next round, and keeps nothing else from being looked at.
    async fn look_at(&self, hour: u64, tenure: &Tenure) -> Result<Vec<Due>, Fault> {
        let ids = self.bucket().keys(&format!("w.{hour}.")).await?;
        let due = ids.iter().filter_map(|id| Some(Due { hour, upload: id.parse().ok()? }));
        let looks = stream::iter(due.collect::<Vec<_>>()).map(|due| async move {
            if !tenure.is_held() {
                return None;
            }
            match self.visit(due).await {
                Ok(is_dying) => is_dying.then_some(due),
                Err(fault) => {
                    metrics::visited("failed");
                    tracing::warn!(upload.id = %due.upload, error = %fault, "not looked at");
                    None
                }
            }
        });
        Ok(looks.buffer_unordered(AT_ONCE).filter_map(std::future::ready).collect().await)
    }

    /// Does what is to be done about an upload; tells whether it is to be removed.
    async fn visit(&self, due: Due) -> Result<bool, Fault> {
        let (watch, revision) = self.bucket().get::<Watch>(due.key()).await?;
        let Some(watch) = watch else { return Ok(false) };
        let (upload, version) = self.uploads.get(due.upload).await?;
        let now = self.now()?;
        let verdict = judge(upload.as_ref(), &watch, now, &self.patience);
        if verdict != Verdict::Wait
            && let Some(Upload { state: State::Processing | State::Ready, .. }) = upload
        {
            // Whoever finished it may have died before its bytes were counted.
            self.uploads.finish(due.upload, None).await?;
        }
        match verdict {
            Verdict::Settle => return Ok(true),
            Verdict::Wait => {}
            Verdict::Forget => {
                self.bucket().remove(due.key(), revision).await?;
                metrics::visited("forgotten");
            }
            Verdict::Later(moment) => self.postpone(due, revision, moment, now).await?,
            Verdict::Avatar(moment) => {
                if let Some(upload) = upload {
                    self.settle_avatar(&upload, version, now).await?;
                }
                self.postpone(due, revision, moment, now).await?;
            }
            Verdict::Finish => {
                self.touch(due, now).await?;
                self.uploads.finish(due.upload, None).await?;
                metrics::visited("finished");
            }
            Verdict::Process => {
                self.touch(due, now).await?;
                if let Some(upload) = upload {
                    // Full: the next look finds it again.
                    self.processing.push(upload.uploader, upload.id);
                }
                metrics::visited("processed");
            }
            Verdict::Tidy => self.uploads.tidy(due.upload).await?,
            Verdict::Leave(blobs) => self.leave(due, upload, (watch, revision), blobs).await?,
            Verdict::End => {
                if let Some(upload) = upload
                    && !self.settle_avatar(&upload, version, now).await?
                {
                    self.end(upload, version, now).await?;
                }
            }
        }
        Ok(false)
    }

    /// Has an upload looked at again in the hour of `moment`.
    async fn postpone(
        &self,
        due: Due,
        revision: Revision,
        moment: LogTime,
        now: LogTime,
    ) -> Result<(), Fault> {
        if hour_of(moment) != due.hour {
            watch::put(self.bucket(), moment, now, due.upload).await?;
            self.bucket().remove(due.key(), revision).await?;
        }
        Ok(())
    }

    /// From now on nobody can send the upload, or go on with it.
    async fn end(&self, upload: Upload, version: Revision, now: LogTime) -> Result<(), Fault> {
        let watched = Instant::now();
        watch::put(self.bucket(), now, now, upload.id).await?;
        if watched.elapsed() > watch::USED_WITHIN {
            return Ok(());
        }
        let ended = Upload { state: State::Dying, ..upload };
        if self.bucket().put(MediaKey::Upload(ended.id), &ended, version).await?.is_some() {
            metrics::visited("ended");
            tracing::debug!(upload.id = %ended.id, "nothing refers to a file any more");
        }
        Ok(())
    }

    /// Does what whoever processed an upload has not come to.
    async fn leave(
        &self,
        due: Due,
        upload: Option<Upload>,
        (watch, revision): (Watch, Revision),
        blobs: BTreeSet<Sha256>,
    ) -> Result<(), Fault> {
        let uploads = &self.uploads;
        if let Some(upload) = &upload {
            uploads.manifests.put(&uploads.blobs.manifest(upload).await?).await?;
        }
        for blob in blobs {
            uploads.blobs.drop_holder(due.upload, blob).await?;
        }
        if let Some(upload) = &upload {
            uploads.blobs.clear(upload, &watch.joining).await?;
        }
        let left = Watch { joining: BTreeSet::new(), ..watch };
        self.bucket().put(due.key(), &left, revision).await?;
        metrics::visited("left_blobs");
        Ok(())
    }

    /// Something about it begins again.
    async fn touch(&self, due: Due, now: LogTime) -> Result<(), Fault> {
        let touch = |found: Option<&Watch>| match found {
            Some(found) => (Change::Put(Watch { since: now, ..found.clone() }), ()),
            None => (Change::Keep, ()),
        };
        self.bucket().update(due.key(), touch).await?;
        Ok(())
    }

    /// Removes what is dying, once the log is read to where it ends now.
    async fn settle(&self, dying: Vec<Due>, epoch: u64, tenure: &Tenure) -> Result<(), Fault> {
        if dying.is_empty() || !self.is_caught_up(epoch).await? {
            return Ok(());
        }
        for due in dying {
            if !tenure.is_held() {
                return Ok(());
            }
            if let Err(fault) = self.remove_or_revive(due).await {
                metrics::visited("failed");
                tracing::warn!(upload.id = %due.upload, error = %fault, "not removed yet");
            }
        }
        Ok(())
    }

    /// Waits for every partition to be read to where it ends now; `false`: not soon enough.
    pub(crate) async fn is_caught_up(&self, epoch: u64) -> Result<bool, Fault> {
        let deadline = Instant::now() + CAUGHT_UP_WITHIN;
        let mut ends = Vec::new();
        for partition in self.log.partitions().partitions() {
            ends.push((partition, self.log.last_seq(partition).await?));
        }
        for (partition, end) in ends {
            while self.read_to(partition, epoch).await?.unwrap_or_default() < end {
                if Instant::now() >= deadline {
                    tracing::debug!(%partition, "the log is not read to its end");
                    return Ok(false);
                }
                tokio::time::sleep(CATCHING_UP_PAUSE).await;
            }
        }
        Ok(true)
    }

    /// How far references are read in a partition of the present log; `None`: not at all.
    pub(crate) async fn read_to(
        &self,
        partition: PartitionId,
        epoch: u64,
    ) -> Result<Option<Seq>, Fault> {
        let (found, _) = self.bucket().get::<Position>(MediaKey::Position(partition)).await?;
        Ok(found.filter(|found| found.epoch == epoch).map(|found| found.seq))
    }

    pub(crate) fn now(&self) -> Result<LogTime, Fault> {
        Ok(self.uploads.clock.now()?)
    }
}

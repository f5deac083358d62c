//! The task of a partition's owner that archives it: segments out of the stream, read back,
//! linked to the head; then the stream is trimmed to the hot window.
//!
//! What makes it safe to die, or to be late, at any moment:
//!
//! 1. Whoever begins replaces the head by itself first: then nobody who began before can.
//! 2. A segment is an object named by its hash, written before the head names it. Until then it
//!    does not exist; written twice it is the same.
//! 3. The stream is trimmed up to the head at most, and only where the stream itself says that
//!    the events are older than the hot window.

mod cut;
mod tenure;

use std::time::Duration;

use futures_util::future::join_all;
use hansard_model::{PartitionId, Seq};
use hansard_nats::Log;
use hansard_nats::deployment::ReplaceError;
use hansard_nats::log::{FollowError, TrimError};
use hansard_nats::streams::StreamName;
use tokio_util::sync::CancellationToken;

use self::tenure::Tenure;
use crate::{Archive, BindError, ReadError, SegmentError, metrics};

/// The largest segment: decoded in a fraction of a second.
const SEGMENT_EVENTS_MAX: u64 = 32_768;
/// Before compression; an archiver holds the compressed rest in memory.
const SEGMENT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// What was said longer ago than this is in a segment, however little it is.
const SEGMENT_AGE_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Accounts are few, and a restore brings back what is in segments.
const ACCOUNTS_AGE_MAX: Duration = Duration::from_secs(3_600);
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Pauses after a failure.
const PAUSE_MIN: Duration = Duration::from_millis(200);
const PAUSE_MAX: Duration = Duration::from_secs(30);

/// When to make segments and what to keep in the stream.
#[derive(Clone, Copy, Debug)]
pub struct ArchiverSettings {
    /// What the stream keeps at least.
    pub hot_window: Duration,
    /// Events of a segment at most.
    pub segment_events: u64,
    /// Bytes of a segment before compression, at most by one event.
    pub segment_bytes: u64,
    /// An event that is older than this is put into a segment, however few there are.
    pub segment_age: Duration,
    /// How often to look.
    pub look_every: Duration,
}

impl ArchiverSettings {
    /// The usual segments, and a stream that keeps this much.
    pub fn keeping(hot_window: Duration) -> Self {
        Self {
            hot_window,
            segment_events: SEGMENT_EVENTS_MAX,
            segment_bytes: SEGMENT_BYTES_MAX,
            segment_age: SEGMENT_AGE_MAX.min(hot_window / 2),
            look_every: LOOK_EVERY,
        }
    }
}

/// Why an archiver did nothing further; it tries again.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ArchiveError {
    #[error("the partition is not its own now")]
    NotHeld,
    #[error("another archiver is at it")]
    Superseded,
    #[error(
        "{stream} ends at {last}, and the archive at {archived}: `hansard restore` continues it"
    )]
    Behind { stream: StreamName, archived: Seq, last: Seq },
    #[error("{stream}: {seq} is not the same event in the archive and in the stream")]
    Diverged { stream: StreamName, seq: Seq },
    #[error("{object} does not read as it was written")]
    ReadBack { object: String },
    #[error("a segment cannot be made")]
    Encode(#[from] std::io::Error),
    #[error("the object store does not answer")]
    Store(#[source] object_store::Error),
    #[error(transparent)]
    Bind(#[from] BindError),
    #[error("the stream does not give its events in time")]
    Slow,
    #[error(transparent)]
    Follow(#[from] FollowError),
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Segment(#[from] SegmentError),
    #[error(transparent)]
    Head(#[from] ReplaceError),
    #[error(transparent)]
    Trim(#[from] TrimError),
}

impl From<hansard_nats::log::ReadError> for ArchiveError {
    fn from(error: hansard_nats::log::ReadError) -> Self {
        Self::Read(error.into())
    }
}

impl ArchiveError {
    fn cause(&self) -> &'static str {
        match self {
            Self::NotHeld | Self::Superseded | Self::Head(ReplaceError::Conflict) => "superseded",
            Self::Behind { .. } | Self::Diverged { .. } => "diverged",
            Self::ReadBack { .. } | Self::Segment(_) => "damaged",
            Self::Read(error) if !error.is_transient() => "damaged",
            Self::Store(_) | Self::Bind(_) | Self::Read(ReadError::Store(_)) => "store",
            Self::Encode(_) => "encode",
            Self::Slow | Self::Follow(_) | Self::Read(_) | Self::Head(_) | Self::Trim(_) => {
                "stream"
            }
        }
    }
}

/// Archives one partition while `held` says that its caller owns it; with the first partition, the
/// accounts too.
pub struct Archiver<H> {
    archive: Archive,
    log: Log,
    partition: PartitionId,
    settings: ArchiverSettings,
    held: H,
}

impl<H: Fn() -> bool + Send + Sync> Archiver<H> {
    /// An archiver of a partition. `held` is asked before every write: after it says no, nothing
    /// is written.
    pub fn new(
        archive: &Archive,
        log: &Log,
        partition: PartitionId,
        settings: ArchiverSettings,
        held: H,
    ) -> Self {
        Self { archive: archive.clone(), log: log.clone(), partition, settings, held }
    }

    /// Archives and trims until `shutdown`. May be dropped, or die, at any moment.
    pub async fn run(self, shutdown: CancellationToken) {
        let mut streams = vec![(StreamName::Events(self.partition), self.settings)];
        if self.partition == PartitionId(0) {
            let segment_age = self.settings.segment_age.min(ACCOUNTS_AGE_MAX);
            let settings = ArchiverSettings { segment_age, ..self.settings };
            streams.push((StreamName::Accounts, settings));
        }
        let keeping = join_all(streams.into_iter().map(|(stream, settings)| {
            let task =
                Task { archive: &self.archive, log: &self.log, stream, settings, held: &self.held };
            task.keep()
        }));
        tokio::select! {
            () = shutdown.cancelled() => {}
            _ = keeping => {}
        }
    }
}

/// One stream's part of an archiver.
struct Task<'a> {
    archive: &'a Archive,
    log: &'a Log,
    stream: StreamName,
    settings: ArchiverSettings,
    held: &'a (dyn Fn() -> bool + Send + Sync),
}

impl Task<'_> {
    /// For ever: a tenure after another, each until something fails.
    async fn keep(self) {
        let mut pause = PAUSE_MIN;
        loop {
            if (self.held)() {
                let mut worked = false;
                let ended = self.serve(&mut worked).await;
                if worked {
                    pause = PAUSE_MIN;
                }
                metrics::failed(ended.cause());
                match ended {
                    ArchiveError::NotHeld | ArchiveError::Superseded => {
                        tracing::debug!(stream = %self.stream, reason = %ended, "not archiving");
                    }
                    error => tracing::warn!(
                        stream = %self.stream,
                        error = &error as &dyn std::error::Error,
                        retry_ms = pause.as_millis() as u64,
                        "not archived"
                    ),
                }
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Begins, and archives until something fails.
    async fn serve(&self, worked: &mut bool) -> ArchiveError {
        let mut tenure = match Tenure::begin(self).await {
            Ok(tenure) => tenure,
            Err(error) => return error,
        };
        loop {
            match tenure.step(self).await {
                Ok(more) => {
                    *worked = true;
                    if !more {
                        tokio::time::sleep(self.settings.look_every).await;
                    }
                }
                Err(error) => return error,
            }
        }
    }

    /// Asked before every write.
    fn check_held(&self) -> Result<(), ArchiveError> {
        if (self.held)() { Ok(()) } else { Err(ArchiveError::NotHeld) }
    }
}

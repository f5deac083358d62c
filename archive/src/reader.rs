//! The one reader of the log: segments as far as the stream is trimmed, then the stream.

use bytes::Bytes;
use futures_util::FutureExt as _;
use hansard_model::{PartitionId, Record, Seq};
use hansard_nats::{Log, LogClock, log};

use crate::{Archive, ReadError};

/// Why a reader stopped. It does not skip.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// The stream is not what it should be.
    #[error(transparent)]
    Stream(#[from] log::FollowError),
    /// The archive is not what it should be.
    #[error(transparent)]
    Archive(#[from] ReadError),
}

impl FollowError {
    /// Whether the log ends before the position the reader was given: it is another log, restored
    /// or truncated.
    pub fn is_truncated(&self) -> bool {
        matches!(self, Self::Stream(log::FollowError::Truncated { .. }))
    }
}

/// A reader of one partition. It survives lost connections, servers and object stores by itself.
pub struct LogReader {
    stream: log::LogReader,
}

impl LogReader {
    pub(crate) fn new(_archive: &Archive, log: &Log, partition: PartitionId, after: Seq) -> Self {
        Self { stream: log.follow(partition, after) }
    }

    /// The last event that was returned (or confirmed as deleted).
    pub fn position(&self) -> Seq {
        self.stream.position()
    }

    /// The last event of the log as last heard: the rest is lag.
    pub fn last_known(&self) -> Seq {
        self.stream.last_known()
    }

    /// The clock of the log.
    pub fn clock(&self) -> &LogClock {
        self.stream.clock()
    }

    /// The next event. Waits for ever; safe to drop while it waits.
    ///
    /// # Errors
    /// [`FollowError`]: the reader must not be used further.
    pub async fn next(&mut self) -> Result<Record<Bytes>, FollowError> {
        Ok(self.stream.next().await?)
    }

    /// The next event if it is here already: drains a batch without waiting.
    ///
    /// # Errors
    /// As [`LogReader::next`].
    pub fn try_next(&mut self) -> Result<Option<Record<Bytes>>, FollowError> {
        self.next().now_or_never().transpose()
    }
}

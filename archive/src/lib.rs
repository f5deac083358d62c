//! The archive: the log beyond its streams, in an object store, and the one reader of both.
//!
//! The events of a partition are copied into segments, immutable objects that name the hash of
//! the one before; the stream then forgets what is older than the hot window and verified in
//! segments. **The log is segments plus stream**: whoever reads it reads it here. Reading order:
//!
//! 1. [`Objects`]: where objects are, and whose;
//! 2. `segment`: the form of a segment, pure; `segments`: which there are and which of them count;
//! 3. [`LogReader`], [`Archive::read`], [`Archive::replay`]: reading both as one;
//! 4. [`Archiver`]: writing segments and trimming the stream;
//! 5. `verify`: finding what changed; [`restore`]: the streams again, from segments.
//!
//! - Invariant: a segment counts when it is reachable from the head in the deployment bucket, and
//!   never before it was read back. The head is replaced only by whoever has seen the last one.
//! - Invariant: an event leaves the stream after the segment that holds it was read and compared
//!   with its hash once more. What the stream holds, the stream answers.
//! - Invariant: an archiver can die at any moment. What it leaves is an object that nothing
//!   reaches, which the next one removes if the log has all of it.
//! - Invariant: bytes of the store are used only after their hash was checked.
//! - Deliberately absent: `max_age` and any other way by which a stream forgets by itself.

mod archiver;
pub mod metrics;
mod objects;
mod reader;
mod replay;
pub mod restore;
mod segment;
mod segments;
mod verify;

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _};
use hansard_model::{ConversationId, LogTime, PartitionId, Record, Seq};
use hansard_nats::deployment::{self, ArchiveHead};
use hansard_nats::streams::StreamName;
use hansard_nats::{Connection, Deployment, Log};
use tokio::sync::{Semaphore, mpsc};

pub use archiver::{Archiver, ArchiverSettings};
pub use objects::{BindError, Marker, Objects, ObjectsUrl, OpenObjectsError, ParseObjectsUrlError};
pub use reader::{FollowError, LogReader};
pub use segment::SegmentError;
pub use verify::{Finding, SetBack, Verification, verify_offline};

use self::segment::SegmentName;
use self::segments::Segments;

/// Segments that the archivers of one process make at a time: each holds one in memory.
const CUTTING_MAX: usize = 2;
/// Headers of segments that are read at a time.
const HEADERS_AT_ONCE: usize = 8;

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream did not answer.
    #[error(transparent)]
    Stream(#[from] hansard_nats::log::ReadError),
    /// The object store did not answer.
    #[error("the object store does not answer")]
    Store(#[source] object_store::Error),
    /// An object that the chain names is not there.
    #[error("{object} is missing")]
    Missing {
        /// Its name.
        object: String,
    },
    /// What a segment continues is not there.
    #[error("{object} continues a segment with SHA-256 {sha256}, which is missing")]
    Unlinked {
        /// The name of the segment.
        object: String,
        /// What it continues.
        sha256: String,
    },
    /// An object is not what it should be.
    #[error("{object} is damaged")]
    Segment {
        /// Its name.
        object: String,
        /// How.
        source: SegmentError,
    },
    /// Events are neither in a segment nor in the stream.
    #[error("{stream}: the archive ends at {archived}, and the stream begins at {first}")]
    Gap {
        /// Where.
        stream: StreamName,
        /// The last event in segments.
        archived: Seq,
        /// The first event in the stream.
        first: Seq,
    },
}

impl ReadError {
    /// Whether the same read may succeed later.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Stream(_) | Self::Store(_))
    }
}

/// A segment as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// The name of the object.
    pub object: String,
    /// Its first sequence.
    pub first: Seq,
    /// Its last sequence.
    pub last: Seq,
    /// How many events it holds.
    pub count: u64,
    /// When its first event was stored.
    pub from: LogTime,
    /// When its last event was stored.
    pub to: LogTime,
    /// Bytes of the object.
    pub bytes: u64,
}

/// The archive of a deployment; clones share it.
#[derive(Clone)]
pub struct Archive {
    segments: Segments,
    connection: Connection,
    /// The salt of the deployment.
    deployment: Arc<str>,
    cutting: Arc<Semaphore>,
}

impl Archive {
    /// The archive in an object store that is bound to the deployment (see [`Objects::bind`]).
    pub fn open(objects: Objects, connection: &Connection, deployment: &Deployment) -> Self {
        Self {
            segments: Segments::of(&objects),
            connection: connection.clone(),
            deployment: deployment.salt.as_str().into(),
            cutting: Arc::new(Semaphore::new(CUTTING_MAX)),
        }
    }

    /// The object store.
    pub fn objects(&self) -> &Objects {
        self.segments.objects()
    }

    /// Where the archive of a partition ends; `None`: nothing is archived.
    ///
    /// # Errors
    /// [`ReadError`] when the leader does not answer.
    pub async fn head(&self, partition: PartitionId) -> Result<Option<ArchiveHead>, ReadError> {
        self.head_of(StreamName::Events(partition)).await
    }

    /// As [`Archive::head`], of any stream.
    ///
    /// # Errors
    /// [`ReadError`] when the leader does not answer.
    pub async fn head_of(&self, stream: StreamName) -> Result<Option<ArchiveHead>, ReadError> {
        Ok(deployment::archive_head(&self.connection, stream).await?.value)
    }

    /// The segments of a stream that count, in order.
    ///
    /// # Errors
    /// [`ReadError`] when something does not answer or is not what it should be.
    pub async fn list(&self, stream: StreamName) -> Result<Vec<SegmentEntry>, ReadError> {
        let Some(head) = self.head_of(stream).await? else { return Ok(Vec::new()) };
        let listed = self.segments.list(stream).await?;
        let chain = self.segments.chain(stream, &head).await?;
        let sizes: HashMap<&SegmentName, u64> =
            listed.iter().map(|listed| (&listed.name, listed.bytes)).collect();
        futures_util::stream::iter(chain.iter())
            .map(|name| async {
                let header = self.segments.header(name).await?;
                Ok(SegmentEntry {
                    object: self.segments.path(name).to_string(),
                    first: name.first,
                    last: name.last,
                    count: header.count,
                    from: header.from,
                    to: header.to,
                    bytes: sizes.get(name).copied().unwrap_or_default(),
                })
            })
            .buffered(HEADERS_AT_ONCE)
            .try_collect()
            .await
    }

    /// Follows a partition from just after `after`: every sequence, in order, from segments as far
    /// as the stream is trimmed, then from the stream.
    pub fn follow(&self, log: &Log, partition: PartitionId, after: Seq) -> LogReader {
        LogReader::new(self, log, StreamName::Events(partition), after)
    }

    /// As [`Archive::follow`], of any stream that has an archive.
    pub fn follow_stream(&self, log: &Log, stream: StreamName, after: Seq) -> LogReader {
        LogReader::new(self, log, stream, after)
    }

    /// The event at `seq`, from the stream's leader or a segment; `None` when there is none.
    ///
    /// # Errors
    /// [`ReadError`] when one of them does not answer.
    pub async fn read(
        &self,
        log: &Log,
        partition: PartitionId,
        seq: Seq,
    ) -> Result<Option<Record<Bytes>>, ReadError> {
        if let Some(record) = log.read(partition, seq).await? {
            return Ok(Some(record));
        }
        let stream = StreamName::Events(partition);
        let Some(head) = self.head_of(stream).await? else { return Ok(None) };
        // The head was read after the stream: what was trimmed in between is in its segments.
        if seq > head.last {
            return Ok(None);
        }
        let chain = self.segments.chain(stream, &head).await?;
        let index = chain.partition_point(|name| name.last < seq);
        let Some(name) = chain.get(index).filter(|name| name.first <= seq) else { return Ok(None) };
        Ok(self.segments.find(name, seq).await?.and_then(|stored| stored.record()))
    }

    /// Reads one conversation in order, from segments and stream: both subjects, void events
    /// included, from just after `after`. Ends at the last event there was when it began, unless
    /// `live`, or after an error. Bounded by its channel, not by the conversation.
    ///
    /// # Errors
    /// [`ReadError`] when the log does not answer.
    pub async fn replay(
        &self,
        log: &Log,
        conversation: ConversationId,
        after: Seq,
        live: bool,
    ) -> Result<mpsc::Receiver<Result<Record<Bytes>, ReadError>>, ReadError> {
        replay::replay(self, log, conversation, after, live).await
    }
}

//! The archive: the log beyond its streams, in an object store, and the one reader of both.

mod archiver;
mod objects;
mod reader;

use bytes::Bytes;
use hansard_model::{ConversationId, PartitionId, Record, Seq};
use hansard_nats::deployment::{self, ArchiveHead};
use hansard_nats::streams::StreamName;
use hansard_nats::{Connection, Deployment, Log};
use tokio::sync::mpsc;

pub use archiver::{Archiver, ArchiverSettings};
pub use objects::{BindError, Marker, Objects, ObjectsUrl, OpenObjectsError, ParseObjectsUrlError};
pub use reader::{FollowError, LogReader};

/// Why a read gave nothing.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The stream did not answer.
    #[error(transparent)]
    Stream(#[from] hansard_nats::log::ReadError),
    /// The object store did not answer.
    #[error("the object store does not answer")]
    Store(#[source] object_store::Error),
}

/// The archive of a deployment; clones share it.
#[derive(Clone)]
pub struct Archive {
    objects: Objects,
    connection: Connection,
}

impl Archive {
    /// The archive in an object store that is bound to the deployment (see [`Objects::bind`]).
    pub fn open(objects: Objects, connection: &Connection, _deployment: &Deployment) -> Self {
        Self { objects, connection: connection.clone() }
    }

    /// The object store.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// Where the archive of a partition ends; `None`: nothing is archived.
    ///
    /// # Errors
    /// [`ReadError`] when the leader does not answer.
    pub async fn head(&self, partition: PartitionId) -> Result<Option<ArchiveHead>, ReadError> {
        let stream = StreamName::Events(partition);
        Ok(deployment::archive_head(&self.connection, stream).await?.value)
    }

    /// Follows a partition from just after `after`: every sequence, in order, from segments as far
    /// as the stream is trimmed, then from the stream.
    pub fn follow(&self, log: &Log, partition: PartitionId, after: Seq) -> LogReader {
        LogReader::new(self, log, partition, after)
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
        Ok(log.read(partition, seq).await?)
    }

    /// Reads one conversation in order, from segments and stream: both subjects, void events
    /// included, from just after `after`. Ends at the last event there was when it began, unless
    /// `live`. Bounded by its channel, not by the conversation.
    ///
    /// # Errors
    /// [`ReadError`] when the log does not answer.
    pub async fn replay(
        &self,
        log: &Log,
        conversation: ConversationId,
        after: Seq,
        live: bool,
    ) -> Result<mpsc::Receiver<Record<Bytes>>, ReadError> {
        Ok(log.replay(conversation, after, live).await?)
    }
}

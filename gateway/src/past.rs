//! What the streams no longer hold: asked of the owners, who read the archive.
//!
//! The stream of a partition loses its oldest events once they are in the archive. What the leader
//! says of the rest stays exact; of an event before the stream's first it says nothing at all. So
//! absence is asked twice: of the leader, and, where the stream does not reach back far enough, of
//! the owner.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use hansard_model::query::{GroupReply, GroupRequest, RecordRequest, StoredRecord};
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, PartitionId, Record, Seq};
use hansard_nats::Log;
use hansard_nats::log::{Extent, ReadError};
use hansard_nats::query::{AskError, ask};
use hansard_nats::streams::StreamName;
use tokio::sync::Mutex;

use crate::metrics;

/// How long the owner of a partition is asked.
const ASK_WITHIN: Duration = Duration::from_secs(3);

/// Why it is not known what there was. Nothing was stored.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PastError {
    /// The leader does not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The owner does not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
}

/// Reads of the log that reach behind the streams; clones share it.
#[derive(Clone)]
pub(crate) struct Past {
    log: Log,
    extents: Arc<[Mutex<Option<Known>>]>,
}

/// What a leader said of a stream, and when it was asked.
#[derive(Clone, Copy)]
struct Known {
    asked: Instant,
    extent: Extent,
}

impl Past {
    pub(crate) fn new(log: Log) -> Self {
        let extents = log.partitions().partitions().map(|_| Mutex::default()).collect();
        Self { log, extents }
    }

    /// The log.
    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// What the stream of a partition holds, asked of its leader after this call began. Callers
    /// that wait for the same stream share an answer.
    ///
    /// # Errors
    /// [`ReadError`] when the leader does not answer.
    pub(crate) async fn extent(&self, partition: PartitionId) -> Result<Extent, ReadError> {
        let called = Instant::now();
        let Some(known) = self.extents.get(partition.index()) else {
            return self.log.extent(StreamName::Events(partition)).await;
        };
        let mut known = known.lock().await;
        if let Some(Known { asked, extent }) = *known
            && asked >= called
        {
            return Ok(extent);
        }
        let asked = Instant::now();
        let extent = self.log.extent(StreamName::Events(partition)).await?;
        *known = Some(Known { asked, extent });
        Ok(extent)
    }

    /// The event at a position, whether the stream still holds it or not; `None` when there is
    /// none.
    ///
    /// # Errors
    /// [`PastError`]
    pub(crate) async fn record(
        &self,
        partition: PartitionId,
        seq: Seq,
    ) -> Result<Option<Record<Bytes>>, PastError> {
        if seq == Seq::ZERO {
            return Ok(None);
        }
        if let Some(record) = self.log.read(partition, seq).await? {
            return Ok(Some(record));
        }
        if seq >= self.extent(partition).await?.first {
            return Ok(None);
        }
        metrics::past_asked(metrics::Past::Record);
        let question = RecordRequest { seq };
        let verb = QueryVerb::Record;
        let answer: Option<StoredRecord> =
            ask(self.log.connection(), partition, verb, &question, ASK_WITHIN).await?;
        Ok(answer.map(|stored| {
            let Record { seq, ts, conversation, class, vouch_until, key, payload } =
                stored.into_record();
            let payload = Bytes::from(payload);
            Record { seq, ts, conversation, class, vouch_until, key, payload }
        }))
    }

    /// The fold of a group, of everything in its partition up to at least `min_seq`.
    ///
    /// # Errors
    /// [`PastError`]
    pub(crate) async fn group(
        &self,
        conversation: ConversationId,
        min_seq: Seq,
    ) -> Result<GroupReply, PastError> {
        metrics::past_asked(metrics::Past::Group);
        let partition = self.log.partition_of(conversation);
        let question = GroupRequest { conversation, min_seq: Some(min_seq) };
        let verb = QueryVerb::Group;
        Ok(ask(self.log.connection(), partition, verb, &question, ASK_WITHIN).await?)
    }
}

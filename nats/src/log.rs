//! The log: append, read, follow.
//!
//! An event's way in: [`Log::append`] puts it on its subject, in order, and returns the pending
//! acknowledgement; many are in flight at once. Its way out: [`Log::follow`] gives every sequence
//! of a partition exactly once and in order, or stops.

mod append;
mod clock;
mod follow;
mod record;
mod stored;
mod trim;

use std::time::Duration;

use bytes::Bytes;
use hansard_model::event::EventClass;
use hansard_model::record::EventKey;
use hansard_model::subject::{Subject, event_filter};
use hansard_model::{ConversationId, PartitionCount, PartitionId, Record, Seq};

pub use append::{Append, AppendError, Appended, PendingAppend};
pub use clock::{LogClock, NotSynchronized};
pub use follow::{FollowError, LogReader};
pub use stored::{StoredEvent, digest};
pub use trim::{Extent, TrimError};

use crate::connection::Connection;
use crate::deployment::Deployment;
use crate::direct::{self, BATCH_MAX, BatchRequest, LeaderRequest};
use crate::streams::{self, StreamName};

pub use crate::direct::ReadError;

/// Events of one conversation that a scan beyond the index reads at most.
const SCAN_MAX: usize = 100_000;
/// How often a scan that meets a replica behind the leader tries again, and after which pause.
const SCAN_RETRIES: u32 = 20;
const SCAN_PAUSE: Duration = Duration::from_millis(50);

/// What the log says of an identity.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Where the valid event is.
    pub seq: Option<Seq>,
    /// Void attempts, in order.
    pub void: Vec<Seq>,
}

/// The event log of a deployment; clones share it.
#[derive(Clone)]
pub struct Log {
    connection: Connection,
    clock: LogClock,
    partitions: PartitionCount,
}

impl Log {
    /// The log, with a clock that something else keeps synchronized; see [`LogClock::keep`].
    pub fn open(connection: &Connection, deployment: &Deployment, clock: LogClock) -> Self {
        Self { connection: connection.clone(), clock, partitions: deployment.partitions }
    }

    /// The clock of the log.
    pub fn clock(&self) -> &LogClock {
        &self.clock
    }

    /// The connection it uses.
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// How many partitions.
    pub fn partitions(&self) -> PartitionCount {
        self.partitions
    }

    /// The partition of a conversation.
    pub fn partition_of(&self, conversation: ConversationId) -> PartitionId {
        conversation.partition(self.partitions)
    }

    /// The event at `seq`, from the leader; `None` when there is none.
    ///
    /// # Errors
    /// [`ReadError`] when the leader does not answer.
    pub async fn read(
        &self,
        partition: PartitionId,
        seq: Seq,
    ) -> Result<Option<Record<Bytes>>, ReadError> {
        let request = LeaderRequest { seq: Some(seq.0), ..LeaderRequest::default() };
        let stored =
            direct::leader_get(&self.connection, &streams::events(partition), &request).await?;
        Ok(stored.as_ref().and_then(record::from_stored))
    }

    /// The last sequence of a partition, from the leader; 0 when it is empty.
    ///
    /// # Errors
    /// [`ReadError`] when the leader does not answer.
    pub async fn last_seq(&self, partition: PartitionId) -> Result<Seq, ReadError> {
        Ok(direct::leader_info(&self.connection, &streams::events(partition)).await?.last)
    }

    /// The last meta event of a conversation, void or not, from the leader; 0 for none.
    ///
    /// # Errors
    /// [`ReadError`] when the leader does not answer.
    pub async fn last_meta_seq(&self, conversation: ConversationId) -> Result<Seq, ReadError> {
        self.last_seq_of(conversation, EventClass::Meta).await
    }

    async fn last_seq_of(
        &self,
        conversation: ConversationId,
        class: EventClass,
    ) -> Result<Seq, ReadError> {
        let partition = self.partition_of(conversation);
        let subject = Subject::event(partition, conversation, class).to_string();
        self.last_seq_on(partition, subject).await
    }

    async fn last_seq_on(&self, partition: PartitionId, filter: String) -> Result<Seq, ReadError> {
        let request = LeaderRequest { last_by_subj: Some(filter), ..LeaderRequest::default() };
        let stored =
            direct::leader_get(&self.connection, &streams::events(partition), &request).await?;
        Ok(stored.map_or(Seq::ZERO, |stored| stored.seq))
    }

    /// A page of the meta events of a conversation in `after < seq <= to`, void ones included, and
    /// how far it reaches; `to` is a position that the leader named. Ask again from there.
    ///
    /// # Errors
    /// [`ReadError`] when the log does not answer.
    pub async fn meta_events(
        &self,
        conversation: ConversationId,
        after: Seq,
        to: Seq,
    ) -> Result<(Vec<Record<Bytes>>, Seq), ReadError> {
        let partition = self.partition_of(conversation);
        let filter = Subject::event(partition, conversation, EventClass::Meta).to_string();
        self.page(partition, &filter, after, to).await
    }

    /// As [`Log::meta_events`], of both subjects of a conversation.
    ///
    /// # Errors
    /// [`ReadError`] when the log does not answer.
    pub async fn events_of(
        &self,
        conversation: ConversationId,
        after: Seq,
        to: Seq,
    ) -> Result<(Vec<Record<Bytes>>, Seq), ReadError> {
        let partition = self.partition_of(conversation);
        self.page(partition, &event_filter(partition, conversation), after, to).await
    }

    /// The last event of a conversation that the stream holds, void or not, from the leader; 0 for
    /// none.
    ///
    /// # Errors
    /// [`ReadError`] when the leader does not answer.
    pub async fn last_of(&self, conversation: ConversationId) -> Result<Seq, ReadError> {
        let partition = self.partition_of(conversation);
        self.last_seq_on(partition, event_filter(partition, conversation)).await
    }

    /// What the log says of `key` after `after`, up to the leader's last event of its subject.
    ///
    /// # Errors
    /// [`ReadError`] when the log does not answer, or there is more than a scan may read.
    pub async fn find_after(
        &self,
        key: EventKey,
        class: EventClass,
        after: Seq,
    ) -> Result<Found, ReadError> {
        let to = self.last_seq_of(key.conversation, class).await?;
        let partition = self.partition_of(key.conversation);
        let filter = Subject::event(partition, key.conversation, class).to_string();
        let (mut found, mut reached, mut read) = (Found::default(), after, 0);
        while reached < to {
            let (records, page_end) = self.page(partition, &filter, reached, to).await?;
            read += records.len();
            if read > SCAN_MAX {
                return Err(ReadError::Unexpected("more events than a scan reads".to_owned()));
            }
            for record in records.iter().filter(|record| record.key == Some(key)) {
                if !record.is_void() {
                    found.seq = Some(record.seq);
                    return Ok(found);
                }
                found.void.push(record.seq);
            }
            reached = page_end;
        }
        Ok(found)
    }

    /// Events on subjects in `after < seq <= to`, a batch at most, and how far they reach. `to`
    /// is a position that the leader named: a replica that does not reach it yet is asked again,
    /// so that nothing reads as absent that is stored.
    async fn page(
        &self,
        partition: PartitionId,
        filter: &str,
        after: Seq,
        to: Seq,
    ) -> Result<(Vec<Record<Bytes>>, Seq), ReadError> {
        let stream = streams::events(partition);
        for _ in 0..SCAN_RETRIES {
            let request = BatchRequest {
                seq: Some(after.next().0),
                next_by_subj: Some(filter.to_owned()),
                batch: BATCH_MAX,
                ..BatchRequest::default()
            };
            let (stored, _) = direct::batch(&self.connection, &stream, &request).await?;
            let Some(last) = stored.last().map(|last| last.seq) else {
                tokio::time::sleep(SCAN_PAUSE).await;
                continue;
            };
            let within = stored.iter().filter(|stored| stored.seq <= to);
            return Ok((within.filter_map(record::from_stored).collect(), last.min(to)));
        }
        Err(direct::unavailable("a replica stays behind its leader"))
    }

    /// Follows a partition from just after `after`: every sequence, in order.
    pub fn follow(&self, partition: PartitionId, after: Seq) -> LogReader {
        self.follow_stream(StreamName::Events(partition), after)
    }

    /// As [`Log::follow`], for any stream that has an archive.
    pub fn follow_stream(&self, stream: StreamName, after: Seq) -> LogReader {
        LogReader::new(self.connection.clone(), self.clock.clone(), stream, after)
    }

    /// Reads one conversation in order, straight from the stream: both subjects, void events
    /// included, from just after `after`. Ends at the last event there was when it began, unless
    /// `live`. Bounded by its channel, not by the conversation.
    ///
    /// # Errors
    /// [`ReadError`] when the log does not answer.
    pub async fn replay(
        &self,
        conversation: ConversationId,
        after: Seq,
        live: bool,
    ) -> Result<tokio::sync::mpsc::Receiver<Record<Bytes>>, ReadError> {
        let partition = self.partition_of(conversation);
        let filter = event_filter(partition, conversation);
        follow::replay(&self.connection, partition, filter, after, live).await
    }
}

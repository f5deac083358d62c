//! The inbox bucket: read in one batched get, written with compare-and-set.

mod entries;

use std::collections::HashMap;
use std::future::Future;

use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::message::OutboundMessage;
use bytes::Bytes;
use futures_util::StreamExt;
use hansard_model::inbox::{Head, InboxKey, MemberRecord, Position};
use hansard_model::{ConversationId, PartitionCount, PartitionId, Seq, UserId};
use serde::Deserialize;

pub use self::entries::Entry;
use crate::connection::Connection;
use crate::direct::{self, BATCH_MAX, BatchRequest, ReadError, Stored, unavailable};
use crate::streams::{INBOX_BUCKET, bucket_stream, bucket_subject};

/// Attempts of one compare-and-set.
const PUT_ATTEMPTS: u32 = 8;
/// Attempts of a read whose values are replaced while it is answered.
const READ_ATTEMPTS: u32 = 5;
/// Batches of heads that one read asks for at a time: each may be megabytes.
const BATCHES_AT_ONCE: usize = 4;
/// The keys of all positions.
const POSITIONS: &str = "p.*";

/// The inbox bucket; clones share it.
#[derive(Clone)]
pub struct InboxBucket {
    connection: Connection,
    partitions: PartitionCount,
}

/// What the bucket says of one user.
#[derive(Debug)]
pub struct Memberships {
    /// The user's records, unordered; former memberships included.
    pub records: Vec<(ConversationId, MemberRecord)>,
    /// Up to where the bucket covers each partition (index), at least.
    pub positions: Vec<Seq>,
}

/// Why a value was not written.
#[derive(Debug, thiserror::Error)]
pub enum PutError {
    /// The log's server did not answer, or the bucket is contended.
    #[error("the inbox bucket does not answer")]
    Unavailable(#[source] async_nats::Error),
}

/// The position that every value carries, so that an older copy is known as older.
#[derive(Deserialize)]
struct Stamp {
    #[serde(alias = "as_of")]
    seq: Seq,
}

impl InboxBucket {
    /// The bucket of a deployment with that many partitions.
    pub fn open(connection: &Connection, partitions: PartitionCount) -> Self {
        Self { connection: connection.clone(), partitions }
    }

    /// All memberships of a user and the positions of the partitions. The server names the values
    /// of one request in one step, and a position is written after what it covers: so the records
    /// are at least as new as the positions.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub async fn memberships(&self, user: UserId) -> Result<Memberships, ReadError> {
        let filter = bucket_subject(INBOX_BUCKET, &InboxKey::members_of(user));
        let both = vec![bucket_subject(INBOX_BUCKET, POSITIONS), filter.clone()];
        match self.last_of(both, value).await {
            Ok(values) => Ok(self.memberships_in(values)),
            // The server refuses the whole request.
            Err(ReadError::TooMany) => {
                // The positions first, so that the records are at least as new.
                let positions = self.positions().await?;
                let values = self.list(filter).await?.iter().filter_map(value).collect();
                Ok(Memberships { positions, ..self.memberships_in(values) })
            }
            Err(error) => Err(error),
        }
    }

    /// Up to where the bucket covers each partition; index = partition.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub async fn positions(&self) -> Result<Vec<Seq>, ReadError> {
        let values = self.last_of(vec![bucket_subject(INBOX_BUCKET, POSITIONS)], value).await?;
        Ok(self.memberships_in(values).positions)
    }

    fn memberships_in(&self, values: Vec<Value>) -> Memberships {
        let mut positions = vec![Seq::ZERO; usize::from(self.partitions.get())];
        let mut records = Vec::with_capacity(values.len());
        for value in values {
            match value {
                Value::Member(conversation, record) => records.push((conversation, record)),
                Value::Position(partition, seq) => {
                    if let Some(position) = positions.get_mut(partition.index()) {
                        *position = seq;
                    }
                }
            }
        }
        Memberships { records, positions }
    }

    /// The position of one partition.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub async fn position(&self, partition: PartitionId) -> Result<Seq, ReadError> {
        Ok(self.positions().await?.get(partition.index()).copied().unwrap_or_default())
    }

    /// The heads of conversations; those that have none are left out.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub async fn heads(
        &self,
        conversations: &[ConversationId],
    ) -> Result<HashMap<ConversationId, Head>, ReadError> {
        let mut heads = HashMap::with_capacity(conversations.len());
        let subject =
            |c: &ConversationId| bucket_subject(INBOX_BUCKET, &InboxKey::Head(*c).to_string());
        let batches: Vec<Vec<String>> = conversations
            .chunks(BATCH_MAX)
            .map(|chunk| chunk.iter().map(subject).collect())
            .collect();
        let mut batches = futures_util::stream::iter(batches)
            .map(|subjects| self.last_of(subjects, head))
            .buffer_unordered(BATCHES_AT_ONCE);
        while let Some(batch) = batches.next().await {
            heads.extend(batch?);
        }
        Ok(heads)
    }

    /// The last values of these subjects, each read as it comes.
    async fn last_of<T>(
        &self,
        subjects: Vec<String>,
        read: fn(&Stored) -> Option<T>,
    ) -> Result<Vec<T>, ReadError> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        // `multi_last` answers 413 beyond a batch, and otherwise says what is left.
        let request =
            BatchRequest { multi_last: subjects, batch: BATCH_MAX, ..BatchRequest::default() };
        let stream = bucket_stream(INBOX_BUCKET);
        for _ in 0..READ_ATTEMPTS {
            let mut values = Vec::new();
            let each = |stored| values.extend(read(&stored));
            match direct::batch_each(&self.connection, &stream, &request, each).await {
                Ok(false) => return Ok(values),
                Ok(true) => return Err(ReadError::TooMany),
                Err(ReadError::Replaced) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ReadError::Replaced)
    }

    /// The slow way for many keys: a consumer over the last message of each.
    async fn list(&self, filter: String) -> Result<Vec<Stored>, ReadError> {
        use async_nats::jetstream::consumer::{DeliverPolicy, pull};

        let stream = self
            .connection
            .jetstream
            .get_stream_no_info(bucket_stream(INBOX_BUCKET))
            .await
            .map_err(unavailable)?;
        let config = pull::OrderedConfig {
            deliver_policy: DeliverPolicy::LastPerSubject,
            filter_subject: filter,
            ..pull::OrderedConfig::default()
        };
        let consumer = stream.create_consumer(config).await.map_err(unavailable)?;
        let mut messages = consumer.messages().await.map_err(unavailable)?;
        let mut all = Vec::new();
        loop {
            let next = tokio::time::timeout(crate::connection::REQUEST_TIMEOUT, messages.next());
            let Some(message) = next.await.map_err(unavailable)? else { break };
            let message = message.map_err(unavailable)?;
            let info = message.info().map_err(unavailable)?;
            let (seq, left) = (Seq(info.stream_sequence), info.pending);
            all.push(Stored {
                subject: message.subject.to_string(),
                seq,
                ts: hansard_model::LogTime::default(),
                headers: message.headers.clone().unwrap_or_default(),
                payload: message.payload.clone(),
            });
            if left == 0 {
                break;
            }
        }
        Ok(all)
    }

    /// Writes a copy of the owner's state as of `as_of`, unless a newer one is there. Returns at
    /// once; the future resolves with the revision. Give the last known `revision` of the key
    /// (0: none) to save a round trip.
    pub fn put(
        &self,
        key: InboxKey,
        value: Vec<u8>,
        as_of: Seq,
        revision: u64,
    ) -> impl Future<Output = Result<u64, PutError>> + Send + use<> {
        let connection = self.connection.clone();
        async move {
            let subject = bucket_subject(INBOX_BUCKET, &key.to_string());
            let (value, mut revision) = (Bytes::from(value), revision);
            for _ in 0..PUT_ATTEMPTS {
                match compare_and_set(&connection, &subject, value.clone(), revision).await {
                    Ok(revision) => return Ok(revision),
                    Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {}
                    Err(error) => return Err(PutError::Unavailable(error.into())),
                }
                let request = direct::LeaderRequest {
                    last_by_subj: Some(subject.clone()),
                    ..direct::LeaderRequest::default()
                };
                let found = direct::leader_get(&connection, &bucket_stream(INBOX_BUCKET), &request)
                    .await
                    .map_err(|error| PutError::Unavailable(error.into()))?;
                revision = found.as_ref().map_or(0, |found| found.seq.0);
                let stamp = found.and_then(|found| value_of::<Stamp>(&found));
                if stamp.is_some_and(|stamp| stamp.seq > as_of) {
                    return Ok(revision);
                }
            }
            Err(PutError::Unavailable("contended".into()))
        }
    }
}

async fn compare_and_set(
    connection: &Connection,
    subject: &str,
    value: Bytes,
    revision: u64,
) -> Result<u64, async_nats::jetstream::context::PublishError> {
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string());
    let message = OutboundMessage::new(subject.to_owned().into(), value, Some(headers));
    Ok(connection.jetstream.publish_message(message).await?.await?.sequence)
}

/// A value that is read for a user.
enum Value {
    Member(ConversationId, MemberRecord),
    Position(PartitionId, Seq),
}

fn value(stored: &Stored) -> Option<Value> {
    match key_of(stored)? {
        InboxKey::Member(_, conversation) => Some(Value::Member(conversation, value_of(stored)?)),
        InboxKey::Position(partition) => {
            let Position { seq } = value_of(stored)?;
            Some(Value::Position(partition, seq))
        }
        InboxKey::Head(_) => None,
    }
}

fn head(stored: &Stored) -> Option<(ConversationId, Head)> {
    match key_of(stored)? {
        InboxKey::Head(conversation) => Some((conversation, value_of(stored)?)),
        InboxKey::Member(..) | InboxKey::Position(_) => None,
    }
}

fn key_of(stored: &Stored) -> Option<InboxKey> {
    stored.subject.strip_prefix("$KV.INBOX.")?.parse().ok()
}

fn value_of<T: serde::de::DeserializeOwned>(stored: &Stored) -> Option<T> {
    serde_json::from_slice(&stored.payload)
        .inspect_err(|error| tracing::warn!(%error, key = stored.subject, "unreadable inbox value"))
        .ok()
}

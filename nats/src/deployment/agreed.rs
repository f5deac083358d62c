//! Values of the deployment that change: each is replaced only by whoever has seen the last one.

use std::time::Duration;

use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::OutboundMessage;
use hansard_model::{PartitionId, Seq};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::{Deployment, KEY};
use crate::connection::Connection;
use crate::direct::{self, LeaderRequest, ReadError, unavailable};
use crate::streams::{DEPLOYMENT_BUCKET, StreamName, bucket_stream, bucket_subject};

/// How often a process looks whether the epoch was raised.
const EPOCH_EVERY: Duration = Duration::from_millis(500);
/// Attempts of a raise that meets others.
const RAISE_ATTEMPTS: u32 = 8;

/// A value and the revision by which it is replaced; 0: there was none.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// Its revision.
    pub revision: u64,
}

/// Why a value was not replaced.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    /// Somebody else has replaced it.
    #[error("the value changed meanwhile")]
    Conflict,
    /// Perhaps replaced.
    #[error("the deployment bucket does not answer")]
    Unavailable(#[source] async_nats::Error),
}

/// Where the archive of a stream ends: what is not reachable from here does not exist.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchiveHead {
    /// The first sequence of the last segment.
    pub first: Seq,
    /// The last sequence of the last segment.
    pub last: Seq,
    /// SHA-256 of the last segment's file, in hexadecimal.
    pub sha256: String,
    /// How many segments there are.
    pub segments: u64,
}

/// Which generation of a partition's history is read, and which one was before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HistoryView {
    /// The one that answers.
    pub generation: u64,
    /// The one to go back to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<u64>,
}

/// Which generation of a partition's search index counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchView {
    /// The one that is searched.
    pub generation: u64,
}

/// Where the archive of a stream ends, by the leader; `None`: nothing is archived.
///
/// # Errors
/// [`ReadError`] when the leader does not answer, or the value cannot be read.
pub async fn archive_head(
    connection: &Connection,
    stream: StreamName,
) -> Result<Versioned<Option<ArchiveHead>>, ReadError> {
    let Versioned { value, revision } = read::<Option<_>>(connection, &archive_key(stream)).await?;
    // An archiver marks that it has begun, also when there is nothing yet.
    Ok(Versioned { value: value.flatten(), revision })
}

/// Replaces the head of an archive; `revision` is the one it was read with, 0 for the first.
/// Returns the new revision.
///
/// # Errors
/// [`ReplaceError`]
pub async fn replace_archive_head(
    connection: &Connection,
    stream: StreamName,
    head: Option<&ArchiveHead>,
    revision: u64,
) -> Result<u64, ReplaceError> {
    replace(connection, &archive_key(stream), &head, revision).await
}

/// Which generation of a partition's history is read, by the leader; `None`: none was recorded.
///
/// # Errors
/// [`ReadError`] when the leader does not answer, or the value cannot be read.
pub async fn history_view(
    connection: &Connection,
    partition: PartitionId,
) -> Result<Versioned<Option<HistoryView>>, ReadError> {
    read(connection, &history_key(partition)).await
}

/// Replaces the pointer to a partition's history; `revision` is the one it was read with, 0 for
/// the first. Returns the new revision.
///
/// # Errors
/// [`ReplaceError`]
pub async fn replace_history_view(
    connection: &Connection,
    partition: PartitionId,
    view: HistoryView,
    revision: u64,
) -> Result<u64, ReplaceError> {
    replace(connection, &history_key(partition), &view, revision).await
}

/// Which generation of a partition's search index counts, by the leader; `None`: none was
/// recorded.
///
/// # Errors
/// [`ReadError`] when the leader does not answer, or the value cannot be read.
pub async fn search_view(
    connection: &Connection,
    partition: PartitionId,
) -> Result<Versioned<Option<SearchView>>, ReadError> {
    read(connection, &search_key(partition)).await
}

/// Replaces the pointer to a partition's search index; `revision` is the one it was read with, 0
/// for the first. Returns the new revision.
///
/// # Errors
/// [`ReplaceError`]
pub async fn replace_search_view(
    connection: &Connection,
    partition: PartitionId,
    view: SearchView,
    revision: u64,
) -> Result<u64, ReplaceError> {
    replace(connection, &search_key(partition), &view, revision).await
}

/// The epoch as recorded now, by the leader.
///
/// # Errors
/// [`ReadError`] when the leader does not answer, or there is no deployment.
pub async fn epoch(connection: &Connection) -> Result<u64, ReadError> {
    Ok(deployment(connection).await?.value.epoch)
}

/// Raises the epoch if it still is `from`; otherwise somebody else has raised it for the same
/// reason. Returns the epoch there is then.
///
/// # Errors
/// [`ReadError`] when the bucket does not answer; the epoch may be raised then.
pub async fn raise_epoch(connection: &Connection, from: u64) -> Result<u64, ReadError> {
    for _ in 0..RAISE_ATTEMPTS {
        let Versioned { value: mut record, revision } = deployment(connection).await?;
        if record.epoch != from {
            return Ok(record.epoch);
        }
        record.epoch += 1;
        match replace(connection, KEY, &record, revision).await {
            Ok(_) => {
                tracing::warn!(epoch = record.epoch, "epoch raised");
                return Ok(record.epoch);
            }
            Err(ReplaceError::Conflict) => {}
            Err(ReplaceError::Unavailable(error)) => return Err(ReadError::Unavailable(error)),
        }
    }
    Err(unavailable("the deployment record is contended"))
}

/// Looks for raises of the epoch, from `known` on.
pub fn watch_epoch(connection: &Connection, known: u64) -> EpochWatch {
    EpochWatch { connection: connection.clone(), known }
}

/// Waits for raises of the epoch.
pub struct EpochWatch {
    connection: Connection,
    known: u64,
}

impl EpochWatch {
    /// The epoch that was seen last.
    pub fn known(&self) -> u64 {
        self.known
    }

    /// The next epoch that is another than the last, within half a second of its raise while the
    /// leader answers. Waits for ever; safe to drop while it waits.
    pub async fn raised(&mut self) -> u64 {
        loop {
            match epoch(&self.connection).await {
                Ok(epoch) if epoch != self.known => {
                    self.known = epoch;
                    return epoch;
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(%error, "epoch not known"),
            }
            tokio::time::sleep(EPOCH_EVERY).await;
        }
    }
}

fn archive_key(stream: StreamName) -> String {
    match stream {
        StreamName::Events(partition) => format!("archive.{partition}"),
        StreamName::Accounts => "archive.accounts".to_owned(),
    }
}

fn history_key(partition: PartitionId) -> String {
    format!("views.history.{partition}")
}

fn search_key(partition: PartitionId) -> String {
    format!("views.search.{partition}")
}

async fn deployment(connection: &Connection) -> Result<Versioned<Deployment>, ReadError> {
    let Versioned { value, revision } = read(connection, KEY).await?;
    let value = value.ok_or_else(|| unavailable("no deployment record"))?;
    Ok(Versioned { value, revision })
}

async fn read<T: DeserializeOwned>(
    connection: &Connection,
    key: &str,
) -> Result<Versioned<Option<T>>, ReadError> {
    let subject = bucket_subject(DEPLOYMENT_BUCKET, key);
    let request = LeaderRequest { last_by_subj: Some(subject), ..LeaderRequest::default() };
    let stored =
        direct::leader_get(connection, &bucket_stream(DEPLOYMENT_BUCKET), &request).await?;
    let Some(stored) = stored else { return Ok(Versioned { value: None, revision: 0 }) };
    let value = serde_json::from_slice(&stored.payload)
        .map_err(|error| ReadError::Unexpected(format!("{key}: {error}")))?;
    Ok(Versioned { value, revision: stored.seq.0 })
}

async fn replace<T: Serialize>(
    connection: &Connection,
    key: &str,
    value: &T,
    revision: u64,
) -> Result<u64, ReplaceError> {
    let value =
        serde_json::to_vec(value).map_err(|error| ReplaceError::Unavailable(error.into()))?;
    let mut headers = HeaderMap::new();
    headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string());
    let subject = bucket_subject(DEPLOYMENT_BUCKET, key);
    let message = OutboundMessage::new(subject.into(), value.into(), Some(headers));
    let refused = |error: PublishError| {
        if error.kind() == PublishErrorKind::WrongLastSequence {
            ReplaceError::Conflict
        } else {
            ReplaceError::Unavailable(error.into())
        }
    };
    let pending = connection.jetstream.publish_message(message).await.map_err(refused)?;
    Ok(pending.await.map_err(refused)?.sequence)
}

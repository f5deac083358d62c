//! A deployment: what was fixed when it was created, and the streams that must match it.

mod agreed;
pub mod restore;

use std::time::Duration;

use async_nats::jetstream::kv;
use async_nats::jetstream::stream::Config;
use hansard_model::{DeviceId, PartitionCount, Seq};
use serde::{Deserialize, Serialize};

pub use agreed::{
    ArchiveHead, EpochWatch, HistoryView, ReplaceError, SearchView, Versioned, archive_head, epoch,
    history_view, raise_epoch, replace_archive_head, replace_history_view, replace_search_view,
    search_view, watch_epoch,
};

use crate::connection::Connection;
use crate::direct::{self, ReadError};
use crate::streams::{self, StreamName};

const KEY: &str = "deployment";
/// How long a role waits for the operator's process to have provisioned.
const OPEN_DEADLINE: Duration = Duration::from_secs(30);

/// What every process of a deployment agrees on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    /// How many partitions; never changes.
    pub partitions: PartitionCount,
    /// Raised when the log is another than it was (restored, truncated): cursors start anew.
    pub epoch: u64,
    /// Random; part of the ids that are derived from request ids.
    pub salt: String,
}

/// What a deployment is created with; later starts must agree.
#[derive(Clone, Copy, Debug)]
pub struct ProvisionOptions {
    /// How many partitions; `None`: as recorded, 16 for a new deployment.
    pub partitions: Option<PartitionCount>,
    /// Copies of each stream.
    pub replicas: usize,
}

/// Why a deployment cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProvisionError {
    /// The partition count is fixed when a deployment is created.
    #[error(
        "this deployment has {recorded} partitions and was started with {wanted}: \
         the number is fixed when a deployment is created; start it with --partitions {recorded}"
    )]
    Partitions {
        /// What it was created with.
        recorded: PartitionCount,
        /// What it was started with.
        wanted: PartitionCount,
    },
    /// The record cannot be read.
    #[error("the deployment record cannot be read")]
    Record(#[from] serde_json::Error),
    /// Nobody has provisioned it.
    #[error("no deployment there: start `hansard serve` on it first")]
    Absent,
    /// The stream lost events that are in the archive: what is appended now would take their place.
    #[error(
        "{stream} ends at {last}, and the archive has events up to {archived}: \
         run `hansard restore` first, which makes it go on from there"
    )]
    Behind {
        /// Which.
        stream: StreamName,
        /// The last event in the archive.
        archived: Seq,
        /// The last event of the stream; 0 when there is no such stream.
        last: Seq,
    },
    /// The archive's head cannot be read.
    #[error("the head of an archive cannot be read")]
    Archive(#[from] ReadError),
    /// NATS refused or did not answer.
    #[error("JetStream refused {what}")]
    JetStream {
        /// What was asked.
        what: String,
        /// What it said.
        source: async_nats::Error,
    },
}

fn refused(what: &str) -> impl FnOnce(async_nats::Error) -> ProvisionError {
    let what = what.to_owned();
    move |source| ProvisionError::JetStream { what, source }
}

/// Creates what is missing and checks what is there. Idempotent. A stream that differs from the
/// table is reported ([`tracing`] warning, and in the returned list), never changed.
///
/// # Errors
/// [`ProvisionError`]; what was created until then stays and is found by the next attempt.
pub async fn provision(
    connection: &Connection,
    options: ProvisionOptions,
) -> Result<(Deployment, Vec<String>), ProvisionError> {
    let record = record(connection, options).await?;
    for partition in record.partitions.partitions() {
        check_not_behind(connection, StreamName::Events(partition)).await?;
    }
    let mut drift = Vec::new();
    for wanted in streams::table(record.partitions, options.replicas) {
        for difference in create_or_compare(connection, &wanted).await? {
            tracing::warn!(stream = wanted.name, difference, "stream differs from the table");
            drift.push(format!("{}: {difference}", wanted.name));
        }
    }
    Ok((record, drift))
}

async fn check_not_behind(
    connection: &Connection,
    stream: StreamName,
) -> Result<(), ProvisionError> {
    let Some(head) = archive_head(connection, stream).await?.value else { return Ok(()) };
    let state = direct::stream_state(connection, &stream.name()).await?;
    let (archived, last) = (head.last, state.map_or(Seq::ZERO, |state| state.last));
    if last < archived {
        return Err(ProvisionError::Behind { stream, archived, last });
    }
    Ok(())
}

/// Reads the record, or writes the first one: create-if-absent, so that of two processes that
/// start at once one decides.
async fn record(
    connection: &Connection,
    options: ProvisionOptions,
) -> Result<Deployment, ProvisionError> {
    let table = streams::table(PartitionCount::DEFAULT, options.replicas);
    let name = streams::bucket_stream(streams::DEPLOYMENT_BUCKET);
    for wanted in table.iter().filter(|config| config.name == name) {
        create_or_compare(connection, wanted).await?;
    }
    let bucket = bucket(connection).await?;
    if read(&bucket).await?.is_none() {
        let mut salt = [0; DeviceId::LEN];
        getrandom::fill(&mut salt).map_err(|e| refused("randomness")(e.to_string().into()))?;
        let first = Deployment {
            partitions: options.partitions.unwrap_or(PartitionCount::DEFAULT),
            epoch: 1,
            salt: DeviceId::from_entropy(salt).to_string(),
        };
        // Losing the race is fine: the winner's record is read below.
        if let Err(error) = bucket.create(KEY, serde_json::to_vec(&first)?.into()).await {
            tracing::debug!(%error, "another process created the deployment");
        }
    }
    let record = read(&bucket).await?.ok_or(ProvisionError::Absent)?;
    match options.partitions {
        Some(wanted) if wanted != record.partitions => {
            Err(ProvisionError::Partitions { recorded: record.partitions, wanted })
        }
        Some(_) | None => Ok(record),
    }
}

/// The deployment as recorded; waits for the process that provisions it.
///
/// # Errors
/// [`ProvisionError::Absent`] when nobody has after 30 s.
pub async fn open(connection: &Connection) -> Result<Deployment, ProvisionError> {
    let deadline = tokio::time::Instant::now() + OPEN_DEADLINE;
    loop {
        // The partitions' streams are created after the record: wait for the last of them.
        if let Ok(bucket) = bucket(connection).await
            && let Some(record) = read(&bucket).await?
            && let Some(last) = record.partitions.partitions().last()
            && connection.jetstream.get_stream(streams::events(last)).await.is_ok()
        {
            return Ok(record);
        }
        if tokio::time::Instant::now() >= deadline {
            return Err(ProvisionError::Absent);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// How the streams differ from the table now.
///
/// # Errors
/// [`ProvisionError`] when a stream cannot be read.
pub async fn drift(
    connection: &Connection,
    deployment: &Deployment,
    replicas: usize,
) -> Result<Vec<String>, ProvisionError> {
    let mut drift = Vec::new();
    for wanted in streams::table(deployment.partitions, replicas) {
        let stream = connection
            .jetstream
            .get_stream(&wanted.name)
            .await
            .map_err(|e| refused(&wanted.name)(e.into()))?;
        let differences = streams::drift(&wanted, &stream.cached_info().config);
        drift.extend(differences.into_iter().map(|d| format!("{}: {d}", wanted.name)));
    }
    Ok(drift)
}

async fn bucket(connection: &Connection) -> Result<kv::Store, ProvisionError> {
    connection
        .jetstream
        .get_key_value(streams::DEPLOYMENT_BUCKET)
        .await
        .map_err(|e| refused("the deployment bucket")(e.into()))
}

async fn read(bucket: &kv::Store) -> Result<Option<Deployment>, ProvisionError> {
    let value = bucket.get(KEY).await.map_err(|e| refused("the deployment record")(e.into()))?;
    value.map(|value| serde_json::from_slice(&value).map_err(ProvisionError::from)).transpose()
}

async fn create_or_compare(
    connection: &Connection,
    wanted: &Config,
) -> Result<Vec<String>, ProvisionError> {
    let stream = connection
        .jetstream
        .get_or_create_stream(wanted.clone())
        .await
        .map_err(|e| refused(&wanted.name)(e.into()))?;
    Ok(streams::drift(wanted, &stream.cached_info().config))
}

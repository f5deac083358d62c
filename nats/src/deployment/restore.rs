//! What a restore does to the streams, and nothing else may: it moves where they go on.

use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::message::OutboundMessage;
use async_nats::jetstream::stream::Config;
use hansard_model::Seq;

use super::{Deployment, KEY, ProvisionError, bucket, create_or_compare, read, refused};
use crate::connection::Connection;
use crate::direct::{self, ReadError, unavailable};
use crate::log::{Log, StoredEvent};
use crate::streams::{self, StreamName};

/// The deployment as recorded now; `None` when there is none.
///
/// # Errors
/// [`ProvisionError`] when it cannot be read.
pub async fn recorded(connection: &Connection) -> Result<Option<Deployment>, ProvisionError> {
    let name = streams::bucket_stream(streams::DEPLOYMENT_BUCKET);
    if direct::stream_state(connection, &name).await?.is_none() {
        return Ok(None);
    }
    read(&bucket(connection).await?).await
}

/// Creates what is missing of a deployment: its record if there is none, and each stream, which
/// begins at the sequence that `first` gives. What is there stays as it is. Returns the record.
///
/// Which epoch a lost record had is not known: a new one has the server's time in seconds, later
/// than any that counted up from 1, and than that of an earlier restore.
///
/// # Errors
/// [`ProvisionError`]; what was created until then stays.
pub async fn recreate(
    connection: &Connection,
    deployment: &Deployment,
    replicas: usize,
    first: impl Fn(StreamName) -> Option<Seq>,
) -> Result<Deployment, ProvisionError> {
    let table = streams::table(deployment.partitions, replicas);
    let name = streams::bucket_stream(streams::DEPLOYMENT_BUCKET);
    for wanted in table.iter().filter(|config| config.name == name) {
        create_or_compare(connection, wanted).await?;
    }
    let bucket = bucket(connection).await?;
    let record = match read(&bucket).await? {
        Some(record) => record,
        None => {
            let now = direct::leader_info(connection, &name).await?.ts.unwrap_or_default();
            let epoch = deployment.epoch.max(now.as_millis() / 1_000);
            let record = Deployment { epoch, ..deployment.clone() };
            let text = serde_json::to_vec(&record)?;
            bucket.create(KEY, text.into()).await.map_err(|e| refused("the record")(e.into()))?;
            record
        }
    };
    let names = record.partitions.partitions().map(StreamName::Events);
    let firsts: Vec<(String, Option<Seq>)> =
        names.map(|stream| (stream.name(), first(stream))).collect();
    for wanted in table {
        let first = firsts.iter().find(|(name, _)| *name == wanted.name);
        let first_sequence = first.and_then(|(_, first)| *first).map(|seq| seq.0);
        create_or_compare(connection, &Config { first_sequence, ..wanted }).await?;
    }
    Ok(record)
}

impl Log {
    /// Makes a stream that ends before `first` go on from there. Everything that it holds is
    /// removed: whoever calls this has compared it with the archive.
    ///
    /// # Errors
    /// [`ReadError`] when the leader does not answer, or the stream reaches `first`.
    pub async fn continue_from(&self, stream: StreamName, first: Seq) -> Result<(), ReadError> {
        let state = direct::leader_info(self.connection(), &stream.name()).await?;
        if state.last >= first {
            return Err(ReadError::Unexpected(format!("{stream} reaches {}", state.last)));
        }
        direct::purge_before(self.connection(), &stream.name(), first).await
    }

    /// Stores an event of the archive again, at the end of its stream, without any condition.
    ///
    /// # Errors
    /// [`ReadError`] when it is not acknowledged.
    pub async fn store_again(&self, event: &StoredEvent) -> Result<Seq, ReadError> {
        let mut headers = async_nats::HeaderMap::new();
        // Conditions held when it was stored first; against other sequences they would not.
        let kept = event.headers.iter().filter(|(name, _)| !name.starts_with("Nats-Expected-"));
        for (name, values) in kept {
            for value in values {
                headers.append(name.as_str(), value.as_str());
            }
        }
        let headers = (!headers.is_empty()).then_some(headers);
        let subject = event.subject.clone();
        let message = OutboundMessage::new(subject.into(), event.payload.clone(), headers);
        let jetstream = &self.connection().jetstream;
        let pending = jetstream.publish_message(message).await.map_err(unavailable)?;
        Ok(Seq(pending.await.map_err(unavailable)?.sequence))
    }
}

//! Leases: at most one holder of a key at a time, for as long as it renews. A bucket with a TTL
//! per key; the key disappears with its holder.

use std::time::Duration;

use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_TTL};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::message::OutboundMessage;

use crate::connection::Connection;
use crate::direct::{self, BATCH_MAX, BatchRequest, LeaderRequest, ReadError, unavailable};
use crate::streams::{LEASES_BUCKET, bucket_stream, bucket_subject};

/// A lease that is not renewed ends after this.
pub const LEASE_TTL: Duration = Duration::from_secs(5);
/// How often a holder renews.
pub const RENEW_EVERY: Duration = Duration::from_millis(1_500);
/// What a released lease holds until it disappears: nobody.
const RELEASED: &str = "";
const RELEASED_TTL: Duration = Duration::from_secs(1);
/// How often a list is asked for anew when a lease was renewed while it was read.
const LIST_ATTEMPTS_MAX: usize = 3;

/// The leases of a deployment; clones share them.
#[derive(Clone)]
pub struct Leases {
    connection: Connection,
}

/// A lease that is held, as far as its holder knows.
#[derive(Debug)]
pub struct Lease {
    subject: String,
    holder: String,
    revision: u64,
}

/// Somebody else may hold the lease.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the lease is lost")]
pub struct Lost;

/// What became of a write.
enum Written {
    At(u64),
    Conflict,
}

impl Leases {
    /// The leases of a deployment.
    pub fn open(connection: &Connection) -> Self {
        Self { connection: connection.clone() }
    }

    /// Takes the lease if nobody holds it. A holder of the same name takes its own lease again.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub async fn acquire(&self, key: &str, holder: &str) -> Result<Option<Lease>, ReadError> {
        let subject = bucket_subject(LEASES_BUCKET, key);
        let request =
            LeaderRequest { last_by_subj: Some(subject.clone()), ..LeaderRequest::default() };
        let found =
            direct::leader_get(&self.connection, &bucket_stream(LEASES_BUCKET), &request).await?;
        let revision = match &found {
            None => 0,
            Some(found) if found.payload == RELEASED || found.payload == holder => found.seq.0,
            Some(_) => return Ok(None),
        };
        match self.write(&subject, holder, Some(revision), LEASE_TTL).await? {
            Written::At(revision) => {
                Ok(Some(Lease { subject, holder: holder.to_owned(), revision }))
            }
            Written::Conflict => Ok(None),
        }
    }

    /// Holds the lease for another [`LEASE_TTL`].
    ///
    /// # Errors
    /// [`Lost`] when somebody else may hold it: stop what the lease allows. A holder that could
    /// not renew for [`LEASE_TTL`] must also stop.
    pub async fn renew(&self, lease: &mut Lease) -> Result<(), Lost> {
        let written = self
            .write(&lease.subject, &lease.holder, Some(lease.revision), LEASE_TTL)
            .await
            .map_err(|_| Lost)?;
        match written {
            Written::At(revision) => {
                lease.revision = revision;
                Ok(())
            }
            Written::Conflict => Err(Lost),
        }
    }

    /// Gives the lease back, so that the next holder need not wait for its end.
    pub async fn release(&self, lease: Lease) {
        // When this fails the lease ends by itself.
        let _ = self.write(&lease.subject, RELEASED, Some(lease.revision), RELEASED_TTL).await;
    }

    /// The holders of all leases whose keys begin with this and have one token more, by that token,
    /// as a replica has them: good for choosing which to ask for, not for knowing whose they are.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer, or has more than 1,024 of them.
    pub async fn holders(&self, prefix: &str) -> Result<Vec<(String, String)>, ReadError> {
        let prefix = bucket_subject(LEASES_BUCKET, &format!("{prefix}."));
        let request = BatchRequest {
            multi_last: vec![format!("{prefix}*")],
            batch: BATCH_MAX,
            ..BatchRequest::default()
        };
        let stream = bucket_stream(LEASES_BUCKET);
        let mut attempts = 0;
        let stored = loop {
            attempts += 1;
            match direct::batch(&self.connection, &stream, &request).await {
                Ok((_, true)) => return Err(ReadError::TooMany),
                Ok((stored, false)) => break stored,
                Err(ReadError::Replaced) if attempts < LIST_ATTEMPTS_MAX => {}
                Err(error) => return Err(error),
            }
        };
        let held = stored.iter().filter(|stored| stored.payload != RELEASED).filter_map(|stored| {
            let key = stored.subject.strip_prefix(&prefix)?;
            Some((key.to_owned(), String::from_utf8(stored.payload.to_vec()).ok()?))
        });
        Ok(held.collect())
    }

    /// Says something under a key of one's own for [`LEASE_TTL`].
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub async fn announce(&self, key: &str, holder: &str) -> Result<(), ReadError> {
        let subject = bucket_subject(LEASES_BUCKET, key);
        self.write(&subject, holder, None, LEASE_TTL).await.map(|_| ())
    }

    /// Says it no longer.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer: it ends by itself.
    pub async fn withdraw(&self, key: &str) -> Result<(), ReadError> {
        let subject = bucket_subject(LEASES_BUCKET, key);
        self.write(&subject, RELEASED, None, RELEASED_TTL).await.map(|_| ())
    }

    /// Only over this `revision`, if one is given.
    async fn write(
        &self,
        subject: &str,
        holder: &str,
        revision: Option<u64>,
        ttl: Duration,
    ) -> Result<Written, ReadError> {
        let mut headers = HeaderMap::new();
        if let Some(revision) = revision {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, revision.to_string());
        }
        headers.insert(NATS_MESSAGE_TTL, format!("{}s", ttl.as_secs()));
        let payload = holder.as_bytes().to_vec().into();
        let message = OutboundMessage::new(subject.to_owned().into(), payload, Some(headers));
        let pending =
            self.connection.jetstream.publish_message(message).await.map_err(unavailable)?;
        match pending.await {
            Ok(ack) => Ok(Written::At(ack.sequence)),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                Ok(Written::Conflict)
            }
            Err(error) => Err(unavailable(error)),
        }
    }
}

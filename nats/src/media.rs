//! The bucket of uploads, changed by compare-and-set alone, and what media services tell gateways.
//!
//! Reads are the leader's: what is not there is not there. A key that is removed keeps an empty
//! value for a moment, so that a writer that was late finds its revision gone.

use std::fmt;
use std::time::Duration;

use async_nats::Subscriber;
use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, NATS_MESSAGE_TTL};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::message::OutboundMessage;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::StreamExt;
use hansard_model::media::{MediaKey, ReadyNotice};
use hansard_model::subject::Subject;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::Connection;
use crate::direct::{self, LeaderRequest, ReadError, unavailable};
use crate::lease::Leases;
use crate::streams::{MEDIA_BUCKET, bucket_stream, bucket_subject};

/// Attempts of one [`MediaBucket::update`] before the key counts as contended.
const UPDATE_ATTEMPTS_MAX: u32 = 16;
/// How long a removed key keeps its empty value.
const REMOVED_TTL: &str = "60s";
/// Under it, media services say where they listen.
const SERVICES: &str = "media.services";
/// Bytes of the secret of grants.
const SECRET_BYTES: usize = 32;

/// Which value a key had when it was read; 0: it had none yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision(u64);

/// What becomes of a value that is being updated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change<T> {
    /// It stays as it is.
    Keep,
    /// It becomes this.
    Put(T),
    /// It is removed.
    Remove,
}

/// Why an update was not made.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError {
    /// The bucket did not answer; the value may have been written.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Others wrote the same key each time.
    #[error("{0} is contended")]
    Contended(MediaKey),
}

/// With which gateways vouch to media services, and sign URLs.
#[derive(Clone, PartialEq, Eq)]
pub struct GrantSecret([u8; SECRET_BYTES]);

impl GrantSecret {
    /// The secret of these bytes.
    pub const fn from_bytes(bytes: [u8; SECRET_BYTES]) -> Self {
        Self(bytes)
    }

    /// Its bytes, for an HMAC.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    fn from_text(text: &str) -> Option<Self> {
        Some(Self(STANDARD.decode(text).ok()?.try_into().ok()?))
    }
}

impl fmt::Debug for GrantSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("GrantSecret(..)")
    }
}

/// The bucket of uploads; clones share it.
#[derive(Clone)]
pub struct MediaBucket {
    connection: Connection,
}

impl MediaBucket {
    /// The bucket of a deployment.
    pub fn open(connection: &Connection) -> Self {
        Self { connection: connection.clone() }
    }

    /// A value as the leader has it, and its revision.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer, or what is there cannot be read: it is never
    /// taken for absent.
    pub async fn get<T: DeserializeOwned>(
        &self,
        key: MediaKey,
    ) -> Result<(Option<T>, Revision), ReadError> {
        let subject = bucket_subject(MEDIA_BUCKET, &key.to_string());
        let request = LeaderRequest { last_by_subj: Some(subject), ..LeaderRequest::default() };
        let stream = bucket_stream(MEDIA_BUCKET);
        let Some(stored) = direct::leader_get(&self.connection, &stream, &request).await? else {
            return Ok((None, Revision(0)));
        };
        let revision = Revision(stored.seq.0);
        if stored.payload.is_empty() {
            return Ok((None, revision));
        }
        match serde_json::from_slice(&stored.payload) {
            Ok(value) => Ok((Some(value), revision)),
            Err(error) => Err(ReadError::Unexpected(format!("an unreadable {key}: {error}"))),
        }
    }

    /// Writes a value over this revision; `None`: another was there.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer: it may have been written.
    pub async fn put<T: Serialize>(
        &self,
        key: MediaKey,
        value: &T,
        over: Revision,
    ) -> Result<Option<Revision>, ReadError> {
        let value = serde_json::to_vec(value).map_err(unavailable)?;
        self.write(key, value, Some(over), None).await
    }

    /// As [`MediaBucket::put`], of a value that goes by itself after `lasts`, in whole seconds.
    ///
    /// # Errors
    /// As [`MediaBucket::put`].
    pub async fn put_for<T: Serialize>(
        &self,
        key: MediaKey,
        value: &T,
        over: Revision,
        lasts: Duration,
    ) -> Result<Option<Revision>, ReadError> {
        let value = serde_json::to_vec(value).map_err(unavailable)?;
        let lasts = format!("{}s", lasts.as_secs().max(1));
        self.write(key, value, Some(over), Some(&lasts)).await
    }

    /// Writes a value, whatever is there.
    ///
    /// # Errors
    /// As [`MediaBucket::put`].
    pub async fn overwrite<T: Serialize>(&self, key: MediaKey, value: &T) -> Result<(), ReadError> {
        let value = serde_json::to_vec(value).map_err(unavailable)?;
        self.write(key, value, None, None).await.map(|_| ())
    }

    /// Removes a key if it still has this revision, and tells whether it had.
    ///
    /// # Errors
    /// As [`MediaBucket::put`].
    pub async fn remove(&self, key: MediaKey, over: Revision) -> Result<bool, ReadError> {
        let removed = self.write(key, Vec::new(), Some(over), Some(REMOVED_TTL)).await?;
        Ok(removed.is_some())
    }

    /// Reads a value, asks `change` what becomes of it, and writes that unless somebody else has
    /// written meanwhile: then it begins anew. Returns what is there in the end, and what `change`
    /// said besides.
    ///
    /// # Errors
    /// [`UpdateError`]
    pub async fn update<T, A>(
        &self,
        key: MediaKey,
        mut change: impl FnMut(Option<&T>) -> (Change<T>, A),
    ) -> Result<(Option<T>, A), UpdateError>
    where
        T: Serialize + DeserializeOwned,
    {
        for _ in 0..UPDATE_ATTEMPTS_MAX {
            let (found, revision) = self.get::<T>(key).await?;
            let (change, answer) = change(found.as_ref());
            match change {
                Change::Keep => return Ok((found, answer)),
                Change::Put(value) => {
                    if self.put(key, &value, revision).await?.is_some() {
                        return Ok((Some(value), answer));
                    }
                }
                Change::Remove => {
                    if found.is_none() || self.remove(key, revision).await? {
                        return Ok((None, answer));
                    }
                }
            }
        }
        Err(UpdateError::Contended(key))
    }

    /// The last tokens of the keys that begin with `prefix` (which ends with a dot) and have one
    /// token more, as the leader has them, at most 100,000; removed ones may be among them.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub async fn keys(&self, prefix: &str) -> Result<Vec<String>, ReadError> {
        let prefix = bucket_subject(MEDIA_BUCKET, prefix);
        let filter = format!("{prefix}*");
        let stream = bucket_stream(MEDIA_BUCKET);
        let subjects = direct::leader_subjects(&self.connection, &stream, &filter).await?;
        Ok(subjects.iter().filter_map(|s| Some(s.strip_prefix(&prefix)?.to_owned())).collect())
    }

    /// The hours for which there is something to look at, in order: see [`MediaKey::Watch`].
    ///
    /// # Errors
    /// As [`MediaBucket::keys`].
    pub async fn watched_hours(&self) -> Result<Vec<u64>, ReadError> {
        let prefix = bucket_subject(MEDIA_BUCKET, "w.");
        let stream = bucket_stream(MEDIA_BUCKET);
        let subjects =
            direct::leader_subjects(&self.connection, &stream, &format!("{prefix}*.*")).await?;
        let hour =
            |subject: &String| subject.strip_prefix(&prefix)?.split('.').next()?.parse().ok();
        let hours: std::collections::BTreeSet<u64> = subjects.iter().filter_map(hour).collect();
        Ok(hours.into_iter().collect())
    }

    /// The secret of grants, made when there is none yet.
    ///
    /// # Errors
    /// [`UpdateError`]
    pub async fn grant_secret(&self) -> Result<GrantSecret, UpdateError> {
        let mut fresh = [0; SECRET_BYTES];
        getrandom::fill(&mut fresh).map_err(|error| unavailable(error.to_string()))?;
        let fresh = STANDARD.encode(fresh);
        let keep = |found: Option<&String>| match found {
            Some(_) => (Change::Keep, ()),
            None => (Change::Put(fresh.clone()), ()),
        };
        let (text, ()) = self.update(MediaKey::GrantKey, keep).await?;
        let secret = text.as_deref().and_then(GrantSecret::from_text);
        Ok(secret.ok_or_else(|| ReadError::Unexpected("an unreadable secret".to_owned()))?)
    }

    /// Says for [`LEASE_TTL`](crate::lease::LEASE_TTL) that a media service listens at `url`.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub async fn announce_service(&self, holder: &str, url: &str) -> Result<(), ReadError> {
        Leases::open(&self.connection).announce(&format!("{SERVICES}.{holder}"), url).await
    }

    /// Says so no longer.
    ///
    /// # Errors
    /// As [`MediaBucket::announce_service`]: it ends by itself.
    pub async fn withdraw_service(&self, holder: &str) -> Result<(), ReadError> {
        Leases::open(&self.connection).withdraw(&format!("{SERVICES}.{holder}")).await
    }

    /// Where media services listen, as a replica has it.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub async fn services(&self) -> Result<Vec<String>, ReadError> {
        let holders = Leases::open(&self.connection).holders(SERVICES).await?;
        Ok(holders.into_iter().map(|(_, url)| url).collect())
    }

    /// Tells gateways that an upload is ready. Not acknowledged: clients ask when they miss it.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the client is closed.
    pub async fn tell_ready(&self, notice: &ReadyNotice) -> Result<(), ReadError> {
        let payload = serde_json::to_vec(notice).map_err(unavailable)?;
        let subject = Subject::MediaReady(notice.conversation).to_string();
        self.connection.client.publish(subject, payload.into()).await.map_err(unavailable)
    }

    /// Listens to what media services tell.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the subscription cannot be made.
    pub async fn ready_notices(&self) -> Result<ReadyNotices, ReadError> {
        let messages = self.connection.client.subscribe("media.*.*").await.map_err(unavailable)?;
        Ok(ReadyNotices { messages })
    }

    async fn write(
        &self,
        key: MediaKey,
        value: Vec<u8>,
        over: Option<Revision>,
        ttl: Option<&str>,
    ) -> Result<Option<Revision>, ReadError> {
        let mut headers = HeaderMap::new();
        if let Some(Revision(over)) = over {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, over.to_string());
        }
        if let Some(ttl) = ttl {
            headers.insert(NATS_MESSAGE_TTL, ttl);
        }
        let subject = bucket_subject(MEDIA_BUCKET, &key.to_string());
        let message = OutboundMessage::new(subject.into(), value.into(), Some(headers));
        let pending =
            self.connection.jetstream.publish_message(message).await.map_err(unavailable)?;
        match pending.await {
            Ok(ack) => Ok(Some(Revision(ack.sequence))),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(error) => Err(unavailable(error)),
        }
    }
}

/// What media services tell.
pub struct ReadyNotices {
    messages: Subscriber,
}

impl ReadyNotices {
    /// The next notice; `None` when the client is closed.
    pub async fn next(&mut self) -> Option<ReadyNotice> {
        loop {
            let message = self.messages.next().await?;
            match serde_json::from_slice(&message.payload) {
                Ok(notice) => return Some(notice),
                Err(error) => tracing::warn!(%error, "an unreadable notice of a media service"),
            }
        }
    }
}

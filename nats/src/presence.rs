//! Presence: what gateways say of the devices that are connected to them.
//!
//! A change is told at once over core NATS, to whoever listens to the user's shard; what holds is
//! in a bucket that is not synced, where it ends by itself unless it is said again. When somebody was there
//! last is in a bucket of its own, which is kept.

use std::collections::HashMap;
use std::future::poll_fn;
use std::task::Poll;
use std::time::Duration;

use async_nats::header::{HeaderMap, NATS_MESSAGE_TTL};
use async_nats::{Client, Message, Subscriber};
use futures_util::StreamExt;
use hansard_model::presence::{DeviceReport, PresenceKey, SHARDS, shard_of};
use hansard_model::subject::{Subject, presence_filter};
use hansard_model::{LogTime, UserId};

use crate::connection::Connection;
use crate::direct::{self, BATCH_MAX, BatchRequest, ReadError, Stored, unavailable};
use crate::streams::{LAST_SEEN_BUCKET, PRESENCE_BUCKET, bucket_stream, bucket_subject};

/// A report that is not said again ends after this.
pub const REPORT_TTL: Duration = Duration::from_secs(60);
/// How often a gateway says again what holds.
pub const REPORT_EVERY: Duration = Duration::from_secs(20);
/// How long the bucket remembers that a device has gone.
const GONE_TTL: Duration = Duration::from_secs(2);
/// Users in one read of the bucket: with a few devices each, far from the bound of an answer; when
/// they have more, half of them are read at once.
const USERS_PER_READ: usize = 128;
/// Attempts of a read whose values are replaced while it is answered.
const READ_ATTEMPTS: u32 = 5;

/// The presence of a deployment; clones share it.
#[derive(Clone)]
pub struct Presence {
    connection: Connection,
}

/// What the bucket holds of some users.
#[derive(Debug, Default)]
pub struct Held {
    /// By user; nothing of whom it holds nothing.
    pub reports: HashMap<UserId, Vec<(PresenceKey, DeviceReport)>>,
    /// Users of whom it holds more than one answer has room for: nothing is known of them.
    pub unknown: Vec<UserId>,
}

impl Presence {
    /// The presence of a deployment.
    pub fn open(connection: &Connection) -> Self {
        Self { connection: connection.clone() }
    }

    /// Puts a report into the bucket. Not acknowledged: it is said again anyway.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the client is closed.
    pub async fn put(&self, key: &PresenceKey, report: &DeviceReport) -> Result<(), ReadError> {
        let ttl = if report.state.is_some() { REPORT_TTL } else { GONE_TTL };
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_TTL, format!("{}s", ttl.as_secs()));
        let subject = bucket_subject(PRESENCE_BUCKET, &key.to_string());
        let payload = serde_json::to_vec(report).map_err(unavailable)?;
        let client = &self.connection.client;
        client.publish_with_headers(subject, headers, payload.into()).await.map_err(unavailable)
    }

    /// Tells those who listen.
    ///
    /// # Errors
    /// As [`Presence::put`].
    pub async fn tell(&self, key: &PresenceKey, report: &DeviceReport) -> Result<(), ReadError> {
        let payload = serde_json::to_vec(report).map_err(unavailable)?;
        let subject = Subject::Presence(*key).to_string();
        self.connection.client.publish(subject, payload.into()).await.map_err(unavailable)
    }

    /// Notes when a user was there last; `None`: that is not to be known any more. Not
    /// acknowledged.
    ///
    /// # Errors
    /// As [`Presence::put`].
    pub async fn note_last_seen(&self, user: UserId, at: Option<LogTime>) -> Result<(), ReadError> {
        let subject = bucket_subject(LAST_SEEN_BUCKET, &last_seen_key(user));
        let payload = at.map(|at| at.to_string()).unwrap_or_default();
        self.connection.client.publish(subject, payload.into()).await.map_err(unavailable)
    }

    /// What the bucket holds of these users.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn of(&self, users: &[UserId]) -> Result<Held, ReadError> {
        let mut held = Held::default();
        let mut chunks: Vec<&[UserId]> = users.chunks(USERS_PER_READ).collect();
        while let Some(chunk) = chunks.pop() {
            let filter = |user: &UserId| {
                bucket_subject(PRESENCE_BUCKET, &format!("{}.{user}.*.*", user.bucket()))
            };
            let prefix = bucket_subject(PRESENCE_BUCKET, "");
            let read = self.last_of(PRESENCE_BUCKET, chunk.iter().map(filter).collect());
            let stored = match (read.await, chunk) {
                (Ok(stored), _) => stored,
                (Err(ReadError::TooMany), [user]) => {
                    held.unknown.push(*user);
                    continue;
                }
                (Err(ReadError::TooMany), _) => {
                    let (one, other) = chunk.split_at(chunk.len() / 2);
                    chunks.extend([one, other]);
                    continue;
                }
                (Err(error), _) => return Err(error),
            };
            for stored in stored {
                let key = stored.subject.strip_prefix(&prefix).and_then(|key| key.parse().ok());
                let report = serde_json::from_slice(&stored.payload).ok();
                if let (Some(key), Some(report)) = (key, report) {
                    let key: PresenceKey = key;
                    held.reports.entry(key.user).or_default().push((key, report));
                }
            }
        }
        Ok(held)
    }

    /// When these users were there last, as far as it is known and may be.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn last_seen(&self, users: &[UserId]) -> Result<HashMap<UserId, LogTime>, ReadError> {
        let mut seen = HashMap::new();
        for chunk in users.chunks(BATCH_MAX) {
            let subject = |user: &UserId| bucket_subject(LAST_SEEN_BUCKET, &last_seen_key(*user));
            let stored = self.last_of(LAST_SEEN_BUCKET, chunk.iter().map(subject).collect());
            seen.extend(stored.await?.iter().filter_map(|stored| {
                let user = stored.subject.rsplit('.').next()?.parse().ok()?;
                Some((user, LogTime::parse(std::str::from_utf8(&stored.payload).ok()?).ok()?))
            }));
        }
        Ok(seen)
    }

    async fn last_of(&self, bucket: &str, subjects: Vec<String>) -> Result<Vec<Stored>, ReadError> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let request =
            BatchRequest { multi_last: subjects, batch: BATCH_MAX, ..BatchRequest::default() };
        for _ in 0..READ_ATTEMPTS {
            match direct::batch(&self.connection, &bucket_stream(bucket), &request).await {
                Ok((stored, false)) => return Ok(stored),
                Ok((_, true)) => return Err(ReadError::TooMany),
                Err(ReadError::Replaced) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ReadError::Replaced)
    }

    /// Hears of nobody yet.
    pub fn listen(&self) -> PresenceFeed {
        PresenceFeed {
            connection: self.connection.clone(),
            client: self.connection.client.clone(),
            shards: std::array::from_fn(|_| None),
            turn: 0,
        }
    }
}

fn last_seen_key(user: UserId) -> String {
    format!("{}.{user}", user.bucket())
}

/// Shards, as a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shards(u32);

impl Shards {
    /// Adds the shard of a user.
    pub fn add(&mut self, user: UserId) {
        self.0 |= 1 << shard_of(user);
    }

    /// Whether all of `others` are among these.
    pub fn contains(self, others: Self) -> bool {
        self.0 & others.0 == others.0
    }

    /// Those that are among `others` as well.
    #[must_use]
    pub fn within(self, others: Self) -> Self {
        Self(self.0 & others.0)
    }

    /// How many.
    pub fn len(self) -> u32 {
        self.0.count_ones()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    fn has(self, shard: usize) -> bool {
        self.0 & (1 << shard) != 0
    }
}

/// What is told of the users of some shards: one subscription for each shard, at most 32, however
/// many users are watched.
pub struct PresenceFeed {
    connection: Connection,
    client: Client,
    shards: [Option<Subscriber>; SHARDS],
    /// Which shard is looked at first: none is heard before the others for ever.
    turn: usize,
}

impl PresenceFeed {
    /// Listens to exactly these shards. When it returns, all of them are heard.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when a subscription cannot be made: try again.
    pub async fn follow(&mut self, wanted: Shards) -> Result<(), ReadError> {
        for shard in 0..SHARDS {
            match (wanted.has(shard), &self.shards[shard]) {
                (true, None) => {
                    let filter = presence_filter(shard);
                    let subscriber = self.client.subscribe(filter).await.map_err(unavailable)?;
                    self.shards[shard] = Some(subscriber);
                }
                // Dropping it unsubscribes.
                (false, Some(_)) => self.shards[shard] = None,
                (true, Some(_)) | (false, None) => {}
            }
        }
        self.connection.round_trip().await
    }

    /// The next report. Waits for ever; safe to drop while it waits.
    pub async fn next(&mut self) -> (PresenceKey, DeviceReport) {
        loop {
            let message = poll_fn(|context| {
                self.turn = (self.turn + 1) % SHARDS;
                for offset in 0..SHARDS {
                    let shard = &mut self.shards[(self.turn + offset) % SHARDS];
                    if let Some(subscriber) = shard
                        && let Poll::Ready(next) = subscriber.poll_next_unpin(context)
                    {
                        // A subscription ends with the client alone.
                        if next.is_none() {
                            *shard = None;
                        }
                        return Poll::Ready(next);
                    }
                }
                Poll::Pending
            });
            if let Some(report) = message.await.as_ref().and_then(read) {
                return report;
            }
        }
    }
}

fn read(message: &Message) -> Option<(PresenceKey, DeviceReport)> {
    let Ok(Subject::Presence(key)) = message.subject.as_str().parse() else { return None };
    Some((key, serde_json::from_slice(&message.payload).ok()?))
}

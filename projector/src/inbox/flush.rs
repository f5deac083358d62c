//! Writing the inbox bucket: paced, beside the owner's loop, never in its way.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hansard_model::inbox::InboxKey;
use hansard_model::{PartitionId, Seq};
use hansard_nats::Connection;
use hansard_nats::inbox::InboxBucket;
use hansard_nats::ownership::Tenure;
use quick_cache::unsync::Cache;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Stale;
use crate::metrics;
use crate::queries::{At, bucket_value};
use crate::rows::{Rows, StoreError};
use crate::store::Snapshot;

/// How often the owner of a partition looks for stale entries.
pub(crate) const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Writes of one process per second, at most, while the log is quiet.
const WRITES_PER_SECOND_MAX: usize = 2_000;
/// Writes of one process per second that are always allowed.
const WRITES_PER_SECOND_MIN: usize = 200;
/// Events per second up to which the log counts as quiet.
const QUIET_EVENTS_PER_SECOND: usize = 200;
/// A busy log is left for this many events per write: the bucket's writes take the same servers'
/// time, and readers ask the owner where the bucket is behind.
const EVENTS_PER_WRITE: usize = 10;
/// Over how long the events are counted.
const COUNTED_OVER: Duration = Duration::from_secs(1);
/// After a pause, what was earned in this part of a second may come at once.
const AT_ONCE_DIVISOR: usize = 4;
/// Entries of one flush.
const FLUSH_ENTRIES_MAX: usize = 250;
/// Entries of a partition that are read and written at once. Each read of what is not in memory
/// takes a thread.
const ENTRIES_AT_ONCE: usize = 16;
/// Revisions remembered per partition, of about 40 bytes each; one that is not costs a read.
const REVISIONS_MAX: usize = 16_384;

/// The pace at which the partitions of a process write together; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    bucket: Arc<Mutex<Tokens>>,
}

#[derive(Debug)]
struct Tokens {
    left: usize,
    filled: Instant,
    /// Events applied since `counted_from`, and per second before it.
    events: usize,
    counted_from: Instant,
    events_per_second: usize,
}

impl Pace {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        let tokens = Tokens {
            left: at_once_max(WRITES_PER_SECOND_MAX),
            filled: now,
            events: 0,
            counted_from: now,
            events_per_second: 0,
        };
        Self { bucket: Arc::new(Mutex::new(tokens)) }
    }

    /// Events came in: the log is that busy.
    pub(crate) fn events_came(&self, count: usize) {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).events += count;
    }

    /// How many of `wanted` writes may be made now.
    fn take(&self, wanted: usize) -> usize {
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner).take(wanted, Instant::now())
    }
}

impl Tokens {
    fn take(&mut self, wanted: usize, now: Instant) -> usize {
        let counted = now.duration_since(self.counted_from);
        if counted >= COUNTED_OVER {
            let millis = (counted.as_millis() as usize).max(1);
            self.events_per_second = self.events.saturating_mul(1_000) / millis;
            (self.events, self.counted_from) = (0, now);
        }
        // A burst counts at once, not after its first second.
        let allowed = writes_per_second(self.events_per_second.max(self.events));
        let micros = now.duration_since(self.filled).as_micros() as usize;
        let earned = micros.saturating_mul(allowed) / 1_000_000;
        if earned > 0 {
            self.filled = now;
            self.left += earned;
        }
        self.left = self.left.min(at_once_max(allowed));
        let taken = wanted.min(self.left);
        self.left -= taken;
        taken
    }
}

/// What the bucket may take of a log that gets so many events.
fn writes_per_second(events_per_second: usize) -> usize {
    if events_per_second <= QUIET_EVENTS_PER_SECOND {
        return WRITES_PER_SECOND_MAX;
    }
    (events_per_second / EVENTS_PER_WRITE).clamp(WRITES_PER_SECOND_MIN, WRITES_PER_SECOND_MAX)
}

fn at_once_max(writes_per_second: usize) -> usize {
    writes_per_second.div_ceil(AT_ONCE_DIVISOR)
}

/// Revisions of keys of the bucket, by the hash of the key: a revision belongs to one key, so that
/// of another with the same hash is refused as any that is old.
struct Revisions {
    known: Cache<u64, u64>,
    hasher: RandomState,
}

impl Revisions {
    fn new() -> Self {
        Self { known: Cache::new(REVISIONS_MAX), hasher: RandomState::new() }
    }

    /// The revision of a key, if it is known; 0 otherwise.
    fn of(&self, key: InboxKey) -> u64 {
        self.known.get(&self.hasher.hash_one(key)).copied().unwrap_or(0)
    }

    fn note(&mut self, key: InboxKey, revision: u64) {
        self.known.insert(self.hasher.hash_one(key), revision);
    }
}

/// Writes the stale entries of one partition.
pub(crate) struct Flush {
    connection: Connection,
    bucket: InboxBucket,
    partition: PartitionId,
    pace: Pace,
    tenure: Tenure,
    revisions: Revisions,
    /// All of the partition up to here is in the bucket, and the bucket says so.
    written: Seq,
    running: Option<JoinHandle<Flushed>>,
}

/// What a flush did.
struct Flushed {
    /// Revisions now.
    written: Vec<(InboxKey, u64)>,
    failed: Vec<(Seq, InboxKey)>,
    /// The position, if it was written.
    position: Option<Seq>,
}

impl Flush {
    /// `written` is what the bucket says of the partition.
    pub(crate) fn new(
        connection: &Connection,
        bucket: InboxBucket,
        partition: PartitionId,
        pace: Pace,
        tenure: Tenure,
        written: Seq,
    ) -> Self {
        let connection = connection.clone();
        Self {
            connection,
            bucket,
            partition,
            pace,
            tenure,
            revisions: Revisions::new(),
            written,
            running: None,
        }
    }

    /// All of the partition up to here is in the bucket.
    pub(crate) fn written(&self) -> Seq {
        self.written
    }

    /// Asks the bucket how far it is, after NATS was away: the bucket is not synced, and a server
    /// that was killed may have lost the last of what it acknowledged. What was lost is a suffix,
    /// so what a position that survived covers has survived too. Everything after it is stale
    /// again.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn rewind(
        &mut self,
        at: &At<Snapshot>,
        stale: &mut Stale,
    ) -> Result<(), StoreError> {
        if self.running.is_some() {
            self.ended(stale).await;
        }
        let position = loop {
            match self.bucket.position(self.partition).await {
                Ok(position) => break position,
                Err(error) => tracing::debug!(%error, "the inbox bucket does not answer yet"),
            }
            tokio::time::sleep(FLUSH_EVERY).await;
        };
        if position >= self.written {
            return Ok(());
        }
        tracing::warn!(partition = %self.partition, from = %self.written, to = %position, "the inbox bucket went back");
        self.written = position;
        self.revisions = Revisions::new();
        // What was stale is among what is after the position.
        *stale = Stale::default();
        stale.mark_after(at, position).await
    }

    /// Starts to write what is longest stale, as far as the pace allows, unless a flush runs.
    pub(crate) fn start(&mut self, at: &At<Snapshot>, stale: &mut Stale) {
        let is_written = stale.len() == 0 && at.applied <= self.written;
        if self.running.is_some() || is_written || !self.tenure.is_held() {
            return;
        }
        // One for the position.
        let allowed = self.pace.take((stale.len() + 1).min(FLUSH_ENTRIES_MAX));
        if allowed > 0 {
            self.write(at, stale, allowed - 1);
        }
    }

    fn write(&mut self, at: &At<Snapshot>, stale: &mut Stale, count: usize) {
        let taken = stale.take(count);
        let covered = stale.covered(at.applied);
        let position = Some(covered).filter(|covered| *covered > self.written);
        let puts: Vec<_> = taken
            .into_iter()
            .map(|(since, key)| {
                let revision = self.revisions.of(key);
                let (at, bucket, tenure) = (at.clone(), self.bucket.clone(), self.tenure.clone());
                async move { (since, key, put(&at, &bucket, &tenure, key, revision).await) }
            })
            .collect();
        let position_put = position.map(|position| {
            let key = InboxKey::Position(self.partition);
            let revision = self.revisions.of(key);
            let value = serde_json::to_vec(&hansard_model::inbox::Position { seq: position });
            (key, self.bucket.put(key, value.unwrap_or_default(), position, revision), position)
        });
        let (connection, tenure) = (self.connection.clone(), self.tenure.clone());
        self.running = Some(tokio::spawn(async move {
            let mut flushed = settle(puts).await;
            if let Some((key, put, position)) = position_put
                && flushed.failed.is_empty()
                && tenure.is_held()
            {
                // What the position covers is also on its way to the gateways.
                connection.flush().await;
                if let Ok(revision) = put.await {
                    flushed.written.push((key, revision));
                    flushed.position = Some(position);
                }
            }
            flushed
        }));
    }

    /// Waits for the flush that runs; for ever when none does. Safe to drop while it waits.
    pub(crate) async fn ended(&mut self, stale: &mut Stale) {
        let Some(running) = &mut self.running else { return std::future::pending().await };
        let flushed = running.await;
        self.running = None;
        match flushed {
            Ok(flushed) => self.settle(flushed, stale),
            // A flush does not panic; if it did, entries would be missing from the bucket, and
            // going on would call them written.
            Err(panic) => std::panic::resume_unwind(Box::new(panic.to_string())),
        }
    }

    fn settle(&mut self, flushed: Flushed, stale: &mut Stale) {
        metrics::flushed(flushed.written.len() as u64, flushed.failed.len() as u64);
        for (key, revision) in flushed.written {
            self.revisions.note(key, revision);
        }
        stale.put_back(flushed.failed);
        self.written = self.written.max(flushed.position.unwrap_or_default());
    }

    /// Writes everything that is stale, without regard to the pace, as long as that succeeds; for
    /// the end of an ownership.
    pub(crate) async fn finish(&mut self, at: &At<Snapshot>, stale: &mut Stale) {
        if self.running.is_some() {
            self.ended(stale).await;
        }
        while self.written < at.applied {
            let before = (self.written, stale.len());
            self.write(at, stale, FLUSH_ENTRIES_MAX);
            self.ended(stale).await;
            if (self.written, stale.len()) == before {
                return;
            }
        }
    }
}

/// Why an entry was not written.
#[derive(Debug, thiserror::Error)]
enum FlushError {
    #[error("the lease is not held now")]
    NotHeld,
    #[error(transparent)]
    Put(#[from] hansard_nats::inbox::PutError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Writes one entry as the rows have it; its revision, if it was written.
async fn put<R: Rows>(
    at: &At<R>,
    bucket: &InboxBucket,
    tenure: &Tenure,
    key: InboxKey,
    revision: u64,
) -> Result<Option<u64>, FlushError> {
    let Some((value, as_of)) = bucket_value(at, key).await? else { return Ok(None) };
    // Somebody else may own the partition, and know more.
    if !tenure.is_held() {
        return Err(FlushError::NotHeld);
    }
    Ok(Some(bucket.put(key, value, as_of, revision).await?))
}

async fn settle<F>(puts: Vec<F>) -> Flushed
where
    F: Future<Output = (Seq, InboxKey, Result<Option<u64>, FlushError>)>,
{
    let mut flushed = Flushed { written: Vec::new(), failed: Vec::new(), position: None };
    let mut puts = stream::iter(puts).buffer_unordered(ENTRIES_AT_ONCE);
    while let Some((since, key, outcome)) = puts.next().await {
        match outcome {
            Ok(revision) => flushed.written.extend(revision.map(|revision| (key, revision))),
            Err(error) => {
                if flushed.failed.is_empty() {
                    tracing::warn!(%error, "inbox bucket");
                }
                flushed.failed.push((since, key));
            }
        }
    }
    // Back in the order in which they became stale.
    flushed.failed.sort_unstable_by_key(|(since, _)| *since);
    flushed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_log_is_left_alone() {
        assert_eq!(writes_per_second(0), 2_000);
        assert_eq!(writes_per_second(1_000), 200);
        assert_eq!(writes_per_second(5_000), 500);
        assert_eq!(writes_per_second(1_000_000), 2_000);
    }

    #[test]
    fn the_pace_follows_the_log_down_at_once_and_up_again_when_it_is_quiet() {
        let pace = Pace::new();
        let start = Instant::now();
        let mut tokens = pace.bucket.lock().expect("not poisoned");
        assert_eq!(tokens.take(9_999, start), 500, "earned while nothing happened");
        tokens.events += 3_000;
        let busy: usize = (1..=10)
            .map(|tick| tokens.take(9_999, start + Duration::from_millis(tick * 100)))
            .sum();
        assert!((250..=310).contains(&busy), "{busy} writes beside 3,000 events");
        let _ = tokens.take(9_999, start + Duration::from_millis(2_100));
        assert_eq!(tokens.take(9_999, start + Duration::from_millis(2_200)), 200, "quiet again");
    }
}

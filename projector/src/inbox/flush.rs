//! Writing the inbox bucket: paced, beside the owner's loop, never in its way.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hansard_model::inbox::InboxKey;
use hansard_model::{PartitionId, Seq};
use hansard_nats::Connection;
use hansard_nats::inbox::InboxBucket;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::Stale;
use crate::metrics;
use crate::partition::state::State;
use crate::queries::bucket_value;

/// How often the owner of a partition looks for stale entries.
pub(crate) const FLUSH_EVERY: Duration = Duration::from_millis(100);
/// Writes of one process per second, at most: what the log is left for.
const WRITES_PER_SECOND_MAX: usize = 2_000;
/// Writes that may come at once after a pause.
const WRITES_AT_ONCE_MAX: usize = 500;
/// Entries of one flush, all of them in flight at once.
const FLUSH_ENTRIES_MAX: usize = 250;
/// Revisions remembered per partition; beyond it all are forgotten, which costs a read each.
const REVISIONS_MAX: usize = 65_536;

/// The pace at which the partitions of a process write together; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    bucket: Arc<Mutex<Tokens>>,
}

#[derive(Debug)]
struct Tokens {
    left: usize,
    filled: Instant,
}

impl Pace {
    pub(crate) fn new() -> Self {
        let tokens = Tokens { left: WRITES_AT_ONCE_MAX, filled: Instant::now() };
        Self { bucket: Arc::new(Mutex::new(tokens)) }
    }

    /// How many of `wanted` writes may be made now.
    fn take(&self, wanted: usize) -> usize {
        let mut tokens = self.bucket.lock().unwrap_or_else(PoisonError::into_inner);
        let micros = tokens.filled.elapsed().as_micros() as usize;
        let earned = micros.saturating_mul(WRITES_PER_SECOND_MAX) / 1_000_000;
        if earned > 0 {
            tokens.filled = Instant::now();
            tokens.left = (tokens.left + earned).min(WRITES_AT_ONCE_MAX);
        }
        let taken = wanted.min(tokens.left);
        tokens.left -= taken;
        taken
    }
}

/// Writes the stale entries of one partition.
pub(crate) struct Flush {
    connection: Connection,
    bucket: InboxBucket,
    partition: PartitionId,
    pace: Pace,
    revisions: HashMap<InboxKey, u64>,
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
        written: Seq,
    ) -> Self {
        let connection = connection.clone();
        Self {
            connection,
            bucket,
            partition,
            pace,
            revisions: HashMap::new(),
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
    pub(crate) async fn rewind(&mut self, state: &State, stale: &mut Stale) {
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
            return;
        }
        tracing::warn!(partition = %self.partition, from = %self.written, to = %position, "the inbox bucket went back");
        self.written = position;
        self.revisions.clear();
        // What was stale is among what is after the position.
        *stale = Stale::default();
        for (slot, _, entry) in state.history.after(position) {
            let conversation = &state.conversations[slot.index()];
            stale.mark(InboxKey::Head(conversation.id), entry.seq);
            // Whose record an event changed is not kept: write those of all.
            for user in conversation.everybody() {
                stale.mark(InboxKey::Member(user, conversation.id), entry.seq);
            }
        }
    }

    /// Starts to write what is longest stale, as far as the pace allows, unless a flush runs.
    pub(crate) fn start(&mut self, state: &State, stale: &mut Stale) {
        if self.running.is_some() || (stale.len() == 0 && state.applied() <= self.written) {
            return;
        }
        // One for the position.
        let allowed = self.pace.take((stale.len() + 1).min(FLUSH_ENTRIES_MAX));
        if allowed > 0 {
            self.write(state, stale, allowed - 1);
        }
    }

    fn write(&mut self, state: &State, stale: &mut Stale, count: usize) {
        let taken = stale.take(count);
        let covered = stale.covered(state.applied());
        let position = Some(covered).filter(|covered| *covered > self.written);
        let puts: FuturesUnordered<_> = taken
            .into_iter()
            .filter_map(|(since, key)| {
                let (value, as_of) = bucket_value(state, key)?;
                let revision = self.revisions.get(&key).copied().unwrap_or(0);
                let put = self.bucket.put(key, value, as_of, revision);
                Some(async move { (since, key, put.await) })
            })
            .collect();
        let position_put = position.map(|position| {
            let key = InboxKey::Position(self.partition);
            let revision = self.revisions.get(&key).copied().unwrap_or(0);
            let value = serde_json::to_vec(&hansard_model::inbox::Position { seq: position });
            (key, self.bucket.put(key, value.unwrap_or_default(), position, revision), position)
        });
        let connection = self.connection.clone();
        self.running = Some(tokio::spawn(async move {
            let mut flushed = settle(puts).await;
            if let Some((key, put, position)) = position_put
                && flushed.failed.is_empty()
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
        if self.revisions.len() + flushed.written.len() > REVISIONS_MAX {
            self.revisions.clear();
        }
        self.revisions.extend(flushed.written);
        stale.put_back(flushed.failed);
        self.written = self.written.max(flushed.position.unwrap_or_default());
    }

    /// Writes everything that is stale, without regard to the pace, as long as that succeeds; for
    /// the end of an ownership.
    pub(crate) async fn finish(&mut self, state: &State, stale: &mut Stale) {
        if self.running.is_some() {
            self.ended(stale).await;
        }
        while self.written < state.applied() {
            let before = (self.written, stale.len());
            self.write(state, stale, FLUSH_ENTRIES_MAX);
            self.ended(stale).await;
            if (self.written, stale.len()) == before {
                return;
            }
        }
    }
}

async fn settle<F>(mut puts: FuturesUnordered<F>) -> Flushed
where
    F: Future<Output = (Seq, InboxKey, Result<u64, hansard_nats::inbox::PutError>)>,
{
    let mut flushed = Flushed { written: Vec::new(), failed: Vec::new(), position: None };
    while let Some((since, key, outcome)) = puts.next().await {
        match outcome {
            Ok(revision) => flushed.written.push((key, revision)),
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

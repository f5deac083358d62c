//! Following a partition: dense or stopped.

use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use hansard_model::{LogTime, PartitionId, Record, Seq};
use tokio::sync::{mpsc, watch};

use super::{LogClock, ReadError, record};
use crate::connection::Connection;
use crate::direct::{self, LeaderRequest, StreamState};
use crate::streams;

/// Pause before a consumer is made again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Events that a replay holds for its reader.
const REPLAY_BUFFER: usize = 1_024;

/// Why a reader stopped. It does not skip.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Events that the leader does not call deleted did not arrive.
    #[error(
        "partition {partition}: after {after} came {got}, and the leader holds what is between"
    )]
    Hole {
        /// Where.
        partition: PartitionId,
        /// The last event before the hole.
        after: Seq,
        /// The first after it.
        got: Seq,
    },
    /// A message that is not an event.
    #[error("partition {partition}: {seq} is not an event of the log")]
    Foreign {
        /// Where.
        partition: PartitionId,
        /// Which.
        seq: Seq,
    },
    /// The stream ends before the position the reader was given: it was restored or truncated.
    #[error("partition {partition}: the log ends at {last}, before {after}")]
    Truncated {
        /// Where.
        partition: PartitionId,
        /// The reader's position.
        after: Seq,
        /// The last event there is.
        last: Seq,
    },
}

/// A reader of one partition. It survives lost connections and servers by itself.
pub struct LogReader {
    connection: Connection,
    clock: LogClock,
    partition: PartitionId,
    after: Seq,
    last_known: Seq,
    messages: Option<Ordered>,
    /// A message behind a hole, while the leader is asked: dropping `next` must not lose it.
    behind_hole: Option<async_nats::jetstream::Message>,
    holes_in_a_row: u32,
    interruptions: watch::Receiver<u64>,
}

/// Consumers made anew for one hole before the reader stops.
const HOLE_RETRIES: u32 = 3;

impl LogReader {
    pub(super) fn new(
        connection: Connection,
        clock: LogClock,
        partition: PartitionId,
        after: Seq,
    ) -> Self {
        let interruptions = connection.interruptions();
        Self {
            connection,
            clock,
            partition,
            after,
            last_known: after,
            messages: None,
            behind_hole: None,
            holes_in_a_row: 0,
            interruptions,
        }
    }

    /// The last event that was returned (or confirmed as deleted).
    pub fn position(&self) -> Seq {
        self.after
    }

    /// The last event of the stream as last heard: the rest is lag.
    pub fn last_known(&self) -> Seq {
        self.last_known
    }

    /// The clock of the log.
    pub fn clock(&self) -> &LogClock {
        &self.clock
    }

    /// The next event. Waits for ever; safe to drop while it waits.
    ///
    /// # Errors
    /// [`FollowError`]: the reader must not be used further.
    pub async fn next(&mut self) -> Result<Record<Bytes>, FollowError> {
        loop {
            if let Some(record) = self.settle_hole().await? {
                return Ok(record);
            }
            if self.messages.is_none() {
                self.connect().await?;
            }
            let Some(messages) = &mut self.messages else { continue };
            let message = tokio::select! {
                biased;
                // The consumer lives in the server's memory: after an interruption it may be gone,
                // which the client would notice only by missing heartbeats, half a minute later.
                _ = self.interruptions.changed() => {
                    self.messages = None;
                    continue;
                }
                message = messages.next() => message,
            };
            match message {
                Some(Ok(message)) => {
                    if let Some(record) = self.accept(message)? {
                        return Ok(record);
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, partition = %self.partition, "log consumer");
                    self.messages = None;
                }
                None => self.messages = None,
            }
        }
    }

    /// The next event if it is here already: drains a batch without waiting.
    ///
    /// # Errors
    /// As [`LogReader::next`].
    pub fn try_next(&mut self) -> Result<Option<Record<Bytes>>, FollowError> {
        self.next().now_or_never().transpose()
    }

    /// Makes the consumer; waits until the log answers.
    async fn connect(&mut self) -> Result<(), FollowError> {
        loop {
            match self.try_connect().await {
                Ok(state) if state.last < self.after => {
                    return Err(FollowError::Truncated {
                        partition: self.partition,
                        after: self.after,
                        last: state.last,
                    });
                }
                Ok(state) => {
                    self.last_known = self.last_known.max(state.last);
                    return Ok(());
                }
                Err(error) => {
                    tracing::debug!(%error, partition = %self.partition, "log not available");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn try_connect(&mut self) -> Result<StreamState, ReadError> {
        self.interruptions.mark_unchanged();
        let name = streams::events(self.partition);
        let state = direct::leader_info(&self.connection, &name).await?;
        if state.last >= self.after {
            let config = ordered(self.after, String::new());
            self.messages = Some(consume(&self.connection, &name, config).await?);
        }
        Ok(state)
    }

    /// Takes a message if it is the next; `None` when it was seen, or stands behind a hole.
    fn accept(
        &mut self,
        message: async_nats::jetstream::Message,
    ) -> Result<Option<Record<Bytes>>, FollowError> {
        let Ok(info) = message.info() else {
            self.messages = None;
            return Ok(None);
        };
        let (seq, pending) = (Seq(info.stream_sequence), info.pending);
        if seq <= self.after {
            return Ok(None);
        }
        self.last_known = self.last_known.max(Seq(seq.0 + pending));
        if seq != self.after.next() {
            self.behind_hole = Some(message);
            return Ok(None);
        }
        self.holes_in_a_row = 0;
        self.take(&message, seq).map(Some)
    }

    fn take(
        &mut self,
        message: &async_nats::jetstream::Message,
        seq: Seq,
    ) -> Result<Record<Bytes>, FollowError> {
        let foreign = FollowError::Foreign { partition: self.partition, seq };
        let ts = message.info().ok().and_then(|info| {
            info.published.unix_timestamp_nanos().try_into().ok().map(LogTime::from_nanos)
        });
        let Some(ts) = ts else { return Err(foreign) };
        let payload = message.payload.clone();
        let headers = message.headers.as_ref();
        self.after = seq;
        record::from_parts(&message.subject, seq, ts, headers, payload).ok_or(foreign)
    }

    /// Asks the leader about a hole: what it calls deleted is passed over, what it holds makes the
    /// consumer start anew, and at last stops the reader.
    async fn settle_hole(&mut self) -> Result<Option<Record<Bytes>>, FollowError> {
        let Some(info) = self.behind_hole.as_ref().and_then(|message| message.info().ok()) else {
            return Ok(None);
        };
        let got = Seq(info.stream_sequence);
        let request = LeaderRequest {
            seq: Some(self.after.next().0),
            next_by_subj: Some(format!("ev.{}.>", self.partition)),
            ..LeaderRequest::default()
        };
        let name = streams::events(self.partition);
        let next = direct::leader_get(&self.connection, &name, &request).await;
        let message = self.behind_hole.take();
        match (next, message) {
            (Ok(Some(stored)), Some(message)) if stored.seq >= got => {
                self.holes_in_a_row = 0;
                self.take(&message, got).map(Some)
            }
            (Ok(_), _) if self.holes_in_a_row >= HOLE_RETRIES => {
                tracing::error!(partition = %self.partition, after = %self.after, %got, "hole in the log");
                Err(FollowError::Hole { partition: self.partition, after: self.after, got })
            }
            (answer, _) => {
                self.holes_in_a_row += u32::from(answer.is_ok());
                self.messages = None;
                Ok(None)
            }
        }
    }
}

fn ordered(after: Seq, filter_subject: String) -> OrderedConfig {
    OrderedConfig {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after.next().0 },
        filter_subject,
        ..OrderedConfig::default()
    }
}

async fn consume(
    connection: &Connection,
    stream: &str,
    config: OrderedConfig,
) -> Result<Ordered, ReadError> {
    let stream =
        connection.jetstream.get_stream_no_info(stream).await.map_err(direct::unavailable)?;
    let consumer = stream.create_consumer(config).await.map_err(direct::unavailable)?;
    consumer.messages().await.map_err(direct::unavailable)
}

/// See [`super::Log::replay`].
pub(super) async fn replay(
    connection: &Connection,
    partition: PartitionId,
    filter: String,
    after: Seq,
    live: bool,
) -> Result<mpsc::Receiver<Record<Bytes>>, ReadError> {
    let stream = streams::events(partition);
    let request = LeaderRequest { last_by_subj: Some(filter.clone()), ..LeaderRequest::default() };
    let last =
        direct::leader_get(connection, &stream, &request).await?.map_or(Seq::ZERO, |s| s.seq);
    let (sender, receiver) = mpsc::channel(REPLAY_BUFFER);
    if last <= after && !live {
        return Ok(receiver);
    }
    let mut messages = consume(connection, &stream, ordered(after, filter.clone())).await?;
    let connection = connection.clone();
    tokio::spawn(async move {
        let mut after = after;
        loop {
            let message = match messages.next().await {
                Some(Ok(message)) => message,
                Some(Err(_)) | None => {
                    tokio::time::sleep(RETRY_PAUSE).await;
                    if let Ok(again) =
                        consume(&connection, &stream, ordered(after, filter.clone())).await
                    {
                        messages = again;
                    }
                    continue;
                }
            };
            let Ok(info) = message.info() else { continue };
            let seq = Seq(info.stream_sequence);
            if seq <= after {
                continue;
            }
            after = seq;
            let nanos = info.published.unix_timestamp_nanos().try_into().unwrap_or(0);
            let record = record::from_parts(
                &message.subject,
                seq,
                LogTime::from_nanos(nanos),
                message.headers.as_ref(),
                message.payload.clone(),
            );
            if let Some(record) = record
                && sender.send(record).await.is_err()
            {
                return;
            }
            if !live && after >= last {
                return;
            }
        }
    });
    Ok(receiver)
}

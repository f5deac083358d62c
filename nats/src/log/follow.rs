//! Following a partition: dense or stopped.

use std::time::Duration;

use async_nats::jetstream::Message;
use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt};
use hansard_model::{LogTime, PartitionId, Record, Seq};
use tokio::sync::{mpsc, watch};

use super::stored::{self, StoredEvent};
use super::{LogClock, ReadError, record};
use crate::connection::Connection;
use crate::direct::{self, LeaderRequest, StreamState};
use crate::streams::{self, StreamName};

/// Pause before a consumer is made again.
const RETRY_PAUSE: Duration = Duration::from_millis(200);
/// Events that a replay holds for its reader.
const REPLAY_BUFFER: usize = 1_024;

/// Why a reader stopped. It does not skip.
#[derive(Debug, thiserror::Error)]
pub enum FollowError {
    /// Events that the leader does not call deleted did not arrive.
    #[error("{stream}: after {after} came {got}, and the leader holds what is between")]
    Hole {
        /// Where.
        stream: StreamName,
        /// The last event before the hole.
        after: Seq,
        /// The first after it.
        got: Seq,
    },
    /// A message that is not an event.
    #[error("{stream}: {seq} is not an event of the log")]
    Foreign {
        /// Where.
        stream: StreamName,
        /// Which.
        seq: Seq,
    },
    /// The stream ends before the position the reader was given: it was restored or truncated.
    #[error("{stream}: the log ends at {last}, before {after}")]
    Truncated {
        /// Where.
        stream: StreamName,
        /// The reader's position.
        after: Seq,
        /// The last event there is.
        last: Seq,
    },
    /// The stream begins behind the position the reader was given: what is between is in the
    /// archive only. Not the same as deleted.
    #[error("{stream}: the stream begins at {first}, and {after} was read last")]
    Trimmed {
        /// Where.
        stream: StreamName,
        /// The reader's position.
        after: Seq,
        /// The first event of the stream.
        first: Seq,
    },
}

/// A reader of one partition's stream. It survives lost connections and servers by itself.
pub struct LogReader {
    connection: Connection,
    clock: LogClock,
    stream: StreamName,
    after: Seq,
    last_known: Seq,
    messages: Option<Ordered>,
    /// A message behind a hole, while the leader is asked: dropping `next` must not lose it.
    behind_hole: Option<Arrived>,
    holes_in_a_row: u32,
    interruptions: watch::Receiver<u64>,
}

/// How long an event that is known to be there may stay away before the leader is asked.
const OVERDUE: Duration = Duration::from_secs(1);
/// Consumers made anew for one hole before the reader stops.
const HOLE_RETRIES: u32 = 3;

impl LogReader {
    pub(super) fn new(
        connection: Connection,
        clock: LogClock,
        stream: StreamName,
        after: Seq,
    ) -> Self {
        let interruptions = connection.interruptions();
        Self {
            connection,
            clock,
            stream,
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
        let Arrived { message, seq, ts } = self.arrive().await?;
        let (payload, headers) = (message.payload.clone(), message.headers.as_ref());
        record::from_parts(&message.subject, seq, ts, headers, payload)
            .ok_or(FollowError::Foreign { stream: self.stream, seq })
    }

    /// The next event if it is here already: drains a batch without waiting.
    ///
    /// # Errors
    /// As [`LogReader::next`].
    pub fn try_next(&mut self) -> Result<Option<Record<Bytes>>, FollowError> {
        self.next().now_or_never().transpose()
    }

    /// As [`LogReader::next`], with everything that the stream stored, and whatever it is: a
    /// message that is no event is not [`FollowError::Foreign`] here.
    ///
    /// # Errors
    /// As [`LogReader::next`].
    pub async fn next_stored(&mut self) -> Result<StoredEvent, FollowError> {
        let Arrived { message, seq, ts } = self.arrive().await?;
        Ok(StoredEvent {
            seq,
            ts,
            subject: message.subject.to_string(),
            headers: stored::headers(message.headers.as_ref()),
            payload: message.payload.clone(),
        })
    }

    /// The next message in order. When it is returned, the position has moved past it.
    async fn arrive(&mut self) -> Result<Arrived, FollowError> {
        loop {
            if let Some(arrived) = self.settle_hole().await? {
                return Ok(arrived);
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
                // What is known to be there does not come: a consumer says nothing of events that
                // were trimmed before it came to them, and on a quiet stream nothing follows them.
                () = tokio::time::sleep(OVERDUE), if self.after < self.last_known => {
                    self.find_trimmed().await?;
                    continue;
                }
            };
            match message {
                Some(Ok(message)) => {
                    if let Some(arrived) = self.accept(message)? {
                        return Ok(arrived);
                    }
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, stream = %self.stream, "log consumer");
                    self.messages = None;
                }
                None => self.messages = None,
            }
        }
    }

    /// Makes the consumer; waits until the log answers.
    async fn connect(&mut self) -> Result<(), FollowError> {
        loop {
            match self.try_connect().await {
                Ok(state) if state.last < self.after => {
                    let (stream, after) = (self.stream, self.after);
                    return Err(FollowError::Truncated { stream, after, last: state.last });
                }
                Ok(state) if state.first > self.after.next() => {
                    self.last_known = self.last_known.max(state.last);
                    return Err(self.trimmed(state.first));
                }
                Ok(state) => {
                    self.last_known = self.last_known.max(state.last);
                    return Ok(());
                }
                Err(error) => {
                    tracing::debug!(%error, stream = %self.stream, "log not available");
                    tokio::time::sleep(RETRY_PAUSE).await;
                }
            }
        }
    }

    async fn try_connect(&mut self) -> Result<StreamState, ReadError> {
        self.interruptions.mark_unchanged();
        let name = self.stream.name();
        let state = direct::leader_info(&self.connection, &name).await?;
        if state.last >= self.after && state.first <= self.after.next() {
            let config = ordered(self.after, String::new());
            self.messages = Some(consume(&self.connection, &name, config).await?);
        }
        Ok(state)
    }

    /// Asks the leader whether what comes next was trimmed.
    async fn find_trimmed(&mut self) -> Result<(), FollowError> {
        let name = self.stream.name();
        match direct::leader_info(&self.connection, &name).await {
            Ok(state) if state.first > self.after.next() => {
                self.messages = None;
                Err(self.trimmed(state.first))
            }
            Ok(_) | Err(_) => Ok(()),
        }
    }

    fn trimmed(&self, first: Seq) -> FollowError {
        FollowError::Trimmed { stream: self.stream, after: self.after, first }
    }

    /// Takes a message if it is the next; `None` when it was seen, or stands behind a hole.
    fn accept(&mut self, message: Message) -> Result<Option<Arrived>, FollowError> {
        let Ok(info) = message.info() else {
            self.messages = None;
            return Ok(None);
        };
        let (seq, pending) = (Seq(info.stream_sequence), info.pending);
        if seq <= self.after {
            return Ok(None);
        }
        self.last_known = self.last_known.max(Seq(seq.0 + pending));
        let Ok(nanos) = info.published.unix_timestamp_nanos().try_into() else {
            return Err(FollowError::Foreign { stream: self.stream, seq });
        };
        let arrived = Arrived { seq, ts: LogTime::from_nanos(nanos), message };
        if seq != self.after.next() {
            self.behind_hole = Some(arrived);
            return Ok(None);
        }
        Ok(Some(self.take(arrived)))
    }

    fn take(&mut self, arrived: Arrived) -> Arrived {
        self.holes_in_a_row = 0;
        self.after = arrived.seq;
        arrived
    }

    /// Asks the leader about a hole: what it calls deleted is passed over, what it holds makes the
    /// consumer start anew, and at last stops the reader. A hole at the beginning of the stream is
    /// no deletion: it was trimmed.
    async fn settle_hole(&mut self) -> Result<Option<Arrived>, FollowError> {
        let Some(got) = self.behind_hole.as_ref().map(|arrived| arrived.seq) else {
            return Ok(None);
        };
        let request = LeaderRequest {
            seq: Some(self.after.next().0),
            next_by_subj: Some(">".to_owned()),
            ..LeaderRequest::default()
        };
        let name = self.stream.name();
        let next = direct::leader_get(&self.connection, &name, &request).await;
        // Asked second: what is trimmed between the two answers is seen here.
        let state = direct::leader_info(&self.connection, &name).await;
        let behind_hole = self.behind_hole.take();
        let (stream, after) = (self.stream, self.after);
        match (next, state, behind_hole) {
            (_, Ok(state), _) if state.first > after.next() => {
                self.messages = None;
                Err(self.trimmed(state.first))
            }
            (Ok(Some(stored)), Ok(_), Some(arrived)) if stored.seq >= got => {
                Ok(Some(self.take(arrived)))
            }
            (Ok(_), Ok(_), _) if self.holes_in_a_row >= HOLE_RETRIES => {
                tracing::error!(%stream, %after, %got, "hole in the log");
                Err(FollowError::Hole { stream, after, got })
            }
            (answer, _, _) => {
                self.holes_in_a_row += u32::from(answer.is_ok());
                self.messages = None;
                Ok(None)
            }
        }
    }
}

/// A message in its place.
struct Arrived {
    message: Message,
    seq: Seq,
    ts: LogTime,
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

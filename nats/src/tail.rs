//! Follows a stream from a place on, for ever: accounts, receipts. The log has a reader of its own,
//! which is dense or stopped; here a later value makes up for one that was not seen.

use std::time::Duration;

use async_nats::jetstream::consumer::DeliverPolicy;
use async_nats::jetstream::consumer::pull::{Ordered, OrderedConfig};
use bytes::Bytes;
use futures_util::StreamExt;
use hansard_model::{LogTime, Seq};
use tokio::sync::watch;

use crate::connection::Connection;
use crate::direct::{self, ReadError, unavailable};

const RETRY_PAUSE: Duration = Duration::from_millis(200);

/// The end of a stream, as it grows. It survives lost connections by itself.
pub(crate) struct Tail {
    connection: Connection,
    stream: &'static str,
    after: Seq,
    read_again: u64,
    messages: Option<Ordered>,
    interruptions: watch::Receiver<u64>,
}

/// A message of the stream.
pub(crate) struct Tailed {
    pub(crate) seq: Seq,
    pub(crate) ts: LogTime,
    pub(crate) subject: String,
    pub(crate) payload: Bytes,
}

impl Tail {
    /// From just after `after`. After an interruption it begins `read_again` before where it was:
    /// a server that was killed may have lost the last of a stream that is not synced, and stored
    /// others in their place.
    pub(crate) fn new(
        connection: &Connection,
        stream: &'static str,
        after: Seq,
        read_again: u64,
    ) -> Self {
        let interruptions = connection.interruptions();
        let connection = connection.clone();
        Self { connection, stream, after, read_again, messages: None, interruptions }
    }

    /// The next message. Waits for ever; safe to drop while it waits.
    pub(crate) async fn next(&mut self) -> Tailed {
        loop {
            let messages = match &mut self.messages {
                Some(messages) => messages,
                None => match consume(&self.connection, self.stream, self.after).await {
                    Ok((messages, after)) => {
                        self.after = after;
                        self.messages.insert(messages)
                    }
                    Err(error) => {
                        tracing::debug!(stream = self.stream, %error, "not available");
                        tokio::time::sleep(RETRY_PAUSE).await;
                        continue;
                    }
                },
            };
            let message = tokio::select! {
                biased;
                // As with the log: the consumer may be gone with its server.
                _ = self.interruptions.changed() => {
                    self.after = Seq(self.after.0.saturating_sub(self.read_again));
                    None
                }
                message = messages.next() => message,
            };
            let Some(Ok(message)) = message else {
                self.messages = None;
                continue;
            };
            let Ok(info) = message.info() else { continue };
            let seq = Seq(info.stream_sequence);
            if seq <= self.after {
                continue;
            }
            self.after = seq;
            let nanos = info.published.unix_timestamp_nanos().try_into().unwrap_or(0);
            let ts = LogTime::from_nanos(nanos);
            let message = message.message;
            return Tailed {
                seq,
                ts,
                subject: message.subject.into_string(),
                payload: message.payload,
            };
        }
    }
}

/// A consumer from just after `after`, or from the end if the stream has less than that: what is
/// stored next must not pass for read. It borrows no reader: its messages are not `Sync`, and a
/// reader must be able to move between threads while it waits.
async fn consume(
    connection: &Connection,
    stream: &'static str,
    after: Seq,
) -> Result<(Ordered, Seq), ReadError> {
    let after = direct::leader_info(connection, stream).await?.last.min(after);
    let stream = connection.jetstream.get_stream_no_info(stream).await.map_err(unavailable)?;
    let config = OrderedConfig {
        deliver_policy: DeliverPolicy::ByStartSequence { start_sequence: after.next().0 },
        ..OrderedConfig::default()
    };
    let consumer = stream.create_consumer(config).await.map_err(unavailable)?;
    Ok((consumer.messages().await.map_err(unavailable)?, after))
}

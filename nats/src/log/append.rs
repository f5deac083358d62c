//! Appending: pipelined, bounded, and honest about what is not known.

use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::time::Instant;

use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::OutboundMessage;
use bytes::Bytes;
use hansard_model::event::EventClass;
use hansard_model::record::{EVENT_KIND, EventKey, MSG_ID, VOUCH_UNTIL};
use hansard_model::subject::Subject;
use hansard_model::{LogTime, Seq};

use super::Log;
use crate::metrics;

/// An event about to be stored.
#[derive(Clone, Debug)]
pub struct Append {
    /// Its identity.
    pub key: EventKey,
    /// Void attempts under the same identity: the stream would answer "duplicate" to them.
    pub void: Vec<Seq>,
    /// On which subject.
    pub class: EventClass,
    /// The event's kind.
    pub kind: &'static str,
    /// Log time until which the checks hold.
    pub vouch_until: LogTime,
    /// The last sequence the subject must have; for meta events.
    pub expected: Option<Seq>,
    /// The envelope.
    pub payload: Bytes,
}

/// It is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Where.
    pub seq: Seq,
    /// The stream knew the identity: `seq` is that event's, and whether it is the same event is
    /// for the caller to read.
    pub duplicate: bool,
}

/// Why there is no acknowledgement.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Not stored: the subject has another last sequence.
    #[error("the conversation changed meanwhile")]
    Conflict,
    /// Not stored: too many are in flight.
    #[error("too many events in flight")]
    Overloaded,
    /// Not stored: NATS is away.
    #[error("the log is not connected")]
    Disconnected,
    /// Not stored: the server refused it.
    #[error("the log refused the event")]
    Refused(#[source] PublishRefused),
    /// Perhaps stored, now or later; later than `Vouch-Until` it is void.
    #[error("the log did not acknowledge in time")]
    Unknown,
}

/// What the server said.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct PublishRefused(PublishError);

/// An acknowledgement on its way.
pub type PendingAppend = Pin<Box<dyn Future<Output = Result<Appended, AppendError>> + Send>>;

impl Log {
    /// Sends an event to the log. When this returns, the event is on its way and ordered before
    /// the next one of this process; the returned future resolves with the acknowledgement.
    ///
    /// # Errors
    /// [`AppendError`]: nothing was sent, except with [`AppendError::Unknown`].
    pub async fn append(&self, append: Append) -> Result<PendingAppend, AppendError> {
        if !self.connection.is_connected() {
            // The client would buffer it and store it minutes later, void.
            return Err(AppendError::Disconnected);
        }
        let message = outbound(self.partition_of(append.key.conversation), &append);
        let sent = Instant::now();
        let mut interruptions = self.connection.interruptions();
        interruptions.mark_unchanged();
        let pending = self.connection.jetstream.publish_message(message).await.map_err(classify)?;
        Ok(Box::pin(async move {
            let outcome = tokio::select! {
                biased;
                outcome = pending.into_future() => outcome.map_err(classify),
                // The acknowledgement was for a connection that is gone: nothing to wait for.
                _ = interruptions.changed() => Err(AppendError::Unknown),
            };
            metrics::append_ended(outcome_name(&outcome.as_ref().map(|_| ())), sent.elapsed());
            let ack = outcome?;
            Ok(Appended { seq: Seq(ack.sequence), duplicate: ack.duplicate })
        }))
    }
}

fn outbound(partition: hansard_model::PartitionId, append: &Append) -> OutboundMessage {
    let subject = Subject::event(partition, append.key.conversation, append.class);
    let mut id = append.key.to_string();
    for void in &append.void {
        id.push(':');
        id.push_str(&void.to_string());
    }
    let mut headers = HeaderMap::new();
    headers.insert(MSG_ID, id);
    // Rounded down: a check never holds longer than it was made for.
    headers.insert(VOUCH_UNTIL, append.vouch_until.as_millis().to_string());
    headers.insert(EVENT_KIND, append.kind);
    if let Some(expected) = append.expected {
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
    }
    OutboundMessage::new(subject.to_string().into(), append.payload.clone(), Some(headers))
}

fn outcome_name(outcome: &Result<(), &AppendError>) -> &'static str {
    match outcome {
        Ok(()) => "stored",
        Err(AppendError::Conflict) => "conflict",
        Err(AppendError::Overloaded) => "overloaded",
        Err(AppendError::Disconnected) => "disconnected",
        Err(AppendError::Refused(_)) => "refused",
        Err(AppendError::Unknown) => "unknown",
    }
}

/// The code of "wrong last sequence" while another guarded write of the subject is in the Raft
/// pipeline: nothing was stored, the check is to be made again.
const WRONG_LAST_SEQUENCE_IN_FLIGHT: &str = "10164";

/// The code of a message over the stream's limit.
const MESSAGE_TOO_LARGE: &str = "10054";

fn classify(error: PublishError) -> AppendError {
    match error.kind() {
        PublishErrorKind::WrongLastSequence | PublishErrorKind::WrongLastMessageId => {
            AppendError::Conflict
        }
        PublishErrorKind::MaxAckPending => AppendError::Overloaded,
        PublishErrorKind::TimedOut | PublishErrorKind::BrokenPipe => AppendError::Unknown,
        PublishErrorKind::Other if format!("{error:?}").contains(WRONG_LAST_SEQUENCE_IN_FLIGHT) => {
            AppendError::Conflict
        }
        PublishErrorKind::Other if format!("{error:?}").contains(MESSAGE_TOO_LARGE) => {
            AppendError::Refused(PublishRefused(error))
        }
        PublishErrorKind::StreamNotFound | PublishErrorKind::Other => {
            // No responders while the stream has no leader, or a fault of the server's: it is not
            // known what a fault stored.
            tracing::warn!(%error, "append failed");
            AppendError::Unknown
        }
        PublishErrorKind::MaxPayloadExceeded => AppendError::Refused(PublishRefused(error)),
    }
}

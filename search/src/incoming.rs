//! A record of the log as the index takes it: read once, before anything is decided.

use bytes::Bytes;
use hansard_model::{ConversationId, Envelope, LogTime, Record, Seq};
use hansard_nats::log::digest;

use crate::position::hex;

/// A record, read.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) seq: Seq,
    pub(crate) ts: LogTime,
    pub(crate) conversation: ConversationId,
    pub(crate) what: What,
    record: Record<Bytes>,
}

/// What a record says to an index.
#[derive(Clone, Debug)]
pub(crate) enum What {
    /// Something happened.
    Event(Box<Envelope>),
    /// It was stored too late.
    Void,
    /// It cannot be read, or stands on a subject that is not its own.
    Unreadable,
}

impl Incoming {
    pub(crate) fn read(record: Record<Bytes>) -> Self {
        let what = if record.is_void() {
            What::Void
        } else {
            match Envelope::decode(&record.payload) {
                Ok(envelope) if envelope.event.class() == record.class => {
                    What::Event(Box::new(envelope))
                }
                Ok(_) | Err(_) => What::Unreadable,
            }
        };
        let (seq, ts, conversation) = (record.seq, record.ts, record.conversation);
        Self { seq, ts, conversation, what, record }
    }

    /// About how many bytes it takes.
    pub(crate) fn bytes(&self) -> usize {
        self.record.payload.len()
    }

    /// The identity of the event, in hexadecimal.
    pub(crate) fn digest(&self) -> String {
        hex(&digest(&self.record))
    }
}

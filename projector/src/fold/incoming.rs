//! A record as the fold takes it: read once, before anything is decided.

use bytes::Bytes;
use hansard_model::envelope::VERSION;
use hansard_model::record::EventKey;
use hansard_model::{ConversationId, Envelope, Event, LogTime, Record, Seq, UserId};
use hansard_nats::log::digest;
use serde::Deserialize;
use serde_json::Value;

use crate::body::stand_in;
use crate::parked::ParkReason;

/// Kinds that this version reads: one of them that does not read is damaged, not new.
const KNOWN_KINDS: [&str; 9] =
    ["message", "edit", "delete", "reaction", "pin", "create", "member", "title", "settings"];

/// A record, read.
#[derive(Clone, Debug)]
pub(crate) struct Incoming {
    pub(crate) seq: Seq,
    pub(crate) ts: LogTime,
    pub(crate) conversation: ConversationId,
    pub(crate) key: Option<EventKey>,
    pub(crate) is_void: bool,
    /// What clients get of it: the stored bytes, or what stands in for them.
    pub(crate) body: Bytes,
    pub(crate) read: Result<Envelope, ParkReason>,
    /// The record itself, of which a batch's last is remembered.
    record: Record<Bytes>,
}

impl Incoming {
    pub(crate) fn read(record: Record<Bytes>) -> Self {
        let is_void = record.is_void();
        let (body, read) = if is_void {
            (Bytes::new(), Err(ParkReason::Shape))
        } else {
            read(&record.payload, record.key)
        };
        let read = read.and_then(|envelope| {
            let fits = envelope.event.class() == record.class;
            if fits { Ok(envelope) } else { Err(ParkReason::WrongSubject) }
        });
        Self {
            seq: record.seq,
            ts: record.ts,
            conversation: record.conversation,
            key: record.key,
            is_void,
            body,
            read,
            record,
        }
    }

    /// Who said what; `None` when it cannot be read.
    pub(crate) fn said(&self) -> Option<(UserId, &Event)> {
        self.read.as_ref().ok().map(|envelope| (envelope.sender, &envelope.event))
    }

    pub(super) fn digest(&self) -> [u8; 32] {
        digest(&self.record)
    }
}

/// What can be said of a payload that is no envelope.
#[derive(Deserialize)]
struct Outline {
    v: u8,
    event: Kinded,
}

#[derive(Deserialize)]
struct Kinded {
    kind: String,
}

/// What to show, and what it says.
fn read(payload: &Bytes, key: Option<EventKey>) -> (Bytes, Result<Envelope, ParkReason>) {
    let cause = match Envelope::decode(payload) {
        Ok(envelope) => return (payload.clone(), Ok(envelope)),
        Err(cause) => cause,
    };
    if !matches!(serde_json::from_slice(payload), Ok(Value::Object(_))) {
        return (stand_in(key), Err(ParkReason::NotAnObject));
    }
    let reason = ParkReason::of(&cause);
    // A kind that is not known yet goes out as it came: a client may know it. Everything else
    // would break the contract's promises about bodies.
    match serde_json::from_slice(payload) {
        Ok(Outline { v: VERSION, event }) if !KNOWN_KINDS.contains(&event.kind.as_str()) => {
            (payload.clone(), Err(reason))
        }
        Ok(Outline { .. }) | Err(_) => (stand_in(key), Err(reason)),
    }
}

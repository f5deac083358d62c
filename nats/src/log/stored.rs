//! An event with everything that the stream stored of it: what an archive keeps.

use async_nats::header::HeaderMap;
use bytes::Bytes;
use hansard_model::event::EventClass;
use hansard_model::{LogTime, Record, Seq};
use sha2::{Digest, Sha256};

use super::record;

/// A message of a stream, whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Where it stands in its stream.
    pub seq: Seq,
    /// When the stream stored it.
    pub ts: LogTime,
    /// On which subject.
    pub subject: String,
    /// Names and values; names ascend and are unique, the values of a name keep their order.
    pub headers: Vec<(String, Vec<String>)>,
    /// The stored bytes.
    pub payload: Bytes,
}

impl StoredEvent {
    /// The event; `None` when the subject is not one of the log's.
    pub fn record(&self) -> Option<Record<Bytes>> {
        let header = |name: &str| {
            let (_, values) = self.headers.iter().find(|(of, _)| of == name)?;
            values.first().map(String::as_str)
        };
        record::of(&self.subject, self.seq, self.ts, header, self.payload.clone())
    }
}

pub(super) fn headers(map: Option<&HeaderMap>) -> Vec<(String, Vec<String>)> {
    let Some(map) = map else { return Vec::new() };
    let mut headers: Vec<(String, Vec<String>)> = map
        .iter()
        .map(|(name, values)| {
            let values = values.iter().map(|value| value.as_str().to_owned()).collect();
            (name.to_string(), values)
        })
        .collect();
    headers.sort_unstable();
    headers
}

/// The identity of an event: SHA-256 over sequence, time, conversation, class and payload. Two
/// logs that agree on it at a sequence hold the same event there.
pub fn digest<P: AsRef<[u8]>>(record: &Record<P>) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(record.seq.0.to_be_bytes());
    hash.update(record.ts.as_nanos().to_be_bytes());
    // Ended by what no id contains, so that no two events read the same.
    hash.update(record.conversation.to_string());
    hash.update(match record.class {
        EventClass::Msg => b"\0m",
        EventClass::Meta => b"\0e",
    });
    hash.update(record.payload.as_ref());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use hansard_model::{ConversationId, GroupId};

    use super::*;

    fn stored() -> StoredEvent {
        let conversation = ConversationId::Group(GroupId::from_entropy([1; 20]));
        StoredEvent {
            seq: Seq(7),
            ts: LogTime::from_nanos(1_763_772_345_123_456_789),
            subject: format!("ev.3.{conversation}.msg"),
            headers: vec![("Vouch-Until".to_owned(), vec!["1763772345124".to_owned()])],
            payload: Bytes::from_static(b"{}"),
        }
    }

    #[test]
    fn what_is_stored_is_the_record() {
        let record = stored().record().expect("an event");
        assert_eq!((record.seq, record.class), (Seq(7), EventClass::Msg));
        assert!(!record.is_void());
        let foreign = StoredEvent { subject: "acct.user.x".to_owned(), ..stored() };
        assert_eq!(foreign.record(), None);
    }

    #[test]
    fn another_event_has_another_digest() {
        let one = stored().record().expect("an event");
        let same = stored().record().expect("an event");
        assert_eq!(digest(&one), digest(&same));
        let others = [
            Record { seq: Seq(8), ..one.clone() },
            Record { ts: one.ts.plus(std::time::Duration::from_nanos(1)), ..one.clone() },
            Record {
                conversation: ConversationId::Group(GroupId::from_entropy([2; 20])),
                ..one.clone()
            },
            Record { class: EventClass::Meta, ..one.clone() },
            Record { payload: Bytes::from_static(b"{ }"), ..same },
        ];
        for other in others {
            assert_ne!(digest(&one), digest(&other), "{other:?}");
        }
    }
}

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

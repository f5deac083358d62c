//! An event as it was stored, for who compares logs.

use serde::{Deserialize, Serialize};

use crate::event::EventClass;
use crate::id::{ConversationId, MessageId, Seq, UserId};
use crate::record::{EventKey, Record};
use crate::time::LogTime;

/// `record`: an event as it was stored, from the stream or the archive. The answer is an
/// `Option<StoredRecord>`: `None` when the log holds nothing at that position.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct RecordRequest {
    /// Its position.
    pub seq: Seq,
}

/// An event as it was stored, void or not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredRecord {
    /// Its position.
    pub seq: Seq,
    /// When it was stored, in nanoseconds since the Unix epoch.
    pub ts_nanos: u64,
    /// Which conversation.
    pub conversation: ConversationId,
    /// On its meta subject.
    pub meta: bool,
    /// Until when it was vouched for, in milliseconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vouch_until_ms: Option<u64>,
    /// The identity in its `Nats-Msg-Id`: sender and id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<(UserId, MessageId)>,
    /// The stored bytes: as text, when they are UTF-8.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// The stored bytes, in base64, when they are not.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "base64_bytes")]
    pub base64: Option<Vec<u8>>,
}

impl StoredRecord {
    /// What travels of a record.
    pub fn of<P: AsRef<[u8]>>(record: &Record<P>) -> Self {
        let payload = record.payload.as_ref();
        let text = std::str::from_utf8(payload).ok().map(str::to_owned);
        let base64 = text.is_none().then(|| payload.to_vec());
        Self {
            seq: record.seq,
            ts_nanos: record.ts.as_nanos(),
            conversation: record.conversation,
            meta: record.class == EventClass::Meta,
            vouch_until_ms: record.vouch_until.map(LogTime::as_millis),
            key: record.key.map(|key| (key.sender, key.id)),
            text,
            base64,
        }
    }

    /// The record again.
    pub fn into_record(self) -> Record<Vec<u8>> {
        let Self { seq, ts_nanos, conversation, meta, vouch_until_ms, key, text, base64 } = self;
        Record {
            seq,
            ts: LogTime::from_nanos(ts_nanos),
            conversation,
            class: if meta { EventClass::Meta } else { EventClass::Msg },
            vouch_until: vouch_until_ms.map(LogTime::from_millis),
            key: key.map(|(sender, id)| EventKey { conversation, sender, id }),
            payload: text.map(String::into_bytes).or(base64).unwrap_or_default(),
        }
    }
}
/// Bytes as base64 text.
mod base64_bytes {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match bytes {
            Some(bytes) => serializer.serialize_some(&STANDARD.encode(bytes)),
            None => serializer.serialize_none(),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| STANDARD.decode(text).map_err(serde::de::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::GroupId;

    #[test]
    fn a_stored_record_comes_back_as_it_was_whatever_its_bytes() {
        let conversation = ConversationId::Group(GroupId::from_entropy([1; 20]));
        let sender = UserId::from_entropy([2; 20]);
        for payload in [&b"{\"v\":1}"[..], b"", b"\xff\x00not text"] {
            let record = Record {
                seq: Seq(7),
                ts: LogTime::from_nanos(1_763_772_345_123_456_789),
                conversation,
                class: EventClass::Meta,
                vouch_until: Some(LogTime::from_millis(1_763_772_345_999)),
                key: Some(EventKey { conversation, sender, id: MessageId::new(5, [3; 10]) }),
                payload: payload.to_vec(),
            };
            let json = serde_json::to_string(&StoredRecord::of(&record)).expect("json");
            let back: StoredRecord = serde_json::from_str(&json).expect("reads");
            assert_eq!(back.into_record(), record, "{json}");
        }
    }
}

//! The stored payload: one JSON object, readable with stock NATS tools.

use serde::{Deserialize, Serialize};

use crate::draft::Draft;
use crate::event::Event;
use crate::id::{DeviceId, MessageId, UserId};

/// The rule set under which an event was written; old rule sets stay in the code.
pub const VERSION: u8 = 1;

/// What a record's payload says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Envelope {
    /// The rule set: [`VERSION`].
    pub v: u8,
    /// The client's id.
    pub id: MessageId,
    /// Who did it.
    pub sender: UserId,
    /// From which device.
    pub device: DeviceId,
    /// What.
    pub event: Event,
}

/// The payload is not an envelope this code can read.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON, or not of the shape.
    #[error("not an envelope")]
    Shape(#[from] serde_json::Error),
    /// Written under a rule set this code does not have.
    #[error("rule set {0} is unknown")]
    Version(u8),
}

impl Envelope {
    /// Reads a stored payload.
    ///
    /// # Errors
    /// [`DecodeError`]: the reader parks the event, it never skips it.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        let envelope: Self = serde_json::from_slice(payload)?;
        if envelope.v == VERSION { Ok(envelope) } else { Err(DecodeError::Version(envelope.v)) }
    }
}

/// The payload of an event about to be stored: the draft as sent, in an envelope.
pub fn encode(id: MessageId, sender: UserId, device: DeviceId, draft: &Draft) -> String {
    format!(
        r#"{{"v":{VERSION},"id":"{id}","sender":"{sender}","device":"{device}","event":{}}}"#,
        draft.to_json()
    )
}

/// How an event's kind begins in the log: payloads are stored without white space.
const KIND: &str = r#""kind":""#;
/// The kinds of the meta subject.
const META_KINDS: [&str; 4] = ["create\"", "member\"", "title\"", "settings\""];

/// Whether the payload may be that of a meta event: a cheap look that never misses one. Text of a
/// message cannot look so, because quotes in it are escaped; an application's `data` can.
pub fn may_be_meta(payload: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(payload) else { return false };
    text.match_indices(KIND).any(|(at, _)| {
        let kind = &text[at + KIND.len()..];
        META_KINDS.iter().any(|meta| kind.starts_with(meta))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_has_its_golden_json_and_decodes() {
        let draft = Draft::parse(r#"{"kind":"message","text":"hi","x":1}"#).expect("valid");
        let id = "019a9b1c-7b1a-7000-8000-00000000000a".parse().expect("an id");
        let payload =
            encode(id, UserId::from_entropy([1; 20]), DeviceId::from_entropy([2; 20]), &draft);
        insta::assert_snapshot!("payload_v1", payload);
        let envelope = Envelope::decode(payload.as_bytes()).expect("decodes");
        assert_eq!(&envelope.event, draft.event());
    }

    #[test]
    fn a_later_rule_set_is_not_guessed_at() {
        let draft = Draft::parse(r#"{"kind":"message","text":"hi"}"#).expect("valid");
        let id = MessageId::new(1, [0; 10]);
        let payload =
            encode(id, UserId::from_entropy([1; 20]), DeviceId::from_entropy([2; 20]), &draft)
                .replace(r#""v":1"#, r#""v":2"#);
        assert!(matches!(Envelope::decode(payload.as_bytes()), Err(DecodeError::Version(2))));
    }
}

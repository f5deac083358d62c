//! Frames from a client to the server.

use std::collections::HashMap;

use hansard_model::{ConversationId, MessageId, Seq, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What a client calls a frame of its own, to recognise the answer: an integer or a string.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(untagged)]
pub enum FrameRef {
    /// An integer.
    Number(i64),
    /// A string of at most 64 bytes.
    Text(String),
}

/// A frame from a client. An object with a `type`; every frame may carry a `ref`.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ClientFrame {
    /// The first frame.
    Hello(Hello),
    /// An event for a conversation.
    Send(Send),
    /// A mark of what was delivered or read.
    Receipt(Receipt),
    /// The person is typing.
    Typing {
        /// Where.
        conversation: ConversationId,
    },
    /// Whose presence and whose typing to show; replaces the last.
    Watch(Watch),
    /// How the person is shown.
    Presence {
        /// The state.
        state: Presence,
    },
    /// Answered by `pong`.
    Ping {
        /// Echoed.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<FrameRef>,
    },
}

/// How a person is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// Here.
    Online,
    /// Not at the device.
    Away,
    /// As if offline.
    Invisible,
}

/// `hello`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Hello {
    /// The session's token.
    pub token: String,
    /// Where the last connection got to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
    /// What the client has of single conversations, where that is more than the cursor says.
    #[serde(default, skip_serializing_if = "HashMap::is_empty")]
    pub seen: HashMap<ConversationId, Seq>,
    /// Events of each conversation in the catch-up: 0 to 1,000, default 100.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub catch_up: Option<usize>,
    /// No presence, no typing, not shown online.
    #[serde(default)]
    pub background: bool,
    /// How the person is shown from the start; without it as before, if the device is back within
    /// the grace, else online.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Presence>,
}

/// `send`. The event stays text here: it is read once, where it is checked, and stored as sent.
#[derive(Debug, Serialize, Deserialize)]
pub struct Send {
    /// Echoed.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<FrameRef>,
    /// Where.
    pub conversation: ConversationId,
    /// The client's id.
    pub id: MessageId,
    /// What.
    pub event: Box<RawValue>,
}

/// `receipt`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Receipt {
    /// Echoed.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<FrameRef>,
    /// Where.
    pub conversation: ConversationId,
    /// Delivered up to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<Seq>,
    /// Read up to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Seq>,
    /// Do not tell the others.
    #[serde(default)]
    pub private: bool,
}

/// `watch`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Watch {
    /// At most 200.
    #[serde(default)]
    pub users: Vec<UserId>,
    /// At most 4.
    #[serde(default)]
    pub conversations: Vec<ConversationId>,
    /// The client reads `presences`: several people may come in one frame.
    #[serde(default)]
    pub batch: bool,
}

/// The parts of a frame that can be read even when the frame cannot: which kind, which `ref`.
#[derive(Debug, Default, Deserialize)]
pub struct Outline {
    /// The `type`.
    #[serde(rename = "type", default)]
    pub kind: Option<String>,
    /// The `ref`.
    #[serde(rename = "ref", default)]
    pub reference: Option<FrameRef>,
}

/// The text is not a frame of this version.
#[derive(Debug, thiserror::Error)]
pub enum ParseFrameError {
    /// No JSON object with a `type`, or a field is missing or of the wrong type.
    #[error("not a frame: {0}")]
    Bad(#[from] serde_json::Error),
    /// The `type` is not known.
    #[error("the type is not known")]
    UnknownType,
}

impl ClientFrame {
    /// Reads a frame. The type is read first and the rest as that type, because the stored event
    /// is to stay text.
    ///
    /// # Errors
    /// [`ParseFrameError`]; [`Outline`] may still find the `ref`.
    pub fn parse(text: &str) -> Result<Self, ParseFrameError> {
        #[derive(Deserialize)]
        struct Typing {
            conversation: ConversationId,
        }
        #[derive(Deserialize)]
        struct State {
            state: Presence,
        }
        let outline: Outline = serde_json::from_str(text)?;
        Ok(match outline.kind.as_deref() {
            Some("hello") => Self::Hello(serde_json::from_str(text)?),
            Some("send") => Self::Send(serde_json::from_str(text)?),
            Some("receipt") => Self::Receipt(serde_json::from_str(text)?),
            Some("typing") => {
                let Typing { conversation } = serde_json::from_str(text)?;
                Self::Typing { conversation }
            }
            Some("watch") => Self::Watch(serde_json::from_str(text)?),
            Some("presence") => {
                let State { state } = serde_json::from_str(text)?;
                Self::Presence { state }
            }
            Some("ping") => Self::Ping { reference: outline.reference },
            Some(_) | None => return Err(ParseFrameError::UnknownType),
        })
    }

    /// The `type` of every frame that this version knows.
    pub const TYPES: [&'static str; 7] =
        ["hello", "send", "receipt", "typing", "watch", "presence", "ping"];
}

impl<'de> Deserialize<'de> for ClientFrame {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(text.get()).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frames_of_the_contract_are_read() {
        let (x, y) = ("a".repeat(20), "b".repeat(20));
        let frames = [
            r#"{"type":"hello","token":"t"}"#.to_owned(),
            format!(
                r#"{{"type":"hello","token":"t","cursor":"c","seen":{{"{x}.{y}":7}},"catch_up":5,"background":true}}"#
            ),
            format!(
                r#"{{"type":"send","ref":1,"conversation":"{x}.{y}","id":"019a9b1c-7b1a-7000-8000-00000000000a","event":{{"kind":"message","text":"hi"}}}}"#
            ),
            format!(r#"{{"type":"receipt","ref":"r","conversation":"{x}.{y}","delivered":3}}"#),
            format!(r#"{{"type":"typing","conversation":"{x}.{y}"}}"#),
            format!(r#"{{"type":"watch","users":["{x}"],"conversations":[]}}"#),
            format!(r#"{{"type":"watch","users":["{x}"],"batch":true}}"#),
            r#"{"type":"presence","state":"away"}"#.to_owned(),
            r#"{"type":"ping","ref":3,"unknown":[]}"#.to_owned(),
        ];
        for frame in frames {
            let read: Result<ClientFrame, _> = serde_json::from_str(&frame);
            assert!(read.is_ok(), "{frame}: {read:?}");
        }
    }

    #[test]
    fn a_ref_is_found_in_a_frame_of_an_unknown_type() {
        let outline: Outline =
            serde_json::from_str(r#"{"type":"wave","ref":"x"}"#).expect("an object");
        assert_eq!(outline.kind.as_deref(), Some("wave"));
        assert_eq!(outline.reference, Some(FrameRef::Text("x".to_owned())));
    }
}

//! Reading the server's frames: by `type` first, so that what this version does not know is
//! ignored and a body stays the bytes that were stored.

use hansard_model::{ConversationId, Seq, UserId};
use hansard_protocol::FrameRef;
use hansard_protocol::client::Outline;
use hansard_protocol::http::{Conversation, User};
use hansard_protocol::server::{
    Ack, EventFrame, MediaFrame, PresenceFrame, ReceiptFrame, Reconnect, Synced, Welcome,
};
use serde::Deserialize;

use crate::event::{ReadBodyError, StoredEvent};
use crate::refusal::Refusal;

/// A frame from the server.
#[derive(Debug)]
pub enum Incoming {
    /// `welcome`
    Welcome(Box<Welcome>),
    /// `ack`
    Ack(Ack),
    /// `error`
    Error(Option<FrameRef>, Refusal),
    /// `event`
    Event(Box<StoredEvent>),
    /// `conversation`
    Conversation(Box<Conversation>),
    /// `user`
    User(Box<User>),
    /// `gap`
    Gap(Gap),
    /// `synced`
    Synced(Synced),
    /// `cursor`, or the one in a `pong`.
    Cursor(String),
    /// `receipt`
    Receipt(ReceiptFrame),
    /// `ok`
    Ok(FrameRef),
    /// `typing`
    Typing(Typing),
    /// `presence`: one; `presences`: several.
    Presence(Vec<PresenceFrame>),
    /// `media`
    Media(Box<MediaFrame>),
    /// `drain`
    Drain(Drain),
    /// Of no meaning to this version.
    Other,
}

/// `gap`: from < seq <= to was left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Gap {
    /// Where.
    pub conversation: ConversationId,
    /// After this one.
    pub from: Seq,
    /// Up to and including this one; the next event has it as `prev`.
    pub to: Seq,
}

/// `typing`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub struct Typing {
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub user: UserId,
}

/// `drain`
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Drain {
    /// Reconnect after about this many milliseconds.
    pub after_ms: u64,
    /// To here.
    pub url: Option<String>,
    /// How to come back.
    #[serde(default)]
    pub reconnect: Option<Reconnect>,
}

/// A frame of a known type is not what the contract says.
#[derive(Debug, thiserror::Error)]
pub enum DecodeFrameError {
    /// Not JSON, or a field is missing.
    #[error("not a frame of this contract")]
    Shape(#[from] serde_json::Error),
    /// The body of an event.
    #[error("not an event of this contract")]
    Body(#[from] ReadBodyError),
}

#[derive(Deserialize)]
struct CursorField {
    cursor: Option<String>,
}

#[derive(Deserialize)]
struct People {
    people: Vec<PresenceFrame>,
}

/// Reads a frame.
///
/// # Errors
/// [`DecodeFrameError`] for a frame that breaks the contract; unknown types are
/// [`Incoming::Other`].
pub fn decode(text: &str) -> Result<Incoming, DecodeFrameError> {
    let outline: Outline = serde_json::from_str(text)?;
    Ok(match outline.kind.as_deref().unwrap_or_default() {
        "event" => {
            let frame: EventFrame = serde_json::from_str(text)?;
            Incoming::Event(Box::new(StoredEvent::of(frame)?))
        }
        "ack" => Incoming::Ack(serde_json::from_str(text)?),
        "error" => Incoming::Error(outline.reference, serde_json::from_str(text)?),
        "welcome" => Incoming::Welcome(Box::new(serde_json::from_str(text)?)),
        "conversation" => Incoming::Conversation(Box::new(serde_json::from_str(text)?)),
        "user" => Incoming::User(Box::new(serde_json::from_str(text)?)),
        "gap" => Incoming::Gap(serde_json::from_str(text)?),
        "synced" => Incoming::Synced(serde_json::from_str(text)?),
        "cursor" | "pong" => {
            let field: CursorField = serde_json::from_str(text)?;
            field.cursor.map_or(Incoming::Other, Incoming::Cursor)
        }
        "receipt" => Incoming::Receipt(serde_json::from_str(text)?),
        "ok" => outline.reference.map_or(Incoming::Other, Incoming::Ok),
        "typing" => Incoming::Typing(serde_json::from_str(text)?),
        "presence" => Incoming::Presence(vec![serde_json::from_str(text)?]),
        "presences" => {
            let People { people } = serde_json::from_str(text)?;
            Incoming::Presence(people)
        }
        "media" => Incoming::Media(Box::new(serde_json::from_str(text)?)),
        "drain" => Incoming::Drain(serde_json::from_str(text)?),
        _ => Incoming::Other,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_types_and_fields_are_ignored() {
        assert!(matches!(decode(r#"{"type":"wave","x":1}"#), Ok(Incoming::Other)));
        assert!(matches!(decode(r#"{"type":"pong","ref":3}"#), Ok(Incoming::Other)));
        assert!(matches!(
            decode(r#"{"type":"pong","ref":"x","cursor":"c"}"#),
            Ok(Incoming::Cursor(cursor)) if cursor == "c"
        ));
        assert!(matches!(
            decode(r#"{"type":"drain","after_ms":5,"new":true}"#),
            Ok(Incoming::Drain(Drain { after_ms: 5, url: None, reconnect: None }))
        ));
    }

    #[test]
    fn people_are_read_alone_and_together() {
        let one = format!(r#""user":"{}","state":"online""#, "a".repeat(20));
        for (text, count) in [
            (format!(r#"{{"type":"presence",{one}}}"#), 1),
            (format!(r#"{{"type":"presences","people":[{{{one}}},{{{one}}}]}}"#), 2),
        ] {
            let Ok(Incoming::Presence(people)) = decode(&text) else { panic!("{text}") };
            assert_eq!(people.len(), count);
        }
    }

    #[test]
    fn a_refusal_with_an_unknown_code_is_read() {
        let frame = r#"{"type":"error","ref":4,"code":"new_one","message":"","stored":"no","retry":"never"}"#;
        let Ok(Incoming::Error(Some(FrameRef::Number(4)), refusal)) = decode(frame) else {
            panic!("not an error")
        };
        assert_eq!(refusal.code, "new_one");
    }

    #[test]
    fn broken_frames_are_an_error() {
        for text in ["", "7", "{", r#"{"type":"ack"}"#, r#"{"type":"event","body":{}}"#] {
            assert!(decode(text).is_err(), "{text}");
        }
    }
}

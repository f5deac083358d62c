//! An event as this client received it.

use hansard_model::query::MessageState;
use hansard_model::{ConversationId, DeviceId, Event, LogTime, MessageId, Seq, UserId};
use hansard_protocol::server::EventFrame;
use serde::Deserialize;
use serde_json::value::RawValue;

/// An event of a conversation: its place, who did it, and the stored bytes.
#[derive(Clone, Debug)]
pub struct StoredEvent {
    /// Where.
    pub conversation: ConversationId,
    /// Its place: the order of the conversation.
    pub seq: Seq,
    /// The event before it, 0 for none.
    pub prev: Seq,
    /// Messages up to and including it.
    pub n: u64,
    /// When it was stored; for display, never for order.
    pub ts: LogTime,
    /// Who.
    pub sender: UserId,
    /// From which device.
    pub device: DeviceId,
    /// The sender's id of it.
    pub id: MessageId,
    /// The stored bytes: `{v, id, sender, device, event}`.
    pub body: Box<RawValue>,
    /// What later events made of it; only in pages of messages.
    pub state: Option<MessageState>,
}

/// The body is not an envelope of this contract.
#[derive(Debug, thiserror::Error)]
#[error("the event's body is not an envelope")]
pub struct ReadBodyError(#[source] serde_json::Error);

/// What an event says.
#[derive(Clone, Debug, PartialEq)]
pub enum Content {
    /// A kind this version knows.
    Known(Event),
    /// A message that was deleted, or an edit of one: its text is on no path any more.
    Deleted,
    /// A kind this version does not know; `fallback` is to be shown, if given.
    Unknown {
        /// A line for people.
        fallback: Option<String>,
    },
}

#[derive(Deserialize)]
struct Outline {
    id: MessageId,
    sender: UserId,
    device: DeviceId,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(borrow)]
    event: &'a RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Marks {
    deleted: bool,
    fallback: Option<String>,
}

impl StoredEvent {
    /// Reads who and which from a frame's body.
    ///
    /// # Errors
    /// [`ReadBodyError`] for a body that is no envelope.
    pub fn of(frame: EventFrame) -> Result<Self, ReadBodyError> {
        let outline: Outline = serde_json::from_str(frame.body.get()).map_err(ReadBodyError)?;
        Ok(Self {
            conversation: frame.conversation,
            seq: frame.seq,
            prev: frame.prev,
            n: frame.n,
            ts: frame.ts,
            sender: outline.sender,
            device: outline.device,
            id: outline.id,
            body: frame.body,
            state: frame.state,
        })
    }

    /// What it says.
    pub fn content(&self) -> Content {
        let Ok(body) = serde_json::from_str::<Body<'_>>(self.body.get()) else {
            return Content::Unknown { fallback: None };
        };
        let marks: Marks = serde_json::from_str(body.event.get()).unwrap_or_default();
        if marks.deleted {
            return Content::Deleted;
        }
        match serde_json::from_str(body.event.get()) {
            Ok(event) => Content::Known(event),
            Err(_) => Content::Unknown { fallback: marks.fallback },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(event: &str) -> StoredEvent {
        let (x, y) = ("a".repeat(20), "b".repeat(20));
        let id = "019a9b1c-7b1a-7000-8000-00000000000a";
        let frame = format!(
            r#"{{"type":"event","conversation":"{x}.{y}","seq":9,"prev":7,"n":3,"ts":"2025-11-22T00:45:45.123Z","body":{{"v":1,"id":"{id}","sender":"{x}","device":"{y}","event":{event}}}}}"#
        );
        StoredEvent::of(serde_json::from_str(&frame).expect("a frame")).expect("an envelope")
    }

    #[test]
    fn a_deleted_message_is_told_from_one_without_text() {
        assert_eq!(stored(r#"{"kind":"message","deleted":true}"#).content(), Content::Deleted);
        assert!(matches!(
            stored(r#"{"kind":"message","text":"hi","x":1}"#).content(),
            Content::Known(Event::Message(message)) if message.text == "hi"
        ));
    }

    #[test]
    fn an_unknown_kind_shows_its_fallback() {
        let content = stored(r#"{"kind":"poll","fallback":"a poll"}"#).content();
        assert_eq!(content, Content::Unknown { fallback: Some("a poll".to_owned()) });
    }
}

//! Frames from the server to a client.
//!
//! `event` frames are the only ones made for many receivers; the gateway splices them around the
//! stored bytes with [`event_prefix`] instead of serializing [`EventFrame`], which clients read.

use hansard_model::presence::PersonState;
use hansard_model::query::MessageState;
use hansard_model::{ConversationId, DeviceId, LogTime, MessageId, Seq, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::client::FrameRef;
use crate::error::ErrorBody;
use crate::http::{Conversation, User};
use crate::media::MediaInfo;

/// A frame from the server. An object with a `type`; unknown ones are to be ignored.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ServerFrame {
    /// The answer to `hello`.
    Welcome(Welcome),
    /// An event is stored.
    Ack(Ack),
    /// A frame was refused.
    Error(ErrorBody),
    /// An event of a conversation.
    Event(EventFrame),
    /// The reader's own view of a conversation.
    Conversation(Conversation),
    /// A person changed.
    User(User),
    /// Events were left out: from < seq <= to.
    Gap {
        /// Where.
        conversation: ConversationId,
        /// After this one.
        from: Seq,
        /// Up to and including this one; the next event has it as `prev`.
        to: Seq,
    },
    /// The catch-up is over.
    Synced(Synced),
    /// Store this with the events before it.
    Cursor {
        /// Opaque.
        cursor: String,
    },
    /// How far a member has got.
    Receipt(ReceiptFrame),
    /// Somebody is typing.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
    },
    /// Somebody who is watched is there, or is not.
    Presence(PresenceFrame),
    /// The same of several people at once, for a client that said `batch`.
    Presences {
        /// Each once; at most 128.
        people: Vec<PresenceFrame>,
    },
    /// A file that a message refers to is ready.
    Media(MediaFrame),
    /// Reconnect elsewhere.
    Drain {
        /// After about this many milliseconds.
        after_ms: u64,
        /// Where.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        url: Option<String>,
        /// How to come back.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reconnect: Option<Reconnect>,
    },
    /// Done.
    Ok {
        /// The frame it answers.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<FrameRef>,
    },
    /// The answer to `ping`.
    Pong {
        /// The frame it answers.
        #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
        reference: Option<FrameRef>,
        /// As in `cursor`; absent before `synced`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cursor: Option<String>,
    },
    /// A type that this version does not know.
    #[serde(skip)]
    Unknown,
}

impl ServerFrame {
    /// Reads a frame; the type first, because bodies stay text.
    ///
    /// # Errors
    /// When it is no JSON object with a `type`, or a field is missing or of the wrong type. A type
    /// that is not known is no error: [`ServerFrame::Unknown`].
    pub fn parse(text: &str) -> Result<Self, serde_json::Error> {
        #[derive(Deserialize)]
        struct Kind<'a> {
            #[serde(rename = "type", borrow)]
            kind: std::borrow::Cow<'a, str>,
        }
        let Kind { kind } = serde_json::from_str(text)?;
        if kind == "event" {
            return Ok(Self::Event(serde_json::from_str(text)?));
        }
        if kind == "conversation" {
            return Ok(Self::Conversation(serde_json::from_str(text)?));
        }
        Ok(serde_json::from_str::<Plain>(text)?.into())
    }
}

impl<'de> Deserialize<'de> for ServerFrame {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        Self::parse(text.get()).map_err(serde::de::Error::custom)
    }
}

/// The frames without bodies, which serde can read by their tag.
#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Plain {
    Welcome(Welcome),
    Ack(Ack),
    Error(ErrorBody),
    User(User),
    Gap {
        conversation: ConversationId,
        from: Seq,
        to: Seq,
    },
    Synced(Synced),
    Cursor {
        cursor: String,
    },
    Receipt(ReceiptFrame),
    Typing {
        conversation: ConversationId,
        user: UserId,
    },
    Presence(PresenceFrame),
    Presences {
        people: Vec<PresenceFrame>,
    },
    Media(MediaFrame),
    Drain {
        after_ms: u64,
        #[serde(default)]
        url: Option<String>,
        #[serde(default)]
        reconnect: Option<Reconnect>,
    },
    Ok {
        #[serde(rename = "ref", default)]
        reference: Option<FrameRef>,
    },
    Pong {
        #[serde(rename = "ref", default)]
        reference: Option<FrameRef>,
        #[serde(default)]
        cursor: Option<String>,
    },
    #[serde(other)]
    Unknown,
}

impl From<Plain> for ServerFrame {
    fn from(plain: Plain) -> Self {
        match plain {
            Plain::Welcome(welcome) => Self::Welcome(welcome),
            Plain::Ack(ack) => Self::Ack(ack),
            Plain::Error(error) => Self::Error(error),
            Plain::User(user) => Self::User(user),
            Plain::Gap { conversation, from, to } => Self::Gap { conversation, from, to },
            Plain::Synced(synced) => Self::Synced(synced),
            Plain::Cursor { cursor } => Self::Cursor { cursor },
            Plain::Receipt(receipt) => Self::Receipt(receipt),
            Plain::Typing { conversation, user } => Self::Typing { conversation, user },
            Plain::Presence(presence) => Self::Presence(presence),
            Plain::Presences { people } => Self::Presences { people },
            Plain::Media(media) => Self::Media(media),
            Plain::Drain { after_ms, url, reconnect } => Self::Drain { after_ms, url, reconnect },
            Plain::Ok { reference } => Self::Ok { reference },
            Plain::Pong { reference, cursor } => Self::Pong { reference, cursor },
            Plain::Unknown => Self::Unknown,
        }
    }
}

/// `welcome`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// Who you are.
    pub user: UserId,
    /// On which device.
    pub device: DeviceId,
    /// The log's time.
    pub server_time: LogTime,
    /// Seconds between pings of the server.
    pub heartbeat_s: u64,
    /// What an ack means: `fsync` or `os`.
    pub durability: String,
    /// The limits of this deployment.
    pub limits: Limits,
    /// What this server can do besides.
    pub features: Vec<String>,
    /// How to come back once the connection is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect: Option<Reconnect>,
}

/// How a client comes back: attempt `i`, from 0, after a random time between 0 and
/// `min(base_ms * 2^i, cap_ms)` milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconnect {
    /// Bound of the first delay, in milliseconds.
    pub base_ms: u64,
    /// Bound of every delay, in milliseconds.
    pub cap_ms: u64,
}

impl Reconnect {
    /// Largest `base_ms` that a client follows.
    pub const BASE_MS_MAX: u64 = 60_000;
    /// Largest `cap_ms` that a client follows, and the longest `retry_after_ms`.
    pub const CAP_MS_MAX: u64 = 600_000;

    /// Within the bounds that a client follows, whatever a server says.
    #[must_use]
    pub fn within_bounds(self) -> Self {
        let base_ms = self.base_ms.clamp(1, Self::BASE_MS_MAX);
        Self { base_ms, cap_ms: self.cap_ms.clamp(base_ms, Self::CAP_MS_MAX) }
    }
}

/// The limits in `welcome`.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Limits {
    /// Bytes of text in a message.
    pub text_bytes: usize,
    /// Bytes of a frame.
    pub frame_bytes: usize,
    /// Members of a group.
    pub group: usize,
    /// Events of each conversation in a catch-up.
    pub catch_up: usize,
    /// Items of a page.
    pub page: usize,
    /// Unanswered sends of a connection.
    pub in_flight: usize,
}

/// `ack`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Ack {
    /// The frame it answers.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<FrameRef>,
    /// Where.
    pub conversation: ConversationId,
    /// The client's id.
    pub id: MessageId,
    /// Its place, for ever.
    pub seq: Seq,
    /// It was stored before.
    pub duplicate: bool,
}

/// `event`, as a client reads it, and an item of a list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventFrame {
    /// Where.
    pub conversation: ConversationId,
    /// Its place.
    pub seq: Seq,
    /// The preceding valid event of the conversation, 0 for none.
    pub prev: Seq,
    /// Messages up to and including it.
    pub n: u64,
    /// When it was stored.
    pub ts: LogTime,
    /// The stored bytes: `{v, id, sender, device, event}`.
    pub body: Box<RawValue>,
    /// What later events made of it; only in `messages` lists.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<MessageState>,
}

/// `synced`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Synced {
    /// Store this with the events before it.
    pub cursor: String,
    /// Everything is there; else resume again with the cursor.
    pub complete: bool,
    /// The cursor given was of another log: drop the cache.
    pub reset: bool,
}

/// `receipt`: how far a member has got. Never less than in an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptFrame {
    /// Where.
    pub conversation: ConversationId,
    /// Who.
    pub user: UserId,
    /// A device of theirs has everything up to here.
    pub delivered: Seq,
    /// When it had.
    pub delivered_ts: LogTime,
    /// They have read up to here; 0: nothing that they tell.
    pub read: Seq,
    /// When they had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_ts: Option<LogTime>,
    /// Only in the reader's own: messages up to `read`, so that the `n` of the newest message less
    /// this is unread.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_n: Option<u64>,
}

/// `presence`, an item of `presences` and of `GET /v1/conversations/{c}/presence`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceFrame {
    /// Who.
    pub user: UserId,
    /// Whether they are there.
    pub state: PersonState,
    /// When they were last, if they are not and let it be known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<LogTime>,
}

/// `media`: a file is ready that was not when a message that refers to it was stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MediaFrame {
    /// Where.
    pub conversation: ConversationId,
    /// The newest message that refers to it.
    pub seq: Seq,
    /// The file.
    pub media: MediaInfo,
}

/// Everything of an `event` frame before the body; the body and a `}` follow.
pub fn event_prefix(
    conversation: ConversationId,
    seq: Seq,
    prev: Seq,
    n: u64,
    ts: LogTime,
) -> String {
    format!(
        r#"{{"type":"event","conversation":"{conversation}","seq":{seq},"prev":{prev},"n":{n},"ts":"{ts}","body":"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spliced_frame_reads_as_an_event() {
        let conversation = format!("g.{}", "a".repeat(20)).parse().expect("an id");
        let prefix = event_prefix(conversation, Seq(9), Seq(7), 3, LogTime::from_millis(1));
        let frame = format!("{prefix}{}}}", r#"{"v":1}"#);
        let ServerFrame::Event(event) = serde_json::from_str(&frame).expect("a frame") else {
            panic!("not an event")
        };
        assert_eq!((event.seq, event.prev, event.n), (Seq(9), Seq(7), 3));
        assert_eq!(event.body.get(), r#"{"v":1}"#);
        insta::assert_snapshot!("event_frame", frame);
    }

    #[test]
    fn unknown_types_are_read_as_unknown() {
        let frame: ServerFrame = serde_json::from_str(r#"{"type":"wave","x":1}"#).expect("a frame");
        assert!(matches!(frame, ServerFrame::Unknown));
    }
}

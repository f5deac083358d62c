//! What a connection may do, as types; no socket and no I/O inside.

use hansard_model::limit::{WATCHED_CONVERSATIONS_MAX, WATCHED_USERS_MAX};
use hansard_model::{ConversationId, DeviceId, MessageId, UserId};
use hansard_presence::Chosen;
use hansard_protocol::client::{ClientFrame, FrameRef, Hello, Outline, Receipt, Send, Watch};
use hansard_protocol::{ErrorBody, ErrorCode};
use serde_json::Value;
use tokio::time::Instant;

use super::flood::{Flood, Pace};
use super::hello::chosen;
use crate::receipts::Said;
use crate::send::Command;

/// Bytes of a `ref` that is text.
const REF_BYTES_MAX: usize = 64;
/// How long a connection that talks too fast is asked to wait, in milliseconds.
const TOO_FAST_RETRY_MS: u64 = 1_000;

/// A connection that has not said who it is.
#[derive(Debug)]
pub(super) struct Unidentified;

/// A connection of a user's device.
#[derive(Debug)]
pub(super) struct Identified {
    /// Whose.
    pub(super) user: UserId,
    /// Which device.
    pub(super) device: DeviceId,
    flood: Flood,
}

/// The last of a connection: perhaps an error, then a close code.
#[derive(Debug, PartialEq)]
pub(super) struct Ended {
    /// Sent before the close.
    pub(super) error: Option<Box<ErrorBody>>,
    /// The close code.
    pub(super) code: u16,
    /// For a developer.
    pub(super) reason: &'static str,
}

/// What a frame asks for.
#[derive(Debug)]
pub(super) enum Action {
    /// Refuse it.
    Refuse(Box<ErrorBody>),
    /// Store an event, and answer.
    Send(Box<Command>, Answering),
    /// Store how far the user has got, and answer.
    Receipt(Said, Option<FrameRef>),
    /// Tell others that the user types.
    Typing(ConversationId),
    /// Show the presence of these people, and typing in these conversations.
    Watch(Watch),
    /// Show the person so.
    Presence(Chosen),
    /// Answer with the cursor.
    Pong(Option<FrameRef>),
    /// End the connection.
    End(Box<Ended>),
}

/// What an answer to a `send` repeats of it.
#[derive(Debug)]
pub(super) struct Answering {
    /// Its `ref`.
    pub(super) reference: Option<FrameRef>,
    /// Its conversation.
    pub(super) conversation: ConversationId,
    /// Its id.
    pub(super) id: MessageId,
}

impl Action {
    /// Whether it shows that the person is at the device, which a device alone does not do.
    pub(super) fn is_of_person(&self) -> bool {
        match self {
            Self::Send(..) | Self::Typing(_) | Self::Watch(_) | Self::Presence(_) => true,
            Self::Receipt(said, _) => said.read.is_some(),
            Self::Refuse(_) | Self::Pong(_) | Self::End(_) => false,
        }
    }
}

impl Ended {
    pub(super) fn with(error: ErrorBody, code: u16, reason: &'static str) -> Self {
        Self { error: Some(Box::new(error)), code, reason }
    }
}

impl Unidentified {
    /// The first frame: it must be `hello`.
    pub(super) fn first(text: &str) -> Result<(Box<Hello>, Option<FrameRef>), Ended> {
        let outline = outline(text).map_err(|error| Ended::with(error, 4000, "bad frame"))?;
        if outline.kind.as_deref() != Some("hello") {
            let error = ErrorBody::new(ErrorCode::BadFrame, "the first frame is hello")
                .answering(outline.reference);
            return Err(Ended::with(error, 4000, "no hello"));
        }
        match serde_json::from_str(text) {
            Ok(hello) => Ok((Box::new(hello), outline.reference)),
            Err(error) => {
                Err(Ended::with(unreadable(text, &error, outline.reference), 4000, "bad hello"))
            }
        }
    }

    /// The connection is of this device.
    pub(super) fn identified(user: UserId, device: DeviceId, now: Instant) -> Identified {
        Identified { user, device, flood: Flood::new(now) }
    }
}

impl Identified {
    /// A frame came.
    pub(super) fn on_text(&mut self, text: &str, now: Instant) -> Action {
        let pace = self.flood.frame(now);
        let outline = match outline(text) {
            Ok(outline) => outline,
            Err(error) if pace == Pace::Fine => return Action::Refuse(Box::new(error)),
            Err(_) => Outline::default(),
        };
        if pace != Pace::Fine {
            let error = ErrorBody::new(ErrorCode::RateLimited, "too many frames")
                .after_ms(TOO_FAST_RETRY_MS)
                .answering(outline.reference);
            return match pace {
                Pace::Abuse => Action::End(Box::new(Ended::with(error, 4009, "too many frames"))),
                Pace::TooFast | Pace::Fine => Action::Refuse(Box::new(error)),
            };
        }
        match outline.kind.as_deref() {
            Some("send") => self.send(text, outline.reference),
            Some("receipt") => self.receipt(text, outline.reference),
            Some(kind) if ClientFrame::TYPES.contains(&kind) => other(text, outline.reference),
            Some(_) => refuse(ErrorCode::Unsupported, "unknown type of frame", outline.reference),
            None => refuse(ErrorCode::BadFrame, "no type", outline.reference),
        }
    }

    fn send(&self, text: &str, reference: Option<FrameRef>) -> Action {
        let send: Send = match serde_json::from_str(text) {
            Ok(send) => send,
            Err(error) => return Action::Refuse(Box::new(unreadable(text, &error, reference))),
        };
        let Send { conversation, id, event, .. } = send;
        let command = Command {
            conversation,
            sender: self.user,
            device: self.device,
            id,
            event: String::from(Box::<str>::from(event)),
        };
        Action::Send(Box::new(command), Answering { reference, conversation, id })
    }

    fn receipt(&self, text: &str, reference: Option<FrameRef>) -> Action {
        let receipt: Receipt = match serde_json::from_str(text) {
            Ok(receipt) => receipt,
            Err(error) => return Action::Refuse(Box::new(unreadable(text, &error, reference))),
        };
        let Receipt { conversation, delivered, read, private, .. } = receipt;
        let (user, device) = (self.user, self.device);
        Action::Receipt(Said { conversation, user, device, delivered, read, private }, reference)
    }
}

/// Frames other than `send` and `receipt`.
fn other(text: &str, reference: Option<FrameRef>) -> Action {
    let frame: ClientFrame = match serde_json::from_str(text) {
        Ok(frame) => frame,
        Err(error) => return Action::Refuse(Box::new(unreadable(text, &error, reference))),
    };
    match frame {
        ClientFrame::Typing { conversation } => Action::Typing(conversation),
        ClientFrame::Ping { .. } => Action::Pong(reference),
        ClientFrame::Watch(watch)
            if watch.users.len() <= WATCHED_USERS_MAX
                && watch.conversations.len() <= WATCHED_CONVERSATIONS_MAX =>
        {
            Action::Watch(watch)
        }
        ClientFrame::Watch(_) => {
            refuse(ErrorCode::TooLarge, "at most 200 users and 4 conversations", reference)
        }
        ClientFrame::Hello(_) => refuse(ErrorCode::BadFrame, "hello was said before", reference),
        ClientFrame::Presence { state } => Action::Presence(chosen(state)),
        ClientFrame::Receipt(_) | ClientFrame::Send(_) => {
            refuse(ErrorCode::Unsupported, "not supported by this server", reference)
        }
    }
}

fn refuse(code: ErrorCode, message: &'static str, reference: Option<FrameRef>) -> Action {
    Action::Refuse(Box::new(ErrorBody::new(code, message).answering(reference)))
}

fn outline(text: &str) -> Result<Outline, ErrorBody> {
    let outline: Outline = serde_json::from_str(text)
        .map_err(|_| ErrorBody::new(ErrorCode::BadFrame, "not a JSON object with a type"))?;
    match &outline.reference {
        Some(FrameRef::Text(text)) if text.len() > REF_BYTES_MAX => {
            Err(ErrorBody::new(ErrorCode::BadFrame, "a ref is at most 64 bytes"))
        }
        Some(FrameRef::Text(_) | FrameRef::Number(_)) | None => Ok(outline),
    }
}

/// Why a frame of a known type could not be read: an id that is none has a code of its own.
fn unreadable(text: &str, error: &serde_json::Error, reference: Option<FrameRef>) -> ErrorBody {
    let frame: Value = serde_json::from_str(text).unwrap_or_default();
    let is_bad = |field: &str, parse: fn(&str) -> bool| {
        frame.get(field).and_then(Value::as_str).is_some_and(|id| !parse(id))
    };
    let bad_id = is_bad("conversation", |id| id.parse::<ConversationId>().is_ok())
        || is_bad("id", |id| id.parse::<MessageId>().is_ok());
    let body = if bad_id {
        ErrorBody::new(ErrorCode::BadId, "not a valid conversation or message id")
    } else {
        // What serde says may quote the frame: only where it is.
        let (line, column) = (error.line(), error.column());
        ErrorBody::new(ErrorCode::BadFrame, format!("cannot be read at {line}:{column}"))
    };
    body.answering(reference)
}

#[cfg(test)]
mod tests;

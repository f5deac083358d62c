//! Names and sentences.

use anyhow::anyhow;
use hansard_client::{Content, HttpError, Refusal, StopReason, StoredEvent};
use hansard_model::event::MessageSent;
use hansard_model::{ConversationId, Event, LogTime, UserId};
use hansard_protocol::ErrorCode;
use hansard_protocol::http::Conversation;
use tokio::time::Instant;

use super::files::describe;
use super::{Chat, Link};
use crate::chat::room::{Message, Said};
use crate::chat::text::{clean, clean_line};

impl Chat {
    /// A person's handle; the beginning of the id while it is not known.
    pub(in crate::chat) fn name(&self, user: UserId) -> String {
        match self.people.get(&user) {
            Some(user) => user.handle.to_string(),
            None => format!("{}…", &user.as_str()[..6]),
        }
    }

    /// What a conversation is called.
    pub(in crate::chat) fn title(&self, conversation: ConversationId) -> String {
        if let Some(other) = conversation.other(self.me.user) {
            return if other == self.me.user {
                "notes to self".to_owned()
            } else {
                self.name(other)
            };
        }
        let title = self.inbox.get(&conversation).and_then(|entry| entry.view.title.as_deref());
        let title = clean_line(title.unwrap_or_default());
        if title.is_empty() { "a group".to_owned() } else { title }
    }

    /// A message or a notice, ready for the terminal; lines are kept.
    pub(in crate::chat) fn say(&self, message: &Message) -> String {
        let mut line = match &message.content {
            Said::Text(text) => {
                let files = message.files.iter().map(|file| self.files.label(file));
                let said = (!text.is_empty()).then(|| clean(text));
                files.chain(said).collect::<Vec<_>>().join(" ")
            }
            Said::Deleted => "(deleted)".to_owned(),
            Said::Created(Some(title)) => format!("made the group {}", clean_line(title)),
            Said::Created(None) => "made the group".to_owned(),
            Said::Joined(users) => {
                let names: Vec<_> = users.iter().map(|user| self.name(*user)).collect();
                format!("added {}", names.join(", "))
            }
            Said::Left => "left".to_owned(),
            Said::Removed(user) => format!("removed {}", self.name(*user)),
            Said::Role(user, role) => format!("made {} {role}", self.name(*user)),
            Said::Titled(title) => format!("called the group {}", clean_line(title)),
            Said::Other(text) => clean(text),
        };
        if message.edited && matches!(message.content, Said::Text(_)) {
            line.push_str(" (edited)");
        }
        for reaction in &message.reactions {
            let mark = if reaction.by.contains(&self.me.user) { "*" } else { "" };
            line.push_str(&format!("  {}{}{mark}", clean_line(&reaction.emoji), reaction.count()));
        }
        line
    }

    /// What an event did to another one, for those who see lines and not a screen.
    pub(in crate::chat) fn describe(&self, content: &Content) -> Option<String> {
        match content {
            Content::Known(Event::Edit(edit)) => {
                let files = edit.media.iter().map(|file| self.files.label(file));
                let said = (!edit.text.is_empty()).then(|| clean(&edit.text));
                let said: Vec<_> = files.chain(said).collect();
                Some(format!("edited: {}", said.join(" ")))
            }
            Content::Known(Event::Delete(_)) => Some("deleted a message".to_owned()),
            Content::Known(Event::Reaction(reaction)) => {
                Some(format!("reacted {}", clean_line(&reaction.emoji)))
            }
            _ => None,
        }
    }

    /// The connection in a few words.
    pub(in crate::chat) fn link_words(&self) -> String {
        match self.link {
            Link::Connecting => "connecting…".to_owned(),
            Link::CatchingUp => "catching up…".to_owned(),
            Link::Online => "online".to_owned(),
            Link::Waiting(until) => {
                let seconds = until.saturating_duration_since(Instant::now()).as_secs_f64().ceil();
                format!("offline, next try in {seconds:.0} s")
            }
            Link::Stopped(StopReason::Unauthorized | StopReason::Revoked) => {
                "the session has ended: start again to log in".to_owned()
            }
            Link::Stopped(StopReason::Store) => "the profile's file failed".to_owned(),
            Link::Stopped(StopReason::Incompatible(_)) => {
                "the server does not speak with this version".to_owned()
            }
        }
    }
}

/// The last message of a conversation, on one line.
pub(super) fn preview(view: &Conversation) -> Option<String> {
    let event = StoredEvent::of(view.last.clone()?).ok()?;
    match event.content() {
        Content::Known(Event::Message(message)) => Some(summary(&message)),
        _ => None,
    }
}

/// A message on one line: what it says, else what it brings.
pub(super) fn summary(message: &MessageSent) -> String {
    match message.media.first() {
        Some(file) if message.text.is_empty() => format!("[{}]", describe(file)),
        _ => clean_line(&message.text),
    }
}

/// What a refusal means to a person.
pub(in crate::chat) fn refusal(refusal: &Refusal) -> String {
    let words = match refusal.known() {
        Some(ErrorCode::NotAMember) => "you are not a member here",
        Some(ErrorCode::Forbidden) => "you may not do that here",
        Some(ErrorCode::NotFound) => "that does not exist",
        Some(ErrorCode::TooLarge) => "that is too long",
        Some(ErrorCode::Empty) => "that is empty",
        Some(ErrorCode::GroupFull) => "the group is full",
        Some(ErrorCode::Conflict) => "it is so already, or somebody was faster",
        Some(ErrorCode::RateLimited | ErrorCode::Overloaded) => "too much at once: try again soon",
        Some(ErrorCode::Unavailable | ErrorCode::Internal) => "the server cannot do it now",
        Some(ErrorCode::Unauthorized) => "the session has ended: start again to log in",
        Some(ErrorCode::HandleTaken) => "somebody else has that handle",
        Some(ErrorCode::ClockAhead) => "the clock of this device is ahead of the server's",
        Some(ErrorCode::BadFrame | ErrorCode::BadId) => "the server does not understand it so",
        Some(ErrorCode::Unsupported) => "the server cannot do that",
        Some(ErrorCode::ChecksumMismatch) => "it was damaged on the way: try again",
        Some(ErrorCode::QuotaExceeded) => "there is no room left for your files",
        Some(ErrorCode::IdReused) => "the server has something else under the same id",
        None => "the server refused it",
    };
    words.to_owned()
}

/// A failed request in words: what the server said is for developers.
pub(in crate::chat) fn failure(error: HttpError) -> anyhow::Error {
    match error {
        HttpError::Refused(refused) => anyhow!("{}", refusal(&refused)),
        error => error.into(),
    }
}

/// The local time of day.
pub(in crate::chat) fn time_of_day(ts: LogTime) -> String {
    let millis = i64::try_from(ts.as_millis()).unwrap_or(i64::MAX);
    let moment = jiff::Timestamp::from_millisecond(millis).unwrap_or_default();
    moment.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M").to_string()
}

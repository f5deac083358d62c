//! The events of a conversation: version 1 of the rule set.
//!
//! [`Event`] is what the code reads. What is *stored* is the JSON that the client sent, in
//! canonical form (keys sorted, no white space), with unknown fields kept: see [`Draft`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::check::Rejection;
use crate::group::Role;
use crate::id::{Seq, UserId};
use crate::limit;

/// Something that happened in a conversation. On the wire and in the log an object with a `kind`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Event {
    /// `message`
    Message(MessageSent),
    /// `edit`
    Edit(MessageEdited),
    /// `delete`
    Delete(MessageDeleted),
    /// `reaction`
    Reaction(ReactionChanged),
    /// `pin`
    Pin(PinChanged),
    /// `create`: the first event of a group.
    Create(GroupCreated),
    /// `member`
    Member(MemberChanged),
    /// `title`
    Title(TitleChanged),
    /// `settings`
    Settings(SettingsChanged),
}

/// A message was sent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MessageSent {
    /// The text; empty only with media.
    pub text: String,
    /// The message this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<Seq>,
    /// The root of the thread this one belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub thread: Option<Seq>,
    /// Who is mentioned.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Mention>,
    /// References to uploads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Map<String, Value>>,
}

/// A person, or everybody.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mention {
    /// `"all"`
    All,
    /// One user.
    User(UserId),
}

impl Mention {
    /// Whether a mention by `sender` is of `user`; nobody mentions themselves.
    pub fn is_of(self, user: UserId, sender: UserId) -> bool {
        user != sender && (self == Self::All || self == Self::User(user))
    }
}

impl Serialize for Mention {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::All => serializer.serialize_str("all"),
            Self::User(user) => user.serialize(serializer),
        }
    }
}

impl<'de> Deserialize<'de> for Mention {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if text == "all" {
            return Ok(Self::All);
        }
        text.parse().map(Self::User).map_err(serde::de::Error::custom)
    }
}

/// A message got another content; all three parts are replaced.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageEdited {
    /// The message.
    pub target: Seq,
    /// The new text.
    pub text: String,
    /// The new mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<Mention>,
    /// The new media.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub media: Vec<Map<String, Value>>,
    /// Who sent the target; written by the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_sender: Option<UserId>,
}

/// A message was deleted; a tombstone stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MessageDeleted {
    /// The message.
    pub target: Seq,
    /// Who sent the target; written by the gateway.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_sender: Option<UserId>,
}

/// A reaction was added or removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReactionChanged {
    /// The message.
    pub target: Seq,
    /// One grapheme.
    pub emoji: String,
    /// Which way.
    pub op: Toggle,
}

/// A message was pinned or unpinned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PinChanged {
    /// The message.
    pub target: Seq,
    /// Which way.
    pub op: Toggle,
}

/// On or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Toggle {
    /// On.
    Add,
    /// Off.
    Remove,
}

/// A group was created; its sender is the owner and a member, whoever is listed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GroupCreated {
    /// What the group is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Members from the start.
    #[serde(default)]
    pub members: Vec<UserId>,
}

/// A membership began, ended or changed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MemberChanged {
    /// Whose.
    pub user: UserId,
    /// How.
    pub op: MemberOp,
    /// The role given by `role` (required) and `add` (default: member).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
}

/// What happened to a membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MemberOp {
    /// Somebody was added.
    Add,
    /// Somebody was removed by another.
    Remove,
    /// Somebody got another role.
    Role,
    /// Somebody left.
    Leave,
}

/// A group got another title.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TitleChanged {
    /// The title.
    pub title: String,
}

/// A group's settings changed; what is absent stays.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SettingsChanged {
    /// What people see who are added from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub history: Option<HistoryVisibility>,
}

/// From where a new member sees a group's history.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryVisibility {
    /// From joining on.
    #[default]
    Joined,
    /// From the beginning.
    All,
}

/// Which of a conversation's two subjects an event lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventClass {
    /// Messages and what refers to them: appended freely.
    Msg,
    /// What changes the group itself: appended with the expected last sequence.
    Meta,
}

impl Event {
    /// The `kind` on the wire.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Message(_) => "message",
            Self::Edit(_) => "edit",
            Self::Delete(_) => "delete",
            Self::Reaction(_) => "reaction",
            Self::Pin(_) => "pin",
            Self::Create(_) => "create",
            Self::Member(_) => "member",
            Self::Title(_) => "title",
            Self::Settings(_) => "settings",
        }
    }

    /// The subject the event belongs on.
    pub fn class(&self) -> EventClass {
        match self {
            Self::Message(_)
            | Self::Edit(_)
            | Self::Delete(_)
            | Self::Reaction(_)
            | Self::Pin(_) => EventClass::Msg,
            Self::Create(_) | Self::Member(_) | Self::Title(_) | Self::Settings(_) => {
                EventClass::Meta
            }
        }
    }

    /// The message that the event needs to exist before it is vouched for, if any. A message in a
    /// thread that also answers one refers to both.
    pub fn targets(&self) -> impl Iterator<Item = Seq> {
        let (first, second) = match self {
            Self::Message(message) => (message.thread, message.reply_to),
            Self::Edit(edit) => (Some(edit.target), None),
            Self::Delete(delete) => (Some(delete.target), None),
            Self::Reaction(reaction) => (Some(reaction.target), None),
            Self::Pin(pin) => (Some(pin.target), None),
            Self::Create(_) | Self::Member(_) | Self::Title(_) | Self::Settings(_) => (None, None),
        };
        first.into_iter().chain(second)
    }
}

/// An event as a client sent it: read, bounded, and ready to be stored as sent.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    event: Event,
    fields: Value,
}

/// Names in an event that only the server writes.
const RESERVED: [&str; 4] = ["deleted", "target_sender", "state", "fallback"];

impl Draft {
    /// Reads an event that a client sent.
    ///
    /// # Errors
    /// [`Rejection::Unsupported`] for an unknown kind; [`Rejection::BadEvent`] for a missing or
    /// mistyped field, a reserved one, or nesting over [`limit::EVENT_DEPTH_MAX`];
    /// [`Rejection::TooLarge`] for an event over [`limit::EVENT_BYTES_MAX`] or `data` over
    /// [`limit::DATA_BYTES_MAX`].
    pub fn parse(json: &str) -> Result<Self, Rejection> {
        if json.len() > limit::EVENT_BYTES_MAX {
            return Err(Rejection::TooLarge("event"));
        }
        let fields: Value =
            serde_json::from_str(json).map_err(|_| Rejection::BadEvent("not JSON"))?;
        Self::from_fields(fields)
    }

    fn from_fields(fields: Value) -> Result<Self, Rejection> {
        let Value::Object(map) = &fields else { return Err(Rejection::BadEvent("not an object")) };
        if RESERVED.iter().any(|name| map.contains_key(*name)) {
            return Err(Rejection::BadEvent("a field of the server's"));
        }
        if depth(&fields) > limit::EVENT_DEPTH_MAX {
            return Err(Rejection::BadEvent("nested too deep"));
        }
        if let Some(data) = map.get("data") {
            if !data.is_object() {
                return Err(Rejection::BadEvent("data is not an object"));
            }
            if data.to_string().len() > limit::DATA_BYTES_MAX {
                return Err(Rejection::TooLarge("data"));
            }
        }
        let event = Event::deserialize(&fields).map_err(|_| {
            let kind = map.get("kind").and_then(Value::as_str);
            match kind {
                Some(kind) if !KINDS.contains(&kind) => Rejection::Unsupported,
                Some(_) => Rejection::BadEvent("a field is missing or of the wrong type"),
                None => Rejection::BadEvent("no kind"),
            }
        })?;
        Ok(Self { event, fields })
    }

    /// A draft of the server's own making (creation of a group, import).
    pub fn of(event: Event) -> Self {
        let fields = serde_json::to_value(&event).unwrap_or_default();
        Self { event, fields }
    }

    /// Adds the application's own `data`.
    #[must_use]
    pub fn with_data(mut self, data: Map<String, Value>) -> Self {
        if let Value::Object(map) = &mut self.fields {
            map.insert("data".to_owned(), Value::Object(data));
        }
        self
    }

    /// Writes the target's sender into an edit or a delete.
    #[must_use]
    pub fn with_target_sender(mut self, sender: UserId) -> Self {
        match &mut self.event {
            Event::Edit(edit) => edit.target_sender = Some(sender),
            Event::Delete(delete) => delete.target_sender = Some(sender),
            Event::Message(_)
            | Event::Reaction(_)
            | Event::Pin(_)
            | Event::Create(_)
            | Event::Member(_)
            | Event::Title(_)
            | Event::Settings(_) => return self,
        }
        if let Value::Object(map) = &mut self.fields {
            map.insert("target_sender".to_owned(), Value::String(sender.to_string()));
        }
        self
    }

    /// What it says.
    pub fn event(&self) -> &Event {
        &self.event
    }

    /// Canonical JSON: what is stored, and what "the same content" means.
    pub fn to_json(&self) -> String {
        self.fields.to_string()
    }
}

const KINDS: [&str; 9] =
    ["message", "edit", "delete", "reaction", "pin", "create", "member", "title", "settings"];

/// Nesting of a value: 1 for a scalar. `serde_json` has bounded it to 128 already.
fn depth(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(depth).max().unwrap_or(0),
        Value::Object(map) => map.values().map(depth).max().unwrap_or(0),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => 0,
    }
}

#[cfg(test)]
mod tests;

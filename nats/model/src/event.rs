//! The events of a conversation: version 1 of the rule set.
//!
//! [`Event`] is what the code reads. What is *stored* is the JSON that the client sent, in
//! canonical form (keys sorted, no white space), with unknown fields kept: see [`crate::draft`].

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::id::{Seq, UserId};

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

/// What a member may do; later is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Speaks.
    Member,
    /// Adds and removes members, sets the title, deletes, pins.
    Admin,
    /// Gives roles.
    Owner,
}

impl Role {
    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }
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

#[cfg(test)]
mod tests;

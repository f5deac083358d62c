//! Bodies of the HTTP interface.

use hansard_model::account::Handle;
use hansard_model::presence::Visibility;
use hansard_model::{ConversationId, DeviceId, LogTime, MessageId, Role, Seq, UserId};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::error::ErrorBody;
use crate::server::{EventFrame, PresenceFrame};

/// `User`: a person as others see them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct User {
    /// The id.
    pub user: UserId,
    /// The handle.
    pub handle: Handle,
    /// The display name.
    pub name: String,
    /// A media id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
}

/// `Conversation`: a conversation as one member sees it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Conversation {
    /// The id.
    pub conversation: ConversationId,
    /// `direct` or `group`.
    pub kind: ConversationKind,
    /// A group's title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The other person of a direct conversation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with: Option<UserId>,
    /// The reader's role; absent once they are no member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// How many members.
    pub member_count: usize,
    /// The first event the reader sees.
    pub view_from: Seq,
    /// The last message, its text cut to a preview.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<EventFrame>,
    /// Read up to here.
    pub read: Seq,
    /// Messages of others after `read`.
    pub unread: u64,
    /// Of these, how many mention the reader.
    pub mentions: u64,
    /// No notifications until then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<LogTime>,
    /// Kept on top.
    pub pinned: bool,
    /// Out of sight.
    pub archived: bool,
    /// All up to this event is in these figures.
    pub as_of: Seq,
}

/// What kind of conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ConversationKind {
    /// Two people (or one).
    Direct,
    /// A group.
    Group,
}

/// A list.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct List<T> {
    /// The items.
    pub items: Vec<T>,
    /// The `cursor` of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `Gateway`: where a client may connect.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Gateway {
    /// Where.
    pub url: String,
    /// In which region.
    pub region: String,
    /// Connections there, as a part of those that it takes: 0 to 1.
    pub load: f64,
}

/// `{"error": ..}`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ErrorResponse {
    /// The error.
    pub error: ErrorBody,
}

/// `POST /v1/users`
#[derive(Serialize, Deserialize)]
pub struct CreateUser {
    /// The client's id of the request: the same again makes no second user.
    pub id: MessageId,
    /// The handle.
    pub handle: Handle,
    /// The password, 8 to 256 bytes.
    pub password: String,
    /// The display name; the handle if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// `PATCH /v1/users/me`
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PatchUser {
    /// The display name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// A media id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub avatar: Option<String>,
    /// Who may see whether you are there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub presence: Option<Visibility>,
    /// Who may see when you were there last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Visibility>,
    /// Who may see what you have read; of what is read from then on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_receipts: Option<Visibility>,
}

/// `GET` and `PATCH /v1/users/me`: oneself, with what only oneself may see.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct OwnUser {
    /// As others see it.
    #[serde(flatten)]
    pub user: User,
    /// Who may see whether you are there.
    pub presence: Visibility,
    /// Who may see when you were there last.
    pub last_seen: Visibility,
    /// Who may see what you read. Older servers do not say it.
    #[serde(default)]
    pub read_receipts: Visibility,
}

/// `POST /v1/sessions`
#[derive(Serialize, Deserialize)]
pub struct OpenSession {
    /// The handle.
    pub handle: Handle,
    /// The password.
    pub password: String,
    /// What the person calls the device.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_name: Option<String>,
}

/// The answer to `POST /v1/sessions` and `/v1/sessions/refresh`.
#[derive(Clone, Serialize, Deserialize)]
pub struct OpenedSession {
    /// The bearer token.
    pub token: String,
    /// When it ends.
    pub expires_at: LogTime,
    /// Whose it is.
    pub user: UserId,
    /// For which device.
    pub device: DeviceId,
}

/// An item of `GET /v1/sessions`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Session {
    /// The device.
    pub device: DeviceId,
    /// What the person calls it.
    pub name: String,
    /// When it was opened.
    pub since: LogTime,
    /// When its token ends.
    pub expires_at: LogTime,
    /// It is the one that asks.
    pub current: bool,
    /// Its open connections, oldest first.
    #[serde(default)]
    pub connections: Vec<SessionConnection>,
}

/// An open connection of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionConnection {
    /// Which gateway it is connected to: opaque, new with each start of one.
    pub gateway: DeviceId,
    /// Since when.
    pub since: LogTime,
    /// The network that it comes from: the first 24 bits of an address, of IPv6 the first 48.
    pub network: String,
    /// It is not shown online.
    pub background: bool,
}

/// `GET /v1/sessions`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SessionList {
    /// One's own devices, newest first.
    pub items: Vec<Session>,
    /// A gateway did not answer: there may be more connections.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// `GET /v1/conversations/{c}/presence`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PresenceList {
    /// Members other than the caller, by id.
    pub items: Vec<PresenceFrame>,
    /// The `cursor` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `POST /v1/conversations`
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CreateConversation {
    /// A group.
    Group {
        /// The client's id of the request: the same again makes no second group.
        id: MessageId,
        /// What it is called.
        title: String,
        /// Members besides the caller.
        #[serde(default)]
        members: Vec<UserId>,
    },
    /// A direct conversation; nothing is stored before its first message.
    Direct {
        /// With whom.
        with: UserId,
    },
}

/// `PATCH /v1/conversations/{c}/me`. An absent field stays; `muted_until: null` unmutes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct PatchConversation {
    /// No notifications until then.
    #[serde(default, with = "present", skip_serializing_if = "Option::is_none")]
    pub muted_until: Option<Option<LogTime>>,
    /// Keep on top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<bool>,
    /// Put out of sight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<bool>,
}

/// Tells `null` from absent.
mod present {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer, T: Serialize>(
        value: &Option<Option<T>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        value.as_ref().and_then(Option::as_ref).serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
        deserializer: D,
    ) -> Result<Option<Option<T>>, D::Error> {
        Option::<T>::deserialize(deserializer).map(Some)
    }
}

/// An item of `GET /v1/conversations/{c}/members`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Member {
    /// Who.
    pub user: UserId,
    /// In which role.
    pub role: Role,
    /// Since which event.
    pub joined: Seq,
}

/// `POST /v1/conversations/{c}/messages`
#[derive(Debug, Serialize, Deserialize)]
pub struct SendMessage {
    /// The client's id.
    pub id: MessageId,
    /// What.
    pub event: Box<RawValue>,
}

/// The answer to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SentMessage {
    /// Its place, for ever.
    pub seq: Seq,
    /// It was stored before.
    pub duplicate: bool,
}

/// `GET /v1/conversations/{c}/events`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct EventList {
    /// The chain, ascending.
    pub items: Vec<EventFrame>,
    /// There is more in the direction asked for.
    pub more: bool,
}

/// `GET /v1/conversations/{c}/messages`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct MessageList {
    /// Messages, ascending, with their `state`.
    pub items: Vec<EventFrame>,
    /// Apply only live events after this.
    pub as_of: Seq,
    /// There are earlier ones.
    pub more_before: bool,
    /// There are later ones.
    pub more_after: bool,
}

/// `GET /v1/conversations/{c}/pins`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct PinList {
    /// Pinned messages, newest first, with their `state`.
    pub items: Vec<EventFrame>,
    /// Apply only live events after this.
    pub as_of: Seq,
    /// The `cursor` of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// An item of `GET /v1/conversations/{c}/reactions`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// Whose.
    pub user: UserId,
    /// The emoji.
    pub emoji: String,
    /// The event that added it.
    pub seq: Seq,
}

/// `GET /v1/conversations/{c}/explain`: the events behind the counts of a [`Conversation`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The conversation.
    pub conversation: ConversationId,
    /// The reader's read mark; their own last message counts.
    pub read: Seq,
    /// The ordinal of the last message read.
    pub read_n: u64,
    /// The ordinal of the last message.
    pub n: u64,
    /// `n` less `read_n`.
    pub unread: u64,
    /// The unread messages, ascending; the newest 100.
    pub unread_events: Vec<Seq>,
    /// The unread messages that mention the reader, ascending; the newest 100.
    pub mentions: Vec<Seq>,
    /// The event that made the reader a member; 0 in a direct conversation.
    pub joined: Seq,
    /// The first event the reader sees.
    pub view_from: Seq,
    /// The last event the reader sees; absent while they are a member.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub view_to: Option<Seq>,
    /// The last event of the conversation that the reader sees.
    pub last: Seq,
    /// All up to this event is in these figures.
    pub as_of: Seq,
    /// Up to this event the inbox was written; what came after it, a read of the inbox adds.
    pub inbox_as_of: Seq,
}

/// `POST /v1/conversations/{c}/receipt`
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PostReceipt {
    /// A device of the caller's has everything up to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<Seq>,
    /// The caller has read up to here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read: Option<Seq>,
    /// Do not tell the others what was read.
    #[serde(default)]
    pub private: bool,
}

/// An item of `GET /v1/conversations/{c}/receipts`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberReceipt {
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
}

/// `GET /v1/conversations/{c}/receipts`
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReceiptList {
    /// Members other than the caller who have the event (or anything), by id.
    pub items: Vec<MemberReceipt>,
    /// How many have it, on all pages.
    pub delivered_count: usize,
    /// How many of them have read it.
    pub read_count: usize,
    /// The `cursor` of the next page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
}

/// `GET /v1/sync`
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct SyncResponse {
    /// As over WebSocket; the last is `synced`.
    pub frames: Vec<Box<RawValue>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn null_and_absent_differ() {
        let absent: PatchConversation = serde_json::from_str("{}").expect("valid");
        assert_eq!(absent.muted_until, None);
        let null: PatchConversation =
            serde_json::from_str(r#"{"muted_until":null}"#).expect("valid");
        assert_eq!(null.muted_until, Some(None));
    }
}

/// A message that a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchHit {
    /// Where.
    pub conversation: ConversationId,
    /// Its position.
    pub seq: Seq,
    /// When it was stored.
    pub ts: LogTime,
    /// Who sent it.
    pub sender: UserId,
    /// The part of its text that shows why it was found.
    pub snippet: Snippet,
}

/// A part of the text of a message, as it was written.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snippet {
    /// The part.
    pub text: String,
    /// Where it begins in the whole text, in UTF-16 code units.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub starts_at: usize,
    /// The text goes on behind it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub goes_on: bool,
    /// What was found, from and to, in UTF-16 code units of `text`; ascending, not touching.
    pub highlights: Vec<[usize; 2]>,
}

fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// What a search found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SearchList {
    /// The messages, in the order that was asked for.
    pub items: Vec<SearchHit>,
    /// The cursor of the next page; absent on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    /// A part of what the reader may see was not searched: it may be there a moment later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
}

/// How a search that is being typed may go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Suggestion {
    /// What it is about.
    #[serde(flatten)]
    pub about: Suggested,
    /// The part of what was typed that it takes the place of, from and to, in UTF-16 code units.
    pub replaces: [u16; 2],
    /// What is to be there instead: a whole filter, without a space behind it.
    pub text: String,
}

/// A person or a conversation that may be meant.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Suggested {
    /// Messages by, or for, a person.
    Person {
        /// Who.
        user: User,
    },
    /// Messages in a group.
    Group {
        /// Which.
        conversation: ConversationId,
        /// Its title.
        title: String,
    },
    /// Messages in a direct conversation.
    Direct {
        /// Which.
        conversation: ConversationId,
        /// The other; who asks, for notes to oneself.
        user: User,
    },
}

/// Suggestions, the best first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SuggestionList {
    /// The suggestions.
    pub items: Vec<Suggestion>,
}

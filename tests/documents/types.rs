//! Which type of the code each schema of the documents describes.

use hansard_model::event::Event;
use hansard_model::presence::{PersonState, Visibility};
use hansard_model::{ConversationId, DeviceId, LogTime, MessageId, UploadId, UserId};
use hansard_protocol::http::{
    Conversation, CreateConversation, CreateUser, ErrorResponse, EventList, Explanation, Gateway,
    List, Member, MemberReceipt, MessageList, OpenSession, OpenedSession, OwnUser,
    PatchConversation, PatchUser, PinList, PostReceipt, PresenceList, Reaction, ReceiptList,
    SearchList, SendMessage, SentMessage, Session, SessionConnection, SessionList, Suggestion,
    SuggestionList, SyncResponse, User,
};
use hansard_protocol::media::{MediaInfo, MediaUrl};
use hansard_protocol::server::{EventFrame, PresenceFrame};
use hansard_protocol::{ClientFrame, ServerFrame};
use serde::Serialize;
use serde_json::Value;

/// Reads a value as the code reads what the schema describes, and writes it again.
pub(crate) fn read_and_write(schema: &str, value: Value) -> Result<Value, serde_json::Error> {
    fn again<T: serde::de::DeserializeOwned + Serialize>(
        value: Value,
    ) -> Result<Value, serde_json::Error> {
        serde_json::to_value(serde_json::from_value::<T>(value)?)
    }
    match schema {
        "Hello" | "Send" | "Receipt" | "Typing" | "Watch" | "Presence" | "Ping" => {
            again::<ClientFrame>(value)
        }
        "Welcome" | "Ack" | "ErrorFrame" | "ConversationFrame" | "UserFrame" | "Gap" | "Synced"
        | "Cursor" | "ReceiptOfMember" | "TypingOfOthers" | "PresenceOfOthers"
        | "PresencesOfOthers" | "MediaOfMessage" | "Drain" | "Ok" | "Pong" | "EventFrame" => {
            again::<ServerFrame>(value)
        }
        "User" => again::<User>(value),
        "UserList" => again::<List<User>>(value),
        "CreateUser" => again::<CreateUser>(value),
        "PatchUser" => again::<PatchUser>(value),
        "OpenSession" => again::<OpenSession>(value),
        "OpenedSession" => again::<OpenedSession>(value),
        "Session" => again::<Session>(value),
        "SessionConnection" => again::<SessionConnection>(value),
        "SessionList" => again::<SessionList>(value),
        "OwnUser" => again::<OwnUser>(value),
        "PersonState" => again::<PersonState>(value),
        "Visibility" => again::<Visibility>(value),
        "PresenceItem" => again::<PresenceFrame>(value),
        "PresenceList" => again::<PresenceList>(value),
        "Conversation" => again::<Conversation>(value),
        "ConversationList" => again::<List<Conversation>>(value),
        "CreateConversation" => again::<CreateConversation>(value),
        "PatchConversation" => again::<PatchConversation>(value),
        "Member" => again::<Member>(value),
        "MemberList" => again::<List<Member>>(value),
        "SendMessage" => again::<SendMessage>(value),
        "SentMessage" => again::<SentMessage>(value),
        "EventList" => again::<EventList>(value),
        "MessageList" => again::<MessageList>(value),
        "PinList" => again::<PinList>(value),
        "Reaction" => again::<Reaction>(value),
        "ReactionList" => again::<List<Reaction>>(value),
        "MentionList" => again::<List<EventFrame>>(value),
        "SearchList" => again::<SearchList>(value),
        "SuggestionList" => again::<SuggestionList>(value),
        "Suggestion" => again::<Suggestion>(value),
        "GatewayList" => again::<List<Gateway>>(value),
        "Explanation" => again::<Explanation>(value),
        "PostReceipt" => again::<PostReceipt>(value),
        "MemberReceipt" => again::<MemberReceipt>(value),
        "ReceiptList" => again::<ReceiptList>(value),
        "SyncResponse" => again::<SyncResponse>(value),
        "MediaInfo" => again::<MediaInfo>(value),
        "MediaUrl" => again::<MediaUrl>(value),
        "ErrorResponse" => again::<ErrorResponse>(value),
        "MessageEvent" | "EditEvent" | "DeleteEvent" | "ReactionEvent" | "PinEvent"
        | "CreateEvent" | "MemberEvent" | "TitleEvent" | "SettingsEvent" => {
            read_and_write_event(value)
        }
        // Forms that the server makes and only clients read, as text.
        "StoredEvent" => Ok(value),
        "UserId" => again::<UserId>(value),
        "DeviceId" => again::<DeviceId>(value),
        "UploadId" => again::<UploadId>(value),
        "ConversationId" => again::<ConversationId>(value),
        "MessageId" => again::<MessageId>(value),
        "Handle" => again::<hansard_model::account::Handle>(value),
        "Time" => again::<LogTime>(value),
        other => panic!("which type does the schema {other} describe?"),
    }
}

/// An event: what the application adds is stored as sent, beside what the type knows.
fn read_and_write_event(value: Value) -> Result<Value, serde_json::Error> {
    let data = value.get("data").cloned();
    let mut event = serde_json::to_value(serde_json::from_value::<Event>(value)?)?;
    if let (Some(fields), Some(data)) = (event.as_object_mut(), data) {
        fields.insert("data".to_owned(), data);
    }
    Ok(event)
}

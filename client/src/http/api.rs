//! One method per route.

use std::fmt::Write;

use hansard_model::account::Handle;
use hansard_model::{ConversationId, DeviceId, MessageId, Seq, UserId};
use hansard_protocol::http::{
    Conversation, CreateConversation, CreateUser, EventList, Gateway, List, Member, MessageList,
    OpenSession, OpenedSession, OwnUser, PatchConversation, PatchUser, PresenceList, ReceiptList,
    SearchList, SendMessage, SentMessage, Session, User,
};
use http::Method;

use crate::http::{Http, HttpError};

/// Which messages of a conversation.
#[derive(Clone, Copy, Debug, Default)]
pub struct MessagesQuery {
    /// From where; the newest if `None`.
    pub around: Option<Around>,
    /// How many; the server's default if `None`.
    pub limit: Option<usize>,
}

/// The anchor of a page of messages.
#[derive(Clone, Copy, Debug)]
pub enum Around {
    /// Those before it.
    Before(Seq),
    /// Those after it.
    After(Seq),
    /// Those on both sides of it.
    Seq(Seq),
}

/// Which events of a conversation.
#[derive(Clone, Copy, Debug, Default)]
pub struct EventsQuery {
    /// After this one.
    pub after: Option<Seq>,
    /// Before this one.
    pub before: Option<Seq>,
    /// How many; the server's default if `None`.
    pub limit: Option<usize>,
    /// The answer must know this event.
    pub at_least: Option<Seq>,
}

/// What to search for.
#[derive(Clone, Copy, Debug, Default)]
pub struct SearchQuery<'a> {
    /// As a person types it.
    pub text: &'a str,
    /// The newest first; else the best.
    pub newest_first: bool,
    /// How many; the server's default if `None`.
    pub limit: Option<usize>,
    /// How many minutes the reader's clock is ahead of UTC: when days begin.
    pub utc_offset_minutes: i16,
    /// Of the page before: goes on behind it.
    pub cursor: Option<&'a str>,
}

/// Every method fails with [`HttpError`]; writes may be repeated with the same id.
impl Http {
    /// Makes an account. The same again makes no second one.
    pub async fn sign_up(&self, user: &CreateUser) -> Result<User, HttpError> {
        self.post("/v1/users", user).await
    }

    /// Opens a session.
    pub async fn log_in(&self, session: &OpenSession) -> Result<OpenedSession, HttpError> {
        self.post("/v1/sessions", session).await
    }

    /// Replaces the session's token: same device, open sockets stay.
    pub async fn refresh(&self) -> Result<OpenedSession, HttpError> {
        self.post("/v1/sessions/refresh", &serde_json::Map::new()).await
    }

    /// The account's sessions.
    pub async fn sessions(&self) -> Result<Vec<Session>, HttpError> {
        self.get::<List<_>>("/v1/sessions").await.map(|list| list.items)
    }

    /// Ends a session of the account.
    pub async fn revoke(&self, device: DeviceId) -> Result<(), HttpError> {
        let path = format!("/v1/sessions/{device}");
        self.exchange(Method::DELETE, &path, None::<&()>).await.map(drop)
    }

    /// The gateways to connect to, best first, those of a region before others; empty where the
    /// deployment names none.
    pub async fn gateways(&self, region: Option<&str>) -> Result<List<Gateway>, HttpError> {
        let mut path = "/v1/gateways".to_owned();
        if let Some(region) = region {
            path.push_str("?region=");
            escape(region, &mut path);
        }
        self.get(&path).await
    }

    /// A person.
    pub async fn user(&self, user: UserId) -> Result<User, HttpError> {
        self.get(&format!("/v1/users/{user}")).await
    }

    /// The person with a handle.
    pub async fn user_by_handle(&self, handle: &Handle) -> Result<Option<User>, HttpError> {
        let list: List<User> = self.get(&format!("/v1/users?handle={handle}")).await?;
        Ok(list.items.into_iter().find(|user| &user.handle == handle))
    }

    /// Several people; unknown ids are left out.
    pub async fn users(&self, ids: &[UserId]) -> Result<Vec<User>, HttpError> {
        let ids: Vec<_> = ids.iter().map(UserId::as_str).collect();
        self.get::<List<_>>(&format!("/v1/users?ids={}", ids.join(",")))
            .await
            .map(|list| list.items)
    }

    /// Oneself, with what only oneself may see.
    pub async fn profile(&self) -> Result<OwnUser, HttpError> {
        self.get("/v1/users/me").await
    }

    /// Changes the own profile.
    pub async fn patch_profile(&self, patch: &PatchUser) -> Result<OwnUser, HttpError> {
        self.call(Method::PATCH, "/v1/users/me", Some(patch)).await
    }

    /// A page of the inbox, last active first.
    pub async fn conversations(
        &self,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<List<Conversation>, HttpError> {
        let mut path = format!("/v1/conversations?limit={limit}");
        if let Some(cursor) = cursor {
            path.push_str("&cursor=");
            escape(cursor, &mut path);
        }
        self.get(&path).await
    }

    /// One conversation as the reader sees it.
    pub async fn conversation(&self, id: ConversationId) -> Result<Conversation, HttpError> {
        self.get(&format!("/v1/conversations/{id}")).await
    }

    /// Makes a group, or opens a direct conversation. The same again gives the same.
    pub async fn create_conversation(
        &self,
        create: &CreateConversation,
    ) -> Result<Conversation, HttpError> {
        self.post("/v1/conversations", create).await
    }

    /// Changes the reader's settings of a conversation.
    pub async fn patch_conversation(
        &self,
        id: ConversationId,
        patch: &PatchConversation,
    ) -> Result<Conversation, HttpError> {
        self.call(Method::PATCH, &format!("/v1/conversations/{id}/me"), Some(patch)).await
    }

    /// A page of the members.
    pub async fn members(
        &self,
        id: ConversationId,
        cursor: Option<&str>,
    ) -> Result<List<Member>, HttpError> {
        let mut path = format!("/v1/conversations/{id}/members");
        if let Some(cursor) = cursor {
            path.push_str("?cursor=");
            escape(cursor, &mut path);
        }
        self.get(&path).await
    }

    /// Sends an event without an outbox: the caller repeats it with the same id.
    pub async fn send_message(
        &self,
        id: ConversationId,
        message: &SendMessage,
    ) -> Result<SentMessage, HttpError> {
        self.post(&format!("/v1/conversations/{id}/messages"), message).await
    }

    /// Messages, with edits, deletions and reactions folded in.
    pub async fn messages(
        &self,
        id: ConversationId,
        query: MessagesQuery,
    ) -> Result<MessageList, HttpError> {
        let mut parts = Vec::new();
        match query.around {
            Some(Around::Before(seq)) => parts.push(format!("before={seq}")),
            Some(Around::After(seq)) => parts.push(format!("after={seq}")),
            Some(Around::Seq(seq)) => parts.push(format!("around={seq}")),
            None => {}
        }
        parts.extend(query.limit.map(|limit| format!("limit={limit}")));
        self.get(&path_with(&format!("/v1/conversations/{id}/messages"), &parts)).await
    }

    /// A page of the members who have an event, and how many have it and have read it in all.
    pub async fn receipts(
        &self,
        id: ConversationId,
        seq: Option<Seq>,
        cursor: Option<&str>,
    ) -> Result<ReceiptList, HttpError> {
        let mut parts = Vec::new();
        parts.extend(seq.map(|seq| format!("seq={seq}")));
        parts.extend(cursor.map(|cursor| {
            let mut escaped = "cursor=".to_owned();
            escape(cursor, &mut escaped);
            escaped
        }));
        self.get(&path_with(&format!("/v1/conversations/{id}/receipts"), &parts)).await
    }

    /// A page of who of a conversation is there.
    pub async fn presence(
        &self,
        id: ConversationId,
        cursor: Option<&str>,
    ) -> Result<PresenceList, HttpError> {
        let mut path = format!("/v1/conversations/{id}/presence?limit=200");
        if let Some(cursor) = cursor {
            path.push_str("&cursor=");
            escape(cursor, &mut path);
        }
        self.get(&path).await
    }

    /// The chain: events of every kind.
    pub async fn events(
        &self,
        id: ConversationId,
        query: EventsQuery,
    ) -> Result<EventList, HttpError> {
        let mut parts = Vec::new();
        parts.extend(query.after.map(|seq| format!("after={seq}")));
        parts.extend(query.before.map(|seq| format!("before={seq}")));
        parts.extend(query.limit.map(|limit| format!("limit={limit}")));
        parts.extend(query.at_least.map(|seq| format!("min_seq={id}:{seq}")));
        self.get(&path_with(&format!("/v1/conversations/{id}/events"), &parts)).await
    }

    /// A page of the messages that a search finds. What this device has sent is among them.
    pub async fn search(&self, query: SearchQuery<'_>) -> Result<SearchList, HttpError> {
        let mut path = "/v1/search?q=".to_owned();
        escape(query.text, &mut path);
        if query.newest_first {
            path.push_str("&sort=time");
        }
        if let Some(limit) = query.limit {
            // Writing to a String cannot fail.
            let _ = write!(path, "&limit={limit}");
        }
        if query.utc_offset_minutes != 0 {
            let _ = write!(path, "&utc_offset={}", query.utc_offset_minutes);
        }
        if let Some(cursor) = query.cursor {
            path.push_str("&cursor=");
            escape(cursor, &mut path);
        }
        self.get(&path).await
    }

    /// An id for a request that makes something; `millis` since the Unix epoch.
    pub fn request_id(millis: u64) -> Result<MessageId, HttpError> {
        let mut random = [0; 10];
        getrandom::fill(&mut random).map_err(|error| HttpError::Request(Box::new(error)))?;
        Ok(MessageId::new(millis, random))
    }
}

fn path_with(path: &str, parts: &[String]) -> String {
    if parts.is_empty() { path.to_owned() } else { format!("{path}?{}", parts.join("&")) }
}

/// Percent-encodes a value of a query.
fn escape(value: &str, out: &mut String) {
    for byte in value.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(byte));
            }
            _ => {
                // Writing to a String cannot fail.
                let _ = write!(out, "%{byte:02X}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_of_a_query_are_escaped() {
        let mut out = String::new();
        escape("a/b&c=ü", &mut out);
        assert_eq!(out, "a%2Fb%26c%3D%C3%BC");
    }
}

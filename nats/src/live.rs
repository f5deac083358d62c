//! The live feed: what a projector tells gateways unasked, over core NATS. Never stored, so a
//! receiver that was interrupted asks for what it missed (`feed`).

use async_nats::header::HeaderMap;
use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use hansard_model::query::{UserNotice, live};
use hansard_model::subject::Subject;
use hansard_model::{ConversationId, LogTime, Seq, UserId};

use crate::connection::Connection;
use crate::direct::{ReadError, unavailable};

/// An event as the projector saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LiveEvent {
    /// Where.
    pub conversation: ConversationId,
    /// Its place.
    pub seq: Seq,
    /// The preceding valid event of the conversation.
    pub prev: Seq,
    /// Messages of the conversation up to and including it.
    pub n: u64,
    /// When it was stored.
    pub ts: LogTime,
    /// The preceding live event of the partition: a receiver without it has a hole.
    pub follows: Seq,
    /// The stored bytes.
    pub payload: Bytes,
}

/// What arrives on the live feed.
#[derive(Debug)]
pub enum LiveMessage {
    /// An event.
    Event(LiveEvent),
    /// A user's own view of a conversation changed.
    User(UserId, Box<UserNotice>),
    /// Somebody is typing.
    Typing {
        /// Where.
        conversation: ConversationId,
        /// Who.
        user: UserId,
    },
}

impl Connection {
    /// Publishes an event on the live feed. Events of a partition arrive in the order published.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the client is closed; a lost connection is no error, the
    /// receivers notice.
    pub async fn publish_live(&self, event: &LiveEvent) -> Result<(), ReadError> {
        let mut headers = HeaderMap::new();
        headers.insert(live::SEQ, event.seq.to_string());
        headers.insert(live::PREV, event.prev.to_string());
        headers.insert(live::N, event.n.to_string());
        headers.insert(live::TS, event.ts.as_nanos().to_string());
        headers.insert(live::FOLLOWS, event.follows.to_string());
        let subject = Subject::Live(event.conversation).to_string();
        self.client
            .publish_with_headers(subject, headers, event.payload.clone())
            .await
            .map_err(unavailable)
    }

    /// Tells the gateways of a user that the user's view of a conversation changed.
    ///
    /// # Errors
    /// As [`Connection::publish_live`].
    pub async fn publish_notice(&self, user: UserId, notice: &UserNotice) -> Result<(), ReadError> {
        let payload = serde_json::to_vec(notice).map_err(unavailable)?;
        let subject = Subject::LiveUser(user).to_string();
        self.client.publish(subject, payload.into()).await.map_err(unavailable)
    }

    /// Tells the gateways that `user` is typing. Never stored.
    ///
    /// # Errors
    /// As [`Connection::publish_live`].
    pub async fn publish_typing(
        &self,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<(), ReadError> {
        let subject = Subject::Typing(conversation).to_string();
        self.client.publish(subject, user.to_string().into()).await.map_err(unavailable)
    }

    /// Subscribes to the whole live feed, typing included.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the subscription cannot be made.
    pub async fn subscribe_live(&self) -> Result<LiveFeed, ReadError> {
        let live = self.client.subscribe("live.>").await.map_err(unavailable)?;
        let typing = self.client.subscribe("typing.>").await.map_err(unavailable)?;
        // The subscription exists on the server before the caller reads where the feed stands.
        self.round_trip().await?;
        Ok(LiveFeed { messages: futures_util::stream::select(live, typing) })
    }
}

/// The live feed.
pub struct LiveFeed {
    messages: futures_util::stream::Select<Subscriber, Subscriber>,
}

impl LiveFeed {
    /// The next message; `None` when the client is closed. What cannot be read is reported and
    /// left out: a receiver sees the hole by `follows`. Safe to drop while it waits.
    pub async fn next(&mut self) -> Option<LiveMessage> {
        loop {
            let message = self.messages.next().await?;
            if let Some(parsed) = parse(message) {
                return Some(parsed);
            }
        }
    }

    /// How many messages wait, at least.
    pub fn backlog(&self) -> usize {
        self.messages.size_hint().0
    }
}

fn parse(message: Message) -> Option<LiveMessage> {
    let parsed = match message.subject.as_str().parse() {
        Ok(Subject::Live(conversation)) => parse_event(conversation, &message),
        Ok(Subject::LiveUser(user)) => serde_json::from_slice(&message.payload)
            .ok()
            .map(|notice| LiveMessage::User(user, Box::new(notice))),
        Ok(Subject::Typing(conversation)) => std::str::from_utf8(&message.payload)
            .ok()
            .and_then(|user| user.parse().ok())
            .map(|user| LiveMessage::Typing { conversation, user }),
        Ok(_) | Err(_) => None,
    };
    if parsed.is_none() {
        tracing::warn!(subject = %message.subject, "a live message cannot be read");
    }
    parsed
}

fn parse_event(conversation: ConversationId, message: &Message) -> Option<LiveMessage> {
    let headers = message.headers.as_ref()?;
    let number = |name: &str| headers.get(name)?.as_str().parse::<u64>().ok();
    Some(LiveMessage::Event(LiveEvent {
        conversation,
        seq: Seq(number(live::SEQ)?),
        prev: Seq(number(live::PREV)?),
        n: number(live::N)?,
        ts: LogTime::from_nanos(number(live::TS)?),
        follows: Seq(number(live::FOLLOWS)?),
        payload: message.payload.clone(),
    }))
}

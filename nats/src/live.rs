//! The live feed: what a projector tells gateways unasked, over core NATS. Never stored, so a
//! receiver that was interrupted asks for what it missed (`feed`).

mod interest;

use async_nats::header::HeaderMap;
use async_nats::{Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use hansard_model::envelope::may_be_meta;
use hansard_model::limit::{LIVE_ORDER_BYTES_MAX, LIVE_ORDER_ITEMS_MAX};
use hansard_model::query::{Item, LiveOrder, OrderItem, live};
use hansard_model::subject::Subject;
use hansard_model::{ConversationId, LogTime, PartitionId, Seq, UserId};
use serde_json::value::RawValue;

use crate::connection::Connection;
use crate::direct::{ReadError, unavailable};
use crate::metrics::{LiveKind, live_came};

pub use self::interest::{InterestFeed, Subscribed};

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
    /// The next events of a partition, which are published behind this.
    Order(PartitionId, LiveOrder),
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

    /// Publishes in which order the next events of a partition follow each other; before the events.
    /// Gateways that take only some of them need it.
    ///
    /// # Errors
    /// As [`Connection::publish_live`].
    pub async fn publish_order(
        &self,
        partition: PartitionId,
        events: &[LiveEvent],
    ) -> Result<(), ReadError> {
        let subject = Subject::LiveOrder(partition).to_string();
        for order in orders(events) {
            let payload = serde_json::to_vec(&order).map_err(unavailable)?;
            self.client.publish(subject.clone(), payload.into()).await.map_err(unavailable)?;
        }
        Ok(())
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
}

/// What a listed event costs in a message, in bytes; about.
const ORDER_ITEM_BYTES: usize = 100;

/// The order of events, in as many messages as it takes.
fn orders(events: &[LiveEvent]) -> Vec<LiveOrder> {
    let mut orders: Vec<LiveOrder> = Vec::new();
    let mut bytes = 0;
    for event in events {
        let item = order_item(event);
        let size = ORDER_ITEM_BYTES + item.event.as_ref().map_or(0, |item| item.body.get().len());
        let fits = |order: &&mut LiveOrder| {
            order.items.len() < LIVE_ORDER_ITEMS_MAX
                && bytes + size <= LIVE_ORDER_BYTES_MAX
                && order.items.last().is_some_and(|last| last.seq == event.follows)
        };
        match orders.last_mut().filter(fits) {
            Some(order) => {
                bytes += size;
                order.items.push(item);
            }
            None => {
                bytes = size;
                orders.push(LiveOrder { follows: event.follows, items: vec![item] });
            }
        }
    }
    orders
}

fn order_item(event: &LiveEvent) -> OrderItem {
    let LiveEvent { conversation, seq, prev, n, ts, .. } = *event;
    let is_meta = conversation.is_group() && may_be_meta(&event.payload);
    // One that is no JSON changes nothing for anybody; it arrives as others do.
    let body = std::str::from_utf8(&event.payload).ok().filter(|_| is_meta);
    let body = body.and_then(|text| RawValue::from_string(text.to_owned()).ok());
    let event = body.map(|body| Item { seq, prev, n, ts, body, state: None });
    OrderItem { conversation, seq, event }
}

fn parse(message: Message) -> Option<LiveMessage> {
    let parsed = match message.subject.as_str().parse() {
        Ok(Subject::Live(conversation)) => parse_event(conversation, &message),
        Ok(Subject::LiveOrder(partition)) => serde_json::from_slice(&message.payload)
            .ok()
            .map(|order| LiveMessage::Order(partition, order)),
        Ok(Subject::Typing(conversation)) => std::str::from_utf8(&message.payload)
            .ok()
            .and_then(|user| user.parse().ok())
            .map(|user| LiveMessage::Typing { conversation, user }),
        Ok(_) | Err(_) => None,
    };
    let kind = match &parsed {
        Some(LiveMessage::Event(_)) => LiveKind::Event,
        Some(LiveMessage::Order(..)) => LiveKind::Order,
        Some(LiveMessage::Typing { .. }) => LiveKind::Typing,
        None => {
            tracing::warn!(subject = %message.subject, "a live message cannot be read");
            return None;
        }
    };
    live_came(kind, message.length);
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

#[cfg(test)]
mod tests {
    use hansard_model::GroupId;

    use super::*;

    fn event(seq: u64, follows: u64, payload: &str) -> LiveEvent {
        LiveEvent {
            conversation: ConversationId::Group(GroupId::from_entropy([1; 20])),
            seq: Seq(seq),
            prev: Seq(7),
            n: 3,
            ts: LogTime::from_nanos(5),
            follows: Seq(follows),
            payload: Bytes::copy_from_slice(payload.as_bytes()),
        }
    }

    fn message(seq: u64) -> LiveEvent {
        event(seq, seq - 1, r#"{"event":{"kind":"message"}}"#)
    }

    #[test]
    fn an_order_lists_every_event_and_holds_those_that_may_be_meta() {
        let member = r#"{"event":{"kind":"member","op":"add"}}"#;
        let events =
            [message(2), event(4, 2, member), event(5, 4, r#""kind":"title" but no JSON"#)];
        let orders = orders(&events);
        assert_eq!((orders.len(), orders[0].follows), (1, Seq(1)));
        let held: Vec<_> = orders[0]
            .items
            .iter()
            .map(|item| (item.seq.0, item.event.as_ref().map(|item| item.body.get().to_owned())))
            .collect();
        assert_eq!(held, [(2, None), (4, Some(member.to_owned())), (5, None)]);
        let direct = LiveEvent {
            conversation: ConversationId::direct(
                UserId::from_entropy([1; 20]),
                UserId::from_entropy([2; 20]),
            ),
            ..event(9, 5, member)
        };
        assert!(order_item(&direct).event.is_none(), "there are none in direct conversations");
    }

    #[test]
    fn an_order_is_cut_by_count_by_bytes_and_where_events_do_not_follow_each_other() {
        let many: Vec<LiveEvent> = (1..=600).map(message).collect();
        let cut: Vec<_> =
            orders(&many).iter().map(|order| (order.follows.0, order.items.len())).collect();
        assert_eq!(cut, [(0, 256), (256, 256), (512, 88)]);
        let large = format!(r#"{{"kind":"create","x":"{}"}}"#, "x".repeat(40_000));
        let huge = format!(r#"{{"kind":"create","x":"{}"}}"#, "x".repeat(100_000));
        let events =
            [event(1, 0, &large), event(2, 1, &large), event(3, 2, &huge), event(9, 8, &large)];
        let cut: Vec<_> =
            orders(&events).iter().map(|order| (order.follows.0, order.items.len())).collect();
        assert_eq!(cut, [(0, 1), (1, 1), (2, 1), (8, 1)]);
        assert_eq!(orders(&[message(1), message(3)]).len(), 2, "a hole is not hidden");
        assert!(orders(&[]).is_empty());
    }
}

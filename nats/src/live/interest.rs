//! The live feed by interest: the order of everything, and the content of what is of interest.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::task::{Context, Poll};

use async_nats::{Message, Subscriber};
use futures_util::stream::{AbortHandle, Abortable, SelectAll, Stream, StreamExt, abortable};
use hansard_model::subject::Interest;

use super::{LiveMessage, parse};
use crate::connection::Connection;
use crate::direct::{ReadError, unavailable};
use crate::metrics;

/// Contents that wait, of all subscriptions together: each has a bound of its own, and there are
/// thousands. One that comes when there are as many is dropped, and its turn finds a hole.
const CONTENTS_MAX: usize = if cfg!(test) { 4 } else { 65_536 };
/// Bytes of them.
const CONTENTS_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Contents that are taken from their subscriptions for each message that is read.
const GATHERED_AT_ONCE: usize = 128;

/// A subscription that is in force, to be handed to an [`InterestFeed`].
pub struct Subscribed {
    /// To what.
    pub interest: Interest,
    subscribers: Vec<Subscriber>,
}

/// The live feed by interest. Nothing is lost by what is not subscribed: the order tells what there
/// is, and the owner of a partition has it.
pub struct InterestFeed {
    order: Subscriber,
    typing: Subscriber,
    contents: SelectAll<Abortable<Subscriber>>,
    handles: HashMap<Interest, Vec<AbortHandle>>,
    waiting: Waiting,
}

/// Contents that came and were not read.
#[derive(Default)]
struct Waiting {
    messages: VecDeque<Message>,
    bytes: usize,
}

impl Waiting {
    fn push(&mut self, message: Message) {
        let bytes = self.bytes.saturating_add(message.length);
        if self.messages.len() >= CONTENTS_MAX || bytes > CONTENTS_BYTES_MAX {
            metrics::live_dropped();
            return;
        }
        self.bytes = bytes;
        self.messages.push_back(message);
    }

    fn pop(&mut self) -> Option<Message> {
        let message = self.messages.pop_front()?;
        self.bytes = self.bytes.saturating_sub(message.length);
        Some(message)
    }
}

impl Connection {
    /// Subscribes to the order of all partitions and to typing, and to no content yet.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the subscription cannot be made.
    pub async fn subscribe_order(&self) -> Result<InterestFeed, ReadError> {
        let order = self.client.subscribe("order.*").await.map_err(unavailable)?;
        let typing = self.client.subscribe("typing.>").await.map_err(unavailable)?;
        self.round_trip().await?;
        let (contents, handles, waiting) = (SelectAll::new(), HashMap::new(), Waiting::default());
        Ok(InterestFeed { order, typing, contents, handles, waiting })
    }

    /// Subscribes to what is of interest; when this returns, the subscriptions are in force.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`]: then none of them is.
    pub async fn subscribe_to(&self, interests: &[Interest]) -> Result<Vec<Subscribed>, ReadError> {
        let mut subscribed = Vec::with_capacity(interests.len());
        for interest in interests {
            let mut subscribers = Vec::new();
            for filter in interest.filters() {
                subscribers.push(self.client.subscribe(filter).await.map_err(unavailable)?);
            }
            subscribed.push(Subscribed { interest: *interest, subscribers });
        }
        self.round_trip().await?;
        Ok(subscribed)
    }
}

impl InterestFeed {
    /// Takes in subscriptions; one to the same as another replaces it.
    pub fn add(&mut self, subscribed: Vec<Subscribed>) {
        for Subscribed { interest, subscribers } in subscribed {
            self.remove(interest);
            let handles = subscribers.into_iter().map(|subscriber| {
                let (stream, handle) = abortable(subscriber);
                self.contents.push(stream);
                handle
            });
            self.handles.insert(interest, handles.collect());
        }
    }

    /// Ends a subscription. What has come by it and was not read is gone.
    pub fn remove(&mut self, interest: Interest) {
        for handle in self.handles.remove(&interest).into_iter().flatten() {
            handle.abort();
        }
    }

    /// The next message; `None` when the client is closed. What tells the order comes first, unless
    /// `takes_order` is false: then it waits. What cannot be read is reported and left out. Safe
    /// to drop while it waits.
    pub async fn next(&mut self, takes_order: bool) -> Option<LiveMessage> {
        loop {
            let message = std::future::poll_fn(|context| self.poll(takes_order, context)).await?;
            if let Some(parsed) = parse(message) {
                return Some(parsed);
            }
        }
    }

    fn poll(&mut self, takes_order: bool, context: &mut Context<'_>) -> Poll<Option<Message>> {
        for _ in 0..GATHERED_AT_ONCE {
            // Empty is not the end: there may be interest later.
            let Poll::Ready(Some(message)) = Pin::new(&mut self.contents).poll_next(context) else {
                break;
            };
            self.waiting.push(message);
        }
        if takes_order && let Poll::Ready(message) = self.order.poll_next_unpin(context) {
            return Poll::Ready(message);
        }
        if let Some(message) = self.waiting.pop() {
            return Poll::Ready(Some(message));
        }
        self.typing.poll_next_unpin(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Message {
        Message {
            subject: "live.g.x".into(),
            reply: None,
            payload: bytes::Bytes::new(),
            headers: None,
            status: None,
            description: None,
            length,
        }
    }

    #[test]
    fn contents_wait_under_one_bound_whatever_brought_them() {
        let mut waiting = Waiting::default();
        (0..CONTENTS_MAX + 3).for_each(|length| waiting.push(message(length)));
        let mut lengths = Vec::new();
        while let Some(message) = waiting.pop() {
            lengths.push(message.length);
        }
        assert_eq!(lengths, (0..CONTENTS_MAX).collect::<Vec<_>>(), "the first, in their order");
        assert_eq!(waiting.bytes, 0);
        waiting.push(message(CONTENTS_BYTES_MAX));
        waiting.push(message(1));
        assert_eq!(waiting.messages.len(), 1);
    }
}

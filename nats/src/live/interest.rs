//! The live feed by interest: the order of everything, and the content of what is of interest.

use std::collections::HashMap;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_nats::{Message, Subscriber};
use futures_util::stream::{AbortHandle, Abortable, SelectAll, Stream, StreamExt, abortable};
use hansard_model::subject::Interest;

use super::{LiveMessage, parse};
use crate::connection::Connection;
use crate::direct::{ReadError, unavailable};

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
        let (contents, handles) = (SelectAll::new(), HashMap::new());
        Ok(InterestFeed { order, typing, contents, handles })
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
        if takes_order && let Poll::Ready(message) = self.order.poll_next_unpin(context) {
            return Poll::Ready(message);
        }
        // Empty is not the end: there may be interest later.
        if let Poll::Ready(Some(message)) = Pin::new(&mut self.contents).poll_next(context) {
            return Poll::Ready(Some(message));
        }
        self.typing.poll_next_unpin(context)
    }
}

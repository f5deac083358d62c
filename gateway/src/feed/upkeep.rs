//! Keeps the subscriptions to what is of interest.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use hansard_model::subject::Interest;
use hansard_nats::live::{InterestFeed, Subscribed};
use hansard_nats::log::ReadError;
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, MissedTickBehavior};

use super::PAUSE;
use super::cover::Cover;
use crate::Gateway;
use crate::metrics::delivery as metrics;

/// Subscriptions that are made at once.
const AT_ONCE: usize = 512;
/// How often subscriptions are looked at that may end.
const END_EVERY: Duration = Duration::from_secs(5);

type Subscribing = BoxFuture<'static, (Vec<Interest>, Result<Vec<Subscribed>, ReadError>)>;

/// See the module.
pub(super) struct Upkeep {
    gateway: Arc<Gateway>,
    cover: Cover,
    changed: Arc<Notify>,
    subscribing: Option<Subscribing>,
    ends: Interval,
}

/// What is to be done.
pub(super) enum Turn {
    /// Something has changed of what is of interest.
    Changed,
    /// Subscriptions were made, or not.
    Subscribed(Vec<Interest>, Result<Vec<Subscribed>, ReadError>),
    /// Some may end.
    Ends,
}

/// Waits until there is something to do; for ever, where nothing is subscribed by interest. Safe to
/// drop while it waits.
pub(super) async fn turn(upkeep: &mut Option<Upkeep>) -> Turn {
    match upkeep {
        Some(upkeep) => upkeep.turn().await,
        None => pending().await,
    }
}

impl Upkeep {
    /// From here on what is of interest is subscribed to.
    pub(super) fn begin(gateway: &Arc<Gateway>) -> Self {
        gateway.router.watch_interests();
        let changed = gateway.router.interests_changed();
        changed.notify_one();
        let mut ends = tokio::time::interval(END_EVERY);
        ends.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { gateway: gateway.clone(), cover: Cover::new(), changed, subscribing: None, ends }
    }

    /// What is subscribed.
    pub(super) fn cover(&self) -> &Cover {
        &self.cover
    }

    async fn turn(&mut self) -> Turn {
        let subscribing = async {
            match &mut self.subscribing {
                Some(subscribing) => subscribing.await,
                None => pending().await,
            }
        };
        tokio::select! {
            (interests, subscribed) = subscribing => Turn::Subscribed(interests, subscribed),
            () = self.changed.notified() => Turn::Changed,
            _ = self.ends.tick() => Turn::Ends,
        }
    }

    /// Does what is to be done.
    pub(super) fn take(&mut self, turn: Turn, feed: &mut InterestFeed) {
        let now = Instant::now();
        let mut pause = Duration::ZERO;
        match turn {
            Turn::Changed => self.cover.note(self.gateway.router.interests(), now),
            Turn::Subscribed(interests, subscribed) => {
                self.subscribing = None;
                self.cover.settled(&interests, subscribed.is_ok(), now);
                match subscribed {
                    Ok(subscribed) => feed.add(subscribed),
                    Err(error) => {
                        tracing::debug!(%error, "not subscribed yet");
                        pause = PAUSE;
                    }
                }
            }
            Turn::Ends => {
                for interest in self.cover.ended(now) {
                    feed.remove(interest);
                }
            }
        }
        metrics::feed_interests(self.cover.len());
        self.subscribe(pause);
    }

    /// Subscribes to what is next, beside the feed; one request at a time.
    fn subscribe(&mut self, pause: Duration) {
        if self.subscribing.is_some() {
            return;
        }
        let interests = self.cover.next(AT_ONCE);
        if interests.is_empty() {
            return;
        }
        let connection = self.gateway.connection.clone();
        self.subscribing = Some(Box::pin(async move {
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            let subscribed = connection.subscribe_to(&interests).await;
            (interests, subscribed)
        }));
    }
}

//! The live feed: what was applied is published at once, before any store is written.

use hansard_model::query::UserNotice;
use hansard_model::{PartitionId, Seq};
use hansard_nats::Connection;
use hansard_nats::live::LiveEvent;
use hansard_nats::log::ReadError;

use crate::fold::Projected;
use crate::metrics;
use crate::queries::{At, entry_of, places_before};
use crate::rows::{Rows, StoreError};

/// Events published again at most after a takeover or an interruption. It need not be all that
/// was missed: a gateway sees by `follows` that there is more, and asks `feed`.
pub(crate) const REPUBLISHED_MAX: usize = 1_024;

/// Publishes on the live feed.
#[derive(Clone)]
pub(crate) struct Live {
    connection: Connection,
    partition: PartitionId,
}

impl Live {
    pub(crate) fn new(connection: &Connection, partition: PartitionId) -> Self {
        Self { connection: connection.clone(), partition }
    }

    /// Publishes a batch, its order first; `at` is the partition with the batch applied.
    pub(crate) async fn publish<R: Rows>(&self, at: &At<R>, batch: &[Projected]) {
        let events: Vec<LiveEvent> = batch.iter().map(live_event).collect();
        let published = async {
            self.connection.publish_order(self.partition, &events).await?;
            for (projected, event) in batch.iter().zip(&events) {
                self.publish_one(at, projected, event).await?;
            }
            Ok::<_, ReadError>(())
        };
        if let Err(error) = published.await {
            tracing::warn!(partition = %self.partition, %error, "live feed");
        }
    }

    /// Who was added hears of it before the event, so that the event finds its way; who was
    /// removed hears of it afterwards, because the event is the last that they see.
    async fn publish_one<R: Rows>(
        &self,
        at: &At<R>,
        projected: &Projected,
        event: &LiveEvent,
    ) -> Result<(), ReadError> {
        for user in &projected.changes.joined {
            self.notify(at, projected, *user).await?;
        }
        self.connection.publish_live(event).await?;
        for user in &projected.changes.left_or_ranked {
            self.notify(at, projected, *user).await?;
        }
        Ok(())
    }

    async fn notify<R: Rows>(
        &self,
        at: &At<R>,
        event: &Projected,
        user: hansard_model::UserId,
    ) -> Result<(), ReadError> {
        match entry_of(at, event.conversation, user).await {
            Ok(Some(entry)) => self.connection.publish_notice(user, &UserNotice { entry }).await,
            Ok(None) => Ok(()),
            Err(error) => {
                // The event itself says it too; the notice is for those who do not hear that.
                tracing::warn!(partition = %self.partition, %error, "a notice was not made");
                Ok(())
            }
        }
    }

    /// Publishes again what was applied after `after`, as it stands now, but at most the last
    /// [`REPUBLISHED_MAX`] events.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn publish_again<R: Rows>(
        &self,
        at: &At<R>,
        after: Seq,
    ) -> Result<(), StoreError> {
        let mut places = places_before(at, Seq(u64::MAX), REPUBLISHED_MAX + 1).await?;
        places.reverse();
        let first = places.partition_point(|(seq, _)| *seq <= after);
        // The one before the first that may be published, if it was read, is what that follows.
        let first = first.max(places.len().saturating_sub(REPUBLISHED_MAX));
        let mut follows = first.checked_sub(1).map_or(Seq::ZERO, |before| places[before].0);
        let again = places.split_off(first);
        let mut events = Vec::with_capacity(again.len());
        for (seq, conversation, entry) in at.ordered(again).await? {
            events.push(LiveEvent {
                conversation,
                seq,
                prev: entry.prev,
                n: entry.n,
                ts: entry.ts,
                follows,
                payload: entry.body,
            });
            follows = seq;
        }
        let published = async {
            self.connection.publish_order(self.partition, &events).await?;
            for event in &events {
                self.connection.publish_live(event).await?;
            }
            Ok::<_, ReadError>(())
        };
        match published.await {
            Ok(()) => metrics::republished(events.len() as u64),
            Err(error) => tracing::warn!(partition = %self.partition, %error, "live feed"),
        }
        Ok(())
    }
}

fn live_event(projected: &Projected) -> LiveEvent {
    LiveEvent {
        conversation: projected.conversation,
        seq: projected.seq,
        prev: projected.prev,
        n: projected.n,
        ts: projected.ts,
        follows: projected.follows,
        payload: projected.payload.clone(),
    }
}

//! The live feed: what was applied is published at once, before any store is written.

use hansard_model::{PartitionId, Seq};
use hansard_nats::Connection;
use hansard_nats::live::LiveEvent;
use hansard_nats::log::ReadError;

use crate::fold::Projected;
use crate::metrics;
use crate::queries::{At, places_before};
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

    /// Publishes a batch.
    pub(crate) async fn publish(&self, batch: &[Projected]) {
        let events: Vec<LiveEvent> = batch.iter().map(live_event).collect();
        if let Err(error) = self.publish_all(&events).await {
            tracing::warn!(partition = %self.partition, %error, "live feed");
        }
    }

    /// Publishes events, their order first. Nothing is read in between: who has the order waits for
    /// the events.
    async fn publish_all(&self, events: &[LiveEvent]) -> Result<(), ReadError> {
        self.connection.publish_order(self.partition, events).await?;
        for event in events {
            self.connection.publish_live(event).await?;
        }
        Ok(())
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
        match self.publish_all(&events).await {
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

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

    /// Publishes a batch, in order; `at` is the partition with the batch applied.
    pub(crate) async fn publish<R: Rows>(&self, at: &At<R>, batch: &[Projected]) {
        for event in batch {
            if let Err(error) = self.publish_one(at, event).await {
                tracing::warn!(
                    partition = %self.partition, event.seq = event.seq.0, %error, "live feed"
                );
                return;
            }
        }
    }

    /// Who was added hears of it before the event, so that the event finds its way; who was
    /// removed hears of it afterwards, because the event is the last that they see.
    async fn publish_one<R: Rows>(&self, at: &At<R>, event: &Projected) -> Result<(), ReadError> {
        for user in &event.changes.joined {
            self.notify(at, event, *user).await?;
        }
        self.connection
            .publish_live(&LiveEvent {
                conversation: event.conversation,
                seq: event.seq,
                prev: event.prev,
                n: event.n,
                ts: event.ts,
                follows: event.follows,
                payload: event.payload.clone(),
            })
            .await?;
        for user in &event.changes.left_or_ranked {
            self.notify(at, event, *user).await?;
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
        let count = again.len() as u64;
        for (seq, conversation, entry) in at.ordered(again).await? {
            let event = LiveEvent {
                conversation,
                seq,
                prev: entry.prev,
                n: entry.n,
                ts: entry.ts,
                follows,
                payload: entry.body,
            };
            if let Err(error) = self.connection.publish_live(&event).await {
                tracing::warn!(partition = %self.partition, %error, "live feed");
                return Ok(());
            }
            follows = seq;
        }
        metrics::republished(count);
        Ok(())
    }
}

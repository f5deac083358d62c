//! The live feed: what was applied is published at once, before any store is written.

use bytes::Bytes;
use hansard_model::query::UserNotice;
use hansard_model::{PartitionId, Seq};
use hansard_nats::Connection;
use hansard_nats::live::LiveEvent;
use hansard_nats::log::ReadError;

use crate::metrics;
use crate::partition::state::{Projected, State};
use crate::queries::entry_of;

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

    /// Publishes a batch that `state` has applied, in order.
    pub(crate) async fn publish(&self, state: &State, batch: &[Projected]) {
        for (event, payload) in batch.iter().zip(payloads(state, batch)) {
            if let Err(error) = self.publish_one(state, event, payload).await {
                tracing::warn!(
                    partition = %self.partition, event.seq = event.seq.0, %error, "live feed"
                );
                return;
            }
        }
    }

    /// Who was added hears of it before the event, so that the event finds its way; who was
    /// removed hears of it afterwards, because the event is the last that they see.
    async fn publish_one(
        &self,
        state: &State,
        event: &Projected,
        payload: Bytes,
    ) -> Result<(), ReadError> {
        for user in &event.changes.joined {
            self.notify(state, event, *user).await?;
        }
        self.connection
            .publish_live(&LiveEvent {
                conversation: event.conversation,
                seq: event.seq,
                prev: event.prev,
                n: event.n,
                ts: event.ts,
                follows: event.follows,
                payload,
            })
            .await?;
        for user in &event.changes.left_or_ranked {
            self.notify(state, event, *user).await?;
        }
        Ok(())
    }

    async fn notify(
        &self,
        state: &State,
        event: &Projected,
        user: hansard_model::UserId,
    ) -> Result<(), ReadError> {
        match entry_of(state, event.conversation, user) {
            Some(entry) => self.connection.publish_notice(user, &UserNotice { entry }).await,
            None => Ok(()),
        }
    }

    /// Publishes again what was applied after `after`, as it stands now, but at most the last
    /// [`REPUBLISHED_MAX`] events.
    pub(crate) async fn publish_again(&self, state: &State, after: Seq) {
        let after = after.max(state.history.tail(REPUBLISHED_MAX));
        let mut follows = state.history.preceding(after.next());
        let mut count = 0;
        for (slot, _, entry) in state.history.after(after) {
            let event = LiveEvent {
                conversation: state.directory.conversation_id(slot),
                seq: entry.seq,
                prev: entry.prev,
                n: entry.n,
                ts: entry.ts,
                follows,
                payload: Bytes::copy_from_slice(entry.body.get().as_bytes()),
            };
            if let Err(error) = self.connection.publish_live(&event).await {
                tracing::warn!(partition = %self.partition, %error, "live feed");
                return;
            }
            follows = entry.seq;
            count += 1;
        }
        metrics::republished(count);
    }
}

/// What is shown of each event of a batch that `state` has applied: not what a later one of the
/// same batch deleted.
pub(crate) fn payloads<'a>(
    state: &'a State,
    batch: &'a [Projected],
) -> impl Iterator<Item = Bytes> + use<'a> {
    let erases = batch.iter().any(|event| event.erases);
    batch.iter().map(move |event| {
        let current = if erases { state.body_at(event.seq) } else { None };
        current.unwrap_or_else(|| event.payload.clone())
    })
}

//! Catch-ups of one conversation share one read of it: the first asks its owner, the others take
//! what came, and the feed keeps it up to date for those who come later (`crate::router::tails`).

use std::sync::Arc;
use std::time::Duration;

use hansard_model::limit::CATCH_UP_DEFAULT;
use hansard_model::query::{EventsRequest, InboxEntry, Page};
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, Seq, UserId};
use hansard_nats::Connection;
use hansard_nats::query::ask;

use super::fetched::Fetched;
use super::plan::{Turn, as_of};
use super::{CatchUpError, PAGE_WITHIN, place_of, until};
use crate::metrics::delivery as metrics;
use crate::reads::Reads;
use crate::router::Router;
use crate::router::tails::{Current, EVENTS_MAX};

/// Reads of tails under way, each with what it gives to all who wait for it.
pub(crate) type TailReads = Reads<ConversationId, Result<Option<Current>, Arc<CatchUpError>>>;

/// How often a tail is read because the one that is there does not reach back far enough.
const ATTEMPTS: usize = 2;
/// How long the feed is waited for.
const FEED_WITHIN: Duration = Duration::from_millis(500);

/// What came of sharing.
pub(super) enum Shared {
    /// What a tail has of the turn.
    Taken(Fetched),
    /// None will do: the owner is to be asked for this reader alone.
    Alone,
    /// Likewise; and who is a member may have changed since this reader's entry was read.
    Changed,
}

/// Fetches turns from tails.
pub(super) struct Sharing<'a> {
    pub(super) reads: &'a TailReads,
    pub(super) connection: &'a Connection,
    pub(super) router: &'a Arc<Router>,
    pub(super) reader: UserId,
}

impl Sharing<'_> {
    /// The newest events of a turn, from a tail that is there or read now.
    ///
    /// # Errors
    /// [`CatchUpError::Shared`] when the owner does not answer: it would not answer this reader.
    pub(super) async fn fetch(&self, turn: &Turn, limit: usize) -> Result<Shared, CatchUpError> {
        // Of a former member the owner knows where their view ends.
        let entry = turn.entry.as_ref().filter(|entry| entry.member.role.is_some());
        let Some(entry) = entry.filter(|_| limit <= EVENTS_MAX) else { return Ok(Shared::Alone) };
        let mut has_read = false;
        for _ in 0..ATTEMPTS {
            let mut kept = self.take(turn, entry, limit);
            if matches!(kept, Err(Unfit::Behind)) {
                self.feed_reaches(turn).await;
                kept = self.take(turn, entry, limit);
            }
            match kept {
                Ok(fetched) => {
                    if !has_read {
                        metrics::history_shared();
                    }
                    return Ok(Shared::Taken(fetched));
                }
                Err(Unfit::Changed) => return Ok(Shared::Changed),
                Err(Unfit::Absent | Unfit::Behind | Unfit::Short) => {}
            }
            match self.read(turn, entry, limit).await {
                Ok((read, own)) => {
                    has_read |= own;
                    // As it was read: it may have passed what a tail cannot follow.
                    match read.map(|current| taken(&current, turn, entry, limit)) {
                        Some(Ok(fetched)) => {
                            if !own {
                                metrics::history_shared();
                            }
                            return Ok(Shared::Taken(fetched));
                        }
                        Some(Err(Unfit::Changed)) => return Ok(Shared::Changed),
                        Some(Err(Unfit::Absent | Unfit::Behind | Unfit::Short)) | None => {}
                    }
                }
                Err(error) if error.is_of_partition() => return Err(CatchUpError::Shared(error)),
                // That the other was never a member, for one, says nothing of this reader.
                Err(_) => return Ok(Shared::Alone),
            }
        }
        Ok(match self.take(turn, entry, limit) {
            Ok(fetched) => Shared::Taken(fetched),
            Err(Unfit::Changed) => Shared::Changed,
            Err(Unfit::Absent | Unfit::Behind | Unfit::Short) => Shared::Alone,
        })
    }

    /// Waits a moment for what an owner has told already and the feed is about to bring: that costs
    /// nobody a read.
    async fn feed_reaches(&self, turn: &Turn) {
        let partition = turn.conversation.partition(self.router.partitions());
        let is_reached = || self.router.position(partition).is_none_or(|at| at >= turn.min);
        // Late is what a read is for.
        let _ = tokio::time::timeout(FEED_WITHIN, until(is_reached)).await;
    }

    /// Reads a tail, or waits for whoever reads it: what came, and whether it was this read.
    async fn read(
        &self,
        turn: &Turn,
        entry: &InboxEntry,
        limit: usize,
    ) -> Result<(Option<Current>, bool), Arc<CatchUpError>> {
        // Members of a group come from many places, which the newest events serve all. In a direct
        // conversation there is hardly anybody to share with. One is needed to know what is left
        // out.
        let (after, limit) = match turn.conversation.is_group() {
            true => (Seq::ZERO, limit.max(CATCH_UP_DEFAULT)),
            false => (turn.after, limit.max(1)),
        };
        let request = EventsRequest {
            conversation: turn.conversation,
            reader: self.reader,
            after: Some(after),
            before: None,
            limit,
            newest: true,
            min_seq: Some(turn.min),
        };
        let (connection, router) = (self.connection.clone(), self.router.clone());
        let known = as_of(entry);
        let mut is_own = false;
        let asked = self.reads.ask(turn.conversation, || {
            is_own = true;
            async move { read(&connection, &router, request, known).await.map_err(Arc::new) }
        });
        asked.await.map(|read| (read, is_own))
    }

    fn take(&self, turn: &Turn, entry: &InboxEntry, limit: usize) -> Result<Fetched, Unfit> {
        let current = self.router.tail(turn.conversation).ok_or(Unfit::Absent)?;
        let fetched = taken(&current, turn, entry, limit)?;
        self.router.note_tail(turn.conversation, &current.tail);
        Ok(fetched)
    }
}

async fn read(
    connection: &Connection,
    router: &Arc<Router>,
    mut request: EventsRequest,
    known: Seq,
) -> Result<Option<Current>, CatchUpError> {
    let conversation = request.conversation;
    let partition = conversation.partition(router.partitions());
    let _place = place_of(router).await?;
    let reading = router.begin_tail(conversation, request.min_seq.unwrap_or(Seq::ZERO));
    request.min_seq = Some(reading.min);
    metrics::history_read();
    let page: Page = ask(connection, partition, QueryVerb::Events, &request, PAGE_WITHIN).await?;
    Ok(router.end_tail(&reading, request.after.unwrap_or(Seq::ZERO), known, &page))
}

/// Why a tail does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Unfit {
    /// There is none.
    Absent,
    /// It does not have what must be included.
    Behind,
    /// It does not reach back far enough.
    Short,
    /// Who may see the conversation may have changed since the reader's membership is known.
    Changed,
}

/// What a tail holds of a turn.
fn taken(
    current: &Current,
    turn: &Turn,
    entry: &InboxEntry,
    limit: usize,
) -> Result<Fetched, Unfit> {
    let Current { tail, as_of: upto } = current;
    if tail.same_members_since() > as_of(entry) {
        return Err(Unfit::Changed);
    }
    if *upto < turn.min {
        return Err(Unfit::Behind);
    }
    let view_from = entry.member.view_from;
    let low = turn.after.max(Seq(view_from.0.saturating_sub(1)));
    let mut fetched = Fetched { none_wanted: limit == 0, as_of: *upto, ..Fetched::default() };
    // One is needed to know what is left out.
    for event in tail.events.iter().rev().take(limit.max(1)).take_while(|event| event.seq > low) {
        if fetched.is_enough() {
            break;
        }
        fetched.bytes += event.frame.len();
        fetched.items.push(event.clone());
    }
    fetched.items.reverse();
    let is_whole = tail.from <= low;
    if !is_whole && !fetched.is_enough() && fetched.items.len() < limit.max(1) {
        return Err(Unfit::Short);
    }
    let before = fetched.items.first().map_or(Seq::ZERO, |first| first.prev);
    fetched.more_before = before != Seq::ZERO && before >= view_from;
    Ok(fetched)
}

#[cfg(test)]
mod tests;

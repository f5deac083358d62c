//! The one catch-up, of WebSocket connections and of `/v1/sync`: from where a client is to the
//! live feed, each event once.
//!
//! A connection is attached first, so that nothing passes unnoticed ([`merge`]); then the inbox
//! says which conversations changed ([`plan`]); then each is fetched from its owner.

pub(crate) mod merge;
pub(crate) mod plan;

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{StreamExt, stream};
use hansard_model::limit::{CATCH_UP_MAX, PAGE_ITEMS_MAX};
use hansard_model::query::{EventsRequest, InboxEntry, Item, Page, QueryError};
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, PartitionId, Seq};
use hansard_nats::live::LiveEvent;
use hansard_nats::query::{AskError, ask};
use hansard_protocol::ServerFrame;
use hansard_protocol::server::Synced;

use crate::Gateway;
use crate::cursor::{Cursor, Start};
use crate::frame::Frame;
use crate::inbox::InboxError;
use crate::metrics::delivery as metrics;
use crate::router::{Attachment, Link, PageBehind};

use self::plan::{Plan, PlanRequest, Turn};

/// How long an owner may take for a page.
const PAGE_WITHIN: Duration = Duration::from_secs(3);
/// Reads of inboxes and pages by all catch-ups of this gateway at a time, in the order asked: a
/// storm of reconnects waits here, not in the owners.
pub(crate) const READS_MAX: usize = 64;
/// Pages of one catch-up that are fetched ahead.
const PAGES_AHEAD: usize = 4;
/// Bytes of events of one conversation in a catch-up; older ones become the gap.
const CONVERSATION_BYTES_MAX: usize = 384 * 1024;
/// How often a conversation is fetched again because more came by than could be held.
const ROUNDS_MAX: usize = 16;
/// How long a catch-up waits for the feed to pass what its pages held, and how often it looks.
const FEED_PASSES_WITHIN: Duration = Duration::from_secs(2);
const FEED_POLL: Duration = Duration::from_millis(2);
/// How often the inbox is read again because too much passed meanwhile.
const PLANS_MAX: usize = 3;

/// What a client asks for.
pub(crate) struct ResumeRequest {
    /// Where it is.
    pub(crate) start: Start,
    /// The cursor as it came: it stays valid when something is missing.
    pub(crate) cursor: Option<String>,
    /// What it has of single conversations.
    pub(crate) seen: HashMap<ConversationId, Seq>,
    /// Events of each conversation.
    pub(crate) catch_up: usize,
    /// Bytes in all; what is over them becomes gaps.
    pub(crate) bytes_max: usize,
}

/// Why a conversation, or all, could not be caught up.
#[derive(Debug, thiserror::Error)]
enum CatchUpError {
    #[error(transparent)]
    Inbox(#[from] InboxError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Behind(#[from] PageBehind),
    #[error("the conversation is faster than its catch-up")]
    TooFast,
    #[error("the feed is faster than the inbox")]
    Overrun,
}

/// Catches a connection up and ends with its `synced` frame. Waits for the reader: the outbox is
/// never filled by a catch-up alone.
pub(crate) async fn run(gateway: &Gateway, attachment: &mut Attachment, request: &ResumeRequest) {
    let complete = catch_up(gateway, attachment, request).await;
    let frozen = (!complete).then(|| request.fallback_cursor(gateway.router.epoch()));
    let reset = request.start == Start::Reset;
    gateway.router.push_synced(attachment.link(), frozen, |cursor| {
        ServerFrame::Synced(Synced { cursor, complete, reset })
    });
}

/// Catches a connection up, without the `synced` at the end; `false` when something is missing.
pub(crate) async fn catch_up(
    gateway: &Gateway,
    attachment: &mut Attachment,
    request: &ResumeRequest,
) -> bool {
    let complete = CatchUp { gateway }.run(attachment, request).await;
    metrics::resumed(complete);
    complete
}

/// A catch-up under way.
struct CatchUp<'a> {
    gateway: &'a Gateway,
}

impl CatchUp<'_> {
    async fn run(&self, attachment: &mut Attachment, request: &ResumeRequest) -> bool {
        let plan = match self.plan(attachment, request).await {
            Ok(plan) => plan,
            Err(error) => {
                tracing::warn!(user.id = %attachment.link().user, %error, "catch-up not planned");
                return false;
            }
        };
        let link = attachment.link();
        let mut complete = true;
        let mut bytes_left = request.bytes_max;
        let mut pages = stream::iter(plan.turns)
            .map(|turn| self.first_page(link, turn, request.catch_up))
            .buffered(PAGES_AHEAD);
        let mut newest: HashMap<PartitionId, Seq> = HashMap::new();
        while let Some((turn, page)) = pages.next().await {
            link.outbox.room().await;
            let pushed = match page {
                Ok(fetched) => self.push(link, &turn, fetched, &mut bytes_left).await,
                Err(error) => Err(error),
            };
            match pushed {
                Ok(seq) => {
                    let partition = turn.conversation.partition(self.gateway.inbox.partitions());
                    let newest = newest.entry(partition).or_default();
                    *newest = seq.max(*newest);
                }
                Err(error) => {
                    tracing::warn!(
                        conversation.id = %turn.conversation,
                        user.id = %link.user,
                        %error,
                        "conversation not caught up"
                    );
                    link.with_merge(|merge| merge.fail(turn.conversation));
                    complete = false;
                }
            }
        }
        self.feed_passes(&newest).await;
        complete
    }

    /// Waits until the feed has passed what the pages held, so that the cursor that comes next
    /// covers it. An owner is ahead of the feed by no more than a message on its way; should the
    /// feed be interrupted, the cursor is behind, and the next resume repeats some events.
    async fn feed_passes(&self, newest: &HashMap<PartitionId, Seq>) {
        let router = &self.gateway.router;
        let passed = || {
            newest
                .iter()
                .all(|(partition, seq)| router.position(*partition).is_some_and(|at| at >= *seq))
        };
        let waiting = async {
            while !passed() {
                tokio::time::sleep(FEED_POLL).await;
            }
        };
        // Late is what the doc comment allows for.
        let _ = tokio::time::timeout(FEED_PASSES_WITHIN, waiting).await;
    }

    async fn plan(
        &self,
        attachment: &mut Attachment,
        request: &ResumeRequest,
    ) -> Result<Plan, CatchUpError> {
        let router = attachment.router().clone();
        let wanted = PlanRequest {
            start: &request.start,
            seen: &request.seen,
            partitions: router.partitions(),
        };
        for _ in 0..PLANS_MAX {
            let entries = {
                let _place = self.gateway.router.reads.acquire().await;
                self.gateway.inbox.entries(attachment.link().user, &[]).await?
            };
            if let Ok(plan) = router.plan(attachment, &entries, &wanted) {
                return Ok(plan);
            }
        }
        Err(CatchUpError::Overrun)
    }

    /// Begins the turn of a conversation and fetches what it needs first.
    async fn first_page(
        &self,
        link: &Link,
        mut turn: Turn,
        catch_up: usize,
    ) -> (Turn, Result<Fetched, CatchUpError>) {
        if turn.only_gap_to.is_some() {
            return (turn, Ok(Fetched::default()));
        }
        let begun = link.with_merge(|merge| merge.begin(turn.conversation, turn.min));
        turn.min = begun.unwrap_or(turn.min);
        let fetched =
            self.fetch(link, &turn, turn.after, turn.min, catch_up.min(CATCH_UP_MAX)).await;
        if turn.entry.is_none() {
            let min = Some(turn.min);
            match self.gateway.inbox.entry(link.user, turn.conversation, min).await {
                Ok(entry) => turn.entry = entry,
                Err(error) => return (turn, Err(error.into())),
            }
        }
        (turn, fetched)
    }

    /// Pushes a conversation: itself, the gap, its events, and what came by meanwhile. Gives the
    /// last event that the pages held or left out.
    async fn push(
        &self,
        link: &Link,
        turn: &Turn,
        mut fetched: Fetched,
        bytes_left: &mut usize,
    ) -> Result<Seq, CatchUpError> {
        if let Some(entry) = &turn.entry {
            link.outbox.push(self.conversation(link, entry));
        }
        if let Some(to) = turn.only_gap_to {
            if to > turn.after {
                link.outbox.push(gap(turn.conversation, turn.after, to));
            }
            return Ok(to);
        }
        let (mut after, mut newest) = (turn.after, Seq::ZERO);
        for _ in 0..ROUNDS_MAX {
            let as_of = fetched.as_of;
            newest = fetched.items.last().map_or(newest, |item| item.seq);
            let frames = fetched.into_frames(turn.conversation, after, bytes_left);
            let Some(min) = link.push_page(turn.conversation, as_of, frames)? else {
                return Ok(newest);
            };
            after = after.max(as_of);
            link.outbox.room().await;
            fetched = self.fetch(link, turn, after, min, PAGE_ITEMS_MAX).await?;
        }
        Err(CatchUpError::TooFast)
    }

    fn conversation(&self, link: &Link, entry: &InboxEntry) -> Frame {
        Frame::server(&ServerFrame::Conversation(self.gateway.inbox.view(link.user, entry)))
    }

    /// The newest events after a position, at most `limit`, as of at least `min`.
    async fn fetch(
        &self,
        link: &Link,
        turn: &Turn,
        after: Seq,
        min: Seq,
        limit: usize,
    ) -> Result<Fetched, CatchUpError> {
        let mut fetched = Fetched { none_wanted: limit == 0, ..Fetched::default() };
        let mut before = None;
        // One is needed to know what is left out.
        let mut left = limit.max(1);
        while left > 0 {
            let request = EventsRequest {
                conversation: turn.conversation,
                reader: link.user,
                after: Some(after),
                before,
                limit: left.min(PAGE_ITEMS_MAX),
                newest: true,
                min_seq: Some(min),
            };
            let page = match self.ask(&request).await {
                Ok(page) => page,
                // Who was never a member of it is owed nothing of it.
                Err(AskError::Query(QueryError::NotAMember)) => {
                    fetched.as_of = fetched.as_of.max(min);
                    break;
                }
                Err(error) => return Err(error.into()),
            };
            if before.is_none() {
                fetched.as_of = page.as_of;
            }
            left = left.saturating_sub(page.items.len());
            before = page.items.first().map(|item| item.seq);
            let more = page.more_before && before.is_some();
            let older = page.items;
            fetched.bytes += older.iter().map(|item| item.body.get().len()).sum::<usize>();
            fetched.items.splice(0..0, older);
            fetched.more_before = more;
            let reached = fetched.items.first().is_none_or(|item| item.prev <= after);
            if !more || reached || fetched.bytes > CONVERSATION_BYTES_MAX {
                break;
            }
        }
        Ok(fetched)
    }

    async fn ask(&self, request: &EventsRequest) -> Result<Page, AskError> {
        let partition = request.conversation.partition(self.gateway.inbox.partitions());
        let _place = self.gateway.router.reads.acquire().await;
        ask(&self.gateway.connection, partition, QueryVerb::Events, request, PAGE_WITHIN).await
    }
}

impl ResumeRequest {
    /// What to resume with when this did not do: the same cursor, or one that says "nothing".
    pub(crate) fn fallback_cursor(&self, epoch: u64) -> String {
        match (&self.start, &self.cursor) {
            (Start::From(_), Some(cursor)) => cursor.clone(),
            (Start::From(_) | Start::Nothing | Start::Reset, _) => {
                Cursor { epoch, positions: Vec::new() }.to_text()
            }
        }
    }
}

/// Events of a conversation, ascending, as of a position.
#[derive(Default)]
struct Fetched {
    items: Vec<Item>,
    as_of: Seq,
    bytes: usize,
    more_before: bool,
    /// The client wants no events: the newest is there to say up to where the gap goes.
    none_wanted: bool,
}

impl Fetched {
    /// The frames: the gap, if something is left out, then the newest events that fit.
    fn into_frames(
        self,
        conversation: ConversationId,
        after: Seq,
        bytes_left: &mut usize,
    ) -> Vec<Frame> {
        let mut bytes_max = CONVERSATION_BYTES_MAX.min(*bytes_left);
        if self.none_wanted {
            bytes_max = 0;
        }
        let mut frames = Vec::with_capacity(self.items.len() + 1);
        let mut gap_to = None;
        let mut room = bytes_max;
        for item in self.items.iter().rev() {
            let Some(left) = room.checked_sub(item.body.get().len()) else {
                gap_to = Some(item.seq);
                break;
            };
            room = left;
            frames.push(event(conversation, item));
        }
        if gap_to.is_none() && self.more_before {
            gap_to = self.items.first().map(|first| first.prev);
        }
        *bytes_left -= (bytes_max - room).min(*bytes_left);
        frames.extend(gap_to.filter(|to| *to > after).map(|to| gap(conversation, after, to)));
        frames.reverse();
        frames
    }
}

fn gap(conversation: ConversationId, from: Seq, to: Seq) -> Frame {
    Frame::server(&ServerFrame::Gap { conversation, from, to })
}

fn event(conversation: ConversationId, item: &Item) -> Frame {
    Frame::event(&LiveEvent {
        conversation,
        seq: item.seq,
        prev: item.prev,
        n: item.n,
        ts: item.ts,
        follows: Seq::ZERO,
        payload: bytes::Bytes::copy_from_slice(item.body.get().as_bytes()),
    })
}

#[cfg(test)]
mod tests;

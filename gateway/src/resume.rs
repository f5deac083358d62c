//! The one catch-up, of WebSocket connections and of `/v1/sync`: from where a client is to the
//! live feed, each event once.
//!
//! A connection is attached first, so that nothing passes unnoticed ([`merge`]); then the inbox
//! says which conversations changed ([`plan`]); then each is fetched, from what others have fetched
//! before (`shared`) or from its owner.

mod fetched;
pub(crate) mod merge;
pub(crate) mod plan;
mod shared;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use hansard_model::limit::{CATCH_UP_MAX, PAGE_ITEMS_MAX};
use hansard_model::query::{EventsRequest, InboxEntry, Page, QueryError};
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, PartitionId, Seq};
use hansard_nats::query::{AskError, ask};
use hansard_nats::receipts::StoredMarks;
use hansard_protocol::ServerFrame;
use hansard_protocol::http::Conversation;
use hansard_protocol::server::Synced;
use tokio::sync::SemaphorePermit;
use tokio::time::Instant;

use crate::Gateway;
use crate::cursor::{Cursor, Start};
use crate::frame::Frame;
use crate::inbox::InboxError;
use crate::metrics::delivery as metrics;
use crate::receipts::tell::{MissedError, as_told};
use crate::router::{Attachment, Link, PageBehind, Router};

use self::fetched::{Fetched, event, gap};
use self::plan::{Plan, PlanRequest, Turn, last_visible};
pub(crate) use self::shared::TailReads;
use self::shared::{Shared, Sharing};

/// How long an owner may take for a page.
const PAGE_WITHIN: Duration = Duration::from_secs(3);
/// Reads of inboxes and pages by all catch-ups of this gateway at a time, in the order asked: a
/// storm of reconnects waits here, not in the owners.
pub(crate) const READS_MAX: usize = 64;
/// How long a read waits for its place.
const PLACE_WITHIN: Duration = Duration::from_secs(10);
/// With fewer bytes left than this nothing is fetched any more.
const TURN_BYTES_MIN: usize = 1024;
/// How often a conversation is fetched again because more came by than could be held.
const ROUNDS_MAX: usize = 16;
/// How long a catch-up waits for the feed to pass what its pages held.
const FEED_PASSES_WITHIN: Duration = Duration::from_secs(2);
/// How soon it is looked again where the feed is, at first and later: a look takes the router's
/// lock, and many may wait.
const FEED_POLL_FROM: Duration = Duration::from_millis(2);
const FEED_POLL_TO: Duration = Duration::from_millis(50);
/// How often the inbox is read again because too much passed meanwhile.
const PLANS_MAX: usize = 3;

/// What a client asks for.
pub(crate) struct ResumeRequest {
    /// Where it is.
    pub(crate) start: Start,
    /// The cursor as it came: it stays valid when something is missing.
    pub(crate) cursor: Option<String>,
    /// When it is its turn.
    pub(crate) turn: Instant,
    /// What it has of single conversations.
    pub(crate) seen: HashMap<ConversationId, Seq>,
    /// Events of each conversation.
    pub(crate) catch_up: usize,
    /// Bytes in all; what is over them becomes gaps.
    pub(crate) bytes_max: usize,
    /// How long events are fetched; what is left then becomes gaps. `None`: until all are.
    pub(crate) fetch_within: Option<Duration>,
}

/// Why a conversation, or all, could not be caught up.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CatchUpError {
    #[error(transparent)]
    Inbox(#[from] InboxError),
    #[error(transparent)]
    Missed(#[from] MissedError),
    #[error(transparent)]
    Ask(#[from] AskError),
    #[error(transparent)]
    Behind(#[from] PageBehind),
    #[error("the conversation is faster than its catch-up")]
    TooFast,
    #[error("the feed is faster than the inbox")]
    Overrun,
    #[error("too many others catch up")]
    Crowded,
    #[error("the partition has not answered before")]
    Unanswered,
    #[error(transparent)]
    Shared(Arc<Self>),
}

impl CatchUpError {
    /// Whether the next conversation of the partition would not fare better.
    fn is_of_partition(&self) -> bool {
        match self {
            Self::Shared(error) => error.is_of_partition(),
            Self::Ask(AskError::Unavailable) | Self::Crowded => true,
            Self::Ask(AskError::Query(error)) => {
                matches!(error, QueryError::Behind | QueryError::Busy | QueryError::Unavailable)
            }
            _ => false,
        }
    }
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

/// What a catch-up is about.
struct Planned {
    plan: Plan,
    /// The inbox, as of then.
    entries: Vec<InboxEntry>,
    /// Receipts that were told while nobody was there.
    missed: Vec<StoredMarks>,
    /// Up to here receipts were told before those were read.
    receipts: Seq,
}

/// What a catch-up may still spend.
struct Budget {
    bytes: usize,
    until: Option<Instant>,
}

impl Budget {
    fn is_used_up(&self) -> bool {
        self.bytes < TURN_BYTES_MIN || self.until.is_some_and(|until| Instant::now() >= until)
    }
}

impl CatchUp<'_> {
    async fn run(&self, attachment: &mut Attachment, request: &ResumeRequest) -> bool {
        tokio::time::sleep_until(request.turn).await;
        let Planned { plan, entries, mut missed, receipts } = match self
            .plan(attachment, request)
            .await
        {
            Ok(planned) => planned,
            Err(error) => {
                tracing::warn!(user.id = %attachment.link().user, %error, "catch-up not planned");
                return false;
            }
        };
        let link = attachment.link();
        let mut complete = true;
        // What came by for the user's groups before the connection was on their rosters.
        let changes = &self.gateway.receipt_changes;
        match changes.told_since(self.gateway, link.user, &entries, receipts).await {
            Ok(told) => missed.extend(told),
            Err(error) => {
                tracing::warn!(user.id = %link.user, %error, "receipts not caught up");
                complete = false;
            }
        }
        drop(entries);
        let mut budget = Budget {
            bytes: request.bytes_max,
            until: request.fetch_within.map(|within| Instant::now() + within),
        };
        let mut newest: HashMap<PartitionId, Seq> = HashMap::new();
        let mut unanswered: HashSet<PartitionId> = HashSet::new();
        // One after the other, with nothing under way while the reader is waited for: a read that
        // nobody polls would keep its place from everybody else.
        for turn in plan.turns {
            let conversation = turn.conversation;
            let partition = conversation.partition(self.gateway.inbox.partitions());
            link.outbox.room().await;
            let pushed = if unanswered.contains(&partition) {
                Err(CatchUpError::Unanswered)
            } else {
                self.turn(link, turn, request.catch_up, &mut budget).await
            };
            match pushed {
                Ok(seq) => {
                    let newest = newest.entry(partition).or_default();
                    *newest = seq.max(*newest);
                }
                Err(error) => {
                    tracing::warn!(
                        conversation.id = %conversation,
                        user.id = %link.user,
                        %error,
                        "conversation not caught up"
                    );
                    link.with_merge(|merge| merge.fail(conversation));
                    if error.is_of_partition() {
                        unanswered.insert(partition);
                    }
                    complete = false;
                }
            }
        }
        // Behind the conversations and events that they are of.
        self.gateway.router.catch_up_receipts(link, as_told(link.user, &missed));
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
        // Late is what the doc comment allows for.
        let _ = tokio::time::timeout(FEED_PASSES_WITHIN, until(passed)).await;
    }

    async fn plan(
        &self,
        attachment: &mut Attachment,
        request: &ResumeRequest,
    ) -> Result<Planned, CatchUpError> {
        let router = attachment.router().clone();
        let user = attachment.link().user;
        // The connection is attached: what is set from here on is announced to it.
        let settings = match &request.start {
            Start::From { accounts, .. } => self.gateway.directory.settings_after(user, *accounts),
            Start::Nothing | Start::Reset => Vec::new(),
        };
        for _ in 0..PLANS_MAX {
            let (mut entries, missed, receipts) = {
                let _place = self.place().await?;
                router.begin_plan(attachment);
                let mut entries = self.gateway.inbox.entries(user, &[]).await?;
                self.gateway.inbox.with_receipts(user, &mut entries).await?;
                let changes = &self.gateway.receipt_changes;
                let receipts = router.receipts();
                let missed = changes.missed(self.gateway, user, &entries, &request.start).await?;
                (entries, missed, receipts)
            };
            // What the user has read elsewhere changes their view, as what they have set does.
            let read = missed.iter().filter(|stored| stored.key.user == user);
            let is_from = matches!(request.start, Start::From { .. });
            let read = read.filter(|_| is_from).map(|stored| stored.key.conversation);
            let mut known: HashSet<ConversationId> = HashSet::new();
            let mut changed: Vec<ConversationId> = settings.iter().copied().chain(read).collect();
            changed.retain(|conversation| known.insert(*conversation));
            let wanted = PlanRequest {
                start: &request.start,
                seen: &request.seen,
                settings: &changed,
                partitions: router.partitions(),
            };
            self.gateway.inbox.add_unspoken(user, &settings, &mut entries);
            if let Ok(plan) = router.plan(attachment, &entries, &wanted) {
                return Ok(Planned { plan, entries, missed, receipts });
            }
        }
        Err(CatchUpError::Overrun)
    }

    /// The turn of a conversation: fetches it, as far as the budget goes, and pushes it. Gives the
    /// last event that was pushed or left out.
    async fn turn(
        &self,
        link: &Link,
        mut turn: Turn,
        catch_up: usize,
        budget: &mut Budget,
    ) -> Result<Seq, CatchUpError> {
        if let Some(upto) = self.leave_out(link, &turn, budget) {
            return Ok(upto);
        }
        let begun = link.with_merge(|merge| merge.begin(turn.conversation, turn.min));
        turn.min = begun.unwrap_or(turn.min);
        let limit = catch_up.min(CATCH_UP_MAX);
        let Gateway { tail_reads: reads, connection, router, .. } = self.gateway;
        let sharing = Sharing { reads, connection, router, reader: link.user };
        let shared = sharing.fetch(&turn, limit).await?;
        if matches!(shared, Shared::Changed) {
            // What it says of the membership may have been told otherwise by now: it is read again.
            turn.entry = None;
        }
        let fetched = match shared {
            Shared::Taken(fetched) => fetched,
            Shared::Alone | Shared::Changed => {
                self.fetch(link, &turn, turn.after, turn.min, limit).await?
            }
        };
        if turn.entry.is_none() {
            let min = Some(turn.min);
            turn.entry = self.gateway.inbox.entry(link.user, turn.conversation, min).await?;
        }
        if let Some(entry) = &turn.entry
            && let Some(frame) = self.conversation(link, entry, turn.is_set, budget)
        {
            link.outbox.push(frame);
        }
        self.push(link, &turn, fetched, budget).await
    }

    /// States that everything is left out, when the plan says so or the budget is used up. `None`:
    /// it must be fetched, because the inbox does not know all that has come by.
    fn leave_out(&self, link: &Link, turn: &Turn, budget: &mut Budget) -> Option<Seq> {
        let entry = turn.entry.as_ref()?;
        let over = || budget.is_used_up().then(|| last_visible(entry));
        let upto = turn.only_gap_to.or_else(over)?;
        let gap = (upto > turn.after).then(|| gap(turn.conversation, turn.after, upto));
        budget.bytes = budget.bytes.saturating_sub(gap.as_ref().map_or(0, Frame::len));
        let frames = self.conversation(link, entry, turn.is_set, budget).into_iter().chain(gap);
        link.leave_out(turn.conversation, upto, frames).then_some(upto)
    }

    /// Pushes the events of a conversation, with the gap, and what came by meanwhile. Gives the
    /// last event that the pages held or left out.
    async fn push(
        &self,
        link: &Link,
        turn: &Turn,
        mut fetched: Fetched,
        budget: &mut Budget,
    ) -> Result<Seq, CatchUpError> {
        let (mut after, mut newest) = (turn.after, Seq::ZERO);
        for _ in 0..ROUNDS_MAX {
            let as_of = fetched.as_of;
            newest = fetched.items.last().map_or(newest, |item| item.seq);
            let frames = fetched.into_frames(turn.conversation, after, &mut budget.bytes);
            let Some(min) = link.push_page(turn.conversation, as_of, frames)? else {
                return Ok(newest);
            };
            after = after.max(as_of);
            link.outbox.room().await;
            fetched = self.fetch(link, turn, after, min, PAGE_ITEMS_MAX).await?;
        }
        Err(CatchUpError::TooFast)
    }

    /// The conversation itself, if it is within the budget. That a membership ended, or that its
    /// user has changed settings (`is_set`), is said in any case: nothing that comes later would.
    fn conversation(
        &self,
        link: &Link,
        entry: &InboxEntry,
        is_set: bool,
        budget: &mut Budget,
    ) -> Option<Frame> {
        let view = || self.gateway.inbox.view(link.user, entry);
        let frame = Frame::server(&ServerFrame::Conversation(view()));
        if let Some(left) = budget.bytes.checked_sub(frame.len()) {
            budget.bytes = left;
            return Some(frame);
        }
        (is_set || entry.member.role.is_none()).then(|| {
            let short = Conversation { last: None, ..view() };
            Frame::server(&ServerFrame::Conversation(short))
        })
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
                Err(CatchUpError::Ask(AskError::Query(QueryError::NotAMember))) => {
                    fetched.as_of = fetched.as_of.max(min);
                    break;
                }
                Err(error) => return Err(error),
            };
            if before.is_none() {
                fetched.as_of = page.as_of;
            }
            left = left.saturating_sub(page.items.len());
            before = page.items.first().map(|item| item.seq);
            let more = page.more_before && before.is_some();
            let older = page.items.iter().map(|item| event(turn.conversation, item));
            let older: Vec<_> = older.collect();
            fetched.bytes += older.iter().map(|item| item.frame.len()).sum::<usize>();
            fetched.items.splice(0..0, older);
            fetched.more_before = more;
            let reached = fetched.items.first().is_none_or(|item| item.prev <= after);
            if !more || reached || fetched.is_enough() {
                break;
            }
        }
        Ok(fetched)
    }

    async fn ask(&self, request: &EventsRequest) -> Result<Page, CatchUpError> {
        let partition = request.conversation.partition(self.gateway.inbox.partitions());
        let connection = &self.gateway.connection;
        let _place = self.place().await?;
        metrics::history_read();
        Ok(ask(connection, partition, QueryVerb::Events, request, PAGE_WITHIN).await?)
    }

    async fn place(&self) -> Result<SemaphorePermit<'_>, CatchUpError> {
        place_of(&self.gateway.router).await
    }
}

/// Returns once something is so of where the feed is.
async fn until(is_so: impl Fn() -> bool) {
    let mut pause = FEED_POLL_FROM;
    while !is_so() {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(FEED_POLL_TO);
    }
}

/// A place for a read, when it is its turn.
async fn place_of(router: &Router) -> Result<SemaphorePermit<'_>, CatchUpError> {
    match tokio::time::timeout(PLACE_WITHIN, router.reads.acquire()).await {
        Ok(Ok(place)) => Ok(place),
        Ok(Err(_)) | Err(_) => Err(CatchUpError::Crowded),
    }
}

impl ResumeRequest {
    /// What to resume with when this did not do: the same cursor, or one that says "nothing".
    pub(crate) fn fallback_cursor(&self, epoch: u64) -> String {
        match (&self.start, &self.cursor) {
            (Start::From { .. }, Some(cursor)) => cursor.clone(),
            (Start::From { .. } | Start::Nothing | Start::Reset, _) => {
                let (accounts, receipts) = (Seq::ZERO, Seq::ZERO);
                Cursor { epoch, positions: Vec::new(), accounts, receipts }.to_text()
            }
        }
    }
}

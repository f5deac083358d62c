//! The newest events of conversations, as frames that all who catch up share.
//!
//! A tail is read from the owner once and kept up to date by the feed itself, under the router's
//! lock: at any moment it holds every event of its conversation up to the feed's position, or
//! further. What the feed cannot keep exact, because an event changes earlier ones, is dropped and
//! read anew by whoever needs it next.
//!
//! A tail says nothing of who may see it: that is decided for each reader, who may take it only if
//! nothing in it, nor anything that it may have left out, is of the kind that changes who is a
//! member, after the position as of which their membership is known.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use hansard_model::query::Page;
use hansard_model::{ConversationId, PartitionId, Seq};
use hansard_nats::live::LiveEvent;
use quick_cache::Weighter;
use quick_cache::sync::Cache;
use tokio::time::Instant;

use crate::frame::Frame;
use crate::router::{Router, State, is_meta};

/// Events of a tail; older ones are forgotten.
pub(crate) const EVENTS_MAX: usize = 500;
/// Bytes of the frames of a tail: what one conversation may have in a catch-up.
const TAIL_BYTES_MAX: usize = 512 * 1024;
/// Bytes of all tails.
const BYTES_MAX: u64 = 32 * 1024 * 1024;
/// About how many tails that is.
const TAILS_ABOUT: usize = 2_000;
/// What an event costs in memory besides its frame, in bytes; about.
const EVENT_BYTES: usize = 100;
/// A tail that nobody asked for in this time is not kept up to date any more.
const KEPT_FOR: Duration = Duration::from_secs(60);
/// Events that may pass while a tail is read; with more it is used once and not kept.
const PASSED_MAX: usize = 256;

/// An event, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct TailEvent {
    pub(crate) seq: Seq,
    pub(crate) prev: Seq,
    pub(crate) frame: Frame,
}

/// The newest events of a conversation, ascending and without a hole.
#[derive(Clone, Debug)]
pub(crate) struct Tail {
    pub(crate) events: VecDeque<TailEvent>,
    /// Every event after this is in it.
    pub(crate) from: Seq,
    /// Everything up to here is in it, whatever the feed has passed.
    as_of: Seq,
    /// The last event that may change who sees the conversation, as far as it is in it.
    last_meta: Seq,
    /// Of such events up to here nothing is known: the tail was read from here on.
    meta_from: Seq,
    asked: Instant,
    /// What the events take.
    bytes: usize,
}

/// What is in a tail up to now.
#[derive(Clone, Debug)]
pub(crate) struct Current {
    pub(crate) tail: Arc<Tail>,
    /// All of the conversation up to here is in it.
    pub(crate) as_of: Seq,
}

/// The tails of a gateway, and those that are being read.
pub(super) struct Tails {
    kept: Cache<ConversationId, Arc<Tail>, ByBytes>,
    /// What passed since a read began. There are as many as places for reads.
    reading: HashMap<ConversationId, Reading>,
    reads: u64,
}

struct Reading {
    number: u64,
    passed: Vec<LiveEvent>,
    is_over: bool,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<ConversationId, Arc<Tail>> for ByBytes {
    fn weight(&self, _: &ConversationId, tail: &Arc<Tail>) -> u64 {
        (tail.bytes + EVENT_BYTES) as u64
    }
}

/// A read of a tail under way: what passes is noted until it ends.
pub(crate) struct TailRead {
    router: Arc<Router>,
    conversation: ConversationId,
    number: u64,
    /// The answer must have everything up to here.
    pub(crate) min: Seq,
}

impl Drop for TailRead {
    fn drop(&mut self) {
        let reading = &mut self.router.lock().tails.reading;
        if reading.get(&self.conversation).is_some_and(|read| read.number == self.number) {
            reading.remove(&self.conversation);
        }
    }
}

impl TailEvent {
    fn bytes(&self) -> usize {
        EVENT_BYTES + self.frame.len()
    }
}

impl Tail {
    /// A page from its owner: the newest events after a position, or as many as fit.
    fn of(conversation: ConversationId, after: Seq, page: &Page) -> Self {
        let mut tail = Self {
            events: VecDeque::with_capacity(page.items.len()),
            from: after.max(Seq(page.view_from.0.saturating_sub(1))),
            as_of: page.as_of,
            last_meta: Seq::ZERO,
            meta_from: Seq::ZERO,
            asked: Instant::now(),
            bytes: 0,
        };
        if page.more_before {
            // Without any event it holds none of those that there are.
            tail.from = tail.from.max(page.items.first().map_or(page.as_of, |first| first.prev));
        }
        // Only a group has members that change.
        if conversation.is_group() {
            tail.meta_from = tail.from;
        }
        for item in &page.items {
            tail.push(&LiveEvent {
                conversation,
                seq: item.seq,
                prev: item.prev,
                n: item.n,
                ts: item.ts,
                follows: Seq::ZERO,
                payload: bytes::Bytes::copy_from_slice(item.body.get().as_bytes()),
            });
        }
        tail
    }

    /// No event after this, up to the end of the tail, changes who sees the conversation.
    pub(crate) fn same_members_since(&self) -> Seq {
        self.last_meta.max(self.meta_from)
    }

    fn last(&self) -> Option<Seq> {
        self.events.back().map(|event| event.seq)
    }

    fn push(&mut self, event: &LiveEvent) {
        if is_meta(&event.payload) {
            self.last_meta = event.seq;
        }
        let (seq, prev, frame) = (event.seq, event.prev, Frame::event(event));
        let event = TailEvent { seq, prev, frame };
        self.bytes += event.bytes();
        self.events.push_back(event);
    }

    /// Takes the next event. `false`: the tail is not exact any more.
    fn follow(&mut self, event: &LiveEvent) -> bool {
        if event.seq <= self.as_of || self.last().is_some_and(|last| event.seq <= last) {
            return true;
        }
        let follows = self.last().map_or(event.prev <= self.from, |last| event.prev == last);
        if !follows || changes_earlier(&event.payload) {
            return false;
        }
        self.push(event);
        while self.events.len() > EVENTS_MAX || self.bytes > TAIL_BYTES_MAX {
            let Some(oldest) = self.events.pop_front() else { break };
            self.from = oldest.seq;
            self.bytes -= oldest.bytes();
        }
        true
    }
}

/// Whether an event may change how earlier ones, or it itself, are shown: a deletion takes the text
/// from its message and from edits of it. A cheap look that never misses one.
fn changes_earlier(payload: &[u8]) -> bool {
    [&br#""kind":"delete""#[..], br#""kind":"edit""#]
        .iter()
        .any(|kind| payload.windows(kind.len()).any(|window| window == *kind))
}

impl Tails {
    pub(super) fn new() -> Self {
        let kept = Cache::with_weighter(TAILS_ABOUT, BYTES_MAX, ByBytes);
        Self { kept, reading: HashMap::new(), reads: 0 }
    }

    /// A live event passes.
    pub(super) fn live(&mut self, event: &LiveEvent) {
        if let Some(reading) = self.reading.get_mut(&event.conversation) {
            if reading.passed.len() < PASSED_MAX {
                reading.passed.push(event.clone());
            } else {
                reading.is_over = true;
            }
        }
        // Taken out, so that it is copied only while somebody reads it.
        let Some((_, mut tail)) = self.kept.remove(&event.conversation) else { return };
        if tail.asked.elapsed() < KEPT_FOR && Arc::make_mut(&mut tail).follow(event) {
            self.kept.insert(event.conversation, tail);
        }
    }

    /// An event passes of which nothing is known: what there is of its conversation ends before it.
    pub(super) fn unseen(&mut self, conversation: ConversationId) {
        if let Some(reading) = self.reading.get_mut(&conversation) {
            reading.is_over = true;
        }
        self.kept.remove(&conversation);
    }

    /// Nothing of before is to be relied on.
    pub(super) fn clear(&mut self) {
        self.kept.clear();
        // A read under way finds that it is not listed, and is not kept.
        self.reading.clear();
    }
}

impl State {
    fn tail(&self, conversation: ConversationId, partition: PartitionId) -> Option<Current> {
        let position = self.positions.get(partition.index()).copied().flatten()?;
        let tail = self.tails.kept.get(&conversation)?;
        let as_of = tail.as_of.max(position);
        Some(Current { tail, as_of })
    }
}

impl Router {
    /// The tail of a conversation, if there is one, in one step with the feed.
    pub(crate) fn tail(&self, conversation: ConversationId) -> Option<Current> {
        self.lock().tail(conversation, conversation.partition(self.partitions))
    }

    /// A tail is about to be read, as of `min` or later.
    pub(crate) fn begin_tail(self: &Arc<Self>, conversation: ConversationId, min: Seq) -> TailRead {
        let mut state = self.lock();
        state.tails.reads += 1;
        let number = state.tails.reads;
        let partition = conversation.partition(self.partitions);
        let position = state.positions.get(partition.index()).copied().flatten();
        // Where it is not known what has passed, what passes next may not be what comes next.
        if position.is_some() {
            let reading = Reading { number, passed: Vec::new(), is_over: false };
            state.tails.reading.insert(conversation, reading);
        }
        let min = min.max(position.unwrap_or(Seq::ZERO));
        TailRead { router: self.clone(), conversation, number, min }
    }

    /// The tail was read: its newest events after `after`, by somebody whose membership is known as
    /// of `known`. It is kept, unless something passed meanwhile that it cannot take. What was read
    /// is given back, kept or not, for those who waited for it; `None`: the page may end where its
    /// reader's view does, or before what it must include.
    pub(crate) fn end_tail(
        &self,
        read: &TailRead,
        after: Seq,
        known: Seq,
        page: &Page,
    ) -> Option<Current> {
        let tail = Tail::of(read.conversation, after, page);
        let mut state = self.lock();
        let listed = state.tails.reading.get(&read.conversation);
        let is_listed = listed.is_some_and(|reading| reading.number == read.number);
        let reading = is_listed.then(|| state.tails.reading.remove(&read.conversation)).flatten();
        if page.as_of < read.min || tail.last_meta > known {
            return None;
        }
        if let Some(reading) = reading.filter(|reading| !reading.is_over) {
            let mut kept = tail.clone();
            if reading.passed.iter().all(|event| kept.follow(event)) {
                state.tails.kept.insert(read.conversation, Arc::new(kept));
            }
        }
        Some(Current { tail: Arc::new(tail), as_of: page.as_of })
    }

    /// Somebody took the tail: it is worth keeping.
    pub(crate) fn note_tail(&self, conversation: ConversationId, tail: &Arc<Tail>) {
        if tail.asked.elapsed() < KEPT_FOR / 4 {
            return;
        }
        let mut noted = Tail::clone(tail);
        noted.asked = Instant::now();
        let state = self.lock();
        // Another one has come meanwhile, with what passed.
        if state.tails.kept.get(&conversation).is_some_and(|kept| Arc::ptr_eq(&kept, tail)) {
            state.tails.kept.insert(conversation, Arc::new(noted));
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;

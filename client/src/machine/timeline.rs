//! The timelines: each event once, in order, without holes. `prev` is checked for every event; a
//! hole is closed by reading the chain before anything after it is shown.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use hansard_model::{ConversationId, Seq};
use hansard_protocol::Retry;

use crate::backoff::{Backoff, Dice};
use crate::event::StoredEvent;
use crate::frame::Gap;
use crate::machine::action::{Action, Change, EventsRequest, ViewRequest};
use crate::machine::clock::Moment;
use crate::refusal::Refusal;
use crate::update::Update;

/// Events of one conversation held back behind a hole; later ones are read again instead.
const HELD_EVENTS_MAX: usize = 512;
/// Repairs that read at the same time.
const READS_MAX: usize = 4;

/// An answer to [`Action::FetchEvents`].
#[derive(Debug)]
pub struct Page {
    /// Ascending.
    pub events: Vec<StoredEvent>,
    /// There are later ones.
    pub more: bool,
}

/// Why a read gave nothing.
#[derive(Clone, Debug)]
pub enum ReadFailure {
    /// The server's word.
    Refused(Refusal),
    /// No answer, or one that cannot be read.
    NoAnswer,
}

#[derive(Debug, Default)]
pub(crate) struct Timelines {
    timelines: HashMap<ConversationId, Timeline>,
    repairing: BTreeSet<ConversationId>,
    reading: usize,
    generation: u64,
}

#[derive(Debug, Default)]
struct Timeline {
    last: Option<Seq>,
    view_from: Seq,
    repair: Option<Repair>,
}

#[derive(Debug)]
struct Repair {
    held: BTreeMap<Seq, Arc<StoredEvent>>,
    /// The latest event known to exist, held or not.
    latest: Seq,
    read: Read,
    asked_view: bool,
    failures: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Read {
    Due(u64),
    UnderWay,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Seen,
    Next,
    /// The first event of a view that begins here: its `prev` is not to be checked, and what is
    /// before it is not loaded.
    Anew,
    BehindHole,
}

impl Timeline {
    fn place(&self, event: &StoredEvent) -> Place {
        match self.last {
            None if event.prev == Seq::ZERO || event.prev < self.view_from => Place::Next,
            // An older conversation than the first load brought: its history is to be paged.
            None => Place::Anew,
            Some(last) if event.seq <= last => Place::Seen,
            Some(last) if event.prev == last => Place::Next,
            Some(last) if last < self.view_from && self.view_from <= event.seq => Place::Anew,
            Some(_) => Place::BehindHole,
        }
    }

    fn accept(&mut self, event: Arc<StoredEvent>, out: &mut Vec<Action>) {
        self.last = Some(event.seq);
        out.push(Action::Persist(Change::Event(Arc::clone(&event))));
        out.push(Action::Publish(Update::Event(event)));
    }

    /// Goes on after `to` without what is before it.
    fn skip(&mut self, conversation: ConversationId, to: Seq, out: &mut Vec<Action>) {
        let from = self.last.unwrap_or(Seq::ZERO);
        self.last = Some(to);
        out.push(Action::Persist(Change::Skip { conversation, through: to }));
        out.push(Action::Publish(Update::Gap(Gap { conversation, from, to })));
    }

    /// Takes an event; `false` if there is a hole before it.
    fn take(&mut self, event: &Arc<StoredEvent>, out: &mut Vec<Action>) -> bool {
        match self.place(event) {
            Place::Seen => true,
            Place::Next => {
                self.accept(Arc::clone(event), out);
                true
            }
            Place::Anew => {
                self.skip(event.conversation, event.prev, out);
                self.accept(Arc::clone(event), out);
                true
            }
            Place::BehindHole => false,
        }
    }

    /// Takes an event even behind a hole, which the server has confirmed or will not fill.
    fn take_anyway(&mut self, event: &Arc<StoredEvent>, out: &mut Vec<Action>) {
        if !self.take(event, out) {
            self.skip(event.conversation, event.prev, out);
            self.accept(Arc::clone(event), out);
        }
    }

    /// Takes what the hole held back, as far as there is no other hole.
    fn take_held(&mut self, out: &mut Vec<Action>) {
        let Some(mut repair) = self.repair.take() else { return };
        while let Some(first) = repair.held.first_entry() {
            if !self.take(first.get(), out) {
                break;
            }
            first.remove();
        }
        self.repair = Some(repair);
    }

    fn is_whole(&self) -> bool {
        self.repair.as_ref().is_none_or(|repair| {
            repair.held.is_empty() && self.last.is_some_and(|last| last >= repair.latest)
        })
    }
}

impl Timelines {
    pub(crate) fn restore(known: Vec<(ConversationId, Seq, Seq)>) -> Self {
        let timelines = known.into_iter().map(|(conversation, last, view_from)| {
            let last = (last > Seq::ZERO).then_some(last);
            (conversation, Timeline { last, view_from, repair: None })
        });
        Self { timelines: timelines.collect(), ..Self::default() }
    }

    /// No conversation waits for a read: everything received is shown.
    pub(crate) fn are_whole(&self) -> bool {
        self.repairing.is_empty()
    }

    pub(crate) fn view_from(&mut self, conversation: ConversationId, view_from: Seq) {
        self.timelines.entry(conversation).or_default().view_from = view_from;
    }

    pub(crate) fn event(&mut self, now: Moment, event: Arc<StoredEvent>, out: &mut Vec<Action>) {
        let timeline = self.timelines.entry(event.conversation).or_default();
        if let Some(repair) = &mut timeline.repair {
            repair.latest = repair.latest.max(event.seq);
            if repair.held.len() < HELD_EVENTS_MAX {
                repair.held.insert(event.seq, event);
            }
        } else if !timeline.take(&event, out) {
            let (conversation, latest) = (event.conversation, event.seq);
            timeline.repair = Some(Repair {
                held: BTreeMap::from([(event.seq, event)]),
                latest,
                read: Read::Due(now.tick_ms),
                asked_view: false,
                failures: 0,
            });
            self.repairing.insert(conversation);
        }
    }

    pub(crate) fn gap(&mut self, gap: Gap, out: &mut Vec<Action>) {
        let timeline = self.timelines.entry(gap.conversation).or_default();
        if timeline.last.is_some_and(|last| last >= gap.to) {
            return;
        }
        timeline.skip(gap.conversation, gap.to, out);
        timeline.take_held(out);
        self.finish_if_whole(gap.conversation);
    }

    /// Starts the reads that are due, a few at a time.
    pub(crate) fn pump(&mut self, now: Moment, out: &mut Vec<Action>) {
        for conversation in &self.repairing {
            if self.reading >= READS_MAX {
                return;
            }
            let Some(timeline) = self.timelines.get_mut(conversation) else { continue };
            let Some(repair) = &mut timeline.repair else { continue };
            if matches!(repair.read, Read::Due(due) if due <= now.tick_ms) {
                repair.read = Read::UnderWay;
                self.reading += 1;
                out.push(Action::FetchEvents(EventsRequest {
                    conversation: *conversation,
                    after: timeline.last.unwrap_or(Seq::ZERO),
                    at_least: repair.latest,
                    generation: self.generation,
                }));
            }
        }
    }

    pub(crate) fn page(
        &mut self,
        now: Moment,
        request: EventsRequest,
        answer: Result<Page, ReadFailure>,
        dice: &mut Dice,
        out: &mut Vec<Action>,
    ) {
        if request.generation != self.generation {
            return;
        }
        self.reading = self.reading.saturating_sub(1);
        let Some(timeline) = self.timelines.get_mut(&request.conversation) else { return };
        if timeline.repair.is_none() {
            return;
        }
        match answer {
            Ok(page) => {
                if read_page(now, timeline, page, request, dice, out) == Next::View {
                    self.reading += 1;
                }
            }
            Err(failure) => read_failed(now, timeline, &failure, dice, out),
        }
        self.finish_if_whole(request.conversation);
    }

    /// The answer to [`Action::FetchView`], whatever it is: the events are read again.
    pub(crate) fn view(&mut self, now: Moment, request: ViewRequest, view_from: Option<Seq>) {
        if request.generation != self.generation {
            return;
        }
        self.reading = self.reading.saturating_sub(1);
        let Some(timeline) = self.timelines.get_mut(&request.conversation) else { return };
        timeline.view_from = view_from.unwrap_or(timeline.view_from);
        if let Some(repair) = &mut timeline.repair {
            repair.read = Read::Due(now.tick_ms);
        }
    }

    fn finish_if_whole(&mut self, conversation: ConversationId) {
        if let Some(timeline) = self.timelines.get_mut(&conversation)
            && timeline.is_whole()
        {
            timeline.repair = None;
            self.repairing.remove(&conversation);
        }
    }

    /// The connection is gone. What was held back comes again: no cursor was stored past it.
    pub(crate) fn abandon_repairs(&mut self) {
        for conversation in std::mem::take(&mut self.repairing) {
            if let Some(timeline) = self.timelines.get_mut(&conversation) {
                timeline.repair = None;
            }
        }
        self.reading = 0;
        self.generation += 1;
    }

    pub(crate) fn reset(&mut self) {
        self.abandon_repairs();
        self.timelines.clear();
    }

    /// The next moment (in ticks) at which a read is due.
    pub(crate) fn deadline(&self) -> Option<u64> {
        if self.reading >= READS_MAX {
            return None;
        }
        let repairs = self.repairing.iter().filter_map(|conversation| {
            match self.timelines.get(conversation)?.repair.as_ref()?.read {
                Read::Due(due) => Some(due),
                Read::UnderWay => None,
            }
        });
        repairs.min()
    }
}

#[derive(PartialEq, Eq)]
enum Next {
    View,
    Events,
}

fn read_page(
    now: Moment,
    timeline: &mut Timeline,
    page: Page,
    request: EventsRequest,
    dice: &mut Dice,
    out: &mut Vec<Action>,
) -> Next {
    let before = timeline.last;
    for event in page.events {
        let event = Arc::new(event);
        if timeline.take(&event, out) {
            continue;
        }
        let Some(repair) = &mut timeline.repair else { return Next::Events };
        if !repair.asked_view {
            // The reader may have been removed and added again: then the view begins anew.
            (repair.asked_view, repair.read) = (true, Read::UnderWay);
            let conversation = event.conversation;
            let generation = request.generation;
            out.push(Action::FetchView(ViewRequest { conversation, generation }));
            return Next::View;
        }
        tracing::warn!(conversation.id = %event.conversation, event.seq = event.seq.0, "the server's chain has a hole");
        timeline.take_anyway(&event, out);
    }
    timeline.take_held(out);
    let Some(repair) = &mut timeline.repair else { return Next::Events };
    if page.more || repair.latest > request.at_least {
        let stuck = before == timeline.last;
        repair.failures = if stuck { repair.failures.saturating_add(1) } else { 0 };
        let delay_ms = if stuck { Backoff::RETRY.delay_ms(repair.failures, dice) } else { 0 };
        repair.read = Read::Due(now.tick_ms + delay_ms);
    } else {
        // The answer knew the latest event: what is still missing does not exist for this reader.
        give_up(timeline, out);
    }
    Next::Events
}

fn read_failed(
    now: Moment,
    timeline: &mut Timeline,
    failure: &ReadFailure,
    dice: &mut Dice,
    out: &mut Vec<Action>,
) {
    let retry_after_ms = match failure {
        ReadFailure::Refused(refusal) if refusal.retry == Retry::Never => {
            // Not ours to read any more; what was pushed was.
            return give_up(timeline, out);
        }
        ReadFailure::Refused(refusal) => refusal.retry_after_ms.unwrap_or(0),
        ReadFailure::NoAnswer => 0,
    };
    if let Some(repair) = &mut timeline.repair {
        let delay_ms = retry_after_ms + Backoff::RETRY.delay_ms(repair.failures, dice);
        repair.failures = repair.failures.saturating_add(1);
        repair.read = Read::Due(now.tick_ms + delay_ms);
    }
}

/// Shows what is held, stating the holes.
fn give_up(timeline: &mut Timeline, out: &mut Vec<Action>) {
    let Some(mut repair) = timeline.repair.take() else { return };
    while let Some((_, event)) = repair.held.pop_first() {
        timeline.take_anyway(&event, out);
    }
    // Events beyond what could be held were not shown: they are a hole that the next event finds.
    repair.latest = timeline.last.unwrap_or(Seq::ZERO);
    timeline.repair = Some(repair);
}

//! The outbox: one unanswered send per conversation, conversations in parallel, the same id for
//! ever.

use std::collections::{BTreeSet, HashMap, VecDeque};

use hansard_model::{ConversationId, MessageId, Seq, limit};
use hansard_protocol::client::{ClientFrame, FrameRef, Send};
use hansard_protocol::{Retry, Stored};
use serde_json::value::RawValue;

use crate::backoff::{Backoff, Dice};
use crate::machine::action::{Action, Change, OutboxEntry};
use crate::machine::clock::{Moment, ServerClock};
use crate::machine::encode;
use crate::refusal::Refusal;
use crate::update::Update;

/// Sends waiting for an answer, over all conversations; more are refused.
pub const OUTBOX_ENTRIES_MAX: usize = 20_000;
/// Bytes of all events in the outbox; more are refused.
pub const OUTBOX_BYTES_MAX: usize = 64 * 1024 * 1024;
/// A send without an answer for so long, in milliseconds, ends the connection.
pub(crate) const ANSWER_TIMEOUT_MS: u64 = 30_000;

/// The outbox has as much as it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the outbox is full")]
pub struct OutboxFull;

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    lanes: HashMap<ConversationId, Lane>,
    /// Lanes whose first entry may go out now.
    ready: VecDeque<ConversationId>,
    /// Lanes whose first entry waits for a moment (in ticks).
    delayed: BTreeSet<(u64, ConversationId)>,
    /// Sends without an answer, by `ref`.
    in_flight: HashMap<u64, ConversationId>,
    /// When they went out, oldest first; answered ones are skipped when they come up.
    sent_at: VecDeque<(u64, u64)>,
    next_row: u64,
    entries: usize,
    bytes: usize,
}

#[derive(Debug, Default)]
struct Lane {
    queue: VecDeque<OutboxEntry>,
    state: LaneState,
    /// Refusals of the first entry so far.
    refusals: u32,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum LaneState {
    #[default]
    Ready,
    InFlight,
    Delayed(u64),
}

impl Outbox {
    pub(crate) fn restore(entries: Vec<OutboxEntry>, next_row: u64) -> Self {
        let mut outbox = Self { next_row, ..Self::default() };
        for entry in entries {
            outbox.next_row = outbox.next_row.max(entry.row + 1);
            outbox.push(entry);
        }
        outbox
    }

    fn push(&mut self, entry: OutboxEntry) {
        self.entries += 1;
        self.bytes += entry.event.get().len();
        let lane = self.lanes.entry(entry.conversation).or_default();
        if lane.queue.is_empty() {
            self.ready.push_back(entry.conversation);
        }
        lane.queue.push_back(entry);
    }

    pub(crate) fn enqueue(
        &mut self,
        conversation: ConversationId,
        id: MessageId,
        event: Box<RawValue>,
        out: &mut Vec<Action>,
    ) -> Result<(), OutboxFull> {
        if self.entries >= OUTBOX_ENTRIES_MAX || self.bytes + event.get().len() > OUTBOX_BYTES_MAX {
            return Err(OutboxFull);
        }
        let entry = OutboxEntry { row: self.next_row, conversation, id, event, attempts: 0 };
        self.next_row += 1;
        out.push(Action::Persist(Change::Enqueue(entry.clone())));
        self.push(entry);
        Ok(())
    }

    /// Sends what may go out, at most `in_flight_max` unanswered in all.
    pub(crate) fn pump(&mut self, now: Moment, in_flight_max: usize, out: &mut Vec<Action>) {
        while let Some((due, conversation)) = self.delayed.first().copied() {
            if due > now.tick_ms {
                break;
            }
            self.delayed.pop_first();
            if let Some(lane) = self.lanes.get_mut(&conversation) {
                lane.state = LaneState::Ready;
                self.ready.push_back(conversation);
            }
        }
        while self.in_flight.len() < in_flight_max
            && let Some(conversation) = self.ready.pop_front()
        {
            let Some(lane) = self.lanes.get_mut(&conversation) else { continue };
            let Some(entry) = lane.queue.front_mut() else { continue };
            if lane.state != LaneState::Ready {
                continue;
            }
            lane.state = LaneState::InFlight;
            entry.attempts = entry.attempts.saturating_add(1);
            if entry.attempts == 1 {
                out.push(Action::Persist(Change::Attempted { row: entry.row }));
            }
            self.in_flight.insert(entry.row, conversation);
            self.sent_at.push_back((now.tick_ms, entry.row));
            out.push(Action::Transmit(encode(&ClientFrame::Send(Send {
                reference: Some(FrameRef::Number(entry.row.cast_signed())),
                conversation,
                id: entry.id,
                event: entry.event.clone(),
            }))));
        }
    }

    /// The send is in the log: by its ack, or because its event came by.
    pub(crate) fn stored(
        &mut self,
        conversation: ConversationId,
        id: MessageId,
        seq: Seq,
        out: &mut Vec<Action>,
    ) {
        let head = self.lanes.get(&conversation).and_then(|lane| lane.queue.front());
        // Anything but the first of its lane is an answer we had already.
        if head.is_some_and(|entry| entry.id == id && entry.attempts > 0) {
            self.settle(conversation, out);
            out.push(Action::Publish(Update::Ack { conversation, id, seq }));
        }
    }

    /// The send was refused: what is done depends on `stored` and `retry` alone.
    pub(crate) fn refused(
        &mut self,
        now: Moment,
        row: u64,
        refusal: Refusal,
        clock: &mut ServerClock,
        dice: &mut Dice,
        out: &mut Vec<Action>,
    ) {
        let Some(conversation) = self.in_flight.remove(&row) else { return };
        let Some(lane) = self.lanes.get_mut(&conversation) else { return };
        let Some(entry) = lane.queue.front_mut().filter(|entry| entry.row == row) else { return };
        let backoff_ms = Backoff::RETRY.delay_ms(lane.refusals, dice);
        let mut delay_ms = refusal.retry_after_ms.map_or(backoff_ms, |least| {
            // Everybody was told the same: spread by the back-off on top.
            least.saturating_add(backoff_ms)
        });
        match refusal.retry {
            Retry::Never => {
                let (id, event) = (entry.id, entry.event.get().into());
                self.settle(conversation, out);
                out.push(Action::Publish(Update::Failed { conversation, id, event, refusal }));
                return;
            }
            // This was the id's only attempt, and it stored nothing: nobody knows the id.
            Retry::NewId if refusal.stored == Stored::No && entry.attempts == 1 => {
                rename(now, entry, clock, dice, out);
            }
            // An earlier attempt may be in the log: the id stays, and its time will come.
            Retry::NewId => delay_ms = delay_ms.max(Backoff::RETRY.cap_ms),
            Retry::SameId => {}
        }
        lane.refusals = lane.refusals.saturating_add(1);
        let due = now.tick_ms.saturating_add(delay_ms);
        lane.state = LaneState::Delayed(due);
        self.delayed.insert((due, conversation));
    }

    /// The connection is gone: what was unanswered goes out again on the next one.
    pub(crate) fn release(&mut self) {
        for (_, conversation) in self.in_flight.drain() {
            if let Some(lane) = self.lanes.get_mut(&conversation) {
                lane.state = LaneState::Ready;
                self.ready.push_back(conversation);
            }
        }
        self.sent_at.clear();
    }

    /// Gives new ids to sends that never went out and whose ids are further ahead of the server's
    /// clock than it takes.
    pub(crate) fn rename_ahead(
        &mut self,
        now: Moment,
        clock: &mut ServerClock,
        dice: &mut Dice,
        out: &mut Vec<Action>,
    ) {
        let latest = clock.now_ms(now) + limit::CLIENT_CLOCK_TOLERANCE_MS / 2;
        for lane in self.lanes.values_mut() {
            for entry in &mut lane.queue {
                if entry.attempts == 0 && entry.id.millis() > latest {
                    rename(now, entry, clock, dice, out);
                }
            }
        }
    }

    /// A send went out too long ago without an answer.
    pub(crate) fn is_unanswered(&mut self, now: Moment) -> bool {
        self.answer_due().is_some_and(|due| due <= now.tick_ms)
    }

    /// The next moment (in ticks) at which there may be something to do.
    pub(crate) fn deadline(&mut self) -> Option<u64> {
        let delayed = self.delayed.first().map(|(due, _)| *due);
        delayed.into_iter().chain(self.answer_due()).min()
    }

    fn answer_due(&mut self) -> Option<u64> {
        while let Some((sent_at, row)) = self.sent_at.front() {
            if self.in_flight.contains_key(row) {
                return Some(sent_at + ANSWER_TIMEOUT_MS);
            }
            self.sent_at.pop_front();
        }
        None
    }

    /// Sends without an answer yet, in all.
    pub(crate) fn len(&self) -> usize {
        self.entries
    }

    fn settle(&mut self, conversation: ConversationId, out: &mut Vec<Action>) {
        let Some(lane) = self.lanes.get_mut(&conversation) else { return };
        let Some(entry) = lane.queue.pop_front() else { return };
        self.entries -= 1;
        self.bytes -= entry.event.get().len();
        self.in_flight.remove(&entry.row);
        if let LaneState::Delayed(due) = lane.state {
            self.delayed.remove(&(due, conversation));
        }
        lane.refusals = 0;
        if lane.queue.is_empty() {
            self.lanes.remove(&conversation);
        } else if lane.state != LaneState::Ready {
            lane.state = LaneState::Ready;
            self.ready.push_back(conversation);
        }
        out.push(Action::Persist(Change::Settle { row: entry.row }));
    }
}

fn rename(
    now: Moment,
    entry: &mut OutboxEntry,
    clock: &mut ServerClock,
    dice: &mut Dice,
    out: &mut Vec<Action>,
) {
    let (from, to) = (entry.id, clock.mint(now, dice));
    (entry.id, entry.attempts) = (to, 0);
    out.push(Action::Persist(Change::Rename { row: entry.row, id: to }));
    let conversation = entry.conversation;
    out.push(Action::Publish(Update::Renamed { conversation, from, to }));
}

//! Receipts by itself: what this device has is said to be delivered, what the application calls
//! read is said to be read, gathered for a moment, until the server has stored it.
//!
//! Invariant: nothing is said to be delivered that is not written down here before.
//! Invariant: what is said of a conversation only rises, over restarts too.

use std::collections::{BTreeSet, HashMap};

use hansard_model::{ConversationId, Seq};
use hansard_protocol::Retry;
use hansard_protocol::client::{ClientFrame, FrameRef, Receipt};
use hansard_protocol::server::ReceiptFrame;

use crate::machine::action::{Action, Change};
use crate::machine::clock::Moment;
use crate::machine::encode;
use crate::refusal::Refusal;

/// Receipts of a conversation are gathered this long, in milliseconds, before they go out as one.
const GATHER_MS: u64 = 700;
/// Receipts without an answer at a time.
const IN_FLIGHT_MAX: usize = 16;
/// A receipt without an answer for this long goes out again, in milliseconds.
const ANSWER_TIMEOUT_MS: u64 = 20_000;
/// Pause before a refused receipt goes out again, at least, in milliseconds.
const RETRY_MS: u64 = 2_000;
/// What was stored in this time before a connection was lost is said again on the next one, in
/// milliseconds: the server keeps receipts less carefully than messages.
const REPEAT_MS: u64 = 120_000;
/// Conversations remembered of which nothing is to be said; beyond, they are forgotten.
const AT_REST_MAX: usize = 4_096;

/// What a client says of messages that arrive and are read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReceiptPolicy {
    /// What was delivered and what was read.
    #[default]
    All,
    /// What was delivered; what was read is for the person's own devices to know.
    PrivateReads,
    /// Nothing by itself, and nothing of what is read.
    Nothing,
}

/// How far this person has got in a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    /// This device has everything up to here.
    pub delivered: Seq,
    /// They have read up to here, and the others may know.
    pub read: Seq,
    /// They have read up to here.
    pub own: Seq,
}

impl Marks {
    fn max(self, other: Self) -> Self {
        Self {
            delivered: self.delivered.max(other.delivered),
            read: self.read.max(other.read),
            own: self.own.max(other.own),
        }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Entry {
    marks: Marks,
    /// What the server has.
    stored: Marks,
    /// When it got it, in ticks; `None`: in an earlier run.
    stored_at: Option<u64>,
    state: State,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    /// Nothing to say.
    #[default]
    Rest,
    Due(u64),
    /// Until when the answer is waited for.
    InFlight {
        number: u64,
        said: Marks,
        until: u64,
    },
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Receipts {
    policy: ReceiptPolicy,
    entries: HashMap<ConversationId, Entry>,
    /// When something is to be said.
    due: BTreeSet<(u64, ConversationId)>,
    /// Until when answers are waited for.
    waits: BTreeSet<(u64, ConversationId)>,
    in_flight: HashMap<u64, ConversationId>,
    /// The next number.
    next: u64,
}

impl Entry {
    /// What is to be said next; `None`: nothing.
    fn unsaid(&self) -> Option<(Marks, bool)> {
        let (marks, stored) = (self.marks, self.stored);
        if marks.delivered > stored.delivered || marks.read > stored.read {
            return Some((Marks { own: marks.read, ..marks }, false));
        }
        let own = Marks { own: marks.own, ..Marks::default() };
        (marks.own > stored.own).then_some((own, true))
    }
}

impl Receipts {
    /// Goes on from what was written down: marks and what of them the server has, and the last
    /// event of each timeline.
    pub(crate) fn restore(
        policy: ReceiptPolicy,
        known: Vec<(ConversationId, Marks, Marks)>,
        timelines: &[(ConversationId, Seq, Seq)],
    ) -> Self {
        let mut receipts = Self { policy, ..Self::default() };
        for (conversation, mut marks, stored) in known {
            if policy == ReceiptPolicy::PrivateReads {
                // What the others were not told before, they are not told now.
                marks = Marks { read: stored.read, own: marks.own.max(marks.read), ..marks };
            }
            let entry = Entry { marks, stored, ..Entry::default() };
            receipts.entries.insert(conversation, entry);
        }
        if policy == ReceiptPolicy::Nothing {
            return receipts;
        }
        for (conversation, last, _) in timelines {
            let delivered = Marks { delivered: *last, ..Marks::default() };
            receipts.raise(0, *conversation, delivered);
        }
        let all: Vec<ConversationId> = receipts.entries.keys().copied().collect();
        for conversation in all {
            receipts.plan(conversation, 0);
        }
        receipts
    }

    /// An event of somebody else's joins its timeline.
    pub(crate) fn delivered(&mut self, now: Moment, conversation: ConversationId, seq: Seq) {
        if self.policy != ReceiptPolicy::Nothing {
            let marks = Marks { delivered: seq, ..Marks::default() };
            self.raise(now.tick_ms + GATHER_MS, conversation, marks);
        }
    }

    /// The person has read up to here.
    pub(crate) fn read(
        &mut self,
        now: Moment,
        conversation: ConversationId,
        seq: Seq,
        private: bool,
        out: &mut Vec<Action>,
    ) {
        if self.policy == ReceiptPolicy::Nothing {
            return;
        }
        let private = private || self.policy == ReceiptPolicy::PrivateReads;
        let read = if private { Seq::ZERO } else { seq };
        let marks = Marks { delivered: read, read, own: seq };
        if self.raise(now.tick_ms + GATHER_MS, conversation, marks) {
            self.persist(conversation, out);
        }
    }

    /// What the server says of this person: another device may be further.
    pub(crate) fn told(&mut self, frame: &ReceiptFrame, out: &mut Vec<Action>) {
        let Some(entry) = self.entries.get_mut(&frame.conversation) else { return };
        let told = Marks { own: frame.read, ..Marks::default() };
        let before = (entry.marks, entry.stored);
        (entry.marks, entry.stored) = (entry.marks.max(told), entry.stored.max(told));
        if (entry.marks, entry.stored) != before {
            self.persist(frame.conversation, out);
        }
    }

    /// Sends what is due.
    pub(crate) fn pump(&mut self, now: Moment, out: &mut Vec<Action>) {
        while let Some((until, conversation)) = self.waits.first().copied()
            && until <= now.tick_ms
        {
            self.set(conversation, State::Due(now.tick_ms));
        }
        while self.in_flight.len() < IN_FLIGHT_MAX
            && let Some((due, conversation)) = self.due.first().copied()
            && due <= now.tick_ms
        {
            match self.entries.get(&conversation).and_then(Entry::unsaid) {
                Some((said, private)) => self.transmit(now, conversation, said, private, out),
                None => self.set(conversation, State::Rest),
            }
        }
    }

    fn transmit(
        &mut self,
        now: Moment,
        conversation: ConversationId,
        said: Marks,
        private: bool,
        out: &mut Vec<Action>,
    ) {
        let number = self.next;
        self.next += 1;
        let some = |seq: Seq| (seq > Seq::ZERO).then_some(seq);
        out.push(Action::Transmit(encode(&ClientFrame::Receipt(Receipt {
            reference: Some(reference(number)),
            conversation,
            delivered: some(said.delivered),
            read: some(if private { said.own } else { said.read }),
            private,
        }))));
        let until = now.tick_ms + ANSWER_TIMEOUT_MS;
        self.set(conversation, State::InFlight { number, said, until });
    }

    /// A receipt is stored.
    pub(crate) fn stored(&mut self, now: Moment, answers: &FrameRef, out: &mut Vec<Action>) {
        let Some((conversation, said)) = self.answered(answers) else { return };
        if let Some(entry) = self.entries.get_mut(&conversation) {
            entry.stored = entry.stored.max(said);
            entry.stored_at = Some(now.tick_ms);
        }
        self.persist(conversation, out);
        self.plan(conversation, now.tick_ms + GATHER_MS);
        self.forget_some();
    }

    /// A receipt was refused.
    pub(crate) fn refused(
        &mut self,
        now: Moment,
        answers: &FrameRef,
        refusal: &Refusal,
        out: &mut Vec<Action>,
    ) {
        let Some((conversation, _)) = self.answered(answers) else { return };
        if refusal.retry == Retry::Never {
            // Not theirs any more, or nothing there: nobody is to know.
            if let Some(entry) = self.entries.get_mut(&conversation) {
                entry.stored = entry.marks;
            }
            self.persist(conversation, out);
            return self.set(conversation, State::Rest);
        }
        let pause = refusal.retry_after_ms.unwrap_or(0).max(RETRY_MS);
        self.plan(conversation, now.tick_ms + pause);
    }

    fn answered(&mut self, answers: &FrameRef) -> Option<(ConversationId, Marks)> {
        let conversation = *self.in_flight.get(&number(answers)?)?;
        let State::InFlight { said, .. } = self.entries.get(&conversation)?.state else {
            return None;
        };
        self.set(conversation, State::Rest);
        Some((conversation, said))
    }

    /// The connection is gone: what was on its way, and what was stored just now, is said again.
    pub(crate) fn release(&mut self, now: Moment) {
        let all: Vec<ConversationId> = self.entries.keys().copied().collect();
        for conversation in all {
            let Some(entry) = self.entries.get_mut(&conversation) else { continue };
            let is_late = |at: u64| at + REPEAT_MS >= now.tick_ms;
            if entry.stored_at.take().is_some_and(is_late) {
                entry.stored = Marks::default();
            }
            match entry.state {
                State::Due(_) => {}
                State::Rest | State::InFlight { .. } => self.plan(conversation, now.tick_ms),
            }
        }
    }

    /// The log is another one: marks of the old one say nothing.
    pub(crate) fn reset(&mut self) {
        let (policy, next) = (self.policy, self.next);
        *self = Self { policy, next, ..Self::default() };
    }

    /// The next moment (in ticks) at which there is something to do.
    pub(crate) fn deadline(&self) -> Option<u64> {
        let due = self.due.first().filter(|_| self.in_flight.len() < IN_FLIGHT_MAX);
        due.into_iter().chain(self.waits.first()).map(|(at, _)| *at).min()
    }

    /// Whether everything that is to be said is stored.
    pub(crate) fn are_stored(&self) -> bool {
        self.entries.values().all(|entry| entry.state == State::Rest)
    }

    /// Takes in marks; `true`: they are further than before.
    fn raise(&mut self, due: u64, conversation: ConversationId, marks: Marks) -> bool {
        let entry = self.entries.entry(conversation).or_default();
        let raised = entry.marks.max(marks);
        if raised == entry.marks {
            return false;
        }
        entry.marks = raised;
        if entry.state == State::Rest {
            self.plan(conversation, due);
        }
        true
    }

    /// Puts a conversation on the agenda if there is something to say of it.
    fn plan(&mut self, conversation: ConversationId, due: u64) {
        let Some(entry) = self.entries.get(&conversation) else { return };
        let is_said = self.policy != ReceiptPolicy::Nothing;
        let state = if is_said && entry.unsaid().is_some() { State::Due(due) } else { State::Rest };
        self.set(conversation, state);
    }

    fn set(&mut self, conversation: ConversationId, state: State) {
        let Some(entry) = self.entries.get_mut(&conversation) else { return };
        match std::mem::replace(&mut entry.state, state) {
            State::Rest => {}
            State::Due(due) => drop(self.due.remove(&(due, conversation))),
            State::InFlight { number, until, .. } => {
                self.waits.remove(&(until, conversation));
                self.in_flight.remove(&number);
            }
        }
        match state {
            State::Rest => {}
            State::Due(due) => drop(self.due.insert((due, conversation))),
            State::InFlight { number, until, .. } => {
                self.waits.insert((until, conversation));
                self.in_flight.insert(number, conversation);
            }
        }
    }

    fn persist(&self, conversation: ConversationId, out: &mut Vec<Action>) {
        if let Some(Entry { marks, stored, .. }) = self.entries.get(&conversation).copied() {
            out.push(Action::Persist(Change::Marks { conversation, marks, stored }));
        }
    }

    fn forget_some(&mut self) {
        if self.entries.len() - self.due.len() - self.waits.len() > AT_REST_MAX {
            self.entries.retain(|_, entry| entry.state != State::Rest);
        }
    }
}

/// The `ref` of a receipt, which no send has.
fn reference(number: u64) -> FrameRef {
    FrameRef::Text(format!("receipt-{number}"))
}

fn number(reference: &FrameRef) -> Option<u64> {
    match reference {
        FrameRef::Text(text) => text.strip_prefix("receipt-")?.parse().ok(),
        FrameRef::Number(_) => None,
    }
}

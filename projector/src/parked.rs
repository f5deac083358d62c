//! Parked events: valid, in the chain, but not understood. They are shown, counted and replayable
//! (their bytes are in the log), never skipped silently.

use std::collections::VecDeque;

use hansard_model::envelope::DecodeError;
use hansard_model::{ConversationId, Seq};

/// Parked events of a partition whose particulars are kept; the count goes on.
pub(crate) const PARKED_KEPT_MAX: usize = 1_024;

/// Why an event is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ParkReason {
    /// The payload is not a JSON object.
    NotAnObject,
    /// The payload is an object, but not an envelope with a known kind of event.
    Shape,
    /// Written under a rule set that this version does not have.
    RuleSet,
    /// A kind that belongs on the conversation's other subject: its guard was not applied.
    WrongSubject,
}

impl ParkReason {
    /// As in logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAnObject => "not_an_object",
            Self::Shape => "shape",
            Self::RuleSet => "rule_set",
            Self::WrongSubject => "wrong_subject",
        }
    }

    pub(crate) fn of(cause: &DecodeError) -> Self {
        match cause {
            DecodeError::Shape(_) => Self::Shape,
            DecodeError::Version(_) => Self::RuleSet,
        }
    }
}

/// One parked event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParkedEvent {
    /// Its position.
    pub seq: Seq,
    /// Its conversation.
    pub conversation: ConversationId,
    /// Why.
    pub reason: ParkReason,
}

/// The parked events of a partition.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Parked {
    newest: VecDeque<ParkedEvent>,
    count: u64,
}

impl Parked {
    pub(crate) fn park(&mut self, event: ParkedEvent) {
        if self.newest.len() == PARKED_KEPT_MAX {
            self.newest.pop_front();
        }
        self.newest.push_back(event);
        self.count += 1;
    }

    /// How many there are, ever.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// The newest of them, ascending.
    pub(crate) fn newest(&self) -> impl Iterator<Item = &ParkedEvent> {
        self.newest.iter()
    }
}

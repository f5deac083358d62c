//! Parked events: valid, in the chain, but not understood. They are shown, counted and replayable
//! (their bytes are in the log), never skipped silently.

use hansard_model::envelope::DecodeError;
use serde::{Deserialize, Serialize};

/// Why an event is parked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
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
    /// All of them.
    pub(crate) const ALL: [Self; 4] =
        [Self::NotAnObject, Self::Shape, Self::RuleSet, Self::WrongSubject];

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

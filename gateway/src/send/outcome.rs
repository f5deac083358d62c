//! How a send ends.

use hansard_model::{LogTime, Rejection, Seq};
use hansard_nats::log::{AppendError, NotSynchronized, ReadError};
use hansard_nats::query::AskError;
use hansard_protocol::{ErrorBody, ErrorCode};

use crate::accounts::Unconfirmed;
use crate::groups::GroupsError;
use crate::media::ClaimError;
use crate::past::PastError;
use crate::rate::TooFast;

/// Pause before a sender tries again when the log does not answer.
const UNAVAILABLE_RETRY_MS: u64 = 500;
/// Pause before a sender tries again when too much is in flight.
const OVERLOADED_RETRY_MS: u64 = 1_000;

/// It is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Where, for ever.
    pub(crate) seq: Seq,
    /// It was before.
    pub(crate) duplicate: bool,
}

/// Why there is no acknowledgement.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SendError {
    /// A rule says no; the id is not in the log.
    #[error(transparent)]
    Rejected(#[from] Rejection),
    /// The sender is too fast.
    #[error(transparent)]
    TooFast(#[from] TooFast),
    /// The id was minted in the log's future.
    #[error("the id is from the future: correct the clock by server_time")]
    ClockAhead(LogTime),
    /// The id is that of another event.
    #[error("the id was used for something else")]
    IdReused,
    /// Stored too late, again and again.
    #[error("the log is too slow for the event to be valid")]
    Void,
    /// The group changes faster than it can be checked.
    #[error("the group is changing too fast")]
    Contended,
    /// The stream called it a duplicate of what it does not hold.
    #[error("the log does not hold {0} any more")]
    Gone(Seq),
    /// Log time is not known.
    #[error(transparent)]
    Clock(#[from] NotSynchronized),
    /// The group's state cannot be relied on.
    #[error(transparent)]
    Groups(#[from] GroupsError),
    /// The accounts are not known well enough.
    #[error(transparent)]
    Directory(#[from] Unconfirmed),
    /// The log does not answer.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Neither the log nor the owner says what there was.
    #[error(transparent)]
    Past(#[from] PastError),
    /// The records of files do not say whether one may be sent.
    #[error(transparent)]
    Media(ClaimError),
    /// A view does not answer.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// The log did not take it, or did not say so.
    #[error(transparent)]
    Append(#[from] AppendError),
}

impl From<ClaimError> for SendError {
    fn from(error: ClaimError) -> Self {
        match error {
            ClaimError::NotFound => Self::Rejected(Rejection::NotFound("media")),
            error => Self::Media(error),
        }
    }
}

impl SendError {
    /// The error that the caller gets.
    pub(crate) fn body(&self) -> ErrorBody {
        match self {
            Self::Rejected(rejection) => ErrorBody::new((*rejection).into(), rejection.to_string()),
            Self::TooFast(too_fast) => too_fast.body(),
            Self::ClockAhead(now) => {
                let body = ErrorBody::new(ErrorCode::ClockAhead, self.to_string());
                ErrorBody { server_time: Some(*now), ..body }
            }
            Self::IdReused => ErrorBody::new(ErrorCode::IdReused, self.to_string()),
            Self::Append(AppendError::Overloaded) | Self::Contended => {
                ErrorBody::new(ErrorCode::Overloaded, self.to_string())
                    .after_ms(OVERLOADED_RETRY_MS)
            }
            Self::Append(AppendError::Refused(_)) => {
                ErrorBody::new(ErrorCode::TooLarge, self.to_string())
            }
            Self::Void
            | Self::Gone(_)
            | Self::Clock(_)
            | Self::Groups(_)
            | Self::Directory(_)
            | Self::Read(_)
            | Self::Past(_)
            | Self::Media(_)
            | Self::Ask(_)
            | Self::Append(
                AppendError::Conflict | AppendError::Disconnected | AppendError::Unknown,
            ) => ErrorBody::new(ErrorCode::Unavailable, self.to_string())
                .after_ms(UNAVAILABLE_RETRY_MS),
        }
    }
}

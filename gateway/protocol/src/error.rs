//! What can go wrong, as one closed list. Clients act on `stored` and `retry`, not on the code.

use std::fmt;

use hansard_model::{LogTime, Rejection};
use serde::{Deserialize, Serialize};

use crate::client::FrameRef;
use crate::server::Reconnect;

/// A code on the wire; added to, never reused. Alphabetical. Each has a row in `docs/errors.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The frame or body is not what the contract says.
    BadFrame,
    /// The id is not a UUID of version 7, or names something of another shape.
    BadId,
    /// Bytes are not those that their checksum is of.
    ChecksumMismatch,
    /// The id's time is ahead of the log's.
    ClockAhead,
    /// It is so already, or was changed meanwhile.
    Conflict,
    /// A part that may not be empty is.
    Empty,
    /// Members may not do this, or this member may not.
    Forbidden,
    /// The group has as many members as it may.
    GroupFull,
    /// Somebody else has the handle.
    HandleTaken,
    /// The id was used with other content.
    IdReused,
    /// A fault of the server's.
    Internal,
    /// Only members may.
    NotAMember,
    /// It does not exist.
    NotFound,
    /// The server is full.
    Overloaded,
    /// All that the caller may have stored is stored.
    QuotaExceeded,
    /// The caller is too fast.
    RateLimited,
    /// A part is over its limit.
    TooLarge,
    /// No token, or one that is not valid.
    Unauthorized,
    /// The log or a view did not answer in time.
    Unavailable,
    /// An unknown type or kind.
    Unsupported,
}

/// Whether a refused event may be in the log all the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stored {
    /// It is not.
    No,
    /// It may be: resend the same id to learn.
    Unknown,
}

/// What to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Nothing: it will not work.
    Never,
    /// The same again, with the same id, after `retry_after_ms`.
    SameId,
    /// With a new id, if this one was never sent before.
    NewId,
}

impl ErrorCode {
    /// Every code, in the order of the alphabet.
    pub const ALL: [Self; 20] = [
        Self::BadFrame,
        Self::BadId,
        Self::ChecksumMismatch,
        Self::ClockAhead,
        Self::Conflict,
        Self::Empty,
        Self::Forbidden,
        Self::GroupFull,
        Self::HandleTaken,
        Self::IdReused,
        Self::Internal,
        Self::NotAMember,
        Self::NotFound,
        Self::Overloaded,
        Self::QuotaExceeded,
        Self::RateLimited,
        Self::TooLarge,
        Self::Unauthorized,
        Self::Unavailable,
        Self::Unsupported,
    ];

    /// As on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BadFrame => "bad_frame",
            Self::BadId => "bad_id",
            Self::ChecksumMismatch => "checksum_mismatch",
            Self::ClockAhead => "clock_ahead",
            Self::Conflict => "conflict",
            Self::Empty => "empty",
            Self::Forbidden => "forbidden",
            Self::GroupFull => "group_full",
            Self::HandleTaken => "handle_taken",
            Self::IdReused => "id_reused",
            Self::Internal => "internal",
            Self::NotAMember => "not_a_member",
            Self::NotFound => "not_found",
            Self::Overloaded => "overloaded",
            Self::QuotaExceeded => "quota_exceeded",
            Self::RateLimited => "rate_limited",
            Self::TooLarge => "too_large",
            Self::Unauthorized => "unauthorized",
            Self::Unavailable => "unavailable",
            Self::Unsupported => "unsupported",
        }
    }

    /// The HTTP status.
    pub fn status(self) -> u16 {
        match self {
            Self::BadFrame | Self::BadId | Self::Empty | Self::ClockAhead | Self::Unsupported => {
                400
            }
            Self::Unauthorized => 401,
            Self::Forbidden | Self::NotAMember => 403,
            Self::NotFound => 404,
            Self::Conflict | Self::GroupFull | Self::HandleTaken | Self::IdReused => 409,
            Self::TooLarge => 413,
            Self::RateLimited => 429,
            // As tus has it.
            Self::ChecksumMismatch => 460,
            Self::Internal => 500,
            Self::Overloaded | Self::Unavailable => 503,
            Self::QuotaExceeded => 507,
        }
    }

    /// Whether the log may hold the event all the same.
    pub fn stored(self) -> Stored {
        match self {
            Self::Internal | Self::Unavailable => Stored::Unknown,
            Self::BadFrame
            | Self::BadId
            | Self::ChecksumMismatch
            | Self::ClockAhead
            | Self::Conflict
            | Self::Empty
            | Self::Forbidden
            | Self::GroupFull
            | Self::HandleTaken
            | Self::IdReused
            | Self::NotAMember
            | Self::NotFound
            | Self::Overloaded
            | Self::QuotaExceeded
            | Self::RateLimited
            | Self::TooLarge
            | Self::Unauthorized
            | Self::Unsupported => Stored::No,
        }
    }

    /// What to do about it.
    pub fn retry(self) -> Retry {
        match self {
            Self::ChecksumMismatch
            | Self::Internal
            | Self::Overloaded
            | Self::RateLimited
            | Self::Unauthorized
            | Self::Unavailable => Retry::SameId,
            Self::ClockAhead => Retry::NewId,
            Self::BadFrame
            | Self::BadId
            | Self::Conflict
            | Self::Empty
            | Self::Forbidden
            | Self::GroupFull
            | Self::HandleTaken
            | Self::IdReused
            | Self::NotAMember
            | Self::NotFound
            | Self::QuotaExceeded
            | Self::TooLarge
            | Self::Unsupported => Retry::Never,
        }
    }
}

impl fmt::Display for ErrorCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl From<Rejection> for ErrorCode {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::BadEvent(_) => Self::BadFrame,
            Rejection::Unsupported => Self::Unsupported,
            Rejection::NotFound(_) => Self::NotFound,
            Rejection::NotAMember => Self::NotAMember,
            Rejection::Forbidden(_) => Self::Forbidden,
            Rejection::TooLarge(_) => Self::TooLarge,
            Rejection::Empty(_) => Self::Empty,
            Rejection::GroupFull => Self::GroupFull,
            Rejection::Conflict(_) => Self::Conflict,
        }
    }
}

/// An error as the client sees it: an `error` frame, or `{"error": ..}` over HTTP.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The frame it answers.
    #[serde(rename = "ref", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<FrameRef>,
    /// Which error.
    pub code: ErrorCode,
    /// For a developer; never shown to people, never parsed.
    pub message: String,
    /// Whether the log may hold the event.
    pub stored: Stored,
    /// What to do.
    pub retry: Retry,
    /// Not before this many milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
    /// The server's time, where the client's clock is the matter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_time: Option<LogTime>,
    /// What part of a search it is about: where that begins and ends, in UTF-16 code units.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<[u16; 2]>,
    /// How to come back, where the connection ends with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconnect: Option<Box<Reconnect>>,
}

impl ErrorBody {
    /// An error with what its code implies.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            reference: None,
            code,
            message: message.into(),
            stored: code.stored(),
            retry: code.retry(),
            retry_after_ms: None,
            server_time: None,
            at: None,
            reconnect: None,
        }
    }

    /// In answer to a frame.
    #[must_use]
    pub fn answering(mut self, reference: Option<FrameRef>) -> Self {
        self.reference = reference;
        self
    }

    /// About a part of a search, from and to, in UTF-16 code units.
    #[must_use]
    pub fn at(mut self, part: [u16; 2]) -> Self {
        self.at = Some(part);
        self
    }

    /// Not before this many milliseconds.
    #[must_use]
    pub fn after_ms(mut self, retry_after_ms: u64) -> Self {
        self.retry_after_ms = Some(retry_after_ms);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_alphabetical_and_print_as_they_serialize() {
        let names: Vec<_> = ErrorCode::ALL.iter().map(|code| code.as_str()).collect();
        assert!(names.is_sorted());
        for code in ErrorCode::ALL {
            assert_eq!(serde_json::to_value(code).expect("a string"), code.as_str());
        }
    }

    #[test]
    fn what_may_be_stored_is_resent_with_the_same_id() {
        for code in ErrorCode::ALL {
            if code.stored() == Stored::Unknown {
                assert_eq!(code.retry(), Retry::SameId, "{code}");
            }
        }
    }
}

//! An error as the server stated it, read leniently.

use hansard_model::LogTime;
use hansard_protocol::server::Reconnect;
use hansard_protocol::{ErrorCode, Retry, Stored};
use serde::Deserialize;

/// The server refused something.
///
/// Unlike [`hansard_protocol::ErrorBody`] this also reads codes that this version does not know:
/// act on [`Refusal::stored`] and [`Refusal::retry`], which are always there.
#[derive(Clone, Debug, PartialEq, thiserror::Error, Deserialize)]
#[serde(from = "Stated")]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The code on the wire.
    pub code: String,
    /// For a developer; not for people.
    pub message: String,
    /// Whether the log may hold the event all the same.
    pub stored: Stored,
    /// What to do.
    pub retry: Retry,
    /// Not before this many milliseconds.
    pub retry_after_ms: Option<u64>,
    /// The server's time, where the clock is the matter.
    pub server_time: Option<LogTime>,
    /// What part of a search it is about: where that begins and ends, in UTF-16 code units.
    pub at: Option<[u16; 2]>,
    /// How to come back, where the connection ended with it.
    pub reconnect: Option<Box<Reconnect>>,
}

#[derive(Deserialize)]
struct Stated {
    code: String,
    #[serde(default)]
    message: String,
    #[serde(default)]
    stored: String,
    #[serde(default)]
    retry: String,
    retry_after_ms: Option<u64>,
    server_time: Option<LogTime>,
    at: Option<[u16; 2]>,
    reconnect: Option<Box<Reconnect>>,
}

impl From<Stated> for Refusal {
    fn from(stated: Stated) -> Self {
        Self {
            code: stated.code,
            message: stated.message,
            // What this version cannot read is the careful value: it may be stored, ask again.
            stored: if stated.stored == "no" { Stored::No } else { Stored::Unknown },
            retry: match stated.retry.as_str() {
                "never" => Retry::Never,
                "new_id" => Retry::NewId,
                _ => Retry::SameId,
            },
            retry_after_ms: stated.retry_after_ms,
            server_time: stated.server_time,
            at: stated.at,
            reconnect: stated.reconnect,
        }
    }
}

impl Refusal {
    /// The code, if this version knows it.
    pub fn known(&self) -> Option<ErrorCode> {
        ErrorCode::ALL.into_iter().find(|code| code.as_str() == self.code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codes_are_acted_on_by_their_predicates() {
        let refusal: Refusal = serde_json::from_str(
            r#"{"code":"too_purple","message":"m","stored":"no","retry":"never","shade":3}"#,
        )
        .expect("an error");
        assert_eq!((refusal.stored, refusal.retry), (Stored::No, Retry::Never));
        assert_eq!(refusal.known(), None);
    }

    #[test]
    fn unreadable_predicates_are_the_careful_ones() {
        let refusal: Refusal =
            serde_json::from_str(r#"{"code":"internal","stored":"maybe","retry":"whenever"}"#)
                .expect("an error");
        assert_eq!((refusal.stored, refusal.retry), (Stored::Unknown, Retry::SameId));
        assert_eq!(refusal.known(), Some(ErrorCode::Internal));
    }
}

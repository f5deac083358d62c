//! When a transfer that failed is tried again, and when not.

use std::time::Duration;

use hansard_protocol::{ErrorCode, Retry};

use crate::backoff::{Backoff, Dice};
use crate::http::HttpError;
use crate::media::MediaError;

/// Failures in a row, without a byte in between, after which a transfer is given up for now.
const FAILURES_MAX: u32 = 12;

/// Counts failures.
pub(super) struct Patience {
    failures: u32,
    dice: Dice,
}

impl Patience {
    pub(super) fn new() -> Self {
        // Without randomness the delays of this one are known, which harms nobody.
        Self { failures: 0, dice: Dice::new(getrandom::u64().unwrap_or_default()) }
    }

    /// Something got through.
    pub(super) fn renew(&mut self) {
        self.failures = 0;
    }

    /// How long to wait before trying again.
    ///
    /// # Errors
    /// The failure itself when trying again is useless, or has been for long enough.
    pub(super) fn after(&mut self, failure: MediaError) -> Result<Duration, MediaError> {
        self.failures += 1;
        if !passes(&failure) || self.failures >= FAILURES_MAX {
            return Err(failure);
        }
        let told = match &failure {
            MediaError::Http(HttpError::Refused(refusal)) => refusal.retry_after_ms,
            _ => None,
        };
        let jitter = Backoff::RETRY.delay_ms(self.failures - 1, &mut self.dice);
        Ok(Duration::from_millis(told.unwrap_or_default().saturating_add(jitter)))
    }
}

/// Whether the same may go well a moment later.
fn passes(failure: &MediaError) -> bool {
    match failure {
        MediaError::Http(HttpError::Refused(refusal)) => {
            refusal.retry != Retry::Never && refusal.known() != Some(ErrorCode::Unauthorized)
        }
        MediaError::Http(HttpError::Foreign(status)) => *status >= 500,
        MediaError::Http(HttpError::Request(_)) => false,
        MediaError::Http(
            HttpError::Connect(_)
            | HttpError::Transport(_)
            | HttpError::TimedOut
            | HttpError::Body(_),
        )
        | MediaError::Unfinished => true,
        MediaError::Read(_)
        | MediaError::Changed
        | MediaError::NotAFile
        | MediaError::JournalFull
        | MediaError::Damaged
        | MediaError::Write(_)
        | MediaError::Store(_) => false,
    }
}

impl MediaError {
    /// Whether it is of no use to go on later: then the upload leaves the journal.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Http(HttpError::Refused(refusal)) => refusal.retry == Retry::Never,
            Self::Http(_) | Self::Unfinished | Self::JournalFull => false,
            Self::Write(_) | Self::Store(_) => false,
            Self::Read(error) => error.kind() == std::io::ErrorKind::NotFound,
            Self::Changed | Self::NotAFile | Self::Damaged => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(json: &str) -> MediaError {
        MediaError::Http(HttpError::Refused(serde_json::from_str(json).expect("a refusal")))
    }

    #[test]
    fn a_transfer_waits_as_it_is_told_and_not_for_ever() {
        let mut patience = Patience::new();
        let busy = r#"{"code":"overloaded","stored":"no","retry":"same_id","retry_after_ms":700}"#;
        for _ in 1..FAILURES_MAX {
            let wait = patience.after(refused(busy)).expect("another try");
            assert!(wait >= Duration::from_millis(700), "{wait:?}");
        }
        assert!(patience.after(refused(busy)).is_err());
        patience.renew();
        assert!(patience.after(refused(busy)).is_ok());
    }

    #[test]
    fn what_is_refused_for_good_is_not_tried_again() {
        let full = r#"{"code":"quota_exceeded","stored":"no","retry":"never"}"#;
        assert!(Patience::new().after(refused(full)).is_err());
        assert!(refused(full).is_final());
        let ended = r#"{"code":"unauthorized","stored":"no","retry":"same_id"}"#;
        assert!(Patience::new().after(refused(ended)).is_err());
        assert!(!refused(ended).is_final());
    }
}

//! An uploader does not want an upload any more.

use hansard_model::media::{Home, MediaKey, State, Upload};
use hansard_model::{UploadId, UserId};
use hansard_nats::media::Change;

use super::{Uploads, is_of};
use crate::fault::Fault;
use crate::{metrics, watch};

/// Why an upload does not end.
#[derive(Debug)]
pub(crate) enum EndError {
    /// They have none with this id.
    NotFound,
    /// It was sent, or is somebody's picture: it goes with what refers to it.
    InUse,
    /// Something else failed.
    Fault(Fault),
}

impl<F: Into<Fault>> From<F> for EndError {
    fn from(fault: F) -> Self {
        Self::Fault(fault.into())
    }
}

enum End {
    NotFound,
    InUse,
    /// All its bytes are there: it has to be finished first, so that its blob is known.
    Finish,
    Ended,
}

impl Uploads {
    /// Has an upload that was not sent removed.
    pub(crate) async fn end(&self, id: UploadId, user: UserId) -> Result<(), EndError> {
        self.writers.interrupt(id).await;
        let (found, _) = self.get(id).await?;
        if !found.is_some_and(|found| is_of(&found, user)) {
            return Err(EndError::NotFound);
        }
        let now = self.now()?;
        watch::put(&self.bucket, now, now, id).await?;
        let end = |found: Option<&Upload>| {
            let Some(found) = found.filter(|found| is_of(found, user)) else {
                return (Change::Keep, End::NotFound);
            };
            let is_free = found.home == Home::Uploader && found.references.is_empty();
            match found.state {
                State::Finishing => (Change::Keep, End::Finish),
                State::Receiving | State::Processing | State::Ready if is_free => {
                    // Nothing is waited for any more.
                    let (state, keep_until) = (State::Dying, now);
                    (Change::Put(Upload { state, keep_until, ..found.clone() }), End::Ended)
                }
                State::Receiving | State::Processing | State::Ready | State::Dying => {
                    (Change::Keep, End::InUse)
                }
            }
        };
        let key = MediaKey::Upload(id);
        let (mut ended, mut outcome) = self.bucket.update(key, end).await?;
        if matches!(outcome, End::Finish) {
            self.finish(id, None).await?;
            (ended, outcome) = self.bucket.update(key, end).await?;
        }
        match outcome {
            End::NotFound => return Err(EndError::NotFound),
            End::InUse | End::Finish => return Err(EndError::InUse),
            End::Ended => {}
        }
        metrics::upload("ended");
        // One that was never finished has no way back: its place is free at once.
        if ended.is_some_and(|ended| ended.contents.is_empty()) {
            let length = 0;
            self.holdings.leave(user, id, length).await?;
        }
        Ok(())
    }
}

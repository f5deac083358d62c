//! Whether an upload is shown as an avatar, compared with the account of its uploader.
//!
//! A gateway that changes an avatar writes its record first, then the account, and then looks again
//! at what the account names: what is taken back here in between, it shows again.

use hansard_model::LogTime;
use hansard_model::media::{Home, MediaKey, State, Upload};
use hansard_nats::accounts::AccountLog;
use hansard_nats::media::Revision;

use super::Collector;
use crate::avatars::put_right;
use crate::fault::Fault;
use crate::metrics;
use crate::watch;

impl Collector {
    /// Writes the record as the account says; tells whether that was another. Somebody who wrote it
    /// meanwhile was first: then it is looked at again.
    pub(super) async fn settle_avatar(
        &self,
        upload: &Upload,
        version: Revision,
        now: LogTime,
    ) -> Result<bool, Fault> {
        let may_be_one = match upload.home {
            Home::Uploader => upload.state != State::Receiving,
            Home::Avatar => true,
            Home::Conversation(_) => false,
        };
        if !may_be_one {
            return Ok(false);
        }
        let accounts = AccountLog::open(self.log.connection());
        let is_named = accounts.avatar(upload.uploader).await? == Some(upload.id);
        let keep_until = now.plus(self.patience.grace);
        let Some(next) = put_right(upload, is_named, keep_until) else { return Ok(false) };
        watch::put(self.bucket(), keep_until, now, upload.id).await?;
        if self.bucket().put(MediaKey::Upload(next.id), &next, version).await?.is_some() {
            metrics::visited("avatar_settled");
            tracing::info!(upload.id = %next.id, is_named, "an avatar was put right");
        }
        Ok(true)
    }
}

//! What is ready now, told to those here who see a message that has it.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use hansard_model::media::ReadyNotice;
use hansard_protocol::ServerFrame;
use hansard_protocol::media::MediaInfo;
use hansard_protocol::server::MediaFrame;

use crate::Gateway;
use crate::frame::Frame;

/// Pause before a subscription is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Tells what media services say, until dropped.
pub(crate) async fn tell(gateway: Arc<Gateway>) -> Infallible {
    loop {
        match gateway.media.bucket.ready_notices().await {
            Ok(mut notices) => {
                while let Some(notice) = notices.next().await {
                    tell_one(&gateway, &notice).await;
                }
            }
            Err(error) => tracing::debug!(%error, "cannot hear media services yet"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// Whoever misses it asks: nothing is said twice.
async fn tell_one(gateway: &Gateway, notice: &ReadyNotice) {
    let ReadyNotice { conversation, references, upload } = notice;
    let Some(seq) = references.last().copied() else { return };
    // Who does not see the message may see an edit of it.
    let shown = upload.last_shown().unwrap_or(seq);
    if gateway.router.members_here(*conversation).is_empty() {
        return;
    }
    let group = if conversation.is_group() {
        match gateway.groups.vouch(*conversation).await {
            Ok(vouch) => Some(vouch.group),
            Err(error) => {
                tracing::debug!(%error, "nobody is told that a file is ready");
                return;
            }
        }
    } else {
        None
    };
    let media = MediaInfo::of(upload, None);
    let frame = MediaFrame { conversation: *conversation, seq, media };
    let frame = Frame::server(&ServerFrame::Media(frame));
    gateway.router.media(*conversation, shown, group.as_deref(), &frame);
}

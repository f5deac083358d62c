//! The epoch of the log: raised when the log is another than it was, restored or cut off. Whatever
//! was read of it then is forgotten, and every client begins anew.

use std::sync::Arc;

use hansard_nats::deployment::watch_epoch;

use crate::{Gateway, metrics};

/// Follows the epoch until dropped.
pub(crate) async fn follow(gateway: Arc<Gateway>) -> std::convert::Infallible {
    let mut watch = watch_epoch(&gateway.connection, gateway.deployment.epoch);
    loop {
        let epoch = watch.raised().await;
        tracing::warn!(epoch, "the log is another than it was: everybody begins anew");
        metrics::epoch_begun();
        gateway.groups.forget();
        gateway.sender.forget();
        gateway.acks.forget();
        gateway.inbox.forget();
        gateway.router.begin_epoch(epoch);
    }
}

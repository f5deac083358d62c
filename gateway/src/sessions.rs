//! The open connections of a user, over all gateways: each is asked, when the user wants to know.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use hansard_model::UserId;
use hansard_nats::sessions::OpenConnection;

use crate::Gateway;

/// How long another gateway may take.
const WITHIN: Duration = Duration::from_secs(1);
/// Gateways that are asked at a time.
const ASKED_AT_ONCE: usize = 64;
/// Pause before a subscription is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Answers other gateways, until dropped.
pub(crate) async fn answer(gateway: Arc<Gateway>) -> Infallible {
    loop {
        match gateway.connection.connections_asked(gateway.standing.gateway()).await {
            Ok(mut questions) => questions.answer(|user| here(&gateway, user)).await,
            Err(error) => tracing::debug!(%error, "cannot answer for sessions yet"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

/// The connections of a user here.
fn here(gateway: &Gateway, user: UserId) -> Vec<OpenConnection> {
    let connections = gateway.router.connections_of(user).into_iter();
    connections
        .map(|(link, origin)| OpenConnection {
            device: link.device,
            gateway: gateway.standing.gateway(),
            since: origin.since,
            network: origin.network.into(),
            background: link.background,
        })
        .collect()
}

/// The connections of a user everywhere, oldest first, and whether a gateway did not answer.
pub(crate) async fn everywhere(gateway: &Gateway, user: UserId) -> (Vec<OpenConnection>, bool) {
    let mut connections = here(gateway, user);
    let Ok(gateways) = gateway.connection.gateways().await else { return (connections, true) };
    let others = gateways.into_iter().filter(|id| *id != gateway.standing.gateway());
    let mut answers = stream::iter(others)
        .map(|other| gateway.connection.ask_connections(other, user, WITHIN))
        .buffer_unordered(ASKED_AT_ONCE);
    let mut is_partial = false;
    while let Some(answer) = answers.next().await {
        is_partial |= answer.is_none();
        connections.extend(answer.into_iter().flatten());
    }
    connections.sort_by_key(|connection| connection.since);
    (connections, is_partial)
}

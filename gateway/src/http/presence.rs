//! `/v1/conversations/{c}/presence`: who of a conversation is there.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hansard_model::{ConversationId, UserId};
use hansard_presence::Shown;
use hansard_protocol::http::PresenceList;
use hansard_protocol::server::PresenceFrame;
use http::StatusCode;

use super::conversations::{admit_reader, members_of};
use super::error::{Failure, json};
use super::extract::{Authorized, Params, PathId};
use crate::Gateway;

/// `GET /v1/conversations/{c}/presence`
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(conversation): PathId<ConversationId>,
    params: Params,
) -> Result<Response, Failure> {
    let page = params.by_user()?;
    admit_reader(&gateway, identity.user, conversation).await?;
    // Whoever is written to for the first time does not know of it yet, and shares nothing.
    let is_shared = conversation.is_group() || {
        let min = gateway.acks.required(identity.device, conversation);
        let entry = gateway.inbox.entry(identity.user, conversation, min).await;
        entry.map_err(|error| error.body())?.is_some()
    };
    let members = if is_shared { members_of(&gateway, conversation).await? } else { Vec::new() };
    let others = members.into_iter().filter(|(user, _)| *user != identity.user);
    let (others, next) = page.of(others);
    let others: Vec<UserId> = others.into_iter().map(|(user, _)| user).collect();
    let shown = gateway.presence.of(&gateway, &others).await.map_err(|error| {
        tracing::debug!(%error, "presence not read");
        Failure::unavailable("the presence does not answer in time")
    })?;
    let item = |user: &UserId| {
        let Shown { state, last_seen } = shown.get(user).copied().unwrap_or_default();
        PresenceFrame { user: *user, state, last_seen }
    };
    json(StatusCode::OK, &PresenceList { items: others.iter().map(item).collect(), next })
}

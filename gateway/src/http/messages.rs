//! `POST /v1/conversations/{c}/messages`: the same as `send` over WebSocket.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use hansard_model::ConversationId;
use hansard_protocol::http::{SendMessage, SentMessage};
use http::StatusCode;

use super::error::{Failure, json};
use super::extract::{Authorized, Body, PathId};
use crate::Gateway;
use crate::send::Command;

/// Stores an event; the answer comes when the log has it.
pub(crate) async fn send(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(conversation): PathId<ConversationId>,
    Body(request): Body<SendMessage>,
) -> Result<Response, Failure> {
    let command = Command {
        conversation,
        sender: identity.user,
        device: identity.device,
        id: request.id,
        event: request.event.get().to_owned(),
    };
    let pending = gateway.sender.submit(command).await.map_err(|error| error.body())?;
    let stored = pending.await.map_err(|error| error.body())?;
    let sent = SentMessage { seq: stored.seq, duplicate: stored.duplicate };
    json(StatusCode::CREATED, &sent)
}

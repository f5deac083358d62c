//! `GET /v1/conversations/{c}/reactions`: who reacted to a message, asked of the owner.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use hansard_model::ConversationId;
use hansard_model::query::{ReactorsReply, ReactorsRequest};
use hansard_model::subject::QueryVerb;
use hansard_nats::query::ask;
use hansard_protocol::http::{List, Reaction};
use http::StatusCode;

use super::conversations::{admit_reader, min_seq};
use super::error::{Failure, json};
use super::extract::{Authorized, Params, PathId};
use crate::Gateway;

/// How long an owner may take.
const READ_WITHIN: Duration = Duration::from_secs(3);

/// `GET /v1/conversations/{c}/reactions?seq=`
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(conversation): PathId<ConversationId>,
    params: Params,
) -> Result<Response, Failure> {
    let (limit, after) = (params.limit()?, params.seq("cursor")?);
    let target = params.seq("seq")?.ok_or_else(|| Failure::bad_request("seq is missing"))?;
    let reader = identity.user;
    admit_reader(&gateway, reader, conversation).await?;
    let min_seq = min_seq(&gateway, &identity, conversation, &params).await?;
    let request = ReactorsRequest { conversation, reader, target, after, limit, min_seq };
    let partition = conversation.partition(gateway.deployment.partitions);
    let (connection, verb) = (&gateway.connection, QueryVerb::Reactors);
    let reply: ReactorsReply = ask(connection, partition, verb, &request, READ_WITHIN).await?;
    let next = reply.items.last().filter(|_| reply.more).map(|last| last.seq.to_string());
    let items = reply.items.into_iter();
    let items = items.map(|of| Reaction { user: of.user, emoji: of.emoji, seq: of.seq }).collect();
    json(StatusCode::OK, &List { items, next })
}

//! `GET /v1/conversations/{c}/pins`: the pinned messages, newest first, asked of the owner.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use hansard_model::query::{PinsReply, PinsRequest};
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, Seq};
use hansard_nats::query::ask;
use http::StatusCode;

use super::conversations::{admit_reader, min_seq};
use super::error::{Failure, json_text};
use super::extract::{Authorized, Params, PathId};
use super::history::push_frame;
use crate::Gateway;

/// How long an owner may take.
const READ_WITHIN: Duration = Duration::from_secs(3);

/// `GET /v1/conversations/{c}/pins`
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(conversation): PathId<ConversationId>,
    params: Params,
) -> Result<Response, Failure> {
    let (limit, before) = (params.limit()?, params.seq("cursor")?);
    let reader = identity.user;
    admit_reader(&gateway, reader, conversation).await?;
    let min_seq = min_seq(&gateway, &identity, conversation, &params).await?;
    let request = PinsRequest { conversation, reader, before, limit, min_seq };
    let partition = conversation.partition(gateway.deployment.partitions);
    let (connection, verb) = (&gateway.connection, QueryVerb::Pins);
    let reply: PinsReply = ask(connection, partition, verb, &request, READ_WITHIN).await?;
    let mut text = String::from(r#"{"items":["#);
    for (index, item) in reply.items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_frame(&mut text, conversation, item);
    }
    // Writing to a string does not fail.
    let _ = write!(text, r#"],"as_of":{}"#, reply.as_of);
    if let Some(Seq(next)) = reply.reached {
        let _ = write!(text, r#","next":"{next}""#);
    }
    text.push('}');
    Ok(json_text(StatusCode::OK, text))
}

//! `GET /v1/conversations/{c}/explain`: the events behind the counts of an inbox entry.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use hansard_model::ConversationId;
use hansard_model::query::{ExplainRequest, Explanation as Explained};
use hansard_model::subject::QueryVerb;
use hansard_nats::query::ask;
use hansard_protocol::http::Explanation;
use http::StatusCode;

use super::conversations::{admit_reader, min_seq};
use super::error::{Failure, json};
use super::extract::{Authorized, Params, PathId};
use crate::Gateway;
use crate::inbox::InboxError;

/// How long an owner may take.
const READ_WITHIN: Duration = Duration::from_secs(3);

/// `GET /v1/conversations/{c}/explain`
pub(crate) async fn explain(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(conversation): PathId<ConversationId>,
    params: Params,
) -> Result<Response, Failure> {
    admit_reader(&gateway, identity.user, conversation).await?;
    let min_seq = min_seq(&gateway, &identity, conversation, &params).await?;
    let partition = conversation.partition(gateway.deployment.partitions);
    let marks = gateway.inbox.read_marks(identity.user, [conversation]).await;
    let marks = marks.map_err(|error| InboxError::from(error).body())?;
    let read = marks.get(&conversation).map(|read| read.seq);
    let request = ExplainRequest { conversation, reader: identity.user, read, min_seq };
    let (connection, verb) = (&gateway.connection, QueryVerb::Explain);
    let explained: Explained = ask(connection, partition, verb, &request, READ_WITHIN).await?;
    let Explained {
        read,
        read_n,
        n,
        unread,
        unread_events,
        mentions,
        joined,
        view_from,
        view_to,
        last,
        as_of,
        partition: _,
        bucket,
    } = explained;
    let explanation = Explanation {
        conversation,
        read,
        read_n,
        n,
        unread,
        unread_events,
        mentions,
        joined,
        view_from,
        view_to,
        last,
        as_of,
        inbox_as_of: bucket,
    };
    json(StatusCode::OK, &explanation)
}

//! `/v1/conversations/{c}/receipt` and `/receipts`: how far members have got.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use hansard_model::group::Membership;
use hansard_model::receipt::Marks;
use hansard_model::{ConversationId, Seq, UserId};
use hansard_protocol::http::{MemberReceipt, PostReceipt, ReceiptList};
use http::StatusCode;

use super::conversations::{admit_reader, members_of};
use super::error::{Failure, json};
use super::extract::{Authorized, Body, Params, PathId};
use crate::Gateway;
use crate::receipts::Said;

/// `POST /v1/conversations/{c}/receipt`: the same as `receipt` over WebSocket.
pub(crate) async fn take(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(conversation): PathId<ConversationId>,
    Body(receipt): Body<PostReceipt>,
) -> Result<Response, Failure> {
    let (user, device) = (identity.user, identity.device);
    let PostReceipt { delivered, read, private } = receipt;
    let said = Said { conversation, user, device, delivered, read, private };
    gateway.receipts.take(said).await.map_err(|error| error.body())?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// `GET /v1/conversations/{c}/receipts?seq=`
pub(crate) async fn list(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(conversation): PathId<ConversationId>,
    params: Params,
) -> Result<Response, Failure> {
    let page = params.by_user()?;
    // Without a position: who has anything at all.
    let seq = params.seq("seq")?.unwrap_or(Seq(1)).max(Seq(1));
    admit_reader(&gateway, identity.user, conversation).await?;
    let mut members = members_of(&gateway, conversation).await?;
    members.retain(|(user, _)| *user != identity.user);
    let users: Vec<UserId> = members.iter().map(|(user, _)| *user).collect();
    let stream = gateway.receipts.stream();
    let marks = stream.of_members(conversation, &users).await.map_err(|error| {
        tracing::debug!(%error, "receipts not read");
        Failure::unavailable("the receipts do not answer in time")
    })?;
    let epoch = gateway.router.epoch();
    let having = members.iter().filter_map(|(user, Membership { joined, .. })| {
        // What is from before joining is of a membership that is over.
        let from = seq.max(*joined);
        let is_had = |marks: &&Marks| marks.epoch == epoch && marks.delivered.seq >= from;
        Some((*user, marks.get(user).filter(is_had)?))
    });
    let having: Vec<(UserId, &Marks)> = having.collect();
    let read_count = having.iter().filter(|(_, marks)| marks.read.seq >= seq).count();
    let delivered_count = having.len();
    let (having, next) = page.of(having);
    let items = having.into_iter().map(|(user, marks)| item(user, marks)).collect();
    let list = ReceiptList { items, delivered_count, read_count, next };
    json(StatusCode::OK, &list)
}

fn item(user: UserId, marks: &Marks) -> MemberReceipt {
    let Marks { delivered, read, .. } = marks;
    MemberReceipt {
        user,
        delivered: delivered.seq,
        delivered_ts: delivered.ts,
        read: read.seq,
        read_ts: (read.seq > Seq::ZERO).then_some(read.ts),
    }
}

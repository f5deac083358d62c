//! `reach`: what a receipt comes to.

use hansard_model::query::{QueryError, ReachReply, ReachRequest, Reached};
use hansard_model::{ConversationId, Seq};

use super::at::{At, Refusal, Seen};
use super::mentions::messages_up_to;
use crate::rows::{ConversationRow, Rows, StoreError};

pub(super) async fn reach<R: Rows>(
    at: &At<R>,
    request: ReachRequest,
) -> Result<ReachReply, Refusal> {
    let (id, reader) = (request.conversation, request.reader);
    let (conversation, joined) = match at.seen(id, reader).await? {
        Some(Seen { conversation, member: Some(member) }) if member.record().role.is_some() => {
            let joined = member.record().joined;
            (conversation, joined)
        }
        None if id.other(reader).is_some() => return Err(QueryError::NotFound.into()),
        Some(_) | None => return Err(QueryError::NotAMember.into()),
    };
    // Joining is as far as anybody has got who joins: what is before it is none of theirs.
    let since = |asked: Option<Seq>| asked.filter(|seq| !id.is_group() || *seq >= joined);
    let (delivered, read) = (since(request.delivered), since(request.read));
    Ok(ReachReply {
        delivered: reached(at, id, &conversation, delivered).await?,
        read: reached(at, id, &conversation, read).await?,
        member_count: conversation.member_count as usize,
    })
}

async fn reached<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    conversation: &ConversationRow,
    asked: Option<Seq>,
) -> Result<Option<Reached>, StoreError> {
    let Some(asked) = asked else { return Ok(None) };
    let seq = asked.min(conversation.last);
    let n = if seq >= conversation.last_message {
        conversation.n
    } else {
        messages_up_to(at, id, seq).await?
    };
    Ok(Some(Reached { seq, n }))
}

//! `pins`: the pinned messages of a conversation.
//!
//! They have no index: what later events made of messages is looked through, newest first, in
//! answers that each look at a bounded part.

use hansard_model::Seq;
use hansard_model::limit::{PAGE_BYTES_MAX, PAGE_ITEMS_MAX};
use hansard_model::query::{PinsReply, PinsRequest, QueryError};

use super::at::{At, Refusal};
use super::mentions::{as_it_stands, view_of};
use super::render;
use crate::rows::{
    AnnotationRow, EntryRow, Limit, Order, Prefix, RowKey, Rows, StoreError, decode,
};

/// What is read of annotations per step: that of one message can be long, by its reactions.
const STEP: Limit = Limit { rows: 256, bytes: 1024 * 1024 };
/// Steps of one answer: a conversation of which very much was edited or reacted to takes several.
const STEPS_MAX: usize = 16;

/// # Errors
/// [`QueryError::NotAMember`] also when there is no such group: a stranger learns nothing.
pub(super) async fn pins<R: Rows>(at: &At<R>, request: PinsRequest) -> Result<PinsReply, Refusal> {
    let (id, reader) = (request.conversation, request.reader);
    let mut reply = PinsReply { items: Vec::new(), reached: None, as_of: at.applied };
    let Some(view) = view_of(at, id, reader).await? else {
        let is_of_both = id.other(reader).is_some();
        return if is_of_both { Ok(reply) } else { Err(QueryError::NotAMember.into()) };
    };
    let limit = request.limit.min(PAGE_ITEMS_MAX);
    let end = view.to.map_or(Seq(u64::MAX), Seq::next);
    let mut before = request.before.unwrap_or(end).min(end);
    let mut bytes = 0;
    for _ in 0..STEPS_MAX {
        let range = Prefix::Annotations(id).between(view.from..before);
        let found = at.rows.scan(range, Order::Descending, STEP).await?;
        for (key, value) in &found {
            let unreadable = || StoreError::Row("of a message's annotation".to_owned());
            let key = RowKey::parse(key).ok_or_else(unreadable)?;
            let seq = key.seq().ok_or_else(unreadable)?;
            let pinned = decode::<AnnotationRow>(&key, value)?.pinned;
            if pinned.is_some_and(|pin| view.shows(pin))
                && let Some(entry) = at.read::<EntryRow>(RowKey::Listed(id, seq)).await?
            {
                let item = as_it_stands(at, id, seq, entry, view).await?;
                bytes += render::weight(&item);
                // The first one is always taken.
                if !reply.items.is_empty() && bytes > PAGE_BYTES_MAX {
                    reply.reached = Some(before);
                    return Ok(reply);
                }
                reply.items.push(item);
            }
            before = seq;
            if reply.items.len() == limit {
                reply.reached = Some(before);
                return Ok(reply);
            }
        }
        if found.is_empty() {
            return Ok(reply);
        }
    }
    reply.reached = Some(before);
    Ok(reply)
}

//! `reactors`: who reacted to a message.

use hansard_model::Seq;
use hansard_model::limit::PAGE_ITEMS_MAX;
use hansard_model::query::{QueryError, Reactor, ReactorsReply, ReactorsRequest};

use super::at::{At, Refusal};
use super::mentions::view_of;
use crate::rows::{EntryRow, Kind, RowKey, Rows};

/// # Errors
/// [`QueryError::NotAMember`], [`QueryError::NotFound`] when the reader sees no message there.
pub(super) async fn reactors<R: Rows>(
    at: &At<R>,
    request: ReactorsRequest,
) -> Result<ReactorsReply, Refusal> {
    let (id, reader, target) = (request.conversation, request.reader, request.target);
    let Some(view) = view_of(at, id, reader).await? else {
        let is_of_both = id.other(reader).is_some();
        let refusal = if is_of_both { QueryError::NotFound } else { QueryError::NotAMember };
        return Err(refusal.into());
    };
    let message = at.read::<EntryRow>(RowKey::Listed(id, target)).await?;
    if !view.shows(target) || message.is_none_or(|message| message.kind != Kind::Message) {
        return Err(QueryError::NotFound.into());
    }
    let after = request.after.unwrap_or(Seq::ZERO);
    let is_shown = |seq: Seq| seq > after && view.to.is_none_or(|to| seq <= to);
    let annotation = at.annotation(id, target).await?;
    let mut items: Vec<Reactor> = annotation
        .reactions
        .into_iter()
        .flat_map(|(emoji, by)| {
            by.into_iter().map(move |(user, seq)| Reactor { user, emoji: emoji.clone(), seq })
        })
        .filter(|reactor| is_shown(reactor.seq))
        .collect();
    items.sort_unstable_by_key(|reactor| reactor.seq);
    let limit = request.limit.min(PAGE_ITEMS_MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    Ok(ReactorsReply { items, more })
}

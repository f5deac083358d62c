//! `events` and `messages`: pages of a conversation, cut to what the reader may see.

use hansard_model::limit::{CATCH_UP_MAX, PAGE_ITEMS_MAX};
use hansard_model::query::{Anchor, EventsRequest, Item, MessagesRequest, Page, QueryError};
use hansard_model::{ConversationId, Seq, UserId};

use crate::history::{Chain, View, Window};
use crate::partition::state::State;

/// The chain, every kind.
pub(super) fn events(state: &State, request: &EventsRequest) -> Result<Page, QueryError> {
    let Some((chain, view)) = visible(state, request.conversation, request.reader)? else {
        return Ok(empty(state));
    };
    let limit = request.limit.min(CATCH_UP_MAX);
    let span = chain.all().seen_by(view).between(request.after, request.before);
    let window = if request.newest { span.newest(limit) } else { span.oldest(limit) };
    Ok(page(state, view, &window, |position| chain.entry(position).item()))
}

/// The messages, the others folded in.
pub(super) fn messages(state: &State, request: &MessagesRequest) -> Result<Page, QueryError> {
    let Some((chain, view)) = visible(state, request.conversation, request.reader)? else {
        return Ok(empty(state));
    };
    let limit = request.limit.min(PAGE_ITEMS_MAX);
    let span = match request.thread {
        Some(root) => chain.thread(root).ok_or(QueryError::NotFound)?,
        None => chain.listed(),
    };
    let span = span.seen_by(view);
    let window = match request.anchor {
        Anchor::Newest => span.newest(limit),
        Anchor::Before(seq) => span.between(None, Some(seq)).newest(limit),
        Anchor::After(seq) => span.between(Some(seq), None).oldest(limit),
        Anchor::Around(seq) => span.halves(span.first_from(seq), limit),
        Anchor::At(moment) => span.halves(span.first_at(moment), limit),
    };
    Ok(page(state, view, &window, |position| chain.listed_item(position, view)))
}

/// The chain and the reader's view of it; `None` for a direct conversation without events.
///
/// # Errors
/// [`QueryError::NotAMember`] also when there is no such group: a stranger learns nothing.
fn visible(
    state: &State,
    id: ConversationId,
    reader: UserId,
) -> Result<Option<(&Chain, View)>, QueryError> {
    let Some((slot, conversation)) = state.find(id) else {
        return if id.other(reader).is_some() { Ok(None) } else { Err(QueryError::NotAMember) };
    };
    let member = conversation.member(reader).ok_or(QueryError::NotAMember)?;
    let view = View { reader, from: member.record.view_from, to: member.record.view_to };
    Ok(state.history.chain(slot).map(|chain| (chain, view)))
}

fn page(state: &State, view: View, window: &Window, item: impl Fn(usize) -> Item) -> Page {
    Page {
        items: window.positions.iter().map(|position| item(*position)).collect(),
        as_of: state.applied(),
        more_before: window.more_before,
        more_after: window.more_after,
        view_from: view.from,
    }
}

fn empty(state: &State) -> Page {
    Page {
        items: Vec::new(),
        as_of: state.applied(),
        more_before: false,
        more_after: false,
        view_from: Seq::ZERO,
    }
}

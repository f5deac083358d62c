//! `feed`: the live feed again, for a gateway that has a hole. Deleted text is not in it.

use hansard_model::limit::PAGE_BYTES_MAX;
use hansard_model::query::{FeedItem, FeedReply, FeedRequest};

use crate::partition::state::State;

/// Events in one answer at most.
const FEED_ITEMS_MAX: usize = 1_000;

pub(super) fn feed(state: &State, request: FeedRequest) -> FeedReply {
    let limit = request.limit.min(FEED_ITEMS_MAX);
    let mut reply = FeedReply { items: Vec::new(), as_of: state.applied() };
    if limit == 0 {
        return reply;
    }
    let mut bytes = 0;
    for (slot, _, entry) in state.history.after(request.after) {
        bytes += entry.body.get().len();
        let is_full = reply.items.len() == limit || bytes > PAGE_BYTES_MAX;
        if let Some(last) = reply.items.last().filter(|_| is_full) {
            reply.as_of = last.item.seq;
            break;
        }
        let conversation = state.directory.conversation_id(slot);
        reply.items.push(FeedItem { conversation, item: entry.item() });
    }
    reply
}

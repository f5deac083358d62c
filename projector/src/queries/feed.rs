//! `feed`: the live feed again, for a gateway that has a hole. Deleted text is not in it.

use hansard_model::Seq;
use hansard_model::limit::PAGE_BYTES_MAX;
use hansard_model::query::{FeedItem, FeedReply, FeedRequest};

use super::at::At;
use super::render;
use crate::rows::{Limit, Order, OrderRow, Prefix, RowKey, Rows, StoreError, decode};

/// Events in one answer at most.
const FEED_ITEMS_MAX: usize = 1_000;
/// Events read at a time: a page may be full of bytes long before it is full of events.
const STEP: usize = 128;

pub(super) async fn feed<R: Rows>(
    at: &At<R>,
    request: FeedRequest,
) -> Result<FeedReply, StoreError> {
    let limit = request.limit.min(FEED_ITEMS_MAX);
    let mut reply = FeedReply { items: Vec::new(), as_of: at.applied, more: false };
    let (mut after, mut bytes) = (request.after, 0);
    while reply.items.len() < limit {
        let step = STEP.min(limit - reply.items.len());
        let places = places_after(at, after, step).await?;
        let is_end = places.len() < step;
        for (seq, conversation, entry) in at.ordered(places).await? {
            bytes += entry.body.len();
            if let Some(last) = reply.items.last().filter(|_| bytes > PAGE_BYTES_MAX) {
                (reply.as_of, reply.more) = (last.item.seq, true);
                return Ok(reply);
            }
            after = seq;
            let item = render::item_of(seq, &entry, &entry.body);
            reply.items.push(FeedItem { conversation, item });
        }
        if is_end {
            return Ok(reply);
        }
    }
    // Full; what follows is for the next answer.
    if let Some(last) = reply.items.last()
        && !places_after(at, last.item.seq, 1).await?.is_empty()
    {
        (reply.as_of, reply.more) = (last.item.seq, true);
    }
    Ok(reply)
}

/// Valid events after a position, in the partition's order.
pub(crate) async fn places_after<R: Rows>(
    at: &At<R>,
    after: Seq,
    count: usize,
) -> Result<Vec<(Seq, OrderRow)>, StoreError> {
    places(at, after.next()..Seq(u64::MAX), Order::Ascending, count).await
}

/// The last valid events before a position, the nearest first.
pub(crate) async fn places_before<R: Rows>(
    at: &At<R>,
    before: Seq,
    count: usize,
) -> Result<Vec<(Seq, OrderRow)>, StoreError> {
    places(at, Seq::ZERO..before, Order::Descending, count).await
}

async fn places<R: Rows>(
    at: &At<R>,
    seqs: std::ops::Range<Seq>,
    order: Order,
    count: usize,
) -> Result<Vec<(Seq, OrderRow)>, StoreError> {
    let found = at.rows.scan(Prefix::Order.between(seqs), order, Limit::rows(count)).await?;
    found
        .iter()
        .map(|(key, value)| {
            let unreadable = || StoreError::Row("of the order".to_owned());
            let key = RowKey::parse(key).ok_or_else(unreadable)?;
            Ok((key.seq().ok_or_else(unreadable)?, decode(&key, value)?))
        })
        .collect()
}

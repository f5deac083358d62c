//! `picked`: messages that somebody knows the positions of, as they stand now.

use std::collections::HashMap;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use hansard_model::limit::PAGE_ITEMS_MAX;
use hansard_model::query::{FeedItem, PickedReply, PickedRequest, QueryError};
use hansard_model::{ConversationId, Seq};

use super::at::{At, Refusal};
use super::mentions::{as_it_stands, view_of};
use super::render::View;
use crate::rows::{EntryRow, Kind, RowKey, Rows, StoreError};

/// Messages that are read at once.
const READS_AT_ONCE: usize = 16;

pub(super) async fn picked<R: Rows>(
    at: &At<R>,
    request: &PickedRequest,
) -> Result<PickedReply, Refusal> {
    if request.places.len() > PAGE_ITEMS_MAX {
        return Err(QueryError::BadRequest.into());
    }
    let mut views: HashMap<ConversationId, Option<View>> = HashMap::new();
    for (id, _) in &request.places {
        if !views.contains_key(id) {
            views.insert(*id, view_of(at, *id, request.reader).await?);
        }
    }
    let seen = |(id, seq): &(ConversationId, Seq)| {
        let view = views.get(id).copied().flatten()?;
        view.shows(*seq).then_some((*id, *seq, view))
    };
    let items: Vec<Option<FeedItem>> = stream::iter(request.places.iter().filter_map(seen))
        .map(|(id, seq, view)| async move {
            let entry = at.read::<EntryRow>(RowKey::Listed(id, seq)).await?;
            let Some(entry) = entry.filter(|entry| entry.kind == Kind::Message) else {
                return Ok(None);
            };
            let item = as_it_stands(at, id, seq, entry, view).await?;
            Ok::<_, StoreError>(Some(FeedItem { conversation: id, item }))
        })
        .buffered(READS_AT_ONCE)
        .try_collect()
        .await?;
    Ok(PickedReply { items: items.into_iter().flatten().collect() })
}

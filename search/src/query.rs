//! A search in one partition: the query, what its reader may see, and the best of what is left.
//!
//! 1. `plan`: from the tree of the search language to the library's queries;
//! 2. `expand`: the terms of the index that a prefix or a typo may mean; `one_of`: any of them;
//! 3. `audience`: what the reader may see, as of the same view;
//! 4. `excluded`: what must not hold;
//! 5. `best`: collecting the first hits of an order.

mod audience;
mod best;
mod excluded;
mod expand;
mod one_of;
mod plan;

use std::collections::HashSet;
use std::sync::Arc;

use hansard_model::PartitionId;
use hansard_model::search::{SearchHit, SearchOutcome, SearchRequest};
use hansard_search_language::query::parse;
use tantivy::query::{BooleanQuery, Occur};

use self::best::{Best, Found};
pub(crate) use self::expand::Lexicon;
use self::plan::Plan;
use crate::columns::Conversations;
use crate::index::{IndexError, View};

/// Hits of a partition that one question may ask for.
pub(crate) const HITS_MAX: usize = 500;

/// Searches a partition.
///
/// # Errors
/// [`IndexError`] when the index cannot be read. A query that cannot be read is an answer.
pub(crate) fn search(
    view: &View,
    partition: PartitionId,
    request: &SearchRequest,
) -> Result<SearchOutcome, IndexError> {
    let Some(query) = resolve(request) else { return Ok(SearchOutcome::BadRequest) };
    let mut plan = Plan::new(view, request, &query);
    let wanted = plan.clause(&query.root)?;
    let visible = audience::visible(view, request.reader)?;
    let query = BooleanQuery::new(vec![(Occur::Must, visible), (Occur::Must, wanted)]);
    let best = Best {
        order: request.order,
        limit: request.limit.min(HITS_MAX),
        now_ms: request.now_ms,
        partition,
        columns: Arc::clone(&view.columns),
        behind: request.behind,
        seen: request.seen_of(partition).iter().copied().collect::<HashSet<_>>().into(),
    };
    let Found { hits, more } = view.searcher.search(&query, &best)?;
    let mut conversations = Conversations::new(&view.columns);
    let hits = hits.into_iter().map(|hit| {
        let conversation = conversations.of(hit.address)?;
        Ok(conversation.map(|conversation| SearchHit {
            conversation,
            seq: hit.seq,
            ts_ms: hit.ts_ms,
            score: hit.score,
        }))
    });
    let hits: Vec<Option<SearchHit>> = hits.collect::<Result<_, IndexError>>()?;
    let hits = hits.into_iter().flatten().collect();
    Ok(SearchOutcome::Found { hits, more, terms: plan.into_terms() })
}

type Resolved =
    hansard_search_language::Query<hansard_model::UserId, hansard_model::ConversationId>;

/// The query with what its names mean; `None` when it cannot be read, or the names do not fit.
fn resolve(request: &SearchRequest) -> Option<Resolved> {
    let query = parse(&request.query).ok()?;
    let (mut people, mut places) = (request.people.iter(), request.conversations.iter());
    let resolved =
        query.resolve(|_| people.next().copied().ok_or(()), |_| places.next().copied().ok_or(()));
    resolved.ok().filter(|_| people.next().is_none() && places.next().is_none())
}

#[cfg(test)]
mod tests;

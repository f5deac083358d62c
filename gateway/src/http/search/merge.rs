//! The answers of all partitions as one.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use hansard_model::search::{
    SearchAnswer, SearchHit, SearchOrder, SearchOutcome, SearchRequest, TimePlace,
};
use hansard_model::{PartitionCount, PartitionId, Seq};
use hansard_nats::search::Asked;

use super::Failure;

/// What searchers said.
pub(super) struct Answers {
    pub(super) asked: Asked,
    pub(super) answers: Vec<SearchAnswer>,
}

/// What that comes to.
#[derive(Debug, Default)]
pub(super) struct Merged {
    /// The first hits, in order.
    pub(super) hits: Vec<Placed>,
    /// There are more behind them.
    pub(super) more: bool,
    /// A partition is missing.
    pub(super) partial: bool,
    /// Terms that were matched in place of what was typed.
    pub(super) terms: BTreeSet<String>,
}

/// A hit, and where it was found.
#[derive(Clone, Copy, Debug)]
pub(super) struct Placed {
    pub(super) partition: PartitionId,
    hit: SearchHit,
}

impl std::ops::Deref for Placed {
    type Target = SearchHit;

    fn deref(&self) -> &SearchHit {
        &self.hit
    }
}

impl Placed {
    pub(super) fn of(partition: PartitionId, hit: SearchHit) -> Self {
        Self { partition, hit }
    }

    pub(super) fn time_place(&self) -> TimePlace {
        TimePlace { ts_ms: self.ts_ms, partition: self.partition, seq: self.seq }
    }

    fn compare(&self, other: &Self, order: SearchOrder) -> Ordering {
        let by_time = || other.time_place().cmp(&self.time_place());
        match order {
            SearchOrder::Relevance => other.score.total_cmp(&self.score).then_with(by_time),
            SearchOrder::Time => by_time(),
        }
    }
}

impl Answers {
    /// Merges them.
    ///
    /// # Errors
    /// [`Failure`] when a partition is missing that must include a position: an answer without it
    /// could be an older truth.
    pub(super) fn merge(self, request: &SearchRequest) -> Result<Merged, Failure> {
        let mut merged = Merged::default();
        let mut missing: BTreeSet<PartitionId> = partitions_of(self.asked).collect();
        for SearchAnswer { partition, outcome, .. } in self.answers {
            match outcome {
                SearchOutcome::Found { hits, more, terms } => {
                    missing.remove(&partition);
                    merged.hits.extend(hits.into_iter().map(|hit| Placed::of(partition, hit)));
                    merged.more |= more;
                    merged.terms.extend(terms);
                }
                SearchOutcome::BadRequest => {
                    tracing::warn!(%partition, "a searcher of another version cannot read a query");
                }
                SearchOutcome::Behind | SearchOutcome::Busy | SearchOutcome::Unavailable => {}
            }
        }
        if missing.iter().any(|partition| request.min_of(*partition) > Seq::ZERO) {
            return Err(Failure::unavailable("the search does not include the position in time"));
        }
        merged.partial = !missing.is_empty();
        merged.hits.sort_unstable_by(|one, other| one.compare(other, request.order));
        merged.more |= merged.hits.len() > request.limit;
        merged.hits.truncate(request.limit);
        Ok(merged)
    }
}

fn partitions_of(asked: Asked) -> Box<dyn Iterator<Item = PartitionId>> {
    match asked {
        Asked::All(partitions) => Box::new(PartitionCount::partitions(partitions)),
        Asked::One(partition) => Box::new(std::iter::once(partition)),
    }
}

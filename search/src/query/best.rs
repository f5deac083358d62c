//! The first hits of an order.
//!
//! The order of relevance is BM25 (Robertson and Zaragoza, "The Probabilistic Relevance Framework:
//! BM25 and Beyond", 2009; the library's), multiplied by what a message has kept of its freshness:
//! one half for ever, the other half as 1 / (1 + age / 30 days). The form is Solr's
//! `recip(ms(NOW,date),..)` boost ("Apache Solr Reference Guide", Function Queries): multiplied, as
//! BM25 has no scale that one could add to. It never falls below one half, so that the message that
//! says what is sought outranks a new one that says half of it.

use std::cmp::Ordering;
use std::collections::HashSet;
use std::sync::Arc;

use hansard_model::search::{SearchOrder, TimePlace};
use hansard_model::{PartitionId, Seq};
use tantivy::collector::{Collector, SegmentCollector};
use tantivy::{DocAddress, DocId, Score, SegmentOrdinal, SegmentReader, TantivyError};

use crate::columns::{AllColumns, Columns};

/// After so long half of what age takes is gone.
const FRESH_MS: f32 = 30.0 * 24.0 * 3_600.0 * 1_000.0;

/// Collects the first hits.
pub(super) struct Best {
    pub(super) order: SearchOrder,
    pub(super) limit: usize,
    pub(super) now_ms: u64,
    pub(super) partition: PartitionId,
    pub(super) columns: AllColumns,
    pub(super) behind: Option<TimePlace>,
    pub(super) seen: Arc<HashSet<Seq>>,
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Found {
    /// The first hits, in order.
    pub(super) hits: Vec<Hit>,
    /// There are more behind them.
    pub(super) more: bool,
}

/// A message that matches.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hit {
    pub(super) score: f32,
    pub(super) ts_ms: u64,
    pub(super) seq: Seq,
    pub(super) address: DocAddress,
}

impl Hit {
    /// Which of two comes first: that which is less.
    fn compare(&self, other: &Self, order: SearchOrder) -> Ordering {
        let by_time = || (other.ts_ms, other.seq).cmp(&(self.ts_ms, self.seq));
        match order {
            SearchOrder::Relevance => other.score.total_cmp(&self.score).then_with(by_time),
            SearchOrder::Time => by_time(),
        }
    }
}

/// What a message has kept of its freshness, between one half and one.
fn freshness(now_ms: u64, ts_ms: u64) -> f32 {
    let age = now_ms.saturating_sub(ts_ms) as f32;
    0.5 + 0.5 / (1.0 + age / FRESH_MS)
}

impl Collector for Best {
    type Fruit = Found;
    type Child = BestOfSegment;

    fn for_segment(
        &self,
        segment_ord: SegmentOrdinal,
        _: &SegmentReader,
    ) -> tantivy::Result<BestOfSegment> {
        let columns = self.columns.get(segment_ord as usize);
        let absent = || TantivyError::InternalError(format!("segment {segment_ord} is unknown"));
        Ok(BestOfSegment {
            segment_ord,
            columns: columns.cloned().ok_or_else(absent)?,
            order: self.order,
            limit: self.limit,
            now_ms: self.now_ms,
            partition: self.partition,
            behind: self.behind,
            seen: Arc::clone(&self.seen),
            found: Found::default(),
        })
    }

    fn requires_scoring(&self) -> bool {
        self.order == SearchOrder::Relevance
    }

    fn merge_fruits(&self, of_segments: Vec<Found>) -> tantivy::Result<Found> {
        let mut found = Found::default();
        for Found { hits, more } in of_segments {
            found.hits.extend(hits);
            found.more |= more;
        }
        found.cut(self.order, self.limit);
        Ok(found)
    }
}

impl Found {
    /// Leaves the first `limit`, in order.
    fn cut(&mut self, order: SearchOrder, limit: usize) {
        self.hits.sort_unstable_by(|one, other| one.compare(other, order));
        self.more |= self.hits.len() > limit;
        self.hits.truncate(limit);
    }
}

/// Collects the first hits of a segment.
pub(super) struct BestOfSegment {
    segment_ord: SegmentOrdinal,
    columns: Arc<Columns>,
    order: SearchOrder,
    limit: usize,
    now_ms: u64,
    partition: PartitionId,
    behind: Option<TimePlace>,
    seen: Arc<HashSet<Seq>>,
    /// Twice as many as are wanted at most, cut then: an insertion costs a constant on average.
    found: Found,
}

impl SegmentCollector for BestOfSegment {
    type Fruit = Found;

    fn collect(&mut self, doc_id: DocId, score: Score) {
        let (seq, ts_ms) = (self.columns.seq(doc_id), self.columns.ts_ms(doc_id));
        let place = TimePlace { ts_ms, partition: self.partition, seq };
        if self.behind.is_some_and(|behind| place >= behind) || self.seen.contains(&seq) {
            return;
        }
        let score = match self.order {
            SearchOrder::Relevance => score * freshness(self.now_ms, ts_ms),
            SearchOrder::Time => 0.0,
        };
        let address = DocAddress { segment_ord: self.segment_ord, doc_id };
        self.found.hits.push(Hit { score, ts_ms, seq, address });
        if self.found.hits.len() >= 2 * self.limit.max(64) {
            self.found.cut(self.order, self.limit);
        }
    }

    fn harvest(mut self) -> Found {
        self.found.cut(self.order, self.limit);
        self.found
    }
}

//! Any of many terms, whose places are known already: to look each up in each segment once more would
//! be most of the work. They all score the same, so what is left is a set of documents.

use std::collections::HashMap;
use std::sync::Arc;

use tantivy::index::SegmentId;
use tantivy::postings::TermInfo;
use tantivy::query::{BitSetDocSet, ConstScorer, EmptyScorer, EnableScoring, Explanation, Query};
use tantivy::query::{Scorer, Weight};
use tantivy::schema::{Field, IndexRecordOption};
use tantivy::{BitSet, DocId, DocSet, Score, SegmentReader, TantivyError};

/// The documents that have one of these terms.
#[derive(Clone, Debug)]
pub(super) struct OneOf {
    pub(super) field: Field,
    /// Where each segment has them: of the same view of the index.
    pub(super) postings: Arc<HashMap<SegmentId, Vec<TermInfo>>>,
    pub(super) score: Score,
}

impl Query for OneOf {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for OneOf {
    fn scorer(&self, segment: &SegmentReader, boost: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let Some(postings) = self.postings.get(&segment.segment_id()) else {
            return Ok(Box::new(EmptyScorer));
        };
        let index = segment.inverted_index(self.field)?;
        let mut documents = BitSet::with_max_value(segment.max_doc());
        for info in postings {
            let mut blocks =
                index.read_block_postings_from_terminfo(info, IndexRecordOption::Basic)?;
            while !blocks.docs().is_empty() {
                for document in blocks.docs() {
                    documents.insert(*document);
                }
                blocks.advance();
            }
        }
        let documents = BitSetDocSet::from(documents);
        Ok(Box::new(ConstScorer::new(documents, boost * self.score)))
    }

    fn explain(&self, segment: &SegmentReader, document: DocId) -> tantivy::Result<Explanation> {
        let mut scorer = self.scorer(segment, 1.0)?;
        if scorer.doc() > document || scorer.seek(document) != document {
            return Err(TantivyError::InvalidArgument(format!("{document} does not match")));
        }
        Ok(Explanation::new("one of several terms", self.score))
    }
}

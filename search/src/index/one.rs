//! Finding one message by its position.

use hansard_model::Seq;
use tantivy::query::{EmptyScorer, EnableScoring, Explanation, Query, Scorer, Weight};
use tantivy::schema::IndexRecordOption;
use tantivy::{DocId, DocSet, Score, SegmentReader, TERMINATED, TantivyError, Term};

use crate::schema::{Fields, SEQ, Tag};

/// The message at a position, if it is there: among the few with the same [`Tag::Near`] the one
/// whose column says so. In a segment there may be several, of which all but the last were replaced.
#[derive(Clone, Debug)]
pub(crate) struct OneMessage {
    seq: Seq,
    near: Term,
    fields: Fields,
}

impl OneMessage {
    pub(crate) fn new(seq: Seq, fields: Fields) -> Self {
        Self { seq, near: Tag::Near(seq).term(&fields), fields }
    }

    fn documents(&self, segment: &SegmentReader) -> tantivy::Result<Vec<DocId>> {
        let terms = segment.inverted_index(self.fields.tag)?;
        let mut found = Vec::new();
        let postings = terms.read_postings(&self.near, IndexRecordOption::Basic)?;
        let Some(mut postings) = postings else { return Ok(found) };
        let seqs = segment.fast_fields().u64(SEQ)?;
        let mut doc = postings.doc();
        while doc != TERMINATED {
            if seqs.first(doc) == Some(self.seq.0) {
                found.push(doc);
            }
            doc = postings.advance();
        }
        Ok(found)
    }
}

impl Query for OneMessage {
    fn weight(&self, _: EnableScoring<'_>) -> tantivy::Result<Box<dyn Weight>> {
        Ok(Box::new(self.clone()))
    }
}

impl Weight for OneMessage {
    fn scorer(&self, segment: &SegmentReader, _: Score) -> tantivy::Result<Box<dyn Scorer>> {
        let documents = self.documents(segment)?;
        if documents.is_empty() {
            return Ok(Box::new(EmptyScorer));
        }
        Ok(Box::new(Few { documents, place: 0 }))
    }

    fn explain(&self, _: &SegmentReader, doc: DocId) -> tantivy::Result<Explanation> {
        Err(TantivyError::InvalidArgument(format!("{doc} is not explained")))
    }
}

/// A few documents.
struct Few {
    documents: Vec<DocId>,
    place: usize,
}

impl DocSet for Few {
    fn advance(&mut self) -> DocId {
        self.place = (self.place + 1).min(self.documents.len());
        self.doc()
    }

    fn doc(&self) -> DocId {
        self.documents.get(self.place).copied().unwrap_or(TERMINATED)
    }

    fn size_hint(&self) -> u32 {
        self.documents.len() as u32
    }
}

impl Scorer for Few {
    fn score(&mut self) -> Score {
        1.0
    }
}

//! The columns of an index, opened once for each segment: opening one costs more than all that a
//! search reads of it.

use std::collections::HashMap;
use std::sync::Arc;

use hansard_model::{ConversationId, Seq};
use tantivy::columnar::{BytesColumn, Column, ColumnValues};
use tantivy::index::SegmentId;
use tantivy::{DocAddress, DocId, Searcher, SegmentOrdinal, SegmentReader};

use crate::index::IndexError;
use crate::schema::{CONVERSATION, SEQ, TS};

/// The columns of a segment.
pub(crate) struct Columns {
    segment: SegmentId,
    seqs: Column<u64>,
    /// Zero where a document has none.
    times: Arc<dyn ColumnValues<u64>>,
    conversations: Option<BytesColumn>,
}

/// The columns of every segment, in their order.
pub(crate) type AllColumns = Arc<[Arc<Columns>]>;

impl Columns {
    fn open(segment: &SegmentReader) -> Result<Self, IndexError> {
        let fast = segment.fast_fields();
        Ok(Self {
            segment: segment.segment_id(),
            seqs: fast.u64(SEQ)?,
            times: fast.u64(TS)?.first_or_default_col(0),
            conversations: fast.bytes(CONVERSATION)?,
        })
    }

    /// The columns of what is searchable; those of segments that were there before are taken over.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) fn open_all(
        searcher: &Searcher,
        before: &[Arc<Self>],
    ) -> Result<AllColumns, IndexError> {
        let known: HashMap<SegmentId, &Arc<Self>> =
            before.iter().map(|columns| (columns.segment, columns)).collect();
        let of = |segment: &SegmentReader| match known.get(&segment.segment_id()) {
            Some(columns) => Ok(Arc::clone(columns)),
            None => Self::open(segment).map(Arc::new),
        };
        searcher.segment_readers().iter().map(of).collect()
    }

    /// The position of a message, or the first that a member sees; 0 when there is none.
    pub(crate) fn seq(&self, document: DocId) -> Seq {
        Seq(self.seqs.first(document).unwrap_or(0))
    }

    /// When a message was stored, in milliseconds since the Unix epoch.
    pub(crate) fn ts_ms(&self, document: DocId) -> u64 {
        self.times.get_val(document)
    }
}

/// The conversations of documents, each read once: the hits of a reader are of few.
pub(crate) struct Conversations<'a> {
    columns: &'a [Arc<Columns>],
    known: HashMap<(SegmentOrdinal, u64), Option<ConversationId>>,
}

impl<'a> Conversations<'a> {
    pub(crate) fn new(columns: &'a [Arc<Columns>]) -> Self {
        Self { columns, known: HashMap::new() }
    }

    /// The conversation of a message or a membership.
    ///
    /// # Errors
    /// [`IndexError`]
    pub(crate) fn of(&mut self, at: DocAddress) -> Result<Option<ConversationId>, IndexError> {
        let columns = self.columns.get(at.segment_ord as usize);
        let Some(column) = columns.and_then(|columns| columns.conversations.as_ref()) else {
            return Ok(None);
        };
        let Some(ord) = column.term_ords(at.doc_id).next() else { return Ok(None) };
        if let Some(known) = self.known.get(&(at.segment_ord, ord)) {
            return Ok(*known);
        }
        let mut text = Vec::new();
        column.ord_to_bytes(ord, &mut text).map_err(IndexError::Directory)?;
        let read = std::str::from_utf8(&text).ok().and_then(|text| text.parse().ok());
        self.known.insert((at.segment_ord, ord), read);
        Ok(read)
    }
}

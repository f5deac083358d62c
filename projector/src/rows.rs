//! The rows of a partition's store: what the fold writes and queries read.
//!
//! Reading order: [`RowKey`], which orders them; the values in `value`; [`Rows`], which reads them,
//! and [`Overlay`], which reads them as a batch that is not written yet will leave them.

mod key;
mod overlay;
mod value;

use std::ops::Range;

use bytes::Bytes;

pub(crate) use self::key::{Prefix, RowKey, after};
pub(crate) use self::overlay::{Changed, Overlay};
pub(crate) use self::value::{
    AnnotationRow, AppliedRow, ConversationRow, EntryRow, FarewellRow, Kind, MemberRow, OrderRow,
    ParkedRow, SCHEMA, conversation_of, conversation_value, group_value,
};

/// A key and a value.
pub(crate) type Row = (Bytes, Bytes);

/// Why rows cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// The store does not answer, or belongs to somebody else now.
    #[error(transparent)]
    Store(#[from] slatedb::Error),
    /// The object store does not answer.
    #[error("the object store does not answer")]
    Objects(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row cannot be read: it was not written by this code.
    #[error("the row {0} cannot be read")]
    Row(String),
}

impl StoreError {
    /// Somebody else has opened the store, or it was closed.
    pub(crate) fn is_closed(&self) -> bool {
        match self {
            Self::Store(error) => matches!(error.kind(), slatedb::ErrorKind::Closed(_)),
            Self::Objects(_) | Self::Row(_) => false,
        }
    }
}

/// In which direction rows are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    Ascending,
    Descending,
}

/// How much is read at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    pub(crate) rows: usize,
    /// The row that reaches it is still read.
    pub(crate) bytes: usize,
}

impl Limit {
    /// So many rows, of whatever size.
    pub(crate) fn rows(rows: usize) -> Self {
        Self { rows, bytes: usize::MAX }
    }
}

/// The rows at one position of the partition.
pub(crate) trait Rows: Send + Sync {
    /// One row.
    ///
    /// # Errors
    /// [`StoreError`]
    fn get(&self, key: &RowKey) -> impl Future<Output = Result<Option<Bytes>, StoreError>> + Send;

    /// The rows of a range of encoded keys.
    ///
    /// # Errors
    /// [`StoreError`]
    fn scan(
        &self,
        range: Range<Vec<u8>>,
        order: Order,
        limit: Limit,
    ) -> impl Future<Output = Result<Vec<Row>, StoreError>> + Send;
}

impl<R: Rows> Rows for &R {
    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, StoreError> {
        R::get(self, key).await
    }

    async fn scan(
        &self,
        range: Range<Vec<u8>>,
        order: Order,
        limit: Limit,
    ) -> Result<Vec<Row>, StoreError> {
        R::scan(self, range, order, limit).await
    }
}

/// Reads a row's value.
///
/// # Errors
/// [`StoreError`]
pub(crate) async fn read<R: Rows, V: Decode>(
    rows: &R,
    key: &RowKey,
) -> Result<Option<V>, StoreError> {
    rows.get(key).await?.map(|bytes| decode(key, &bytes)).transpose()
}

/// A value out of its bytes.
///
/// # Errors
/// [`StoreError::Row`]
pub(crate) fn decode<V: Decode>(key: &RowKey, bytes: &Bytes) -> Result<V, StoreError> {
    V::decode(bytes).ok_or_else(|| StoreError::Row(key.to_string()))
}

/// A value that can be read from its bytes.
pub(crate) trait Decode: Sized {
    fn decode(bytes: &Bytes) -> Option<Self>;
}

#[cfg(test)]
pub(crate) mod memory {
    //! Rows in a map, for tests of what is pure.

    use std::collections::BTreeMap;

    use super::{Bytes, Changed, Limit, Order, Range, Row, RowKey, Rows, StoreError};

    #[derive(Clone, Debug, Default, PartialEq, Eq)]
    pub(crate) struct Memory(pub(crate) BTreeMap<Vec<u8>, Bytes>);

    impl Memory {
        pub(crate) fn write(&mut self, changed: Changed) {
            for (key, value) in changed {
                match value {
                    Some(value) => self.0.insert(key, value),
                    None => self.0.remove(&key),
                };
            }
        }
    }

    impl Rows for Memory {
        async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, StoreError> {
            Ok(self.0.get(&key.encode()).cloned())
        }

        async fn scan(
            &self,
            range: Range<Vec<u8>>,
            order: Order,
            limit: Limit,
        ) -> Result<Vec<Row>, StoreError> {
            if range.start >= range.end {
                return Ok(Vec::new());
            }
            let mut found: Vec<Row> = self
                .0
                .range(range)
                .map(|(key, value)| (Bytes::copy_from_slice(key), value.clone()))
                .collect();
            if order == Order::Descending {
                found.reverse();
            }
            let mut bytes = 0;
            let keep = found
                .iter()
                .take(limit.rows)
                .take_while(|(_, value)| {
                    let fits = bytes < limit.bytes;
                    bytes += value.len();
                    fits
                })
                .count();
            found.truncate(keep);
            Ok(found)
        }
    }
}

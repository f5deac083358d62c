//! Rows as a batch that is not written yet will leave them.

use std::collections::BTreeMap;
use std::ops::{Deref, Range};

use bytes::Bytes;

use super::{Limit, Order, Row, RowKey, Rows, StoreError};

/// Rows that a batch writes, by encoded key; `None` removes one.
pub(crate) type Changed = BTreeMap<Vec<u8>, Option<Bytes>>;

/// Rows with those of a batch, borrowed or shared, in front.
#[derive(Clone, Debug)]
pub(crate) struct Overlay<C, R> {
    pub(crate) changed: C,
    pub(crate) rows: R,
}

impl<C: Deref<Target = Changed> + Send + Sync, R: Rows> Rows for Overlay<C, R> {
    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, StoreError> {
        match self.changed.get(&key.encode()) {
            Some(value) => Ok(value.clone()),
            None => self.rows.get(key).await,
        }
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
        let changed = self.changed.range(range.clone());
        // A row that is removed or replaced takes a place in what is read below.
        let below = Limit { rows: limit.rows.saturating_add(changed.clone().count()), ..limit };
        let below = self.rows.scan(range, order, below).await?;
        let mut merged: BTreeMap<Bytes, Option<Bytes>> =
            below.into_iter().map(|(key, value)| (key, Some(value))).collect();
        for (key, value) in changed {
            merged.insert(Bytes::copy_from_slice(key), value.clone());
        }
        let mut found: Vec<Row> =
            merged.into_iter().filter_map(|(key, value)| Some((key, value?))).collect();
        if order == Order::Descending {
            found.reverse();
        }
        found.truncate(limit.rows);
        Ok(found)
    }
}

//! A store with a write buffer: a batch of the log may be a single event, and a write to the store
//! costs much the same for one as for a hundred.

use std::sync::Arc;

use super::{Snapshot, Store};
use crate::metrics;
use crate::rows::{Changed, Overlay, StoreError};

/// Rows until the buffer is full: those of about 500 events.
const ROWS_MAX: usize = 2_048;
/// Rows of the buffer that are shared with readers: while one reads, the next batch copies them.
const SHARED_ROWS_MAX: usize = 256;

/// All rows, for whoever reads them beside the loop.
pub(crate) type Shared = Overlay<Arc<Changed>, Snapshot>;

/// A store, and rows that it will have.
pub(crate) struct Buffered {
    store: Store,
    /// The rows of the store.
    written: Snapshot,
    /// Rows of whole batches that are not in the store yet.
    buffer: Arc<Changed>,
}

impl Buffered {
    /// Nothing is in the buffer.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn new(store: Store) -> Result<Self, StoreError> {
        let written = store.snapshot()?;
        Ok(Self { store, written, buffer: Arc::default() })
    }

    /// All rows, those of the buffer included.
    pub(crate) fn rows(&self) -> Overlay<&Changed, &Snapshot> {
        Overlay { changed: &self.buffer, rows: &self.written }
    }

    /// Takes the rows of a batch.
    pub(crate) fn add(&mut self, rows: Changed) {
        if self.buffer.is_empty() {
            self.buffer = Arc::new(rows);
        } else {
            Arc::make_mut(&mut self.buffer).extend(rows);
        }
    }

    /// All rows, for whoever reads them beside the loop; those of a small buffer need no write.
    ///
    /// # Errors
    /// As [`Buffered::write`].
    pub(crate) async fn shared(&mut self) -> Result<Shared, StoreError> {
        if self.buffer.len() > SHARED_ROWS_MAX {
            self.write().await?;
        }
        Ok(Overlay { changed: Arc::clone(&self.buffer), rows: self.written.clone() })
    }

    /// Whether it is time to [write](Self::write), whatever else happens.
    pub(crate) fn is_full(&self) -> bool {
        self.buffer.len() >= ROWS_MAX
    }

    /// Writes the buffer, all of it or nothing; all rows, for whoever reads them beside the loop.
    ///
    /// # Errors
    /// [`StoreError`]: what was in the buffer is to be read from the log again.
    pub(crate) async fn write(&mut self) -> Result<Snapshot, StoreError> {
        if !self.buffer.is_empty() {
            let buffer = std::mem::take(&mut self.buffer);
            metrics::store_written(bytes_of(&buffer));
            self.store.write(Arc::unwrap_or_clone(buffer)).await?;
            self.written = self.store.snapshot()?;
        }
        Ok(self.written.clone())
    }

    /// Makes what was [written](Self::write) survive. The future may run beside everything else.
    pub(crate) fn flush(&self) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        self.store.flush()
    }

    /// Closes the store. What is in the buffer is dropped; what was written and not flushed is
    /// flushed first, or left to be read from the log.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn close(self, flush: bool) -> Result<(), StoreError> {
        let Self { store, written, .. } = self;
        drop(written);
        store.close(flush).await
    }
}

fn bytes_of(rows: &Changed) -> u64 {
    let of = |(key, value): (&Vec<u8>, &Option<bytes::Bytes>)| {
        key.len() + value.as_ref().map_or(0, bytes::Bytes::len)
    };
    rows.iter().map(of).sum::<usize>() as u64
}

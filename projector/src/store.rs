//! The store of a partition: rows in SlateDB, without a write-ahead log of its own, because the
//! log is one. What is written is seen by reads at once, and survives a restart once it was
//! flushed; what did not is read from the log again.

mod background;
mod buffered;

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt;
use hansard_archive::Objects;
use hansard_model::PartitionId;
use slatedb::config::{
    CloseOptions, CompactionWorkerOptions, CompactorOptions, FlushOptions, FlushType, ReadOptions,
    ScanOptions, SizeTieredCompactionSchedulerOptions,
};
use slatedb::db_cache::moka::{MokaCache, MokaCacheOptions};
use slatedb::db_cache::{DbCache, SplitCache};
use slatedb::object_store::ObjectStoreExt;
use slatedb::{CompactorBuilder, Db, DbSnapshot, IterationOrder, Settings, WriteBatch};
use tokio::sync::Semaphore;

use self::background::Background;
pub(crate) use self::buffered::Buffered;
use crate::rows::{Changed, Limit, Order, Row, RowKey, Rows, StoreError};

/// Blocks that a process keeps of all its stores.
const BLOCKS_BYTES_MAX: u64 = 32 * 1024 * 1024;
/// Indexes and filters that it keeps. Beside the blocks: among these an index, which is as large as
/// hundreds of them, would hardly ever be kept, and each read without it reads all of it.
const INDEXES_BYTES_MAX: u64 = 48 * 1024 * 1024;
/// Rows of a store that were not flushed yet, until it is flushed early. In memory they take about
/// three times as much.
const MEMTABLE_BYTES: usize = 2 * 1024 * 1024;
/// Unflushed rows of a store that make writes wait.
const UNFLUSHED_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Small files that wait for compaction until writes wait. A replay makes them much faster than
/// compaction, which looks seldom, takes them away: some 400,000 events are that many.
const FILES_MAX: usize = 128;
/// Files that one compaction takes together at most.
const COMPACTED_FILES_MAX: usize = 16;
/// What a compaction reads of a file at once. All stores of a process may compact at the same time.
const COMPACTION_READ_BYTES: usize = 128 * 1024;
/// Bytes of a file that a compaction writes; then it begins another. Less than what the object store
/// takes in one piece (10 MiB): of larger ones up to eight pieces would wait in memory, and their
/// index and filter are made at once.
const COMPACTED_FILE_BYTES: usize = 8 * 1024 * 1024;
/// How often a store looks whether its files are to be compacted.
const COMPACT_EVERY: Duration = Duration::from_secs(5);
/// How often it looks whether there is a compaction to be done.
const COMPACTIONS_LOOK_EVERY: Duration = Duration::from_secs(2);
/// How often a store looks what its compaction and others made of it. A service counts each look;
/// what is written is compared in any case, and a writer that waits for compaction looks at once.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Reads of all the stores of a process at once; the others wait. Each that finds nothing in memory
/// takes a thread for a moment, and what a thread allocates stays with it for a while.
const READS_MAX: usize = 64;
/// What a scan reads ahead, so that a page costs few reads of the object store.
const READ_AHEAD_BYTES: usize = 32 * 1024;

/// Opens the stores of a process; clones share its cache.
#[derive(Clone)]
pub(crate) struct Stores {
    objects: Objects,
    cache: Arc<dyn DbCache>,
    background: Background,
    opened: Arc<AtomicU64>,
    reads: Arc<Semaphore>,
}

impl Stores {
    pub(crate) fn new(objects: Objects) -> Self {
        let cache_of = |max_capacity| -> Arc<dyn DbCache> {
            let options = MokaCacheOptions { max_capacity, ..MokaCacheOptions::default() };
            Arc::new(MokaCache::new_with_opts(options))
        };
        let cache = SplitCache::new()
            .with_block_cache(Some(cache_of(BLOCKS_BYTES_MAX)))
            .with_meta_cache(Some(cache_of(INDEXES_BYTES_MAX)))
            .build();
        let cache = Arc::new(cache);
        let reads = Arc::new(Semaphore::new(READS_MAX));
        let background = Background::new();
        Self { objects, cache, background, opened: Arc::new(AtomicU64::new(0)), reads }
    }

    /// Opens a store, or makes it. Whoever had it open can write nothing further.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn open(
        &self,
        partition: PartitionId,
        generation: u64,
    ) -> Result<Store, StoreError> {
        let path = self.objects.path(&name(partition, generation));
        let settings = Settings {
            wal_enabled: false,
            flush_interval: None,
            manifest_poll_interval: LOOK_EVERY,
            l0_sst_size_bytes: MEMTABLE_BYTES,
            max_unflushed_bytes: UNFLUSHED_BYTES_MAX,
            l0_max_ssts: FILES_MAX,
            l0_max_ssts_per_key: FILES_MAX,
            l0_flush_parallelism: 1,
            // As the builder of the compactor says.
            compactor_options: None,
            ..Settings::default()
        };
        let objects = || Arc::clone(&self.objects.store);
        let compactor = CompactorBuilder::new(path.clone(), objects())
            .with_options(compaction())
            .with_runtime(self.background.handle());
        let scope = self.opened.fetch_add(1, Relaxed);
        let db = Db::builder(path, objects())
            .with_settings(settings)
            .with_compactor_builder(compactor)
            .with_db_cache(Arc::clone(&self.cache), scope)
            .build()
            .await?;
        Ok(Store { db, reads: Arc::clone(&self.reads) })
    }

    /// Removes a store, and what an attempt at it left.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn remove(
        &self,
        partition: PartitionId,
        generation: u64,
    ) -> Result<(), StoreError> {
        let path = self.objects.path(&name(partition, generation));
        let unavailable =
            |error: slatedb::object_store::Error| StoreError::Objects(Box::new(error));
        let found: Vec<_> =
            self.objects.store.list(Some(&path)).try_collect().await.map_err(unavailable)?;
        for object in found {
            match self.objects.store.delete(&object.location).await {
                Ok(()) | Err(slatedb::object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        Ok(())
    }
}

/// One compaction of a store at a time, with little of each file in memory.
fn compaction() -> CompactorOptions {
    let scheduler = SizeTieredCompactionSchedulerOptions {
        max_compaction_sources: COMPACTED_FILES_MAX,
        ..SizeTieredCompactionSchedulerOptions::default()
    };
    CompactorOptions {
        poll_interval: COMPACT_EVERY,
        max_concurrent_compactions: 1,
        scheduler_options: scheduler.into(),
        worker: Some(CompactionWorkerOptions {
            max_concurrent_compactions: 1,
            compactions_poll_interval: COMPACTIONS_LOOK_EVERY,
            max_sst_size: COMPACTED_FILE_BYTES,
            max_fetch_tasks: 1,
            bytes_to_fetch: COMPACTION_READ_BYTES,
            max_subcompactions: 1,
            ..CompactionWorkerOptions::default()
        }),
        ..CompactorOptions::default()
    }
}

fn name(partition: PartitionId, generation: u64) -> String {
    format!("history/{partition}/{generation}")
}

/// An open store.
pub(crate) struct Store {
    db: Db,
    reads: Arc<Semaphore>,
}

impl Store {
    /// The rows as they are now.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) fn snapshot(&self) -> Result<Snapshot, StoreError> {
        Ok(Snapshot { rows: self.db.snapshot()?, reads: Arc::clone(&self.reads) })
    }

    /// Writes rows, all or none.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn write(&self, changed: Changed) -> Result<(), StoreError> {
        let mut batch = WriteBatch::new();
        for (key, value) in changed {
            match value {
                // A copy has the size of the key, and is kept until the rows are flushed.
                Some(value) => batch.put_bytes(Bytes::copy_from_slice(&key), value),
                None => batch.delete(key),
            }
        }
        self.db.write(batch).await?;
        Ok(())
    }

    /// Makes what was written survive. The future may run beside everything else.
    pub(crate) fn flush(&self) -> impl Future<Output = Result<(), StoreError>> + Send + use<> {
        let db = self.db.clone();
        async move {
            let options = FlushOptions { flush_type: FlushType::MemTable };
            Ok(db.flush_with_options(options).await?)
        }
    }

    /// Closes the store; what was not flushed is flushed first, or left to be read from the log.
    ///
    /// # Errors
    /// [`StoreError`]
    pub(crate) async fn close(self, flush: bool) -> Result<(), StoreError> {
        let flush_type = flush.then_some(FlushType::MemTable);
        let options = CloseOptions::default().with_flush_type(flush_type);
        Ok(self.db.close_with_options(options).await?)
    }
}

/// The rows of a store at one position.
#[derive(Clone)]
pub(crate) struct Snapshot {
    rows: Arc<DbSnapshot>,
    reads: Arc<Semaphore>,
}

impl Rows for Snapshot {
    async fn get(&self, key: &RowKey) -> Result<Option<Bytes>, StoreError> {
        // The semaphore is never closed.
        let _turn = self.reads.acquire().await;
        Ok(self.rows.get_with_options(key.encode(), &ReadOptions::default()).await?)
    }

    async fn scan(
        &self,
        range: Range<Vec<u8>>,
        order: Order,
        limit: Limit,
    ) -> Result<Vec<Row>, StoreError> {
        if range.start >= range.end || limit.rows == 0 {
            return Ok(Vec::new());
        }
        let options = ScanOptions {
            cache_blocks: true,
            read_ahead_bytes: if limit.rows > 1 { READ_AHEAD_BYTES } else { 1 },
            order: match order {
                Order::Ascending => IterationOrder::Ascending,
                Order::Descending => IterationOrder::Descending,
            },
            ..ScanOptions::default()
        };
        let mut found = Vec::new();
        let mut bytes = 0;
        // The semaphore is never closed.
        let _turn = self.reads.acquire().await;
        let mut rows = self.rows.scan_with_options(range, &options).await?;
        while found.len() < limit.rows && bytes < limit.bytes {
            let Some(row) = rows.next().await? else { break };
            bytes += row.value.len();
            found.push((row.key, row.value));
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests;

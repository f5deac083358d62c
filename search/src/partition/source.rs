//! Where records come from: the reader in a task of its own, so that reading goes on while the
//! indexer works, and a bounded queue of batches between them.

use hansard_archive::{FollowError, LogReader};
use hansard_model::Seq;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use crate::incoming::Incoming;

/// Records of one batch at most.
const BATCH_RECORDS_MAX: usize = 2_048;
/// Bytes of payloads of one batch, about.
const BATCH_BYTES_MAX: usize = 1024 * 1024;
/// Batches read ahead of the index.
const BATCHES_AHEAD_MAX: usize = 2;

/// What had arrived.
#[derive(Debug)]
pub(super) struct Batch {
    pub(super) records: Vec<Incoming>,
    /// The last event of the partition as last heard.
    pub(super) last_known: Seq,
}

/// Batches of a partition's log, in order.
pub(super) struct Source {
    batches: mpsc::Receiver<Result<Batch, FollowError>>,
    /// Ends the reading with the source.
    _reading: AbortOnDropHandle<()>,
}

impl Source {
    pub(super) fn start(reader: LogReader) -> Self {
        let (sender, batches) = mpsc::channel(BATCHES_AHEAD_MAX);
        let reading = tokio::spawn(read(reader, sender));
        Self { batches, _reading: AbortOnDropHandle::new(reading) }
    }

    /// The next batch; `None` after an error. Safe to drop while it waits.
    pub(super) async fn next(&mut self) -> Option<Result<Batch, FollowError>> {
        self.batches.recv().await
    }
}

async fn read(mut reader: LogReader, sender: mpsc::Sender<Result<Batch, FollowError>>) {
    loop {
        let mut records = Vec::new();
        let failed = gather(&mut reader, &mut records).await.err();
        let last_known = reader.last_known();
        // What came before the failure is good.
        if !records.is_empty() && sender.send(Ok(Batch { records, last_known })).await.is_err() {
            return;
        }
        if let Some(failed) = failed {
            // Nobody may be left to hear of it; that is the end as well.
            let _ = sender.send(Err(failed)).await;
            return;
        }
    }
}

/// Waits for a record, then takes what is there.
async fn gather(reader: &mut LogReader, records: &mut Vec<Incoming>) -> Result<(), FollowError> {
    let first = Incoming::read(reader.next().await?);
    let mut bytes = first.bytes();
    records.push(first);
    while records.len() < BATCH_RECORDS_MAX && bytes < BATCH_BYTES_MAX {
        let Some(record) = reader.try_next()? else { break };
        let next = Incoming::read(record);
        bytes += next.bytes();
        records.push(next);
    }
    Ok(())
}

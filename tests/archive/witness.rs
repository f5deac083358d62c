//! Who saw everything that was stored, before anything was trimmed.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hansard_archive::{Archive, Objects, ObjectsUrl};
use hansard_model::{PartitionId, Seq};
use hansard_nats::log::StoredEvent;
use hansard_nats::streams::StreamName;
use hansard_nats::{Connection, Log, deployment};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use crate::harness::{DataDir, eventually};

/// How long one event may take to come back from a segment.
const EVENT_WITHIN: Duration = Duration::from_secs(20);

/// Reads every partition's stream as it is written.
pub(crate) struct Witness {
    connection: Connection,
    log: Log,
    stop: CancellationToken,
    watching: Vec<Watching>,
}

struct Watching {
    partition: PartitionId,
    /// The last sequence that was seen.
    reached: Arc<AtomicU64>,
    seen: JoinHandle<Vec<StoredEvent>>,
}

impl Witness {
    /// Begins; nothing has been trimmed yet.
    pub(crate) async fn watch(data: &DataDir) -> Self {
        let (connection, log) = data.operator().await;
        let stop = CancellationToken::new();
        let watching = log.partitions().partitions().map(|partition| {
            let (log, stop) = (log.clone(), stop.clone());
            let reached = Arc::new(AtomicU64::new(0));
            let seeing = Arc::clone(&reached);
            let seen = tokio::spawn(async move {
                let (mut reader, mut seen) = (log.follow(partition, Seq::ZERO), Vec::new());
                loop {
                    tokio::select! {
                        event = reader.next_stored() => {
                            seen.push(event.expect("the witness keeps up with the stream"));
                            seeing.store(reader.position().0, Ordering::Relaxed);
                        }
                        () = stop.cancelled() => return seen,
                    }
                }
            });
            Watching { partition, reached, seen }
        });
        let watching = watching.collect();
        Self { connection, log, stop, watching }
    }

    /// That segments and stream hold the same, byte by byte, as one log; how many events.
    pub(crate) async fn assert_nothing_changed(self, data: &DataDir) -> usize {
        let deployment = deployment::open(&self.connection).await.unwrap();
        let objects = Objects::open(&ObjectsUrl::Directory(data.objects())).unwrap();
        let archive = Archive::open(objects, &self.connection, &deployment);
        let mut read = Vec::new();
        for Watching { partition, reached, .. } in &self.watching {
            let last = self.log.extent(StreamName::Events(*partition)).await.unwrap().last;
            eventually("the witness to have seen everything", async || {
                reached.load(Ordering::Relaxed) >= last.0
            })
            .await;
            let mut reader = archive.follow(&self.log, *partition, Seq::ZERO);
            let mut events = Vec::new();
            while reader.position() < last {
                let next = timeout(EVENT_WITHIN, reader.next_stored()).await;
                let next = next.unwrap_or_else(|_| panic!("{partition}: no event in time"));
                events.push(next.unwrap());
            }
            read.push(events);
        }
        self.stop.cancel();
        let mut count = 0;
        for (Watching { partition, seen, .. }, read) in self.watching.into_iter().zip(read) {
            let seen = seen.await.unwrap();
            for (read, seen) in read.iter().zip(&seen) {
                assert_eq!(read, seen, "partition {partition}: what is read, and what was stored");
            }
            assert_eq!(read.len(), seen.len(), "partition {partition}: how many");
            count += read.len();
        }
        count
    }
}

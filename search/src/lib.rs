//! Search: an index of each partition, kept from the log, that answers only what its asker may read.
//!
//! Any number of searchers run; each partition has one owner, which reads the log into an index on
//! its disk and answers for it. A question goes to all owners at once. Reading order:
//!
//! 1. [`hansard_nats::ownership`]: which partitions this process owns;
//! 2. `partition`: the owner's loop, from the log to the index and the answers;
//! 3. `incoming`, `fold`, `document`: what an event does to which document, pure;
//! 4. `schema`, `analysis`, `index`, `files`: what a document is to the library, and the commit;
//! 5. `query`: searching a view of the index;
//! 6. `snapshot`: indexes in the object store, for machines that have none;
//! 7. [`Progress`], [`metrics`]: how it is watched.
//!
//! - Invariant: the documents depend on the log alone. A commit has them and the position of the log
//!   that they are of, or neither, so a searcher can die at any moment.
//! - Invariant: what a reader may see is a part of the query, as of the same view of the index.
//!   Whoever shows a hit asks the log once more, as an index is always a little behind.
//! - Invariant: an owner answers only while it knows that it holds the lease, and only after it has
//!   applied all that was there when it became the owner.
//! - Invariant: the text of messages leaves as terms only where they were matched in place of others;
//!   who shows it reads it from the history.
//! - Invariant: the types of tantivy stop here.
#![warn(clippy::wildcard_enum_match_arm)]

mod analysis;
mod columns;
mod document;
mod files;
mod fold;
mod incoming;
mod index;
mod indexer;
pub mod metrics;
mod partition;
mod position;
mod progress;
mod query;
mod schema;
mod snapshot;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hansard_archive::{Archive, BindError, Objects};
use hansard_nats::connection::ConnectError;
use hansard_nats::deployment::{self, ProvisionError, watch_epoch};
use hansard_nats::lease::Leases;
use hansard_nats::ownership::Ownership;
use hansard_nats::{Connection, Endpoint, Log, LogClock, ServiceRole};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use progress::{PartitionProgress, Progress};

use self::partition::Shared;
use self::snapshot::Snapshots;

/// How long NATS may take to answer at the start.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// Partitions of a process that are brought to their end of the log at a time: each holds events
/// ahead of the index.
const CATCHING_UP_MAX: usize = 2;
/// Partitions of a process that are committed at a time: what a commit takes of memory and of
/// processors is bounded by the machine, not by how many partitions there are.
const COMMITTING_MAX: usize = 1;

/// How often a partition's index is stored for other machines, when nobody says: what one that
/// starts with nothing reads of the log is about so much.
pub const SNAPSHOT_EVERY: Duration = Duration::from_secs(600);

/// What a searcher is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where NATS is.
    pub endpoint: Endpoint,
    /// The name under which it holds leases: unique among all processes that run now. A process
    /// that is started again under the same name takes its partitions at once.
    pub holder: String,
    /// Where it says how far it is.
    pub progress: Progress,
    /// Where the archive and the snapshots are.
    pub objects: Objects,
    /// Where its indexes are: a directory that no other searcher uses. What is in it is made again
    /// when it is lost.
    pub directory: PathBuf,
    /// How often a partition's index is stored for other machines; [`SNAPSHOT_EVERY`].
    pub snapshot_every: Duration,
}

/// Why a searcher did not start.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// NATS cannot be reached.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// There is no deployment there.
    #[error(transparent)]
    Deployment(#[from] ProvisionError),
    /// The object store is of another deployment, or does not answer.
    #[error(transparent)]
    Objects(#[from] BindError),
}

/// Owns partitions until `shutdown`; then commits what is not yet, for at most a few seconds, and
/// gives them back.
///
/// # Errors
/// [`RunError`] when it cannot start. Once it runs it outlives lost connections, and a partition
/// that stops on a fault is reported and tried again.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let Config { endpoint, holder, progress, objects, directory, snapshot_every } = config;
    let role = ServiceRole::Search;
    let connection = Connection::connect_within(&endpoint, role, CONNECT_WITHIN, &shutdown).await?;
    let deployment = deployment::open(&connection).await?;
    let partitions = deployment.partitions;
    objects.bind(&deployment).await?;
    progress.begin(partitions);
    let (epoch, raised) = watch::channel(deployment.epoch);
    let mut raises = watch_epoch(&connection, deployment.epoch);
    let watching = tokio::spawn(async move {
        loop {
            let now = raises.raised().await;
            if epoch.send(now).is_err() {
                return;
            }
        }
    });
    let _watching = AbortOnDropHandle::new(watching);
    let searching = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let shared = Shared {
        archive: Archive::open(objects.clone(), &connection, &deployment),
        snapshots: Snapshots::new(objects),
        snapshot_every,
        log: Log::open(&connection, &deployment, LogClock::new()),
        directory: directory.into(),
        epoch: raised,
        catching_up: Arc::new(Semaphore::new(CATCHING_UP_MAX)),
        committing: Arc::new(Semaphore::new(COMMITTING_MAX)),
        searching: Arc::new(Semaphore::new(searching)),
        lexicon: Arc::default(),
        progress,
        connection: connection.clone(),
    };
    Ownership::new(shared, Leases::open(&connection), holder, partitions).run(shutdown).await;
    connection.flush().await;
    Ok(())
}

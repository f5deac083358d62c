//! The projector: reads each partition of the log once and works out what everybody needs.
//!
//! For every event: void or not, the preceding event of its conversation, the ordinal of the
//! message, who is a member and what they have read. From that it publishes the live feed, keeps
//! the inbox bucket, and answers questions about history. Any number of projectors run; each
//! partition has one owner. Reading order:
//!
//! 1. [`hansard_nats::ownership`]: which partitions this process owns (leases, takeover);
//! 2. `partition`: the owner's loop, from the log to the feed, the stores and the answers;
//! 3. `rows`: what is kept, by key, and `store`, where;
//! 4. `fold`: the pure fold from records to rows, with `conversation` for membership and marks;
//! 5. `queries`: pure answers from rows; `live`, `inbox`: what else leaves;
//! 6. `views`: rebuilding, verifying and going back;
//! 7. [`Progress`], [`metrics`]: how it is watched.
//!
//! - Invariant: the rows depend on the log alone. Applying it twice, in any batches or from any
//!   position gives the same rows, so a projector can die at any moment.
//! - Invariant: an event is published before any row is written for it.
//! - Invariant: rows of a batch are written all or none, with the position that they bring the
//!   store to. The store has no log of its own: what it lost is read from the log again.
//! - Invariant: an owner answers only while it knows that it holds the lease, and only after it has
//!   applied all that was there when it became the owner. Opening the store shuts out whoever had
//!   it open before.
//! - Invariant: a position of the inbox bucket is written after everything that it covers.
//! - Invariant: memory is caches, each with a bound; history is in the store.
#![warn(clippy::wildcard_enum_match_arm)]

mod body;
mod conversation;
mod fold;
mod inbox;
mod live;
pub mod metrics;
mod parked;
mod partition;
mod progress;
mod queries;
mod rows;
mod store;
mod views;

use std::time::Duration;

use hansard_archive::{Archive, ArchiverSettings, BindError, Objects};
use hansard_nats::connection::ConnectError;
use hansard_nats::deployment::{self, ProvisionError};
use hansard_nats::inbox::InboxBucket;
use hansard_nats::lease::Leases;
use hansard_nats::ownership::Ownership;
use hansard_nats::{Connection, Endpoint, Log, LogClock, ServiceRole};
use tokio_util::sync::CancellationToken;

pub use parked::ParkReason;
pub use progress::{PartitionProgress, Progress};

use self::inbox::flush::Pace;
use self::partition::Shared;
use self::queries::Windows;
use self::store::Stores;

/// How long NATS may take to answer at the start.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);

/// What a projector is started with.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where NATS is.
    pub endpoint: Endpoint,
    /// The name under which it holds leases: unique among all processes that run now. A process
    /// that is started again under the same name takes its partitions at once.
    pub holder: String,
    /// Where it says how far it is.
    pub progress: Progress,
    /// Where the stores of views and the archive are.
    pub objects: Objects,
    /// When the archive is written, and what the streams keep.
    pub archiving: ArchiverSettings,
}

/// Why a projector did not start.
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

/// Owns partitions until `shutdown`; then writes what is stale, for at most a few seconds, and
/// gives them back.
///
/// # Errors
/// [`RunError`] when it cannot start. Once it runs it outlives lost connections, and a partition
/// that stops on a fault of the log is reported and tried again.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let Config { endpoint, holder, progress, objects, archiving } = config;
    let role = ServiceRole::Projector;
    let connection = Connection::connect_within(&endpoint, role, CONNECT_WITHIN, &shutdown).await?;
    let deployment = deployment::open(&connection).await?;
    let partitions = deployment.partitions;
    objects.bind(&deployment).await?;
    progress.begin(partitions);
    let shared = Shared {
        archive: Archive::open(objects.clone(), &connection, &deployment),
        archiving,
        stores: Stores::new(objects),
        windows: Windows::new(),
        log: Log::open(&connection, &deployment, LogClock::new()),
        bucket: InboxBucket::open(&connection, partitions),
        pace: Pace::new(),
        progress,
        connection: connection.clone(),
    };
    Ownership::new(shared, Leases::open(&connection), holder, partitions).run(shutdown).await;
    connection.flush().await;
    Ok(())
}

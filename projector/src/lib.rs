//! The projector: reads each partition of the log once and works out what everybody needs.
//!
//! For every event: void or not, the preceding event of its conversation, the ordinal of the
//! message, who is a member and what they have read. From that it publishes the live feed, keeps
//! the inbox bucket, and answers questions about history. Any number of projectors run; each
//! partition has one owner. Reading order:
//!
//! 1. `ownership`: which partitions this process owns (leases, takeover);
//! 2. `partition`: the owner's loop, from the log to the feed, the stores and the answers;
//! 3. `partition/state`: the pure fold, with `partition/conversation` for membership and marks;
//! 4. `history`, `index`, `directory`, `parked`: what the fold keeps;
//! 5. `live`, `inbox`, `queries`: what leaves;
//! 6. [`Progress`], [`metrics`]: how it is watched.
//!
//! - Invariant: the state depends on the log alone. Applying it twice, in any batches or from any
//!   prefix gives the same state, so a projector can die at any moment.
//! - Invariant: an event is published before any store is written for it.
//! - Invariant: an owner answers only while it knows that it holds the lease, and only after it has
//!   applied all that was there when it became the owner.
//! - Invariant: a position of the inbox bucket is written after everything that it covers.
//! - Absent, for now: a durable store. An owner folds its partition from the beginning, in memory.
//!   Resident memory measured with `examples/replay_rate.rs`, 200,000 messages of 352 bytes stored:
//!   520 bytes per event in 100 conversations (the payload and 170), 750 in 20,000 direct ones of
//!   10 events each, so a direct conversation itself costs about 2.4 KB while its inbox entries
//!   wait to be written.
#![warn(clippy::wildcard_enum_match_arm)]

mod directory;
mod history;
mod inbox;
mod index;
mod live;
pub mod metrics;
mod ownership;
mod parked;
mod partition;
mod progress;
mod queries;

use std::time::Duration;

use hansard_nats::connection::ConnectError;
use hansard_nats::deployment::{self, ProvisionError};
use hansard_nats::inbox::InboxBucket;
use hansard_nats::lease::Leases;
use hansard_nats::{Connection, Endpoint, Log, LogClock, ServiceRole};
use tokio_util::sync::CancellationToken;

pub use parked::{ParkReason, ParkedEvent};
pub use progress::{PartitionProgress, Progress};

use self::inbox::flush::Pace;
use self::ownership::Ownership;
use self::partition::Shared;

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
}

/// Owns partitions until `shutdown`; then writes what is stale, for at most a few seconds, and
/// gives them back.
///
/// # Errors
/// [`RunError`] when it cannot start. Once it runs it outlives lost connections, and a partition
/// that stops on a fault of the log is reported and tried again.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let Config { endpoint, holder, progress } = config;
    let role = ServiceRole::Projector;
    let connection = Connection::connect_within(&endpoint, role, CONNECT_WITHIN, &shutdown).await?;
    let deployment = deployment::open(&connection).await?;
    let partitions = deployment.partitions;
    progress.begin(partitions);
    let shared = Shared {
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

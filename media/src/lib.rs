//! Media services: files arrive whole, are stored once, and go only where a message took them.
//!
//! Any number of services run; each takes uploads and serves downloads that gateways pass on to it,
//! and owns some partitions of the log, whose messages it follows for what they refer to. Reading
//! order:
//!
//! 1. [`hansard_model::media`]: the records, and who may read;
//! 2. `parts`, `manifests`: objects and their names; `blobs`: bytes that are stored once;
//! 3. `uploads`: from creation to a blob; `holdings`: what each user has; `http`: what gateways
//!    pass on;
//! 4. `processing`: what can be known and shown of a file, off the request path;
//! 5. `references`: which messages refer to what; `avatars`: which uploads accounts name; `watch`,
//!    `collector`: what nobody refers to goes; `reconcile`: the records again, after the data of
//!    NATS were lost;
//! 6. [`Progress`], [`metrics`]: how it is watched.
//!
//! - Invariant: what was acknowledged to an uploader is durable in the object store.
//! - Invariant: nothing is removed because a list does not name it, only because a record says so;
//!   a record that cannot be read is an error, and never absent.
//! - Invariant: bytes leave only after they were compared with their hash.
//! - Invariant: a process can die at any moment. Whoever comes next goes on.
#![warn(clippy::wildcard_enum_match_arm)]

mod avatars;
mod blobs;
mod collector;
mod digest;
mod fault;
mod holdings;
mod http;
mod manifests;
pub mod metrics;
mod parts;
mod processing;
mod progress;
mod reconcile;
mod references;
mod uploads;
mod watch;

use std::net::SocketAddr;
use std::time::Duration;

use hansard_archive::{Archive, BindError, Objects};
use hansard_nats::connection::ConnectError;
use hansard_nats::deployment::{self, ProvisionError, watch_epoch};
use hansard_nats::lease::{Leases, RENEW_EVERY};
use hansard_nats::media::MediaBucket;
use hansard_nats::ownership::Ownership;
use hansard_nats::{Connection, Endpoint, Log, LogClock, ServiceRole};
use tokio::net::TcpListener;
use tokio::sync::watch as latest;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

pub use self::collector::Patience;
pub use self::fault::Fault;
pub use self::progress::Progress;

use self::collector::Collector;
use self::http::{Grants, Shared};
use self::processing::{Processing, Queue};
use self::references::{Following, Standing};
use self::uploads::{Bounds, Uploads};

/// How long NATS may take to answer at the start.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// Between two attempts to learn something without which nothing can begin.
const START_PAUSE: Duration = Duration::from_millis(200);

/// What a media service is started with.
#[derive(Debug)]
pub struct Config {
    /// Where NATS is.
    pub endpoint: Endpoint,
    /// The name under which it holds leases: unique among all processes that run now.
    pub holder: String,
    /// Where it says how far it is.
    pub progress: Progress,
    /// Where the files are; the archive of the log, too.
    pub objects: Objects,
    /// Where gateways connect.
    pub listener: TcpListener,
    /// Where gateways reach the listener, such as `http://media-1.internal:9000`; its own address if
    /// nobody says.
    pub advertise: Option<String>,
    /// The clock of the log, which it keeps.
    pub clock: LogClock,
    /// Bytes of one upload at most.
    pub upload_bytes_max: u64,
    /// Bytes that all uploads of one user may have.
    pub user_bytes_max: u64,
    /// When what is over is removed. Unfinished uploads are kept as long as those that nothing
    /// refers to.
    pub patience: Patience,
}

/// Why a media service did not start.
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
    /// The listener has no address.
    #[error("the listener has no address")]
    Listener(#[source] std::io::Error),
    /// Gateways would be sent to an address that stands for all of a machine.
    #[error("{0} is no address that gateways could be told: say which is")]
    NoAddress(SocketAddr),
}

/// Takes uploads, serves downloads and owns partitions until `shutdown`; then has requests under
/// way put away what they have.
///
/// # Errors
/// [`RunError`] when it cannot start. Once it runs it outlives lost connections.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), RunError> {
    let Config { endpoint, holder, progress, objects, listener, clock, patience, .. } = config;
    let url = url(&listener, config.advertise)?;
    let role = ServiceRole::Media;
    let connection = Connection::connect_within(&endpoint, role, CONNECT_WITHIN, &shutdown).await?;
    let deployment = deployment::open(&connection).await?;
    objects.bind(&deployment).await?;
    let bucket = MediaBucket::open(&connection);
    let keeping = clock.clone().keep(connection.clone(), shutdown.clone());
    let _keeping = AbortOnDropHandle::new(tokio::spawn(keeping));
    let Some(grants) = grants(&bucket, &shutdown).await else { return Ok(()) };
    let queue = Queue::default();
    let bounds = Bounds { bytes_max: config.upload_bytes_max, keep: patience.grace };
    let limits = (bounds, config.user_bytes_max);
    let uploads =
        Uploads::new(bucket.clone(), clock.clone(), objects.clone(), limits, queue.clone());
    let log = Log::open(&connection, &deployment, clock);
    let (epoch, raised) = latest::channel(deployment.epoch);
    let mut raises = watch_epoch(&connection, deployment.epoch);
    let _raising = AbortOnDropHandle::new(tokio::spawn(async move {
        while epoch.send(raises.raised().await).is_ok() {}
    }));
    let following = Following {
        archive: Archive::open(objects.clone(), &connection, &deployment),
        collector: Collector {
            uploads: uploads.clone(),
            objects,
            log: log.clone(),
            processing: queue.clone(),
            patience,
        },
        log,
        epoch: raised,
        standing: Standing::default(),
    };
    let processing = tokio::task::spawn_blocking({
        let uploads = uploads.clone();
        move || Processing::new(uploads, queue)
    });
    let shared = Shared::new(uploads, grants);
    let served = http::serve(listener, http::router(shared.clone()), shutdown.clone());
    let served = AbortOnDropHandle::new(tokio::spawn(served));
    let processed = async {
        // It looks for programs, and cannot fail.
        if let Ok(processing) = processing.await {
            processing.run(shutdown.clone()).await;
        }
    };
    let owned =
        Ownership::new(following, Leases::open(&connection), holder.clone(), deployment.partitions)
            .run(shutdown.clone());
    let ended = async {
        shutdown.cancelled().await;
        shared.end().await;
    };
    tokio::join!(announce(&bucket, &holder, &url, &progress, &shutdown), processed, owned, ended);
    // It has been told to end, and gives up on those who do not by itself.
    let _ended = served.await;
    connection.flush().await;
    Ok(())
}

/// Where gateways reach the listener.
fn url(listener: &TcpListener, advertise: Option<String>) -> Result<String, RunError> {
    let address = listener.local_addr().map_err(RunError::Listener)?;
    match advertise {
        Some(url) => Ok(url.trim_end_matches('/').to_owned()),
        None if address.ip().is_unspecified() => Err(RunError::NoAddress(address)),
        None => Ok(format!("http://{address}")),
    }
}

/// Waits for the secret of grants; `None` at the shutdown.
async fn grants(bucket: &MediaBucket, shutdown: &CancellationToken) -> Option<Grants> {
    loop {
        match Grants::open(bucket.clone()).await {
            Ok(grants) => return Some(grants),
            Err(error) => tracing::warn!(%error, "waiting for the secret of grants"),
        }
        tokio::select! {
            () = shutdown.cancelled() => return None,
            () = tokio::time::sleep(START_PAUSE) => {}
        }
    }
}

/// Tells gateways again and again where the service is, until the shutdown.
async fn announce(
    bucket: &MediaBucket,
    holder: &str,
    url: &str,
    progress: &Progress,
    shutdown: &CancellationToken,
) {
    loop {
        let told = bucket.announce_service(holder, url).await;
        if let Err(error) = &told {
            tracing::warn!(%error, "gateways cannot be told where this service is");
        }
        progress.set_serves(told.is_ok());
        tokio::select! {
            () = shutdown.cancelled() => break,
            () = tokio::time::sleep(RENEW_EVERY) => {}
        }
    }
    progress.set_serves(false);
    if let Err(error) = bucket.withdraw_service(holder).await {
        tracing::debug!(%error, "gateways learn by themselves that this service ended");
    }
}

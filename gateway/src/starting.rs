//! Putting a gateway together, in the order in which its parts depend on each other.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hansard_model::DeviceId;
use hansard_nats::accounts::AccountLog;
use hansard_nats::connection::ConnectError;
use hansard_nats::deployment::{self, ProvisionError};
use hansard_nats::{Connection, Deployment, Log, LogClock, ServiceRole};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::accept::Door;
use crate::accounts::{Change, Directory, OpenDirectoryError};
use crate::acks::Acks;
use crate::admin::{self, Admin};
use crate::admission::Admission;
use crate::config::{Config, Limits};
use crate::discovery::{Discovery, Standing};
use crate::groups::Groups;
use crate::inbox::Inbox;
use crate::media::{Claims, Media, notices};
use crate::pace::Pace;
use crate::past::Past;
use crate::presence::Presence;
use crate::rate::{FORGET_EVERY, RateLimits};
use crate::receipts::Receipts;
use crate::receipts::tell::Changes;
use crate::removal::Removals;
use crate::router::Router;
use crate::send::{self, Sender};
use crate::turnstile::Turnstile;
use crate::{Gateway, Running, epoch, feed, http, resume, sessions};

/// How long NATS may take to be there.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// How long the accounts may take to be read.
const ACCOUNTS_WITHIN: Duration = Duration::from_secs(120);
/// Connections to the operator's listener.
const ADMIN_CONNECTIONS_MAX: usize = 64;
/// Close code of a session that was revoked.
const REVOKED: u16 = 4003;

/// Why a gateway did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address is taken, or not ours.
    #[error("cannot listen on {address}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// NATS is not there.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The deployment cannot be used.
    #[error(transparent)]
    Deployment(#[from] ProvisionError),
    /// The accounts cannot be kept.
    #[error("the accounts cannot be opened: {0}")]
    Accounts(String),
    /// The system has no randomness.
    #[error("no randomness: {0}")]
    Randomness(String),
}

impl From<OpenDirectoryError> for StartError {
    fn from(error: OpenDirectoryError) -> Self {
        Self::Accounts(error.to_string())
    }
}

/// Tasks that run as long as the gateway does.
struct Background {
    tasks: TaskTracker,
    stopped: CancellationToken,
    /// One of them ended by itself, by a panic for one: the gateway must not go on without it.
    failed: CancellationToken,
}

impl Background {
    fn spawn<T>(&self, task: impl Future<Output = T> + Send + 'static) {
        let stopped = self.stopped.clone();
        let failed = self.failed.clone().drop_guard();
        self.tasks.spawn(async move {
            if stopped.run_until_cancelled_owned(task).await.is_none() {
                failed.disarm();
            }
        });
    }
}

/// Starts a gateway: when this returns, it has followed the accounts and accepts connections.
/// Clients can resume once [`Running::ready`] resolves.
///
/// # Errors
/// [`StartError`]
pub async fn start(config: Config) -> Result<Running, StartError> {
    let listener = listen(config.listen).await?;
    let admin_listener = match config.admin_listen {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let addr = local(&listener, config.listen)?;
    let admin_addr = admin_listener.as_ref().map(|listener| local(listener, addr)).transpose()?;
    let connection = Connection::connect_within(
        &config.endpoint,
        ServiceRole::Gateway,
        CONNECT_WITHIN,
        &CancellationToken::new(),
    )
    .await?;
    let deployment = deployment::open(&connection).await?;
    let background = Background {
        tasks: TaskTracker::new(),
        stopped: CancellationToken::new(),
        failed: CancellationToken::new(),
    };
    let admission = Arc::new(Admission::new(&config.limits));
    let standing = Arc::new(standing(&config, addr, &admission)?);
    let gateway = Box::pin(assemble(config, connection, deployment, standing, &background)).await?;

    let connections = TaskTracker::new();
    let doors = [
        Some(Door {
            listener,
            router: http::router(gateway.clone()),
            admission,
            connections: connections.clone(),
        }),
        admin_listener.map(|listener| admin_door(listener, &gateway, &connections)),
    ];
    for door in doors.into_iter().flatten() {
        background.spawn(door.accept(gateway.stopping.clone()));
    }
    tracing::info!(%addr, "gateway accepts connections");
    let Background { tasks, stopped, failed } = background;
    Ok(Running { gateway, addr, admin_addr, connections, tasks, stopped, failed })
}

async fn assemble(
    config: Config,
    connection: Connection,
    deployment: Deployment,
    standing: Arc<Standing>,
    background: &Background,
) -> Result<Arc<Gateway>, StartError> {
    let clock = kept_clock(&config, &connection, background).await;
    let router = Arc::new(Router::new(deployment.partitions, deployment.epoch));
    let directory = open_directory(&config, &connection, &deployment, &router, background).await?;
    let past = Past::new(Log::open(&connection, &deployment, clock.clone()));
    let groups = Groups::new(past.clone());
    let gateway = standing.gateway();
    let removals = Removals::new(connection.clone(), groups.clone(), router.clone(), gateway);
    register(&removals, &standing, background);
    let acks = Arc::new(Acks::new(deployment.partitions));
    let rates = Arc::new(RateLimits::new(&config.rates, config.limits.trust_loopback));
    background.spawn(forget_the_idle(rates.clone()));
    let media = Media::new(&connection, clock.clone());
    let sender = Sender::new(send::Parts {
        past: past.clone(),
        groups: groups.clone(),
        directory: directory.clone(),
        removals,
        claims: Claims::new(media.clone(), router.clone()),
        acks: acks.clone(),
        rates: rates.clone(),
        group_limit: config.group_limit,
    });
    let inbox = Inbox::new(&connection, deployment.partitions, router.clone(), directory.clone());
    let receipts = Receipts::new(
        &connection,
        router.clone(),
        groups.clone(),
        past.clone(),
        acks.clone(),
        directory.clone(),
        rates.clone(),
    );
    let presence = Arc::new(Presence::new(&connection, standing.gateway(), config.away_after));
    let now = tokio::time::Instant::now();
    let pace = Arc::new(Pace::new());
    let gateway = Arc::new(Gateway {
        handshakes: Turnstile::new(config.rates.handshakes, now).paced(pace.clone()),
        catch_ups: Turnstile::new(config.rates.catch_ups, now),
        polls: Turnstile::new(config.rates.catch_ups, now),
        discovery: Discovery::new(connection.clone(), clock.clone()),
        standing,
        config,
        deployment,
        connection,
        clock,
        directory,
        groups,
        sender,
        acks,
        rates,
        router,
        inbox,
        receipts,
        receipt_changes: Changes::new(),
        presence,
        past,
        media,
        tail_reads: resume::TailReads::default(),
        pages: http::Pages::default(),
        sockets: TaskTracker::new(),
        stopping: CancellationToken::new(),
    });
    keep(&gateway, background);
    background.spawn(async move { pace.measure().await });
    Ok(gateway)
}

/// Log time, compared with the log's from here on.
async fn kept_clock(config: &Config, connection: &Connection, background: &Background) -> LogClock {
    let clock = config.clock.clone();
    // Without it nobody is served; whether it succeeds shows in the readiness.
    if clock.compare(connection).await.is_err() {
        tracing::warn!("log time is not known yet");
    }
    background.spawn(clock.clone().keep(connection.clone(), background.stopped.clone()));
    clock
}

/// What a gateway does besides serving its connections.
fn keep(gateway: &Arc<Gateway>, background: &Background) {
    background.spawn(gateway.router.announcements.clone().run(gateway.clone()));
    background.spawn(gateway.receipts.clone().keep());
    background.spawn(gateway.receipt_changes.clone().run(gateway.clone()));
    background.spawn(gateway.presence.clone().say(gateway.clone()));
    background.spawn(gateway.presence.clone().tell(gateway.clone()));
    background.spawn(gateway.presence.clone().look(gateway.clone()));
    background.spawn(gateway.presence.clone().listen());
    background.spawn(gateway.presence.clone().repair(gateway.clone()));
    background.spawn(notices::tell(gateway.clone()));
    background.spawn(sessions::answer(gateway.clone()));
    background.spawn(epoch::follow(gateway.clone()));
    background.spawn(feed::run(gateway.clone()));
}

/// Follows the accounts, and waits until everything is there that the log had at the start.
async fn open_directory(
    config: &Config,
    connection: &Connection,
    deployment: &Deployment,
    router: &Arc<Router>,
    background: &Background,
) -> Result<Directory, StartError> {
    let log = AccountLog::open(connection);
    let (directory, follower) =
        Directory::open(log, config.clock.clone(), &deployment.salt, config.session_ttl).await?;
    let (router, announcements) = (router.clone(), router.announcements.clone());
    background.spawn(follower.run(move |seq, change| {
        match change {
            Some(Change::SessionRevoked(user, device)) => {
                router.close_device(user, device, REVOKED);
            }
            Some(Change::PresenceChanged(user)) => router.notes.settings(user),
            Some(Change::SettingsChanged(..) | Change::ProfileChanged(_)) | None => {}
        }
        announcements.note(seq, change);
    }));
    let caught_up = tokio::time::timeout(ACCOUNTS_WITHIN, async {
        while directory.catch_up().await.is_err() {
            tracing::info!("the accounts are still being read");
        }
    });
    caught_up.await.map_err(|_| StartError::Accounts("reading them takes too long".to_owned()))?;
    Ok(directory)
}

/// What the gateway says of itself, under an id that is new at each start.
fn standing(
    config: &Config,
    addr: SocketAddr,
    admission: &Arc<Admission>,
) -> Result<Standing, StartError> {
    let mut id = [0; DeviceId::LEN];
    getrandom::fill(&mut id).map_err(|error| StartError::Randomness(error.to_string()))?;
    let url = config.advertise.as_ref().map(|url| url.with_port(addr.port()));
    let (id, region) = (DeviceId::from_entropy(id), config.region.clone());
    Ok(Standing::new(id, url, region, admission.clone()))
}

/// Makes the gateway known to the others, which ask it before they call a removal complete.
fn register(removals: &Removals, standing: &Arc<Standing>, background: &Background) {
    let stopped = background.stopped.clone();
    background.spawn(removals.clone().confirm_for_others(stopped.clone()));
    // It ends by itself: after the gateway has stopped it takes its entry back.
    background.tasks.spawn(removals.clone().keep_registered(standing.clone(), stopped));
}

async fn forget_the_idle(rates: Arc<RateLimits>) -> std::convert::Infallible {
    loop {
        tokio::time::sleep(FORGET_EVERY).await;
        rates.forget_the_idle();
    }
}

fn admin_door(listener: TcpListener, gateway: &Arc<Gateway>, connections: &TaskTracker) -> Door {
    let admin = Admin {
        gateway: gateway.clone(),
        metrics: gateway.config.metrics.clone(),
        ready: gateway.config.ready.clone().into(),
    };
    let limits = Limits {
        connections: ADMIN_CONNECTIONS_MAX,
        unidentified: ADMIN_CONNECTIONS_MAX,
        ..Limits::default()
    };
    Door {
        listener,
        router: admin::router(admin),
        admission: Arc::new(Admission::new(&limits)),
        connections: connections.clone(),
    }
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn local(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen { address, source })
}

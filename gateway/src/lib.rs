//! The edge of Hansard: WebSocket and HTTP for clients, vouching and appending for the log.
//!
//! A gateway keeps nothing of its own: any number of them run side by side, and what one knows it
//! has folded from the log or asked of the projectors. Reading order:
//!
//! 1. [`config`]: what it is told; `start` below wires the parts;
//! 2. `accept` and `admission`: who gets in; `rate`, `turnstile` and `pace`: how often; `discovery`: and
//!    who goes to which gateway;
//! 3. `http` and `connection`: the two ways to say the same;
//! 4. `accounts`: who somebody is; `groups`: where they are a member, under a lease;
//! 5. `send`, `removal`, `targets`, `acks`, `past`: check, vouch, append, once;
//! 6. `feed`, `router`, `outbox`, `frame`: from the live feed to sockets, encoded once; `receipts`:
//!    how far everybody has got, likewise; `presence`: who is there; `sessions`: from where;
//! 7. `media`: files, passed on to media services;
//! 8. `resume`, `cursor`, `inbox`, `reads`: what was missed; `announce`: what changed besides; `epoch`: when
//!    the log itself is another;
//! 9. `admin`, `headcount` and [`metrics`]: for operators.
//!
//! Invariant: nothing is acknowledged before the log has acknowledged it.
//! Invariant: message text, tokens, passwords and addresses are in no log line and no metric.
//! Deliberately absent: any call to another service in this process; they meet on NATS.

pub mod config;
pub mod metrics;

mod accept;
mod accounts;
mod acks;
mod admin;
mod admission;
mod announce;
mod connection;
mod cursor;
mod discovery;
mod epoch;
mod feed;
mod frame;
mod groups;
mod headcount;
mod heartbeat;
mod http;
mod inbox;
mod media;
mod outbox;
mod pace;
mod past;
mod presence;
mod rate;
mod reads;
mod receipts;
mod removal;
mod resume;
mod router;
mod send;
mod sessions;
mod starting;
mod targets;
mod turnstile;
mod typing;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hansard_nats::{Connection, Deployment, LogClock};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::Config;
pub use starting::{StartError, start};

/// How long it may take until clients are not sent here any more.
const UNLISTED_WITHIN: Duration = Duration::from_secs(2);
/// How long requests and sockets may take to end after the drain.
const END_WITHIN: Duration = Duration::from_secs(3);
/// How long the background tasks may take to end, the last deregistration included.
const TASKS_END_WITHIN: Duration = Duration::from_secs(2);

/// The parts of a gateway that connections and requests use.
pub(crate) struct Gateway {
    pub(crate) config: Config,
    pub(crate) deployment: Deployment,
    pub(crate) connection: Connection,
    pub(crate) clock: LogClock,
    pub(crate) directory: accounts::Directory,
    pub(crate) groups: groups::Groups,
    pub(crate) sender: send::Sender,
    pub(crate) acks: Arc<acks::Acks>,
    pub(crate) rates: Arc<rate::RateLimits>,
    pub(crate) router: Arc<router::Router>,
    pub(crate) inbox: inbox::Inbox,
    pub(crate) receipts: receipts::Receipts,
    pub(crate) receipt_changes: receipts::tell::Changes,
    pub(crate) presence: Arc<presence::Presence>,
    pub(crate) past: past::Past,
    pub(crate) media: media::Media,
    /// What this gateway says of itself.
    pub(crate) standing: Arc<discovery::Standing>,
    pub(crate) discovery: discovery::Discovery,
    /// Upgrades to WebSocket.
    pub(crate) handshakes: turnstile::Turnstile,
    /// Catch-ups.
    pub(crate) catch_ups: turnstile::Turnstile,
    /// Who may poll next.
    pub(crate) polls: turnstile::Turnstile,
    /// Conversations that are being read for those who catch up.
    pub(crate) tail_reads: resume::TailReads,
    /// Pages of history that are being read.
    pub(crate) pages: http::Pages,
    /// The tasks of WebSocket connections.
    pub(crate) sockets: TaskTracker,
    /// No new connections, requests or catch-ups: the gateway is about to go.
    pub(crate) stopping: CancellationToken,
}

/// A gateway that accepts connections.
pub struct Running {
    gateway: Arc<Gateway>,
    addr: SocketAddr,
    admin_addr: Option<SocketAddr>,
    connections: TaskTracker,
    tasks: TaskTracker,
    stopped: CancellationToken,
    failed: CancellationToken,
}

impl Running {
    /// Where clients connect.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where the operator's routes are.
    pub fn admin_addr(&self) -> Option<SocketAddr> {
        self.admin_addr
    }

    /// Waits until the gateway knows where the live feed of every partition stands, for which each
    /// needs an owner: from then on clients can resume.
    pub async fn ready(&self) {
        self.gateway.router.ready().await;
    }

    /// Returns when a part of the gateway has ended by itself, which none should: stop, and start
    /// anew.
    pub async fn failed(&self) {
        self.failed.cancelled().await;
    }

    /// Stops: says so to the other gateways, accepts no more, tells clients to go elsewhere over the configured period, answers
    /// what is under way, and ends. Bounded: what has not ended by then is cut off.
    pub async fn stop(self) {
        // Before the first is sent away: nobody is sent here any more.
        self.gateway.standing.drain(UNLISTED_WITHIN).await;
        self.gateway.stopping.cancel();
        let period = self.gateway.config.drain_period;
        let drained = self.gateway.router.drain(period, self.gateway.config.reconnect);
        if tokio::time::timeout(period + END_WITHIN, drained).await.is_err() {
            tracing::warn!("connections were cut off");
        }
        self.gateway.sockets.close();
        self.connections.close();
        let ended = async {
            self.gateway.sockets.wait().await;
            self.connections.wait().await;
        };
        if tokio::time::timeout(END_WITHIN, ended).await.is_err() {
            tracing::warn!("requests or sockets were cut off");
        }
        // Only now: until here sends were vouched for.
        self.stopped.cancel();
        self.tasks.close();
        if tokio::time::timeout(TASKS_END_WITHIN, self.tasks.wait()).await.is_err() {
            tracing::warn!("background tasks were cut off");
        }
        tracing::info!("gateway stopped");
    }
}

/// Runs a gateway until `shutdown`.
///
/// # Errors
/// [`StartError`]; once it runs it does not fail, it waits for what it depends on.
pub async fn run(config: Config, shutdown: CancellationToken) -> Result<(), StartError> {
    let running = tokio::select! {
        running = start(config) => running?,
        () = shutdown.cancelled() => return Ok(()),
    };
    tokio::select! {
        () = shutdown.cancelled() => {}
        () = running.failed() => tracing::error!("a part of the gateway ended by itself"),
    }
    running.stop().await;
    Ok(())
}

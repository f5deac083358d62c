//! What a gateway is told when it starts. Read once, in the binary, and passed down.

pub mod place;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hansard_model::limit;
use hansard_nats::{Durability, Endpoint, LogClock};
use hansard_protocol::server::Reconnect;

use self::place::{AdvertisedUrl, Region};

/// Renders the metrics of the process in Prometheus text format.
pub type MetricsRenderer = Arc<dyn Fn() -> String + Send + Sync>;

/// Something besides the gateway that must be ready before the process takes traffic; the error is
/// one line for an operator, shown by `/readyz`.
pub type ReadyProbe = Arc<dyn Fn() -> Result<(), String> + Send + Sync>;

/// The configuration of one gateway.
#[derive(Clone)]
pub struct Config {
    /// Where clients connect; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where `/healthz`, `/readyz` and `/metrics` are; `None`: nowhere.
    pub admin_listen: Option<SocketAddr>,
    /// Where clients reach this gateway; `None`: they are not sent to it by other gateways.
    pub advertise: Option<AdvertisedUrl>,
    /// Where it is.
    pub region: Region,
    /// The log.
    pub endpoint: Endpoint,
    /// Members a group may have.
    pub group_limit: usize,
    /// What an acknowledgement promises; it must be what the deployment was created with.
    pub durability: Durability,
    /// Log time. Tests shift it.
    pub clock: LogClock,
    /// Origins of web pages that may connect besides those served from the same host, such as
    /// `https://chat.example.org`.
    pub allowed_origins: Vec<String>,
    /// Bounds of connections and requests.
    pub limits: Limits,
    /// Bounds of how often somebody may do something.
    pub rates: Rates,
    /// How long a token lasts. Default: 30 days.
    pub session_ttl: Duration,
    /// How long connections get to leave after a stop was asked for: `drain` frames are spread over
    /// it. Default: 5 s.
    pub drain_period: Duration,
    /// How long somebody may do nothing before they are shown as away. Default: 10 minutes.
    pub away_after: Duration,
    /// How long a URL of a file needs no token. Default: 5 minutes.
    pub media_url_ttl: Duration,
    /// How clients come back after they lost this gateway.
    pub reconnect: Reconnect,
    /// Renders `/metrics`.
    pub metrics: Option<MetricsRenderer>,
    /// Asked by `/readyz`.
    pub ready: Vec<ReadyProbe>,
}

impl Config {
    /// A configuration with the defaults.
    pub fn new(listen: SocketAddr, endpoint: Endpoint, clock: LogClock) -> Self {
        Self {
            listen,
            admin_listen: None,
            advertise: None,
            region: Region::default(),
            endpoint,
            group_limit: limit::GROUP_MEMBERS_DEFAULT,
            durability: Durability::Fsync,
            clock,
            allowed_origins: Vec::new(),
            limits: Limits::default(),
            rates: Rates::default(),
            session_ttl: Duration::from_hours(30 * 24),
            drain_period: Duration::from_secs(5),
            away_after: Duration::from_mins(10),
            media_url_ttl: Duration::from_mins(5),
            reconnect: Reconnect { base_ms: 1_000, cap_ms: 30_000 },
            metrics: None,
            ready: Vec::new(),
        }
    }
}

/// Bounds of connections.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open connections.
    pub connections: usize,
    /// Open connections of one address (of one /64 network, for IPv6).
    pub connections_per_address: usize,
    /// Open connections that have shown no valid token yet. Where limits per address do not apply
    /// to the loopback interface, those that come through it get three quarters of these at most.
    pub unidentified: usize,
    /// Bytes that wait for a slow reader before its connection is closed with 4008.
    pub outbox_bytes: usize,
    /// Unanswered sends of one connection; more are not read from its socket.
    pub in_flight: usize,
    /// Limits per address do not apply to the loopback interface: whoever connects through it is a
    /// reverse proxy, which counts for many, or a tool on this machine.
    pub trust_loopback: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_000,
            connections_per_address: 1_000,
            unidentified: 2_000,
            outbox_bytes: 1024 * 1024,
            in_flight: 256,
            trust_loopback: true,
        }
    }
}

/// So many in a period in the long run, so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// In a period; at least 1.
    pub count: u32,
    /// The period.
    pub period: Duration,
    /// At once; at least 1.
    pub burst: u32,
}

impl Rate {
    /// So many per second.
    pub const fn new(per_second: u32, burst: u32) -> Self {
        Self { count: per_second, period: Duration::from_secs(1), burst }
    }

    /// So many per hour.
    pub const fn per_hour(count: u32, burst: u32) -> Self {
        Self { count, period: Duration::from_hours(1), burst }
    }
}

/// How often somebody may do something.
#[derive(Clone, Debug)]
pub struct Rates {
    /// Sends of one user, over all devices.
    pub sends_per_user: Rate,
    /// Receipts of one user, over all devices.
    pub receipts_per_user: Rate,
    /// Typing of one user that is looked at, over all devices; the rest is dropped.
    pub typing_per_user: Rate,
    /// Catch-ups of one user, over all devices.
    pub catch_ups_per_user: Rate,
    /// Groups that one user creates, over all devices. A group costs more than a message: it stays
    /// in the inbox of everybody who is put into it.
    pub groups_per_user: Rate,
    /// HTTP requests of one user, over all devices.
    pub requests_per_user: Rate,
    /// Uploads that one user begins, over all devices.
    pub uploads_per_user: Rate,
    /// Upgrades to WebSocket, from anywhere, at most; fewer while those who are connected have to
    /// wait for them. A gateway that lost all its connections gets them back
    /// in about the time that a client waits at most before it tries again, and handshakes take
    /// only a part of it meanwhile.
    pub handshakes: Rate,
    /// Catch-ups of connections, and as many again of `/v1/sync`, whose clients come every few
    /// seconds though nothing happens: they do not take what is there for a crowd. Each reads an inbox and what changed in it, so
    /// there are fewer of them than handshakes; the first of a crowd need not wait.
    pub catch_ups: Rate,
    /// Upgrades to WebSocket, by address.
    pub handshakes_per_address: Rate,
    /// New accounts, by address.
    pub signups_per_address: Rate,
    /// Attempts to log in, by address.
    pub logins_per_address: Rate,
    /// Attempts to log in, by handle, from anywhere.
    pub logins_per_handle: Rate,
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            sends_per_user: Rate::new(50, 200),
            // Catching up in many conversations at once is one for each.
            receipts_per_user: Rate::new(50, 1_000),
            typing_per_user: Rate::new(4, 8),
            catch_ups_per_user: Rate::new(4, 200),
            groups_per_user: Rate::per_hour(600, 100),
            requests_per_user: Rate::new(50, 200),
            // An album at once, and then one every three seconds.
            uploads_per_user: Rate::per_hour(1_200, 100),
            handshakes: Rate::new(500, 250),
            catch_ups: Rate::new(200, 1_000),
            handshakes_per_address: Rate::new(20, 200),
            signups_per_address: Rate::new(1, 20),
            logins_per_address: Rate::new(2, 50),
            logins_per_handle: Rate::new(1, 20),
        }
    }
}

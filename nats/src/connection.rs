//! One connection of one role.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::Context;
use async_nats::jetstream::context::ContextBuilder;
use async_nats::{Client, ConnectOptions, Event};
use futures_util::StreamExt as _;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use crate::direct::{ReadError, unavailable};
use crate::metrics;

/// How long an acknowledgement or a reply is waited for before its outcome is called unknown.
pub const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Events sent to the log and not yet acknowledged, per connection.
pub const APPENDS_IN_FLIGHT_MAX: usize = 16_384;
/// Messages a subscription holds for its reader before NATS drops the next and says so.
const SUBSCRIPTION_MESSAGES_MAX: usize = 262_144;
/// Commands the client holds while it reconnects or the socket is slow.
const COMMANDS_MAX: usize = 8_192;

/// The roles that connect. Each may publish what its work needs, and no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceRole {
    /// Appends to the log and the accounts.
    Gateway,
    /// Publishes the live feed, writes the inbox.
    Projector,
    /// Reads the log, answers searches.
    Search,
    /// Takes uploads and serves them, follows the log for what refers to them.
    Media,
    /// Provisions; imports.
    Operator,
    /// Asks the servers how they are configured; a user of the system account.
    Monitor,
}

impl ServiceRole {
    /// The roles of the account that holds the log. The monitor is of another.
    pub const ALL: [Self; 5] =
        [Self::Operator, Self::Gateway, Self::Projector, Self::Search, Self::Media];

    /// The name of the role's user in nats-server.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gateway => "gateway",
            Self::Projector => "projector",
            Self::Search => "search",
            Self::Media => "media",
            Self::Operator => "operator",
            Self::Monitor => "monitor",
        }
    }

    /// Subjects the role may not publish to: a fault in one role cannot write what is another's.
    pub fn publish_deny(self) -> Vec<String> {
        let deny: &[&str] = match self {
            // Of the media bucket it writes uploads: to whom they belong.
            Self::Gateway => &[
                "live.>",
                "order.>",
                "media.>",
                "$KV.INBOX.>",
                "$KV.LEASES.>",
                "$KV.DEPLOYMENT.>",
                "$KV.MEDIA.b.>",
                "$KV.MEDIA.e",
                "$KV.MEDIA.m.>",
                "$KV.MEDIA.o.>",
                "$KV.MEDIA.p.>",
                "$KV.MEDIA.w.>",
            ],
            // The deployment bucket holds what owners agree on: heads of archives, generations of
            // views, the epoch.
            Self::Projector => &[
                "ev.>",
                "acct.>",
                "receipt.>",
                "presence.>",
                "media.>",
                "$KV.GATEWAYS.>",
                "$KV.LAST_SEEN.>",
                "$KV.MEDIA.>",
                "$KV.PRESENCE.>",
            ],
            // It raises the epoch and says which generation of an index counts.
            Self::Search => &[
                "ev.>",
                "acct.>",
                "receipt.>",
                "presence.>",
                "live.>",
                "order.>",
                "media.>",
                "$KV.GATEWAYS.>",
                "$KV.INBOX.>",
                "$KV.LAST_SEEN.>",
                "$KV.MEDIA.>",
                "$KV.PRESENCE.>",
            ],
            Self::Media => &[
                "ev.>",
                "acct.>",
                "receipt.>",
                "presence.>",
                "live.>",
                "order.>",
                "$KV.DEPLOYMENT.>",
                "$KV.GATEWAYS.>",
                "$KV.INBOX.>",
                "$KV.LAST_SEEN.>",
                "$KV.PRESENCE.>",
            ],
            Self::Operator | Self::Monitor => &[],
        };
        let administration: &[&str] = match self {
            Self::Gateway | Self::Projector | Self::Search | Self::Media => &[
                "$JS.API.STREAM.CREATE.>",
                "$JS.API.STREAM.UPDATE.>",
                "$JS.API.STREAM.DELETE.>",
                "$JS.API.STREAM.MSG.DELETE.>",
            ],
            Self::Operator | Self::Monitor => &[],
        };
        let all = deny.iter().chain(administration).chain(self.purge_deny());
        all.map(|subject| (*subject).to_owned()).collect()
    }

    /// Streams of which the role may not remove messages.
    fn purge_deny(self) -> &'static [&'static str] {
        match self {
            Self::Gateway | Self::Search | Self::Media => &["$JS.API.STREAM.PURGE.>"],
            // It trims the events that are in the archive, and removes from the inbox what is not
            // in the log.
            Self::Projector => &[
                "$JS.API.STREAM.PURGE.ACCOUNTS",
                "$JS.API.STREAM.PURGE.KV_DEPLOYMENT",
                "$JS.API.STREAM.PURGE.KV_GATEWAYS",
                "$JS.API.STREAM.PURGE.KV_LAST_SEEN",
                "$JS.API.STREAM.PURGE.KV_LEASES",
                "$JS.API.STREAM.PURGE.KV_MEDIA",
                "$JS.API.STREAM.PURGE.KV_PRESENCE",
                "$JS.API.STREAM.PURGE.RECEIPTS",
            ],
            Self::Operator | Self::Monitor => &[],
        }
    }
}

/// Where NATS is and as whom each role connects.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `host:port`, one or more.
    servers: Vec<String>,
    /// User and password, by role; the same for all when given in a URL.
    users: Vec<(ServiceRole, String, String)>,
}

impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Passwords stay out of logs.
        f.debug_struct("Endpoint").field("servers", &self.servers).finish_non_exhaustive()
    }
}

/// The text is not a NATS URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a NATS URL: nats://[user:password@]host:port[,host:port..]")]
pub struct ParseEndpointError;

impl Endpoint {
    /// Of a server, or the servers of a cluster, with a user for each role.
    pub fn with_users(servers: Vec<String>, users: Vec<(ServiceRole, String, String)>) -> Self {
        Self { servers, users }
    }

    /// Reads `nats://[user:password@]host:port[,host:port..]`.
    ///
    /// # Errors
    /// [`ParseEndpointError`] for other text.
    pub fn parse(url: &str) -> Result<Self, ParseEndpointError> {
        let rest = url.strip_prefix("nats://").ok_or(ParseEndpointError)?;
        let (user, hosts) = match rest.rsplit_once('@') {
            Some((user, hosts)) => (Some(user.split_once(':').ok_or(ParseEndpointError)?), hosts),
            None => (None, rest),
        };
        let servers: Vec<String> =
            hosts.trim_end_matches('/').split(',').map(str::to_owned).collect();
        if servers.iter().any(|server| server.is_empty() || server.contains(['/', ' '])) {
            return Err(ParseEndpointError);
        }
        let users = user.map_or_else(Vec::new, |(name, password)| {
            ServiceRole::ALL
                .iter()
                .map(|role| (*role, name.to_owned(), password.to_owned()))
                .collect()
        });
        Ok(Self { servers, users })
    }

    /// With the credentials of a user of the system account, `user:password`.
    ///
    /// # Errors
    /// [`ParseEndpointError`] for text without a colon.
    pub fn with_monitor(mut self, credentials: &str) -> Result<Self, ParseEndpointError> {
        let (user, password) = credentials.split_once(':').ok_or(ParseEndpointError)?;
        self.users.push((ServiceRole::Monitor, user.to_owned(), password.to_owned()));
        Ok(self)
    }

    /// Whether there are credentials for a role.
    pub fn has(&self, role: ServiceRole) -> bool {
        self.users.iter().any(|(of, _, _)| *of == role)
    }

    /// The password of a role.
    pub fn password(&self, role: ServiceRole) -> Option<&str> {
        self.users.iter().find(|(of, _, _)| *of == role).map(|(_, _, password)| password.as_str())
    }

    /// The port of the first server.
    pub(crate) fn port(&self) -> Option<u16> {
        self.servers.first()?.rsplit_once(':')?.1.parse().ok()
    }

    /// The addresses, without credentials.
    pub fn servers(&self) -> &[String] {
        &self.servers
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
#[error("cannot connect to NATS at {servers}")]
pub struct ConnectError {
    servers: String,
    source: async_nats::ConnectError,
}

/// A connection; clones share it.
#[derive(Clone)]
pub struct Connection {
    pub(crate) client: Client,
    pub(crate) jetstream: Context,
    interruptions: watch::Receiver<u64>,
}

impl Connection {
    /// Connects; reconnects for ever afterwards, with back-off.
    ///
    /// # Errors
    /// [`ConnectError`] when the first attempt fails.
    pub async fn connect(endpoint: &Endpoint, role: ServiceRole) -> Result<Self, ConnectError> {
        Self::connect_unless(endpoint, role, &Arc::default()).await
    }

    /// Connects, and never reconnects: what cannot reach the server on this one connection never
    /// reaches it. So whatever part of a sequence of appends is stored is its beginning, without a
    /// hole; a reconnecting client loses some and sends those behind them.
    ///
    /// # Errors
    /// [`ConnectError`]
    pub async fn connect_once(
        endpoint: &Endpoint,
        role: ServiceRole,
    ) -> Result<Self, ConnectError> {
        let sealed = Arc::default();
        let connection = Self::connect_unless(endpoint, role, &sealed).await?;
        sealed.store(true, Ordering::Release);
        Ok(connection)
    }

    async fn connect_unless(
        endpoint: &Endpoint,
        role: ServiceRole,
        sealed: &Arc<AtomicBool>,
    ) -> Result<Self, ConnectError> {
        let sealed = Arc::clone(sealed);
        let (report, interruptions) = watch::channel(0_u64);
        let (report, was_connected) = (Arc::new(report), Arc::new(AtomicBool::new(false)));
        let mut options = ConnectOptions::new()
            .name(format!("hansard-{}", role.as_str()))
            .max_reconnects(None)
            .reconnect_delay_callback(move |attempt| {
                if sealed.load(Ordering::Acquire) {
                    // The library has no other way to stay away.
                    return Duration::MAX;
                }
                Duration::from_millis((50_u64 << attempt.min(5)).min(1_000))
            })
            .request_timeout(Some(REQUEST_TIMEOUT))
            .subscription_capacity(SUBSCRIPTION_MESSAGES_MAX)
            .client_capacity(COMMANDS_MAX)
            .read_buffer_capacity(u16::MAX)
            .event_callback(move |event| {
                let (report, was_connected) = (Arc::clone(&report), Arc::clone(&was_connected));
                async move {
                    match event {
                        Event::Disconnected | Event::SlowConsumer(_) => {
                            metrics::interrupted();
                            tracing::warn!(%event, "nats interrupted");
                            report.send_modify(|count| *count += 1);
                        }
                        // What was published while it was away is lost: a hole to look for. The
                        // first time it was not away.
                        Event::Connected => {
                            if was_connected.swap(true, Ordering::Relaxed) {
                                report.send_modify(|count| *count += 1);
                            }
                        }
                        Event::ServerError(_) | Event::ClientError(_) => {
                            tracing::warn!(%event, "nats error");
                        }
                        Event::LameDuckMode | Event::Draining | Event::Closed => {
                            tracing::info!(%event, "nats");
                        }
                    }
                }
            });
        if let Some((_, user, password)) = endpoint.users.iter().find(|(of, _, _)| *of == role) {
            options = options.user_and_password(user.clone(), password.clone());
        }
        let urls: Vec<String> =
            endpoint.servers.iter().map(|server| format!("nats://{server}")).collect();
        let client = options
            .connect(&urls[..])
            .await
            .map_err(|source| ConnectError { servers: endpoint.servers.join(","), source })?;
        let jetstream = ContextBuilder::new()
            .timeout(REQUEST_TIMEOUT)
            .max_ack_inflight(APPENDS_IN_FLIGHT_MAX)
            .backpressure_on_inflight(false)
            .build(client.clone());
        Ok(Self { client, jetstream, interruptions })
    }

    /// Connects, trying again until `deadline` has passed or `shutdown` comes.
    ///
    /// # Errors
    /// The last [`ConnectError`].
    pub async fn connect_within(
        endpoint: &Endpoint,
        role: ServiceRole,
        deadline: Duration,
        shutdown: &CancellationToken,
    ) -> Result<Self, ConnectError> {
        let deadline = tokio::time::Instant::now() + deadline;
        loop {
            match Self::connect(endpoint, role).await {
                Ok(connection) => return Ok(connection),
                Err(error)
                    if tokio::time::Instant::now() >= deadline || shutdown.is_cancelled() =>
                {
                    return Err(error);
                }
                Err(error) => tracing::debug!(%error, "not yet"),
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Whether the connection is up now.
    pub fn is_connected(&self) -> bool {
        self.client.connection_state() == State::Connected
    }

    /// Rises at each interruption: a lost connection, its return, a subscription that overflowed.
    /// After each, core NATS messages may be missing.
    pub fn interruptions(&self) -> watch::Receiver<u64> {
        self.interruptions.clone()
    }

    /// Returns when the server has taken all that this connection sent before: a subscription made
    /// before it is in force. (The client's own `flush` only empties its buffer.) A message to
    /// itself: nobody else has to answer, and JetStream may be away.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the server does not answer.
    pub(crate) async fn round_trip(&self) -> Result<(), ReadError> {
        let inbox = self.client.new_inbox();
        let mut echo = self.client.subscribe(inbox.clone()).await.map_err(unavailable)?;
        self.client.publish(inbox, bytes::Bytes::new()).await.map_err(unavailable)?;
        match tokio::time::timeout(REQUEST_TIMEOUT, echo.next()).await {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(unavailable("the client is closed")),
            Err(late) => Err(unavailable(late)),
        }
    }

    /// Waits until what was published is on its way to the server.
    pub async fn flush(&self) {
        // Publishes of a lost connection are lost with it, whether or not this fails.
        let _ = self.client.flush().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_read_and_others_refused() {
        let endpoint = Endpoint::parse("nats://u:p@127.0.0.1:4222,127.0.0.1:4223").expect("valid");
        assert_eq!(endpoint.servers(), ["127.0.0.1:4222", "127.0.0.1:4223"]);
        assert!(Endpoint::parse("nats://127.0.0.1:4222").is_ok());
        for text in ["127.0.0.1:4222", "nats://", "nats://u@h:1", "nats://h:1/x y", "http://h:1"] {
            assert_eq!(Endpoint::parse(text), Err(ParseEndpointError), "{text}");
        }
    }

    #[test]
    fn passwords_are_not_printed() {
        let endpoint = Endpoint::parse("nats://u:secret@127.0.0.1:4222").expect("valid");
        assert!(!format!("{endpoint:?}").contains("secret"));
    }
}

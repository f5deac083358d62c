//! What an embedded nats-server is started with.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// What an acknowledgement of the log survives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Durability {
    /// Written and synced to disk before it is acknowledged: survives power loss.
    #[default]
    Fsync,
    /// Given to the operating system and synced within two minutes: survives the death of any
    /// process, not power loss.
    Os,
}

impl Durability {
    /// The name on the command line, in the configuration and in every acknowledgement.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fsync => "fsync",
            Self::Os => "os",
        }
    }

    /// The value of nats-server's `sync_interval`.
    pub(super) const fn sync_interval(self) -> &'static str {
        match self {
            Self::Fsync => "always",
            Self::Os => "\"2m\"",
        }
    }
}

impl fmt::Display for Durability {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

/// The text names no durability.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown durability {0:?}: it is `fsync` or `os`")]
pub struct UnknownDurability(String);

impl FromStr for Durability {
    type Err = UnknownDurability;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "fsync" => Ok(Self::Fsync),
            "os" => Ok(Self::Os),
            other => Err(UnknownDurability(other.to_owned())),
        }
    }
}

/// Somebody who may connect to the server: a role of Hansard, or the operator.
///
/// Name and password consist of ASCII letters, digits, `-` and `_`: the NATS client does not decode
/// what a URL has to encode.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUser {
    /// Unique among the users of the server.
    pub name: String,
    /// In the clear: it is written to the configuration, which only the owner can read.
    pub password: String,
    /// Subjects this user may not publish to; wildcards allowed.
    pub publish_deny: Vec<String>,
}

impl fmt::Debug for ServerUser {
    /// Leaves the password out: options are logged.
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ServerUser")
            .field("name", &self.name)
            .field("publish_deny", &self.publish_deny)
            .finish_non_exhaustive()
    }
}

impl ServerUser {
    pub(super) fn is_url_safe(&self) -> bool {
        let safe = |text: &str| {
            !text.is_empty()
                && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        safe(&self.name) && safe(&self.password)
    }
}

/// Makes the server one node of a cluster on this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterOptions {
    /// The name all nodes share.
    pub name: String,
    /// This node's own name; its Raft identity, so it stays the same for one data directory.
    pub server_name: String,
    /// Loopback port for the other nodes.
    pub port: u16,
    /// The other nodes, as `nats://127.0.0.1:PORT` with their cluster ports.
    pub routes: Vec<String>,
}

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerOptions {
    /// Belongs to the server alone: streams, configuration, log. It is created, and made accessible
    /// to its owner only.
    pub data_dir: PathBuf,
    /// What an acknowledgement survives.
    pub durability: Durability,
    /// Loopback port for clients; 0 picks a free one, which then stays for the life of the
    /// [`Server`](super::Server).
    pub port: u16,
    /// At least one. The first is also used to see that the server answers, so it may publish to
    /// `$JS.API.INFO`.
    pub users: Vec<ServerUser>,
    /// Who may ask how the server is configured, and nothing else.
    pub monitor: Option<ServerUser>,
    /// Absent for a single server.
    pub cluster: Option<ClusterOptions>,
}

//! Settings that several subcommands share. Each is a flag and an environment variable, read once.

mod media;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use hansard_archive::{ArchiverSettings, Objects, ObjectsUrl};
use hansard_gateway::config::place::{AdvertisedUrl, Region};
use hansard_model::PartitionCount;
use hansard_nats::{Connection, Durability, Endpoint, ServiceRole, durability, embedded};
use hansard_protocol::server::Reconnect;
use tokio_util::sync::CancellationToken;

pub(crate) use self::media::MediaSettings;

/// How long a NATS that was named gets to answer at the start.
const CONNECT_WITHIN: Duration = Duration::from_secs(30);
/// The shortest hot window: the stream's own memory of events, and ample time for late ones.
const HOT_WINDOW_MIN: Duration = Duration::from_secs(600);

/// Where the log is.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct NatsArgs {
    /// An external NATS: `nats://user:password@host:port[,host:port]`.
    #[arg(long, env = "HANSARD_NATS", hide_env_values = true)]
    pub(crate) nats: Option<String>,
    /// `user:password` of the system account of the external NATS, by which it is asked whether it
    /// syncs before it acknowledges.
    #[arg(long, env = "HANSARD_NATS_SYSTEM", hide_env_values = true, requires = "nats")]
    pub(crate) nats_system: Option<String>,
    /// The data directory of a `hansard serve` or `hansard nats` on this machine.
    #[arg(long, env = "HANSARD_DATA", default_value = "data")]
    pub(crate) data: PathBuf,
}

impl NatsArgs {
    /// Where the log is: as named, or as the data directory says.
    pub(crate) fn endpoint(&self) -> anyhow::Result<Endpoint> {
        match self.external()? {
            Some(endpoint) => Ok(endpoint),
            None => embedded::read_connection_file(&self.data).with_context(|| {
                format!(
                    "no deployment in {}: start `hansard serve --data {0}`, or name a --nats URL",
                    self.data.display()
                )
            }),
        }
    }

    /// The external NATS, if one was named.
    pub(crate) fn external(&self) -> anyhow::Result<Option<Endpoint>> {
        let Some(url) = &self.nats else { return Ok(None) };
        let endpoint = Endpoint::parse(url)?;
        Ok(Some(match &self.nats_system {
            Some(credentials) => endpoint.with_monitor(credentials)?,
            None => endpoint,
        }))
    }

    /// A connection for a tool.
    pub(crate) async fn connect_operator(&self) -> anyhow::Result<Connection> {
        Ok(Connection::connect(&self.endpoint()?, ServiceRole::Operator).await?)
    }
}

/// What every role has to know of the log.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct LogArgs {
    #[command(flatten)]
    pub(crate) nats: NatsArgs,
    #[command(flatten)]
    pub(crate) durability: DurabilityArgs,
    #[command(flatten)]
    pub(crate) deployment: DeploymentArgs,
}

/// Where objects are.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct ObjectStoreArgs {
    /// Where the archive and the stores of views are: a directory, or `s3://bucket/prefix` with the
    /// usual `AWS_*` variables. Default: `objects` in the data directory.
    #[arg(long, env = "HANSARD_OBJECT_STORE")]
    pub(crate) object_store: Option<ObjectsUrl>,
}

impl ObjectStoreArgs {
    /// As named, or in the data directory.
    pub(crate) fn url(&self, data: &Path) -> ObjectsUrl {
        let default = || ObjectsUrl::Directory(data.join("objects"));
        self.object_store.clone().unwrap_or_else(default)
    }

    /// For a tool, which makes no directory: the store; if it was not named and there is none, one
    /// that holds nothing.
    pub(crate) fn open(&self, data: &Path) -> anyhow::Result<Objects> {
        match self.url(data) {
            ObjectsUrl::Directory(path) if !path.is_dir() => {
                anyhow::ensure!(self.object_store.is_none(), "no directory {}", path.display());
                Ok(Objects::none())
            }
            url => Ok(Objects::open(&url)?),
        }
    }
}

/// Where the indexes of the search are.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct SearchSettings {
    /// A directory for the indexes of this searcher alone, on a local disk; what is lost there is made
    /// again of the log. Default: `search` in the data directory.
    #[arg(long, env = "HANSARD_SEARCH_DIRECTORY")]
    search_directory: Option<PathBuf>,
}

impl SearchSettings {
    /// As named, or in the data directory.
    pub(crate) fn directory(&self, data: &Path) -> PathBuf {
        self.search_directory.clone().unwrap_or_else(|| data.join("search"))
    }
}

/// What the streams keep, and when the rest is archived.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct ArchivingArgs {
    /// What the streams keep at least; older events are in the archive alone. At least 10 minutes,
    /// far beyond the window in which a stream recognises a repeated event.
    #[arg(long, env = "HANSARD_HOT_WINDOW", default_value = "7d", value_parser = humantime::parse_duration)]
    pub(crate) hot_window: Duration,
    /// Events of a segment of the archive, at most.
    #[arg(long, env = "HANSARD_SEGMENT_EVENTS", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) segment_events: Option<u64>,
    /// Allow a hot window in which repeated events are stored twice. For tests.
    #[arg(long, hide = true)]
    pub(crate) unsafe_windows: bool,
}

impl ArchivingArgs {
    pub(crate) fn settings(self) -> anyhow::Result<ArchiverSettings> {
        if self.hot_window < HOT_WINDOW_MIN && !self.unsafe_windows {
            bail!(
                "--hot-window {} is less than {}: events could be stored twice",
                humantime::format_duration(self.hot_window),
                humantime::format_duration(HOT_WINDOW_MIN)
            );
        }
        let mut settings = ArchiverSettings::keeping(self.hot_window);
        settings.segment_events = self.segment_events.unwrap_or(settings.segment_events);
        settings.look_every = settings.look_every.min(self.hot_window / 4);
        Ok(settings)
    }
}

/// What an acknowledgement survives.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct DurabilityArgs {
    /// `fsync`: an acknowledged message survives power loss. `os`: it survives the death of any
    /// process, and power loss only after up to two minutes.
    #[arg(long, env = "HANSARD_DURABILITY", default_value = "fsync")]
    pub(crate) durability: Durability,
}

impl DurabilityArgs {
    /// Fails when the servers promise less than this.
    pub(crate) async fn verify(&self, endpoint: &Endpoint) -> anyhow::Result<()> {
        if self.durability == Durability::Os {
            return Ok(());
        }
        let advice = "say --durability os if that is what you want";
        if !endpoint.has(ServiceRole::Monitor) {
            bail!(
                "whether this NATS syncs before it acknowledges cannot be asked without \
                 --nats-system USER:PASSWORD of its system account; {advice}"
            );
        }
        let connection = Connection::connect_within(
            endpoint,
            ServiceRole::Monitor,
            CONNECT_WITHIN,
            &CancellationToken::new(),
        )
        .await?;
        for report in durability::report(&connection).await? {
            if report.durability != Durability::Fsync {
                bail!(
                    "nats-server {} ({}) acknowledges before it syncs: set `sync_interval: always` \
                     in its jetstream block; or {advice}",
                    report.server,
                    report.version
                );
            }
        }
        Ok(())
    }
}

/// What a deployment is created with.
#[derive(clap::Args, Clone, Copy, Debug)]
pub(crate) struct DeploymentArgs {
    /// Partitions of the log; fixed when the deployment is created. Default: 16, or as recorded.
    #[arg(long, env = "HANSARD_PARTITIONS")]
    pub(crate) partitions: Option<PartitionCount>,
    /// Copies of each stream on a cluster.
    #[arg(long, env = "HANSARD_REPLICAS", default_value_t = 1, value_parser = replicas)]
    pub(crate) replicas: usize,
}

pub(crate) fn replicas(text: &str) -> Result<usize, String> {
    match text {
        "1" => Ok(1),
        "3" => Ok(3),
        "5" => Ok(5),
        _ => Err("replicas are 1, 3 or 5".to_owned()),
    }
}

/// A rate of 0 would let nobody in for ever.
fn at_least_one(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(count @ 1..) => Ok(count),
        Ok(0) | Err(_) => Err("a whole number from 1 on".to_owned()),
    }
}

fn media_url_lasts(text: &str) -> Result<Duration, String> {
    bounded(text, MEDIA_URL_LASTS_MAX)
}

fn reconnect_base(text: &str) -> Result<Duration, String> {
    bounded(text, Duration::from_millis(Reconnect::BASE_MS_MAX))
}

fn reconnect_cap(text: &str) -> Result<Duration, String> {
    bounded(text, Duration::from_millis(Reconnect::CAP_MS_MAX))
}

/// An operator learns here what nobody would follow.
fn bounded(text: &str, max: Duration) -> Result<Duration, String> {
    let least = Duration::from_millis(1);
    match humantime::parse_duration(text) {
        Ok(duration) if (least..=max).contains(&duration) => Ok(duration),
        Ok(_) => Err(format!("1ms to {}", humantime::format_duration(max))),
        Err(error) => Err(error.to_string()),
    }
}

/// The longest that a URL needs no token: whoever it was copied to has the file for so long.
const MEDIA_URL_LASTS_MAX: Duration = Duration::from_secs(60 * 60);

/// What a gateway is told.
#[derive(clap::Args, Clone, Debug)]
pub(crate) struct GatewaySettings {
    /// Where clients connect; port 0 takes a free one.
    #[arg(long, env = "HANSARD_LISTEN", default_value = "127.0.0.1:8080")]
    pub(crate) listen: SocketAddr,
    /// Where clients reach this gateway and no other, such as `http://chat-1.example.org`; port 0 is
    /// the one it listens on. Default: other gateways send nobody here.
    #[arg(long, env = "HANSARD_ADVERTISE", value_name = "URL")]
    pub(crate) advertise: Option<AdvertisedUrl>,
    /// Where this gateway is: clients that name a region are sent to its gateways first.
    #[arg(long, env = "HANSARD_REGION", value_name = "NAME", default_value = "default")]
    pub(crate) region: Region,
    /// Where /healthz, /readyz and /metrics are. Default: nowhere.
    #[arg(long, env = "HANSARD_ADMIN_LISTEN")]
    pub(crate) admin_listen: Option<SocketAddr>,
    /// Members of a group at most.
    #[arg(long, env = "HANSARD_GROUP_LIMIT", default_value_t = hansard_model::limit::GROUP_MEMBERS_DEFAULT)]
    pub(crate) group_limit: usize,
    /// Origin of a web page on another host that may connect, such as `https://chat.example.org`;
    /// may be given several times.
    #[arg(long = "allowed-origin", env = "HANSARD_ALLOWED_ORIGINS", value_delimiter = ',')]
    pub(crate) allowed_origins: Vec<String>,
    /// Connections at most.
    #[arg(long, env = "HANSARD_CONNECTIONS_MAX", default_value_t = 16_000)]
    pub(crate) connections_max: usize,
    /// Sends of one user per second, in the long run.
    #[arg(long, env = "HANSARD_SENDS_PER_SECOND", default_value_t = 50)]
    pub(crate) sends_per_second: u32,
    /// Sends of one user at once.
    #[arg(long, env = "HANSARD_SEND_BURST", default_value_t = 200)]
    pub(crate) send_burst: u32,
    /// Uploads that one user begins in an hour, in the long run.
    #[arg(long, env = "HANSARD_UPLOADS_PER_HOUR", default_value_t = 1_200, value_parser = at_least_one)]
    pub(crate) uploads_per_hour: u32,
    /// Uploads that one user begins at once.
    #[arg(long, env = "HANSARD_UPLOAD_BURST", default_value_t = 100, value_parser = at_least_one)]
    pub(crate) upload_burst: u32,
    /// How long a URL of a file needs no token, such as `5m`; at most an hour.
    #[arg(long, env = "HANSARD_MEDIA_URL_LASTS", default_value = "5m", value_parser = media_url_lasts)]
    pub(crate) media_url_lasts: Duration,
    /// Upgrades to WebSocket per second, in the long run; others are told when to come again.
    #[arg(long, env = "HANSARD_HANDSHAKES_PER_SECOND", default_value_t = 500, value_parser = at_least_one)]
    pub(crate) handshakes_per_second: u32,
    /// Upgrades to WebSocket at once.
    #[arg(long, env = "HANSARD_HANDSHAKE_BURST", default_value_t = 250, value_parser = at_least_one)]
    pub(crate) handshake_burst: u32,
    /// Catch-ups per second, in the long run; others wait a little, or come again.
    #[arg(long, env = "HANSARD_CATCH_UPS_PER_SECOND", default_value_t = 200, value_parser = at_least_one)]
    pub(crate) catch_ups_per_second: u32,
    /// Catch-ups at once.
    #[arg(long, env = "HANSARD_CATCH_UP_BURST", default_value_t = 1_000, value_parser = at_least_one)]
    pub(crate) catch_up_burst: u32,
    /// Clients that lost this gateway first try again after a random time up to this.
    #[arg(long, env = "HANSARD_RECONNECT_BASE", default_value = "1s", value_parser = reconnect_base)]
    pub(crate) reconnect_base: Duration,
    /// And never wait longer than this, however often they fail.
    #[arg(long, env = "HANSARD_RECONNECT_CAP", default_value = "30s", value_parser = reconnect_cap)]
    pub(crate) reconnect_cap: Duration,
    /// How long connections get to leave after a stop was asked for, such as `5s`.
    #[arg(long, visible_alias = "drain-within", env = "HANSARD_DRAIN", default_value = "5s", value_parser = humantime::parse_duration)]
    pub(crate) drain: Duration,
    /// How long somebody may do nothing before they are shown as away, such as `10m`.
    #[arg(long, env = "HANSARD_AWAY_AFTER", default_value = "10m", value_parser = humantime::parse_duration)]
    pub(crate) away_after: Duration,
}

impl GatewaySettings {
    /// How clients come back.
    ///
    /// # Errors
    /// When the first delay is over the longest.
    pub(crate) fn reconnect(&self) -> anyhow::Result<Reconnect> {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let (base_ms, cap_ms) = (millis(self.reconnect_base), millis(self.reconnect_cap));
        anyhow::ensure!(base_ms <= cap_ms, "--reconnect-base is over --reconnect-cap");
        Ok(Reconnect { base_ms, cap_ms })
    }
}

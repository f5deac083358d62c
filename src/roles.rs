//! The roles as processes, and as parts of `hansard serve`.

mod media;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use hansard_archive::{Archive, Objects, SetBack};
use hansard_gateway::config::{MetricsRenderer, Rate, ReadyProbe};
use hansard_model::DeviceId;
use hansard_nats::deployment::{self, ProvisionError, ProvisionOptions};
use hansard_nats::streams::StreamName;
use hansard_nats::{Connection, Endpoint, Log, LogClock, ServiceRole};
use hansard_projector::Progress;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub(crate) use self::media::{MediaArgs, MediaRole, media};
use crate::settings::{
    ArchivingArgs, DeploymentArgs, DurabilityArgs, GatewaySettings, LogArgs, ObjectStoreArgs,
    SearchSettings,
};
use crate::telemetry;
use crate::{admin, serve};

/// How long NATS gets to answer at the start.
const CONNECT_WITHIN: Duration = Duration::from_secs(60);
/// How long the object store gets to answer at the start. Later it may be away for longer.
const REACH_WITHIN: Duration = Duration::from_secs(30);

#[derive(clap::Args, Debug)]
pub(crate) struct GatewayArgs {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    gateway: GatewaySettings,
}

#[derive(clap::Args, Debug)]
pub(crate) struct ProjectorArgs {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    objects: ObjectStoreArgs,
    #[command(flatten)]
    archiving: ArchivingArgs,
    /// Where /healthz, /readyz and /metrics are. Default: nowhere.
    #[arg(long, env = "HANSARD_ADMIN_LISTEN")]
    admin_listen: Option<SocketAddr>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct SearchArgs {
    #[command(flatten)]
    log: LogArgs,
    #[command(flatten)]
    objects: ObjectStoreArgs,
    #[command(flatten)]
    search: SearchSettings,
    /// Where /healthz, /readyz and /metrics are. Default: nowhere.
    #[arg(long, env = "HANSARD_ADMIN_LISTEN")]
    admin_listen: Option<SocketAddr>,
}

#[derive(clap::Args, Debug)]
pub(crate) struct NatsServerArgs {
    #[command(flatten)]
    log: LogArgs,
    /// Loopback port; 0: the one it had before, or any.
    #[arg(long, env = "HANSARD_NATS_PORT", default_value_t = 0)]
    port: u16,
}

/// `hansard gateway`
pub(crate) async fn gateway(args: GatewayArgs) -> anyhow::Result<()> {
    let metrics = telemetry::install()?;
    let stop = stop_signal()?;
    let endpoint = args.log.nats.endpoint()?;
    provision(&endpoint, args.log.durability, args.log.deployment).await?;
    let gateway =
        GatewayRole::start(endpoint, &args.gateway, args.log.durability, metrics, Vec::new())
            .await?;
    say_ready(&format!("listening on http://{}", gateway.address()));
    let failed = tokio::select! {
        () = stop.cancelled() => false,
        () = gateway.failed() => true,
    };
    gateway.stop().await;
    anyhow::ensure!(!failed, "a part of the gateway ended by itself");
    Ok(())
}

/// `hansard projector`
pub(crate) async fn projector(args: ProjectorArgs) -> anyhow::Result<()> {
    let metrics = telemetry::install()?;
    let stop = stop_signal()?;
    let endpoint = args.log.nats.endpoint()?;
    provision(&endpoint, args.log.durability, args.log.deployment).await?;
    let objects = reach(&args.objects, &args.log.nats.data, &stop).await?;
    let projector = ProjectorRole::start(endpoint, objects, args.archiving)?;
    if let Some(address) = args.admin_listen {
        admin::listen(address, metrics, projector.health_probe()).await?;
    }
    say_ready("projecting");
    tokio::select! {
        () = stop.cancelled() => {}
        () = projector.failed() => tracing::error!("the projector ended"),
    }
    projector.stop().await
}

/// `hansard search`
pub(crate) async fn search(args: SearchArgs) -> anyhow::Result<()> {
    let metrics = telemetry::install()?;
    let stop = stop_signal()?;
    let endpoint = args.log.nats.endpoint()?;
    provision(&endpoint, args.log.durability, args.log.deployment).await?;
    let objects = reach(&args.objects, &args.log.nats.data, &stop).await?;
    let directory = args.search.directory(&args.log.nats.data);
    let search = SearchRole::start(endpoint, objects, directory);
    if let Some(address) = args.admin_listen {
        admin::listen(address, metrics, search.health_probe()).await?;
    }
    say_ready("searching");
    tokio::select! {
        () = stop.cancelled() => {}
        () = search.failed() => tracing::error!("the search ended"),
    }
    search.stop().await
}

/// `hansard nats`
pub(crate) async fn nats_server(args: NatsServerArgs) -> anyhow::Result<()> {
    telemetry::install()?;
    let stop = stop_signal()?;
    let (server, endpoint) =
        serve::start_embedded_on(args.log.nats.data, args.log.durability, args.port).await?;
    provision(&endpoint, args.log.durability, args.log.deployment).await?;
    say_ready(&format!("nats on {}", server.address()));
    stop.cancelled().await;
    server.stop().await;
    Ok(())
}

/// Verifies what the log promises, and creates what is missing of it.
pub(crate) async fn provision(
    endpoint: &Endpoint,
    durability: DurabilityArgs,
    deployment: DeploymentArgs,
) -> anyhow::Result<()> {
    durability.verify(endpoint).await?;
    let connection = connect_operator(endpoint).await?;
    let DeploymentArgs { partitions, replicas } = deployment;
    deployment::provision(&connection, ProvisionOptions { partitions, replicas }).await?;
    Ok(())
}

/// Refuses a NATS that has nothing of the deployment whose archive is in the object store: a new
/// one in its place could not read it.
pub(crate) async fn refuse_lost(endpoint: &Endpoint, objects: &Objects) -> anyhow::Result<()> {
    if objects.marker().await?.is_none() {
        return Ok(());
    }
    let connection = connect_operator(endpoint).await?;
    if deployment::restore::recorded(&connection).await?.is_none() {
        bail!(
            "NATS holds no deployment, and the object store {} has the archive of one: \
             run `hansard restore`, or name another object store for a new deployment",
            objects.place()
        );
    }
    Ok(())
}

/// Refuses streams that end before their archives, by the segments themselves: an old copy of NATS
/// data knows nothing of segments made since, and what is stored now would take the place of what
/// they hold.
pub(crate) async fn refuse_set_back(endpoint: &Endpoint, objects: &Objects) -> anyhow::Result<()> {
    let connection = connect_operator(endpoint).await?;
    let deployment = deployment::open(&connection).await?;
    if objects.check(&deployment.salt).await.is_err() {
        // Nobody's yet, or somebody else's: who binds it says so.
        return Ok(());
    }
    let log = Log::open(&connection, &deployment, LogClock::new());
    let archive = Archive::open(objects.clone(), &connection, &deployment);
    let partitions = deployment.partitions.partitions().map(StreamName::Events);
    for stream in partitions.chain([StreamName::Accounts]) {
        if let Some(SetBack { stream, archived, last }) = archive.set_back(&log, stream).await? {
            return Err(ProvisionError::Behind { stream, archived, last }.into());
        }
    }
    Ok(())
}

async fn connect_operator(endpoint: &Endpoint) -> anyhow::Result<Connection> {
    let (role, never) = (ServiceRole::Operator, CancellationToken::new());
    Ok(Connection::connect_within(endpoint, role, CONNECT_WITHIN, &never).await?)
}

/// Opens the object store, and waits until it answers.
pub(crate) async fn reach(
    args: &ObjectStoreArgs,
    data: &Path,
    stop: &CancellationToken,
) -> anyhow::Result<Objects> {
    let objects = Objects::open(&args.url(data))?;
    let reached = tokio::select! {
        reached = objects.reach(REACH_WITHIN) => reached,
        () = stop.cancelled() => bail!("stopped before the object store answered"),
    };
    reached.with_context(|| format!("the object store {}", objects.place()))?;
    Ok(objects)
}

/// Cancelled by SIGINT or SIGTERM; a second one ends the process at once.
pub(crate) fn stop_signal() -> anyhow::Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let stop = CancellationToken::new();
    let token = stop.clone();
    tokio::spawn(async move {
        for last in [false, true] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if last {
                std::process::exit(130);
            }
            token.cancel();
        }
    });
    Ok(stop)
}

/// The one line on standard output, by which whoever started the process knows.
#[expect(clippy::print_stdout, reason = "the ready line is for whoever started the process")]
pub(crate) fn say_ready(line: &str) {
    use std::io::Write as _;

    println!("{line}");
    // A reader that has gone is no reason to stop serving.
    let _ = std::io::stdout().flush();
}

/// A gateway that runs.
pub(crate) struct GatewayRole {
    running: hansard_gateway::Running,
}

impl GatewayRole {
    pub(crate) async fn start(
        endpoint: Endpoint,
        settings: &GatewaySettings,
        durability: DurabilityArgs,
        metrics: MetricsRenderer,
        ready: Vec<ReadyProbe>,
    ) -> anyhow::Result<Self> {
        let mut config = hansard_gateway::Config::new(settings.listen, endpoint, LogClock::new());
        config.admin_listen = settings.admin_listen;
        config.advertise.clone_from(&settings.advertise);
        config.region.clone_from(&settings.region);
        config.group_limit = settings.group_limit;
        config.durability = durability.durability;
        config.allowed_origins.clone_from(&settings.allowed_origins);
        config.limits.connections = settings.connections_max;
        config.rates.sends_per_user = Rate::new(settings.sends_per_second, settings.send_burst);
        config.rates.uploads_per_user =
            Rate::per_hour(settings.uploads_per_hour, settings.upload_burst);
        config.media_url_ttl = settings.media_url_lasts;
        config.rates.handshakes =
            Rate::new(settings.handshakes_per_second, settings.handshake_burst);
        config.rates.catch_ups = Rate::new(settings.catch_ups_per_second, settings.catch_up_burst);
        config.reconnect = settings.reconnect()?;
        config.drain_period = settings.drain;
        config.away_after = settings.away_after;
        config.metrics = Some(metrics);
        config.ready = ready;
        Ok(Self { running: Box::pin(hansard_gateway::start(config)).await? })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.running.addr()
    }

    /// Returns when clients can resume: every partition has an owner.
    pub(crate) async fn ready(&self) {
        self.running.ready().await;
    }

    /// Returns when a part of the gateway has ended by itself.
    pub(crate) async fn failed(&self) {
        self.running.failed().await;
    }

    pub(crate) async fn stop(self) {
        self.running.stop().await;
    }
}

/// A name for this process among all that hold leases.
fn holder() -> String {
    let mut entropy = [0; DeviceId::LEN];
    // Without randomness the process id still tells holders on one machine apart.
    if getrandom::fill(&mut entropy).is_err() {
        entropy[..4].copy_from_slice(&std::process::id().to_le_bytes());
    }
    DeviceId::from_entropy(entropy).to_string()
}

/// A projector that runs.
pub(crate) struct ProjectorRole {
    running: JoinHandle<Result<(), hansard_projector::RunError>>,
    progress: Progress,
    shutdown: CancellationToken,
    ended: CancellationToken,
}

impl ProjectorRole {
    pub(crate) fn start(
        endpoint: Endpoint,
        objects: Objects,
        archiving: ArchivingArgs,
    ) -> anyhow::Result<Self> {
        let archiving = archiving.settings()?;
        let (shutdown, ended) = (CancellationToken::new(), CancellationToken::new());
        let progress = Progress::new();
        let config = hansard_projector::Config {
            endpoint,
            holder: holder(),
            progress: progress.clone(),
            objects,
            archiving,
        };
        let end = ended.clone().drop_guard();
        let run = hansard_projector::run(config, shutdown.clone());
        let running = tokio::spawn(async move {
            let _end = end;
            run.await
        });
        Ok(Self { running, progress, shutdown, ended })
    }

    /// Ready when every partition it owns follows the log closely.
    pub(crate) fn ready_probe(&self) -> ReadyProbe {
        let progress = self.progress.clone();
        Arc::new(move || {
            if progress.serves_all() {
                Ok(())
            } else {
                Err("the projector does not serve every partition yet".to_owned())
            }
        })
    }

    /// Healthy when every partition it owns follows the log; one of several owns what it found free.
    pub(crate) fn health_probe(&self) -> ReadyProbe {
        let progress = self.progress.clone();
        Arc::new(move || {
            let partitions = progress.partitions();
            if partitions.is_empty() {
                return Err("the projector has not started".to_owned());
            }
            match partitions.iter().find(|one| one.stopped || (one.owned && !one.serving)) {
                Some(one) if one.stopped => Err(format!("partition {} stopped", one.partition)),
                Some(one) => Err(format!("partition {} catches up", one.partition)),
                None => Ok(()),
            }
        })
    }

    /// Returns when the projector has ended by itself.
    pub(crate) async fn failed(&self) {
        self.ended.cancelled().await;
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        Ok(self.running.await??)
    }
}

/// A searcher that runs.
pub(crate) struct SearchRole {
    running: JoinHandle<Result<(), hansard_search::RunError>>,
    progress: hansard_search::Progress,
    shutdown: CancellationToken,
    ended: CancellationToken,
}

impl SearchRole {
    pub(crate) fn start(endpoint: Endpoint, objects: Objects, directory: PathBuf) -> Self {
        let (shutdown, ended) = (CancellationToken::new(), CancellationToken::new());
        let progress = hansard_search::Progress::new();
        let config = hansard_search::Config {
            endpoint,
            holder: holder(),
            progress: progress.clone(),
            objects,
            directory,
            snapshot_every: hansard_search::SNAPSHOT_EVERY,
        };
        let end = ended.clone().drop_guard();
        let run = hansard_search::run(config, shutdown.clone());
        let running = tokio::spawn(async move {
            let _end = end;
            run.await
        });
        Self { running, progress, shutdown, ended }
    }

    /// Healthy when every partition it owns is searched; one of several owns what it found free.
    pub(crate) fn health_probe(&self) -> ReadyProbe {
        let progress = self.progress.clone();
        Arc::new(move || {
            let partitions = progress.partitions();
            if partitions.is_empty() {
                return Err("the search has not started".to_owned());
            }
            match partitions.iter().find(|one| one.stopped || (one.owned && !one.serving)) {
                Some(one) if one.stopped => {
                    Err(format!("the index of partition {} stopped", one.partition))
                }
                Some(one) => Err(format!("the index of partition {} catches up", one.partition)),
                None => Ok(()),
            }
        })
    }

    /// Returns when the searcher has ended by itself.
    pub(crate) async fn failed(&self) {
        self.ended.cancelled().await;
    }

    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        Ok(self.running.await??)
    }
}

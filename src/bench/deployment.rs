//! A deployment of the bench's own: one nats-server, gateways and projectors, each a process.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use hansard_model::query::{LookupReply, LookupRequest};
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, MessageId, UserId};
use hansard_nats::server::BinarySearch;
use hansard_nats::{
    Connection, Deployment, Log, LogClock, ServiceRole, deployment, embedded, query,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::process::{Process, Recipe};
use super::{Place, machine};

/// How long the views get to catch up with the log after a round of load.
pub(super) const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(600);
/// How long an owner gets to answer one question.
const ASK_WITHIN: Duration = Duration::from_secs(5);

/// What to start.
pub(super) struct Plan {
    pub(super) gateways: usize,
    pub(super) projectors: usize,
    pub(super) group_limit: usize,
    pub(super) partitions: u16,
}

/// Where a gateway is that clients are sent to by others, with the limits of the product but one.
#[derive(Clone, Copy)]
pub(super) struct Site<'a> {
    pub(super) region: &'a str,
    /// Handshakes in a second, and at once; `None`: the default.
    pub(super) accept_rate: Option<u32>,
}

/// A running gateway.
pub(super) struct Gateway {
    pub(super) process: Process,
    pub(super) address: SocketAddr,
    pub(super) admin: SocketAddr,
}

impl Gateway {
    /// `kill -9`, then the same again, on the same ports.
    pub(super) async fn restart(&mut self) -> anyhow::Result<()> {
        self.process.restart().await
    }
}

/// A running projector.
pub(super) struct Projector {
    pub(super) process: Process,
    pub(super) admin: SocketAddr,
}

/// A running searcher.
pub(super) struct Searcher {
    pub(super) process: Process,
    pub(super) admin: SocketAddr,
}

/// A running media service.
pub(super) struct MediaService {
    pub(super) process: Process,
}

/// A histogram of a process, summed over its labels.
#[derive(Clone, Debug, Default)]
pub(super) struct Histogram {
    pub(super) sum: f64,
    pub(super) count: f64,
    /// How many were at most so large.
    pub(super) at_most: Vec<(f64, f64)>,
}

impl Histogram {
    /// What was measured since then.
    pub(super) fn since(&self, before: &Self) -> Self {
        let count_before = |bound: f64| {
            let found = before.at_most.iter().find(|(of, _)| *of == bound);
            found.map_or(0.0, |(_, count)| *count)
        };
        let at_most = self.at_most.iter();
        Self {
            sum: self.sum - before.sum,
            count: self.count - before.count,
            at_most: at_most.map(|(bound, count)| (*bound, count - count_before(*bound))).collect(),
        }
    }

    /// The least bound below which this share is; infinite when it is in no bounded bucket.
    pub(super) fn at_most(&self, share: f64) -> f64 {
        let wanted = self.count * share;
        let found = self.at_most.iter().find(|(_, count)| *count >= wanted);
        found.map_or(f64::INFINITY, |(bound, _)| *bound)
    }
}

/// The processes, and a connection of the bench's own. Dropping it kills them all.
pub(super) struct Bench {
    pub(super) place: Place,
    pub(super) data: PathBuf,
    pub(super) logs: PathBuf,
    pub(super) nats: Option<Process>,
    pub(super) gateways: Vec<Gateway>,
    pub(super) projectors: Vec<Projector>,
    pub(super) connection: Connection,
    pub(super) deployment: Deployment,
    pub(super) log: Log,
    plan: Plan,
    _clock: DropGuard,
    dir: Option<TempDir>,
}

impl Bench {
    pub(super) async fn start(place: &Place, plan: Plan) -> anyhow::Result<Self> {
        let mut builder = tempfile::Builder::new();
        builder.prefix("hansard-bench-");
        let dir = match &place.dir {
            Some(parent) => {
                std::fs::create_dir_all(parent)?;
                builder.tempdir_in(parent)?
            }
            None => builder.tempdir()?,
        };
        let (data, logs) = (dir.path().join("data"), dir.path().to_owned());
        let nats = nats_recipe(place, &plan, &data, &logs)?.start().await?;
        let endpoint = embedded::read_connection_file(&data)?;
        let connection = Connection::connect(&endpoint, ServiceRole::Operator).await?;
        let deployment = deployment::open(&connection).await?;
        let clock = LogClock::new();
        clock.compare(&connection).await?;
        let stop = CancellationToken::new();
        tokio::spawn(clock.clone().keep(connection.clone(), stop.clone()));
        let log = Log::open(&connection, &deployment, clock);
        let mut bench = Self {
            place: place.clone(),
            data,
            logs,
            nats: Some(nats),
            gateways: Vec::new(),
            projectors: Vec::new(),
            connection,
            deployment,
            log,
            plan,
            _clock: stop.drop_guard(),
            dir: Some(dir),
        };
        for index in 0..bench.plan.projectors {
            let projector = bench.start_projector(index).await?;
            bench.projectors.push(projector);
        }
        for index in 0..bench.plan.gateways {
            let gateway = bench.start_gateway(index).await?;
            bench.gateways.push(gateway);
        }
        if bench.plan.projectors > 0 {
            bench.caught_up(CAUGHT_UP_WITHIN).await?;
        }
        Ok(bench)
    }

    /// Starts a projector, with an admin listener that it keeps when it is started again.
    pub(super) async fn start_projector(&self, index: usize) -> anyhow::Result<Projector> {
        let admin = free_port()?;
        let data = text(&self.data)?;
        let durability = self.place.durability.as_str();
        let admin_listen = admin.to_string();
        let args = [
            "projector",
            "--data",
            data,
            "--durability",
            durability,
            "--admin-listen",
            &admin_listen,
        ];
        let name = format!("projector-{index}");
        let process = Recipe::new(&name, &self.logs, Some("projecting"), &args).start().await?;
        Ok(Projector { process, admin })
    }

    /// Starts a searcher, on one core alone if that is said, with an admin listener that it keeps
    /// when it is started again.
    pub(super) async fn start_searcher(&self, core: Option<usize>) -> anyhow::Result<Searcher> {
        let admin = free_port()?;
        let data = text(&self.data)?;
        let durability = self.place.durability.as_str();
        let admin_listen = admin.to_string();
        let args =
            ["search", "--data", data, "--durability", durability, "--admin-listen", &admin_listen];
        let recipe = Recipe::new("search", &self.logs, Some("searching"), &args);
        let process = Recipe { core, ..recipe }.start().await?;
        Ok(Searcher { process, admin })
    }

    /// Starts a media service.
    pub(super) async fn start_media(&self) -> anyhow::Result<MediaService> {
        let data = text(&self.data)?;
        let durability = self.place.durability.as_str();
        let args = ["media", "--data", data, "--durability", durability];
        let recipe = Recipe::new("media", &self.logs, Some("media on"), &args);
        Ok(MediaService { process: recipe.start().await? })
    }

    /// Starts a gateway on ports of its own, which it keeps when it is started again. It lets
    /// everybody in at once.
    pub(super) async fn start_gateway(&self, index: usize) -> anyhow::Result<Gateway> {
        const NO_LIMIT: &str = "100000";
        let limits = [
            "--handshakes-per-second",
            "--handshake-burst",
            "--catch-ups-per-second",
            "--catch-up-burst",
        ];
        let args: Vec<&str> = limits.iter().flat_map(|limit| [limit, NO_LIMIT]).collect();
        self.start_gateway_with(index, &args).await
    }

    /// Starts a gateway that clients are sent to.
    pub(super) async fn start_gateway_at(
        &self,
        index: usize,
        site: Site<'_>,
    ) -> anyhow::Result<Gateway> {
        let mut args = vec!["--advertise", "http://127.0.0.1:0", "--region", site.region];
        let rate = site.accept_rate.map(|rate| rate.to_string());
        if let Some(rate) = &rate {
            args.extend(["--handshakes-per-second", rate, "--handshake-burst", rate]);
        }
        self.start_gateway_with(index, &args).await
    }

    async fn start_gateway_with(&self, index: usize, more: &[&str]) -> anyhow::Result<Gateway> {
        let (address, admin) = (free_port()?, free_port()?);
        let (listen, admin_listen) = (address.to_string(), admin.to_string());
        let limit = self.plan.group_limit.to_string();
        let data = text(&self.data)?;
        let durability = self.place.durability.as_str();
        let mut args = vec![
            "gateway",
            "--data",
            data,
            "--durability",
            durability,
            "--listen",
            &listen,
            "--admin-listen",
            &admin_listen,
            "--group-limit",
            &limit,
            "--sends-per-second",
            "1000000",
            "--send-burst",
            "1000000",
            "--connections-max",
            "19000",
            "--drain",
            "1s",
        ];
        args.extend(more);
        let name = format!("gateway-{index}");
        let process = Recipe::new(&name, &self.logs, Some("listening on"), &args).start().await?;
        Ok(Gateway { process, address, admin })
    }

    /// The nats-server itself, a child of `hansard nats`.
    pub(super) fn nats_server(&self) -> anyhow::Result<u32> {
        let supervisor = self.nats.as_ref().context("nats is stopped")?.pid();
        machine::child_of(supervisor, "nats-server").context("no nats-server")
    }

    /// Waits until the projectors have applied all that is in the log now.
    pub(super) async fn caught_up(&self, within: Duration) -> anyhow::Result<()> {
        let deadline = tokio::time::Instant::now() + within;
        let nobody = UserId::from_entropy([0; UserId::LEN]);
        let question = LookupRequest {
            conversation: ConversationId::direct(nobody, nobody),
            sender: nobody,
            id: MessageId::new(0, [0; 10]),
        };
        for partition in self.log.partitions().partitions() {
            loop {
                // Neither need answer in the first moments of a nats-server.
                let last = self.log.last_seq(partition).await;
                let answer: Result<LookupReply, _> = query::ask(
                    &self.connection,
                    partition,
                    QueryVerb::Lookup,
                    &question,
                    ASK_WITHIN,
                )
                .await;
                if let (Ok(last), Ok(answer)) = (last, answer)
                    && answer.as_of >= last
                {
                    break;
                }
                if tokio::time::Instant::now() > deadline {
                    bail!("partition {partition} does not catch up with the log");
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        Ok(())
    }

    /// A counter or gauge of the process with this admin listener, summed over its labels; `None`
    /// when it has none of that name.
    pub(super) async fn metric(admin: SocketAddr, name: &str) -> anyhow::Result<Option<f64>> {
        Self::metric_of(admin, name, "").await
    }

    /// The same, only with a label such as `outcome="failed"`.
    pub(super) async fn metric_of(
        admin: SocketAddr,
        name: &str,
        label: &str,
    ) -> anyhow::Result<Option<f64>> {
        let text = get(admin, "/metrics").await?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let values = lines.filter_map(|line| {
            let (series, value) = line.rsplit_once(' ')?;
            let is_meant = series.split('{').next() == Some(name) && series.contains(label);
            is_meant.then(|| value.parse::<f64>().ok())?
        });
        Ok(values.fold(None, |sum, value| Some(sum.unwrap_or(0.0) + value)))
    }

    /// A histogram of the process with this admin listener; empty when it has none of that name.
    pub(super) async fn histogram(admin: SocketAddr, name: &str) -> anyhow::Result<Histogram> {
        let text = get(admin, "/metrics").await?;
        let mut found = Histogram::default();
        for line in text.lines() {
            let Some((series, value)) = line.rsplit_once(' ') else { continue };
            let Some(rest) = series.strip_prefix(name) else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let bound = rest.split_once("le=\"").and_then(|(_, bound)| bound.split('"').next());
            match (rest.split('{').next(), bound.map(str::parse)) {
                (Some("_sum"), _) => found.sum += value,
                (Some("_count"), _) => found.count += value,
                (Some("_bucket"), Some(Ok(bound))) => {
                    match found.at_most.iter_mut().find(|(of, _)| *of == bound) {
                        Some((_, count)) => *count += value,
                        None => found.at_most.push((bound, value)),
                    }
                }
                _ => {}
            }
        }
        Ok(found)
    }

    /// Bytes on disk of all streams whose names begin so.
    pub(super) fn stream_bytes(&self, prefix: &str) -> anyhow::Result<u64> {
        let streams = self.data.join("nats/jetstream/HANSARD/streams");
        let mut bytes = 0;
        for entry in std::fs::read_dir(&streams).context("the streams' directory")? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with(prefix) {
                bytes += machine::directory_bytes(&entry.path());
            }
        }
        Ok(bytes)
    }

    /// What belongs into every report.
    pub(super) fn describe(&self) -> serde_json::Value {
        let version = BinarySearch::from_environment().find().map(|binary| binary.version);
        json!({
            "machine": machine::describe(&self.data),
            "versions": {
                "hansard": env!("CARGO_PKG_VERSION"),
                "nats_server": version.map_or_else(|_| "unknown".to_owned(), |v| v.to_string()),
                "optimized": !cfg!(debug_assertions),
            },
            "durability": self.place.durability.as_str(),
            "partitions": self.deployment.partitions,
        })
    }

    /// Stops everything in order.
    pub(super) async fn stop(mut self) -> anyhow::Result<()> {
        for gateway in self.gateways.drain(..) {
            gateway.process.stop().await?;
        }
        for projector in self.projectors.drain(..) {
            projector.process.stop().await?;
        }
        if let Some(nats) = self.nats.take() {
            nats.stop().await?;
        }
        Ok(())
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        if let (true, Some(dir)) = (self.place.keep, self.dir.take()) {
            super::say(&format!("kept {}", dir.keep().display()));
        }
    }
}

fn nats_recipe(place: &Place, plan: &Plan, data: &Path, logs: &Path) -> anyhow::Result<Recipe> {
    let partitions = plan.partitions.to_string();
    let durability = place.durability.as_str();
    let args =
        ["nats", "--data", text(data)?, "--durability", durability, "--partitions", &partitions];
    Ok(Recipe::new("nats", logs, Some("nats on"), &args))
}

fn text(path: &Path) -> anyhow::Result<&str> {
    path.to_str().context("the directory's name is not UTF-8")
}

/// A port that was free a moment ago. A process that is killed and started again keeps its port,
/// so it cannot be left to the system each time.
fn free_port() -> anyhow::Result<SocketAddr> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?)
}

/// GET over HTTP, the body as text. Version 1.0, so that it comes in one piece.
async fn get(address: SocketAddr, path: &str) -> anyhow::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\n\r\n").as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    let (_, body) = answer.split_once("\r\n\r\n").context("not an answer over HTTP")?;
    Ok(body.to_owned())
}

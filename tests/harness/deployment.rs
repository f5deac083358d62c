//! Processes put together: all roles in one, or each in its own.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Output;
use std::time::{Duration, Instant};

use hansard_model::ConversationId;
use hansard_model::event::EventClass;
use hansard_model::record::EventKey;
use hansard_nats::log::Append;
use hansard_nats::{Connection, Endpoint, Log, LogClock, ServiceRole, deployment, embedded};
use serde::Deserialize;
use serde_json::Value;
use tempfile::TempDir;

use super::{Dice, Http, Process, Variable, eventually, is_running, mint, run_among};

/// Few, so that a start is quick; several, so that what must not depend on one does not.
const PARTITIONS: &str = "4";
/// Where processes listen. Connections go out from 127.0.0.1: none can take the port of a process
/// that is started again at its address.
const ANY_PORT: &str = "127.0.0.2:0";
/// What test machines do to a disk shared by all tests; a test of the server's own crash does not
/// need the disk's.
const REPLAY_WITHIN: Duration = Duration::from_secs(60);

/// Where a deployment keeps everything; gone with the value, after its nats-server.
pub(crate) struct DataDir {
    dir: TempDir,
    /// What every process on it finds in its environment.
    variables: Vec<Variable>,
}

/// `hansard serve`: every role in one process.
pub(crate) struct Serve {
    /// The process.
    pub(crate) process: Process,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// Where health and metrics are.
    pub(crate) admin: SocketAddr,
    arguments: Vec<String>,
    /// Its data.
    pub(crate) data: DataDir,
}

/// Every role in its own processes.
pub(crate) struct Roles {
    /// The gateways.
    pub(crate) gateways: Vec<Gateway>,
    /// The projectors.
    pub(crate) projectors: Vec<Projector>,
    /// The searchers.
    pub(crate) searchers: Vec<Searcher>,
    /// The media services.
    pub(crate) media: Vec<MediaService>,
    /// `hansard nats`, which watches nats-server.
    pub(crate) nats: Process,
    /// Their data.
    pub(crate) data: DataDir,
    of_gateways: Vec<String>,
    of_projectors: Vec<String>,
    of_media: Vec<String>,
}

/// What is started of each role, and how.
#[derive(Clone, Copy, Default)]
pub(crate) struct Plan<'a> {
    /// How many gateways.
    pub(crate) gateways: usize,
    /// How many projectors.
    pub(crate) projectors: usize,
    /// How many searchers.
    pub(crate) searchers: usize,
    /// How many media services.
    pub(crate) media: usize,
    /// More arguments for the gateways.
    pub(crate) to_gateways: &'a [&'a str],
    /// More arguments for the projectors.
    pub(crate) to_projectors: &'a [&'a str],
    /// More arguments for the media services.
    pub(crate) to_media: &'a [&'a str],
    /// Variables for all of them, and for subcommands.
    pub(crate) variables: &'a [Variable],
}

/// `hansard projector`
pub(crate) struct Projector {
    /// The process.
    pub(crate) process: Process,
    /// Where health and metrics are.
    pub(crate) admin: SocketAddr,
}

impl Projector {
    /// A counter or gauge, summed over its labels; 0 while it has none of that name.
    pub(crate) async fn metric(&self, name: &str) -> f64 {
        metric(self.admin, name).await
    }
}

/// `hansard media`
pub(crate) struct MediaService {
    /// The process.
    pub(crate) process: Process,
}

/// `hansard search`
pub(crate) struct Searcher {
    /// The process.
    pub(crate) process: Process,
    /// Where health and metrics are.
    pub(crate) admin: SocketAddr,
}

impl Searcher {
    /// How many partitions it owns.
    pub(crate) async fn owned(&self) -> f64 {
        metric(self.admin, "hansard_search_partitions_owned").await
    }
}

/// A counter or gauge of the process with this admin listener, summed over its labels; 0 while it
/// has none of that name.
pub(crate) async fn metric(admin: SocketAddr, name: &str) -> f64 {
    let text = Http::anonymous(admin).ask("GET", "/metrics", None).await.text;
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let values = lines.filter_map(|line| {
        let (series, value) = line.rsplit_once(' ')?;
        (series.split('{').next() == Some(name)).then(|| value.parse::<f64>().unwrap())
    });
    values.sum()
}

/// `hansard gateway`
pub(crate) struct Gateway {
    /// The process.
    pub(crate) process: Process,
    /// Where clients connect.
    pub(crate) address: SocketAddr,
    /// What it was started with, but for the address.
    arguments: Vec<String>,
}

/// An event as `hansard replay --json` prints it.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Replayed {
    /// Where it is.
    pub(crate) seq: u64,
    /// When it was stored.
    pub(crate) ts: String,
    /// It was stored too late.
    pub(crate) void: bool,
    /// The stored payload; null when it is no JSON.
    #[serde(default)]
    pub(crate) body: Value,
}

impl Serve {
    /// Starts with the defaults.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// Starts with these arguments too.
    pub(crate) async fn with(more: &[&str]) -> Self {
        Self::among(&[], more).await
    }

    /// The same, with these variables.
    pub(crate) async fn among(variables: &[Variable], more: &[&str]) -> Self {
        let data = DataDir::among(variables);
        let admin = free_port();
        let mut arguments: Vec<String> = vec![
            "serve".to_owned(),
            "--data".to_owned(),
            data.path(),
            "--admin-listen".to_owned(),
            admin.to_string(),
        ];
        if !more.contains(&"--partitions") {
            arguments.extend(["--partitions".to_owned(), PARTITIONS.to_owned()]);
        }
        arguments.extend(more.iter().map(|text| (*text).to_owned()));
        let (process, address) = listen(&arguments, &data, ANY_PORT).await;
        Self { process, address, admin, arguments, data }
    }

    /// Starts again, on the same data and the same address.
    pub(crate) async fn restart(&mut self) {
        let listen_on = self.address.to_string();
        let (process, _) = listen(&self.arguments, &self.data, &listen_on).await;
        self.process = process;
    }
}

async fn listen(arguments: &[String], data: &DataDir, listen_on: &str) -> (Process, SocketAddr) {
    let mut arguments = arguments.to_vec();
    arguments.extend(["--listen".to_owned(), listen_on.to_owned()]);
    let name = arguments[0].clone();
    let (process, address) = data.start(&name, &arguments, "listening on http://").await;
    (process, address.parse().unwrap())
}

impl Roles {
    /// Starts nats-server, gateways and projectors.
    pub(crate) async fn start(gateways: usize, projectors: usize) -> Self {
        Self::with(gateways, projectors, &[]).await
    }

    /// The same, with more arguments for the gateways.
    pub(crate) async fn with(gateways: usize, projectors: usize, more: &[&str]) -> Self {
        Self::of(Plan { gateways, projectors, to_gateways: more, ..Plan::default() }).await
    }

    /// Starts what the plan says.
    pub(crate) async fn of(plan: Plan<'_>) -> Self {
        let data = DataDir::among(plan.variables);
        let nats = start_nats(&data).await;
        let role = |name: &str, more: &[&str]| {
            let more = more.iter().map(|text| (*text).to_owned());
            let mut arguments = vec![name.to_owned(), "--data".to_owned(), data.path()];
            arguments.extend(more);
            arguments
        };
        let of_gateways = role("gateway", plan.to_gateways);
        let of_projectors = role("projector", plan.to_projectors);
        let of_media = role("media", plan.to_media);
        let mut roles = Self {
            gateways: Vec::new(),
            projectors: Vec::new(),
            searchers: Vec::new(),
            media: Vec::new(),
            nats,
            data,
            of_gateways,
            of_projectors,
            of_media,
        };
        roles.start_searchers(plan.searchers).await;
        for _ in 0..plan.projectors {
            roles.start_projector().await;
        }
        for _ in 0..plan.media {
            roles.start_media().await;
        }
        for _ in 0..plan.gateways {
            roles.start_gateway().await;
        }
        roles
    }

    /// Where the gateways are.
    pub(crate) fn addresses(&self) -> Vec<SocketAddr> {
        self.gateways.iter().map(|gateway| gateway.address).collect()
    }

    /// Starts one more projector.
    pub(crate) async fn start_projector(&mut self) {
        let admin = free_port();
        let mut arguments = self.of_projectors.clone();
        arguments.extend(["--admin-listen".to_owned(), admin.to_string()]);
        let (process, _) = self.data.start("projector", &arguments, "projecting").await;
        self.projectors.push(Projector { process, admin });
    }

    /// Starts one more media service.
    pub(crate) async fn start_media(&mut self) {
        let (process, _) = self.data.start("media", &self.of_media, "media on ").await;
        self.media.push(MediaService { process });
    }

    /// Starts searchers at the same time, each on a directory of its own, so that they share.
    async fn start_searchers(&mut self, count: usize) {
        let data = self.data.path();
        let start = |number: usize| {
            let admin = free_port();
            let words = ["search", "--data", &data, "--search-directory"].map(str::to_owned);
            let more = [format!("{data}/search-{number}"), "--admin-listen".to_owned()];
            let arguments = [&words[..], &more[..], &[admin.to_string()]].concat();
            let data = &self.data;
            async move {
                let (process, _) = data.start("search", &arguments, "searching").await;
                Searcher { process, admin }
            }
        };
        self.searchers = futures_util::future::join_all((0..count).map(start)).await;
    }

    /// Takes one of the projectors that own something out of the list, to do it harm.
    pub(crate) async fn take_owner(&mut self, dice: &mut Dice) -> Projector {
        let mut owners = Vec::new();
        eventually("an owner", async || {
            owners.clear();
            for (index, projector) in self.projectors.iter().enumerate() {
                if projector.metric("hansard_projector_partitions_owned").await > 0.0 {
                    owners.push(index);
                }
            }
            !owners.is_empty()
        })
        .await;
        self.projectors.remove(*dice.one_of(&owners))
    }

    /// Ends everything in order.
    pub(crate) async fn stop(&mut self) {
        for gateway in &mut self.gateways {
            gateway.process.terminate().await;
        }
        self.stop_projectors().await;
        for mut searcher in self.searchers.drain(..) {
            searcher.process.terminate().await;
        }
        for mut media in self.media.drain(..) {
            media.process.terminate().await;
        }
        self.nats.terminate().await;
    }

    /// Ends every projector in order.
    pub(crate) async fn stop_projectors(&mut self) {
        for mut projector in self.projectors.drain(..) {
            projector.process.terminate().await;
        }
    }

    /// Starts one more gateway.
    pub(crate) async fn start_gateway(&mut self) {
        self.start_gateway_with(&[]).await;
    }

    /// The same, with arguments of its own.
    pub(crate) async fn start_gateway_with(&mut self, more: &[&str]) {
        let mut arguments = self.of_gateways.clone();
        arguments.extend(more.iter().map(|text| (*text).to_owned()));
        let (process, address) = listen(&arguments, &self.data, ANY_PORT).await;
        self.gateways.push(Gateway { process, address, arguments });
    }

    /// Starts a gateway again that has ended, at its address.
    pub(crate) async fn restart_gateway(&mut self, index: usize) {
        let listen_on = self.gateways[index].address.to_string();
        let arguments = &self.gateways[index].arguments;
        let (process, _) = listen(arguments, &self.data, &listen_on).await;
        self.gateways[index].process = process;
    }

    /// Starts nats-server and what watches it again, after its end.
    pub(crate) async fn restart_nats(&mut self) {
        self.nats = start_nats(&self.data).await;
    }
}

async fn start_nats(data: &DataDir) -> Process {
    let arguments = ["nats", "--data", &data.path(), "--partitions", PARTITIONS];
    let arguments = arguments.map(str::to_owned);
    data.start("nats", &arguments, "nats on ").await.0
}

impl DataDir {
    fn among(variables: &[Variable]) -> Self {
        let dir = TempDir::with_prefix("hansard-e2e-").unwrap();
        Self { dir, variables: variables.to_vec() }
    }

    async fn start(&self, name: &str, arguments: &[String], ready: &str) -> (Process, String) {
        Process::start(name, arguments, &self.variables, self.dir.path(), ready).await
    }

    /// Where it is.
    pub(crate) fn path(&self) -> String {
        self.dir.path().to_str().unwrap().to_owned()
    }

    /// How to reach the nats-server in it.
    pub(crate) fn endpoint(&self) -> Endpoint {
        embedded::read_connection_file(self.dir.path()).unwrap()
    }

    /// A connection that may do anything, and the log, with a clock that is set.
    pub(crate) async fn operator(&self) -> (Connection, Log) {
        let connection =
            Connection::connect(&self.endpoint(), ServiceRole::Operator).await.unwrap();
        let deployment = deployment::open(&connection).await.unwrap();
        let clock = LogClock::new();
        eventually("log time", async || clock.compare(&connection).await.is_ok()).await;
        let log = Log::open(&connection, &deployment, clock);
        (connection, log)
    }

    /// JetStream itself, for what no role may do.
    pub(crate) async fn jetstream(&self) -> async_nats::jetstream::Context {
        let (endpoint, role) = (self.endpoint(), ServiceRole::Operator);
        let password = endpoint.password(role).unwrap().to_owned();
        let options =
            async_nats::ConnectOptions::new().user_and_password(role.as_str().to_owned(), password);
        let urls: Vec<String> =
            endpoint.servers().iter().map(|server| format!("nats://{server}")).collect();
        async_nats::jetstream::new(options.connect(urls).await.unwrap())
    }

    /// Stores bytes as a message of a conversation, valid, past every gateway; the seq.
    pub(crate) async fn store_straight(
        &self,
        conversation: &str,
        sender: &str,
        payload: &str,
    ) -> u64 {
        let (_connection, log) = self.operator().await;
        let key = EventKey {
            conversation: conversation.parse().unwrap(),
            sender: sender.parse().unwrap(),
            id: mint().parse().unwrap(),
        };
        let append = Append {
            key,
            void: Vec::new(),
            class: EventClass::Msg,
            kind: "message",
            vouch_until: log.clock().now().unwrap().plus(Duration::from_secs(60)),
            expected: None,
            payload: payload.to_owned().into(),
        };
        let seq = log.append(append).await.unwrap().await.unwrap().seq.0;
        super::people::told(conversation, seq);
        seq
    }

    /// Where nats-server keeps its streams.
    pub(crate) fn streams(&self) -> PathBuf {
        self.dir.path().join("nats/jetstream")
    }

    /// Where history and archive are.
    pub(crate) fn objects(&self) -> PathBuf {
        self.dir.path().join("objects")
    }

    /// The nats-server that runs now.
    pub(crate) fn nats_pid(&self) -> Option<u32> {
        let text = std::fs::read_to_string(self.pid_file()).ok()?;
        text.trim().parse().ok().filter(|pid| is_running(*pid))
    }

    fn pid_file(&self) -> PathBuf {
        self.dir.path().join("nats/server.pid")
    }

    /// Runs a subcommand on this deployment.
    pub(crate) async fn hansard(&self, arguments: &[&str]) -> Output {
        let data = self.path();
        let arguments = [arguments, &["--data", &data]].concat();
        run_among(&self.variables, &arguments, REPLAY_WITHIN).await
    }

    /// The same, which must succeed; its standard output.
    pub(crate) async fn hansard_done(&self, arguments: &[&str]) -> String {
        let output = self.hansard(arguments).await;
        let (said, errors) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(output.status.success(), "{arguments:?}: {said}{errors}");
        said
    }

    /// A conversation as the log holds it, void events included, by `hansard replay`.
    pub(crate) async fn replay(&self, conversation: &str) -> Vec<Replayed> {
        let arguments = ["replay", conversation, "--json", "--data", &self.path()];
        let output = run_among(&self.variables, &arguments, REPLAY_WITHIN).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The partition of a conversation, and the last seq in it.
    pub(crate) async fn last_seq(log: &Log, conversation: &str) -> u64 {
        let conversation: ConversationId = conversation.parse().unwrap();
        log.last_seq(log.partition_of(conversation)).await.unwrap().0
    }
}

impl Drop for DataDir {
    /// The processes are dropped before their data; nats-server follows whoever started it, and is
    /// given the moment that it needs, so that it does not write into a directory that is removed.
    fn drop(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(5);
        while self.nats_pid().is_some() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// An address on which nothing listens now.
pub(crate) fn free_port() -> SocketAddr {
    TcpListener::bind(ANY_PORT).unwrap().local_addr().unwrap()
}

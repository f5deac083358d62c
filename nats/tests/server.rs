//! The embedded nats-server, started, killed and restarted for real.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use async_nats::jetstream;
use futures_util::StreamExt as _;
use hansard_nats::connection::{Connection, Endpoint, ServiceRole};
use hansard_nats::server::{
    BinarySearch, ClusterOptions, Durability, Server, ServerOptions, ServerUser, StartServerError,
};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);

fn options(dir: &Path) -> ServerOptions {
    ServerOptions {
        data_dir: dir.join("nats"),
        durability: Durability::Fsync,
        port: 0,
        users: vec![
            ServerUser { name: "owner".into(), password: "0wner-pw".into(), publish_deny: vec![] },
            ServerUser {
                name: "gateway".into(),
                password: "gateway_pw".into(),
                publish_deny: vec!["live.>".into()],
            },
        ],
        monitor: None,
        cluster: None,
    }
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A process that has ended but was not collected yet has no command line any more.
fn is_running(pid: u32) -> bool {
    fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| !line.is_empty())
}

fn kill(pid: u32) {
    let killed = Command::new("sh").args(["-c", &format!("kill -9 {pid}")]).status().unwrap();
    assert!(killed.success());
}

/// Connects with what the URL says; the NATS client itself ignores the credentials in it.
async fn connect(url: Option<String>) -> Result<async_nats::Client, async_nats::ConnectError> {
    let address: async_nats::ServerAddr = url.unwrap().parse().unwrap();
    let user = address.username().unwrap().to_owned();
    let password = address.password().unwrap().to_owned();
    async_nats::ConnectOptions::with_user_and_password(user, password).connect(address).await
}

async fn store_one(server: &Server) -> u64 {
    let client = connect(server.url_for("owner")).await.unwrap();
    let log = jetstream::new(client);
    log.get_or_create_stream(jetstream::stream::Config {
        name: "LOG".into(),
        subjects: vec!["log".into()],
        ..Default::default()
    })
    .await
    .unwrap();
    log.publish("log", "said".into()).await.unwrap().await.unwrap().sequence
}

#[tokio::test]
async fn started_server_stores_and_answers_its_users_only() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(options(dir.path())).await.unwrap();
    assert!(server.address().ip().is_loopback());
    assert!(is_running(server.pid().unwrap()));
    assert_eq!(store_one(&server).await, 1);
    assert_eq!(server.url_for("stranger"), None);
    let nobody = async_nats::connect(format!("nats://{}", server.address())).await;
    assert!(nobody.is_err(), "a connection without a password was accepted");
    server.stop().await;
}

#[tokio::test]
async fn user_cannot_publish_what_is_denied_to_it() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(options(dir.path())).await.unwrap();
    let owner = connect(server.url_for("owner")).await.unwrap();
    let gateway = connect(server.url_for("gateway")).await.unwrap();
    let mut heard = owner.subscribe(">").await.unwrap();
    // A flush only empties the client's buffer; hearing itself proves that the server has
    // subscribed it.
    owner.publish("subscribed", "".into()).await.unwrap();
    let mut next = async || tokio::time::timeout(DEADLINE, heard.next()).await.unwrap().unwrap();
    assert_eq!(next().await.subject.as_str(), "subscribed");
    gateway.publish("live.d.x", "denied".into()).await.unwrap();
    gateway.publish("typing", "allowed".into()).await.unwrap();
    assert_eq!(next().await.subject.as_str(), "typing");
    server.stop().await;
}

#[tokio::test]
async fn killed_server_comes_back_at_the_same_address_with_what_it_acknowledged() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(options(dir.path())).await.unwrap();
    let address = server.address();
    for round in 1..=3 {
        assert_eq!(store_one(&server).await, round);
        let pid = server.pid().unwrap();
        kill(pid);
        eventually("another process serves", async || {
            server.pid().is_some_and(|next| next != pid)
                && connect(server.url_for("owner")).await.is_ok()
        })
        .await;
        assert_eq!(server.address(), address);
    }
    server.stop().await;
}

#[tokio::test]
async fn stopped_server_is_gone_and_its_directory_can_be_served_again() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(options(dir.path())).await.unwrap();
    assert_eq!(store_one(&server).await, 1);
    let pid = server.pid().unwrap();
    server.stop().await;
    assert!(!is_running(pid));
    let server = Server::start(options(dir.path())).await.unwrap();
    assert_eq!(store_one(&server).await, 2);
    server.stop().await;
}

#[tokio::test]
async fn dropped_server_ends() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(options(dir.path())).await.unwrap();
    let pid = server.pid().unwrap();
    drop(server);
    eventually("the process ends", async || !is_running(pid)).await;
}

/// Runs itself in another process, which is then killed.
#[tokio::test]
async fn killed_parent_leaves_no_server_behind() {
    const HOLD: &str = "SERVER_TEST_HOLDS";
    if let Some(dir) = environment(HOLD) {
        let server = Server::start(options(&dir)).await.unwrap();
        println!("\nserving {}", server.pid().unwrap());
        std::future::pending::<()>().await;
    }
    let dir = TempDir::new().unwrap();
    let mut parent = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "killed_parent_leaves_no_server_behind", "--nocapture"])
        .env(HOLD, dir.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    let serving = lines
        .map(Result::unwrap)
        .find_map(|line| line.strip_prefix("serving ").map(|pid| pid.parse::<u32>().unwrap()));
    let pid = serving.expect("the parent started a server");
    assert!(is_running(pid));
    parent.kill().unwrap();
    parent.wait().unwrap();
    eventually("the server ends with its parent", async || !is_running(pid)).await;
    let server = Server::start(options(dir.path())).await.unwrap();
    server.stop().await;
}

#[expect(
    clippy::disallowed_methods,
    reason = "how the test tells itself that it is the other process"
)]
fn environment(name: &str) -> Option<PathBuf> {
    std::env::var_os(name).map(PathBuf::from)
}

#[tokio::test]
async fn server_left_in_the_directory_is_ended_before_the_next_starts() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(options(dir.path())).await.unwrap();
    let program = fs::read_link(format!("/proc/{}/exe", server.pid().unwrap())).unwrap();
    let address = server.address();
    server.stop().await;
    // What a supervisor that could not end its server would leave: the process and its number.
    let home = dir.path().join("nats").canonicalize().unwrap();
    let mut left = Command::new(program).arg("-c").arg(home.join("server.conf")).spawn().unwrap();
    fs::write(home.join("server.pid"), left.id().to_string()).unwrap();
    eventually("it listens", async || TcpStream::connect(address).is_ok()).await;
    let collected = std::thread::spawn(move || left.wait().unwrap());
    let server = Server::start(options(dir.path())).await.unwrap();
    assert!(collected.join().unwrap().success(), "it was asked to end in order");
    server.stop().await;
}

#[tokio::test]
async fn process_that_only_has_the_number_of_an_old_server_is_left_alone() {
    let dir = TempDir::new().unwrap();
    let home = dir.path().join("nats");
    fs::create_dir(&home).unwrap();
    let mut bystander = Command::new("sleep").arg("60").spawn().unwrap();
    fs::write(home.join("server.pid"), bystander.id().to_string()).unwrap();
    let server = Server::start(options(dir.path())).await.unwrap();
    assert!(bystander.try_wait().unwrap().is_none(), "a stranger's process was ended");
    server.stop().await;
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn second_server_on_a_directory_is_refused() {
    let dir = TempDir::new().unwrap();
    let server = Server::start(options(dir.path())).await.unwrap();
    let refused = Server::start(options(dir.path())).await.unwrap_err();
    assert!(matches!(refused, StartServerError::DataDirInUse { .. }), "{refused}");
    assert_eq!(store_one(&server).await, 1);
    server.stop().await;
}

#[tokio::test]
async fn port_that_is_taken_is_named() {
    let dir = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let refused = Server::start(ServerOptions { port, ..options(dir.path()) }).await.unwrap_err();
    assert!(
        matches!(refused, StartServerError::PortInUse { port: named } if named == port),
        "{refused}"
    );
}

#[tokio::test]
async fn passwords_are_readable_by_the_owner_alone() {
    let dir = TempDir::new().unwrap();
    // A directory and a file that are open to all, as an operator might have made them.
    let home = dir.path().join("nats");
    fs::create_dir(&home).unwrap();
    fs::set_permissions(&home, fs::Permissions::from_mode(0o755)).unwrap();
    fs::write(home.join("server.conf"), "").unwrap();
    let server = Server::start(options(dir.path())).await.unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&home), 0o700);
    assert_eq!(mode(&home.join("server.conf")), 0o600);
    let shown = format!("{server:?} {:?}", options(dir.path()));
    assert!(!shown.contains("0wner-pw") && !shown.contains("gateway_pw"), "{shown}");
    server.stop().await;
}

#[tokio::test]
async fn credentials_that_do_not_fit_a_url_are_refused() {
    let dir = TempDir::new().unwrap();
    let mut unsafe_options = options(dir.path());
    unsafe_options.users[1].password = "p@ss".into();
    let refused = Server::start(unsafe_options).await.unwrap_err();
    assert!(
        matches!(&refused, StartServerError::UnsafeCredential { name } if name == "gateway"),
        "{refused}"
    );
}

/// Tests run in their package; what they were built in may have been another tree.
fn fixtures() -> PathBuf {
    fs::canonicalize("tests/fixtures").unwrap()
}

#[test]
fn old_server_is_refused_with_advice() {
    let old = fixtures().join("nats-server-2.9");
    let named = BinarySearch { explicit: Some(old.join("nats-server")), ..Default::default() };
    let refused = complaint(&named.find().unwrap_err());
    assert!(refused.contains("HANSARD_NATS_SERVER"), "{refused}");
    assert!(refused.contains("is nats-server 2.9.0, which is too old"), "{refused}");
    assert!(refused.contains("needs nats-server 2.12 or newer"), "{refused}");

    // Found on PATH, and nowhere to keep another: both are said.
    let found = BinarySearch { path: Some(old.into()), ..Default::default() };
    let refused = complaint(&found.find().unwrap_err());
    assert!(refused.contains("is nats-server 2.9.0, which is too old"), "{refused}");
    assert!(refused.contains("no cache directory"), "{refused}");
}

fn complaint(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |cause| cause.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[test]
fn pinned_server_is_fetched_once_when_path_has_none_or_an_old_one() {
    let old = fixtures().join("nats-server-2.9");
    let cache = TempDir::new().unwrap();
    let search = BinarySearch {
        explicit: None,
        path: Some(old.into()),
        cache_dir: Some(cache.path().to_owned()),
    };
    // Several at once, as when a whole test suite starts on a fresh machine.
    let found = std::thread::scope(|scope| {
        let searches: Vec<_> = (0..4).map(|_| scope.spawn(|| search.find().unwrap())).collect();
        searches.into_iter().map(|search| search.join().unwrap()).collect::<Vec<_>>()
    });
    assert!(found.iter().all(|binary| binary == &found[0]));
    assert_eq!(found[0].version.to_string(), "2.15.1");
    let fetched = fs::metadata(&found[0].path).unwrap().modified().unwrap();
    let again = search.find().unwrap();
    assert_eq!(fs::metadata(&again.path).unwrap().modified().unwrap(), fetched);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_nodes_form_a_cluster() {
    let dir = TempDir::new().unwrap();
    let listeners: Vec<_> = (0..3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
    let ports: Vec<u16> =
        listeners.iter().map(|listener| listener.local_addr().unwrap().port()).collect();
    drop(listeners);
    let mut servers = Vec::new();
    for (node, &port) in ports.iter().enumerate() {
        let others = ports.iter().filter(|&&other| other != port);
        let cluster = ClusterOptions {
            name: "three".into(),
            server_name: format!("node-{node}"),
            port,
            routes: others.map(|other| format!("nats://127.0.0.1:{other}")).collect(),
        };
        let home = dir.path().join(node.to_string());
        let node = ServerOptions { cluster: Some(cluster), ..options(&home) };
        servers.push(Server::start(node).await.unwrap());
    }
    let client = connect(servers[0].url_for("owner")).await.unwrap();
    let mut log = jetstream::new(client);
    // Without a leader nobody answers: ask again soon rather than wait for the answer.
    log.set_timeout(Duration::from_millis(500));
    eventually("a replicated stream is created", async || {
        let config =
            jetstream::stream::Config { name: "LOG".into(), num_replicas: 3, ..Default::default() };
        log.get_or_create_stream(config).await.is_ok()
    })
    .await;
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn a_subscription_is_confirmed_by_a_server_without_jetstream() {
    let binary = BinarySearch::from_environment().find().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let mut process = Command::new(binary.path)
        .args(["--addr", "127.0.0.1", "--port", &port])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let endpoint = Endpoint::parse(&format!("nats://127.0.0.1:{port}")).unwrap();
    let mut connected = None;
    eventually("the server listens", async || {
        connected = Connection::connect(&endpoint, ServiceRole::Gateway).await.ok();
        connected.is_some()
    })
    .await;
    let subscribed = connected.unwrap().subscribe_live().await;
    process.kill().unwrap();
    process.wait().unwrap();
    assert!(subscribed.is_ok());
}

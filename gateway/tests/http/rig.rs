//! A deployment for one test: nats-server, projector, gateways.

use std::time::{Duration, Instant};

use hansard_archive::{ArchiverSettings, Objects, ObjectsUrl};
use hansard_gateway::{Config, Running};
use hansard_media::Patience;
use hansard_model::media::{UPLOAD_BYTES_DEFAULT, USER_BYTES_DEFAULT};
use hansard_model::{MessageId, PartitionCount};
use hansard_nats::deployment::{self, ProvisionOptions};
use hansard_nats::server::{Server, ServerOptions, ServerUser};
use hansard_nats::{Connection, Durability, Endpoint, LogClock, ServiceRole};
use hansard_projector::Progress;
use serde_json::json;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::Client;

/// Longer than anything that a test waits for may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);
/// The password of everybody.
pub(crate) const PASSWORD: &str = "correct horse";

pub(crate) struct Rig {
    endpoint: Endpoint,
    server: Server,
    projector: JoinHandle<()>,
    stop_projector: CancellationToken,
    gateways: Vec<Running>,
    media: Vec<(JoinHandle<()>, CancellationToken)>,
    data: TempDir,
}

impl Rig {
    /// A deployment with one gateway of the default configuration.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    /// A deployment with one gateway.
    pub(crate) async fn start_with(configure: impl FnOnce(&mut Config)) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let password = "test".to_owned();
        let user = |role: ServiceRole| ServerUser {
            name: role.as_str().to_owned(),
            password: password.clone(),
            publish_deny: role.publish_deny(),
        };
        let roles = [
            ServiceRole::Operator,
            ServiceRole::Gateway,
            ServiceRole::Projector,
            ServiceRole::Media,
        ];
        let options = ServerOptions {
            data_dir: data.path().to_owned(),
            durability: Durability::Os,
            port: 0,
            users: roles.map(user).to_vec(),
            monitor: None,
            cluster: None,
        };
        let server = Server::start(options).await.expect("nats-server");
        let users = roles.map(|role| (role, role.as_str().to_owned(), password.clone())).to_vec();
        let endpoint = Endpoint::with_users(vec![server.address().to_string()], users);
        let operator =
            Connection::connect(&endpoint, ServiceRole::Operator).await.expect("connected");
        let options = ProvisionOptions { partitions: PartitionCount::new(2), replicas: 1 };
        deployment::provision(&operator, options).await.expect("provisioned");
        let stop_projector = CancellationToken::new();
        let objects = ObjectsUrl::Directory(data.path().join("objects"));
        let objects = Objects::open(&objects).expect("a store");
        let projector = tokio::spawn({
            let (config, stop) = (
                hansard_projector::Config {
                    endpoint: endpoint.clone(),
                    holder: "test".to_owned(),
                    progress: Progress::new(),
                    objects,
                    archiving: ArchiverSettings::keeping(Duration::from_hours(1)),
                },
                stop_projector.clone(),
            );
            async move { hansard_projector::run(config, stop).await.expect("a projector") }
        });
        let (gateways, media) = (Vec::new(), Vec::new());
        let mut rig = Self { endpoint, server, projector, stop_projector, gateways, media, data };
        rig.add_gateway(configure).await;
        rig
    }

    /// One more gateway; returns a client of it.
    pub(crate) async fn add_gateway(&mut self, configure: impl FnOnce(&mut Config)) -> Client {
        let listen = ([127, 0, 0, 1], 0).into();
        let mut config = Config::new(listen, self.endpoint.clone(), LogClock::new());
        config.drain_period = Duration::from_millis(200);
        configure(&mut config);
        let running = Box::pin(hansard_gateway::start(config)).await.expect("a gateway");
        tokio::time::timeout(DEADLINE, running.ready()).await.expect("a ready gateway");
        let client = Client::new(running.addr());
        self.gateways.push(running);
        client
    }

    /// A media service that listens, and is known to gateways.
    pub(crate) async fn add_media(&mut self, patience: Patience) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a listener");
        let objects = ObjectsUrl::Directory(self.data.path().join("objects"));
        let progress = hansard_media::Progress::new();
        let config = hansard_media::Config {
            endpoint: self.endpoint.clone(),
            holder: format!("media-{}", self.media.len()),
            progress: progress.clone(),
            objects: Objects::open(&objects).expect("a store"),
            listener,
            advertise: None,
            clock: LogClock::new(),
            upload_bytes_max: UPLOAD_BYTES_DEFAULT,
            user_bytes_max: USER_BYTES_DEFAULT,
            patience,
        };
        let stop = CancellationToken::new();
        let run = hansard_media::run(config, stop.clone());
        let run = async move { Box::pin(run).await.expect("a media service") };
        self.media.push((tokio::spawn(run), stop));
        eventually("gateways know of the service", async || progress.serves()).await;
    }

    /// A client of the first gateway, without a token.
    pub(crate) fn client(&self) -> Client {
        Client::new(self.gateways[0].addr())
    }

    /// A client of the first gateway's listener for operators.
    pub(crate) fn operator(&self) -> Client {
        Client::new(self.gateways[0].admin_addr().expect("a listener"))
    }

    /// A new user, logged in.
    pub(crate) async fn person(&self, handle: &str) -> Person {
        let client = self.client();
        let account = json!({"id": new_id(), "handle": handle, "password": PASSWORD});
        let created = client.post("/v1/users", &account).await.expecting(201);
        let client = client.log_in(handle).await;
        Person { user: created["user"].as_str().expect("an id").to_owned(), client }
    }

    /// Where NATS is.
    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Ends the projector, for a test that answers in its place.
    pub(crate) async fn end_projector(&self) {
        self.stop_projector.cancel();
        eventually("the projector ends", async || self.projector.is_finished()).await;
    }

    pub(crate) fn first_gateway(&mut self) -> Running {
        self.gateways.remove(0)
    }

    pub(crate) async fn stop(self) {
        for gateway in self.gateways {
            gateway.stop().await;
        }
        for (media, stop) in self.media {
            stop.cancel();
            media.await.expect("the media service ends");
        }
        self.stop_projector.cancel();
        self.projector.await.expect("the projector ends");
        self.server.stop().await;
    }
}

/// Somebody who is logged in.
pub(crate) struct Person {
    pub(crate) user: String,
    pub(crate) client: Client,
}

impl Person {
    /// The direct conversation with another.
    pub(crate) fn with(&self, other: &Self) -> String {
        let (x, y) = (&self.user, &other.user);
        if x < y { format!("{x}.{y}") } else { format!("{y}.{x}") }
    }

    /// Sends a message and returns its place.
    pub(crate) async fn say(&self, conversation: &str, text: &str) -> u64 {
        let message = json!({"id": new_id(), "event": {"kind": "message", "text": text}});
        let path = format!("/v1/conversations/{conversation}/messages");
        let sent = self.client.post(&path, &message).await.expecting(201);
        sent["seq"].as_u64().expect("a place")
    }

    /// Creates a group and returns its id.
    pub(crate) async fn found(&self, title: &str, members: &[&Self]) -> String {
        let members: Vec<&str> = members.iter().map(|person| person.user.as_str()).collect();
        let group = json!({"id": new_id(), "kind": "group", "title": title, "members": members});
        let created = self.client.post("/v1/conversations", &group).await.expecting(201);
        created["conversation"].as_str().expect("an id").to_owned()
    }
}

/// A new id, of now.
pub(crate) fn new_id() -> String {
    minted_ago(Duration::ZERO)
}

/// A new id, of a while ago.
pub(crate) fn minted_ago(age: Duration) -> String {
    static COUNT: std::sync::atomic::AtomicU16 = std::sync::atomic::AtomicU16::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed).to_be_bytes();
    #[expect(clippy::disallowed_methods, reason = "a client has a clock of its own")]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).expect("after 1970");
    let millis = since.saturating_sub(age).as_millis();
    let mut random = [7; 10];
    random[..2].copy_from_slice(&count);
    MessageId::new(u64::try_from(millis).expect("a time"), random).to_string()
}

/// Waits for a condition.
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition().await {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

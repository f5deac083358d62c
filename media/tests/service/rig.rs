//! A deployment for one test: a real nats-server, an object store, media services, and what a
//! gateway knows.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use hansard_archive::{Objects, ObjectsUrl};
use hansard_media::{Config, Patience, Progress, RunError};
use hansard_model::media::{
    Allows, Blob, Content, Grant, Holdings, MediaKey, Sha256, State, Upload, Variant,
};
use hansard_model::{LogTime, PartitionCount, UploadId, UserId};
use hansard_nats::deployment::{self, ProvisionOptions};
use hansard_nats::grant::seal;
use hansard_nats::media::{GrantSecret, MediaBucket};
use hansard_nats::server::{Server, ServerOptions, ServerUser};
use hansard_nats::{Connection, Durability, Endpoint, LogClock, ServiceRole};
use object_store::ObjectStore;
use object_store::local::LocalFileSystem;
use serde::{Deserialize, Serialize};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::client::Client;

pub(crate) mod restart;

/// Longer than anything that a test waits for may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// Bytes of an upload at most, and of all of a user.
pub(crate) const UPLOAD_BYTES_MAX: u64 = 32 * 1024 * 1024;
pub(crate) const USER_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(crate) struct Rig {
    pub(crate) operator: Connection,
    pub(crate) bucket: MediaBucket,
    pub(crate) clock: LogClock,
    pub(crate) data: TempDir,
    secret: GrantSecret,
    server: Server,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let user = |role: ServiceRole| ServerUser {
            name: role.as_str().to_owned(),
            password: "test".to_owned(),
            publish_deny: role.publish_deny(),
        };
        let options = ServerOptions {
            data_dir: data.path().join("nats"),
            durability: Durability::Os,
            port: 0,
            users: ServiceRole::ALL.map(user).to_vec(),
            monitor: None,
            cluster: None,
        };
        let server = Server::start(options).await.expect("nats-server");
        let endpoint = endpoint(server.address().to_string());
        let operator =
            Connection::connect(&endpoint, ServiceRole::Operator).await.expect("connected");
        let wanted = ProvisionOptions { partitions: PartitionCount::new(2), replicas: 1 };
        deployment::provision(&operator, wanted).await.expect("provisioned");
        let clock = LogClock::new();
        tokio::spawn(clock.clone().keep(operator.clone(), CancellationToken::new()));
        let bucket = MediaBucket::open(&operator);
        let secret = bucket.grant_secret().await.expect("a secret");
        std::fs::create_dir_all(data.path().join("objects")).expect("a directory");
        let rig = Self { operator, bucket, clock, data, secret, server };
        within("log time", async || rig.clock.now().ok()).await;
        rig
    }

    /// The directory with all objects.
    pub(crate) fn store(&self) -> Arc<dyn ObjectStore> {
        let store = LocalFileSystem::new_with_prefix(self.data.path().join("objects"));
        Arc::new(store.expect("a directory"))
    }

    /// Starts a service in this process on the directory, or on a store that is around it.
    pub(crate) async fn service(&self, holder: &str, patience: Patience) -> Service {
        self.service_on(holder, patience, self.store()).await
    }

    pub(crate) async fn service_on(
        &self,
        holder: &str,
        patience: Patience,
        store: Arc<dyn ObjectStore>,
    ) -> Service {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a listener");
        let address = listener.local_addr().expect("an address").to_string();
        let (progress, shutdown) = (Progress::new(), CancellationToken::new());
        let config = Config {
            endpoint: endpoint(self.server.address().to_string()),
            holder: holder.to_owned(),
            progress: progress.clone(),
            objects: Objects::of(store),
            listener,
            advertise: None,
            clock: LogClock::new(),
            upload_bytes_max: UPLOAD_BYTES_MAX,
            user_bytes_max: USER_BYTES_MAX,
            patience,
        };
        let task = tokio::spawn(Box::pin(hansard_media::run(config, shutdown.clone())));
        within("a service", async || progress.serves().then_some(())).await;
        Service { address, shutdown, task }
    }

    /// What a service in a process of its own is told.
    pub(crate) fn order(&self, holder: &str) -> Order {
        Order {
            server: self.server.address().to_string(),
            holder: holder.to_owned(),
            objects: self.data.path().join("objects"),
            address: self.data.path().join(format!("{holder}.address")),
            grace: None,
        }
    }

    /// Somebody who uploads through a service.
    pub(crate) fn uploader(&self, address: &str, user: u8) -> Client {
        Client::new(address, self.grant(user, Allows::Upload))
    }

    /// Somebody who reads.
    pub(crate) fn reader(&self, address: &str, upload: UploadId, variant: Variant) -> Client {
        Client::new(address, self.grant(200, Allows::Read(upload, variant)))
    }

    pub(crate) fn grant(&self, number: u8, allows: Allows) -> String {
        let until = self.clock.now().expect("log time").plus(Duration::from_secs(600));
        seal(&self.secret, &Grant { user: user(number), allows, until })
    }

    /// A grant that is over.
    pub(crate) fn old_grant(&self, number: u8) -> String {
        let until = LogTime::from_millis(1);
        seal(&self.secret, &Grant { user: user(number), allows: Allows::Upload, until })
    }

    pub(crate) async fn upload(&self, id: UploadId) -> Option<Upload> {
        self.bucket.get(MediaKey::Upload(id)).await.expect("an answer").0
    }

    pub(crate) async fn blob(&self, sha256: Sha256) -> Option<Blob> {
        self.bucket.get(MediaKey::Blob(sha256)).await.expect("an answer").0
    }

    pub(crate) async fn holdings(&self, number: u8) -> Holdings {
        let key = MediaKey::Holdings(user(number));
        self.bucket.get(key).await.expect("an answer").0.unwrap_or_default()
    }

    /// Waits until an upload is ready, and tells its file.
    pub(crate) async fn ready(&self, id: UploadId) -> Content {
        within("an upload that is ready", async || {
            let upload = self.upload(id).await?;
            let is_ready = upload.state == State::Ready && upload.parts.is_empty();
            is_ready.then(|| upload.contents[&Variant::File].clone())
        })
        .await
    }

    /// The names of all objects of uploads, and of their manifests.
    pub(crate) async fn objects(&self) -> Vec<String> {
        let folder = object_store::path::Path::from("media");
        let listed: Vec<_> = self.store().list(Some(&folder)).try_collect().await.expect("a list");
        let mut names: Vec<String> =
            listed.into_iter().map(|object| object.location.to_string()).collect();
        names.sort_unstable();
        names
    }

    /// The names of the objects that hold parts.
    pub(crate) async fn part_objects(&self) -> Vec<String> {
        let mut names = self.objects().await;
        names.retain(|name| !name.starts_with("media/manifests/"));
        names
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }
}

/// What a service in a process of its own is told.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Order {
    server: String,
    holder: String,
    objects: PathBuf,
    /// Where it writes its address.
    pub(crate) address: PathBuf,
    /// How long it keeps what nothing refers to; for ever, if nobody says.
    pub(crate) grace: Option<Duration>,
}

impl Order {
    /// Runs a service until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a listener");
        let address = listener.local_addr().expect("an address").to_string();
        let progress = Progress::new();
        let config = Config {
            endpoint: endpoint(self.server),
            holder: self.holder,
            progress: progress.clone(),
            objects: Objects::open(&ObjectsUrl::Directory(self.objects)).expect("a store"),
            listener,
            advertise: None,
            clock: LogClock::new(),
            upload_bytes_max: UPLOAD_BYTES_MAX,
            user_bytes_max: USER_BYTES_MAX,
            patience: self.grace.map_or_else(patient, hasty),
        };
        let told = async {
            within("a service", async || progress.serves().then_some(())).await;
            // In one step: whoever waits for it finds all of it.
            let begun = self.address.with_extension("begun");
            std::fs::write(&begun, address).expect("written");
            std::fs::rename(&begun, &self.address).expect("written");
        };
        let (ran, ()) = tokio::join!(hansard_media::run(config, shutdown), told);
        ran.expect("a service");
    }
}

fn endpoint(server: String) -> Endpoint {
    let users =
        ServiceRole::ALL.map(|role| (role, role.as_str().to_owned(), "test".to_owned())).to_vec();
    Endpoint::with_users(vec![server], users)
}

/// Nothing is removed while a test runs, but all that was left to others is soon done.
pub(crate) fn patient() -> Patience {
    Patience {
        look_every: Duration::from_millis(200),
        young: Duration::from_millis(500),
        dying: Duration::from_millis(500),
        stuck: Duration::from_secs(1),
        joining: Duration::from_secs(10),
        ..Patience::default()
    }
}

/// What is over is removed at once.
pub(crate) fn hasty(grace: Duration) -> Patience {
    Patience { grace, claim: grace, ..patient() }
}

/// A service in this process.
pub(crate) struct Service {
    pub(crate) address: String,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Service {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("no panic").expect("a service");
    }
}

pub(crate) fn user(number: u8) -> UserId {
    // Five bits of each byte count.
    let mut entropy = [number % 32; 20];
    entropy[1] = number / 32;
    UserId::from_entropy(entropy)
}

/// Waits until `ask` gives something.
pub(crate) async fn within<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(DEADLINE, async {
        let mut looks = tokio::time::interval(Duration::from_millis(10));
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            looks.tick().await;
            if let Some(found) = ask().await {
                return found;
            }
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

//! A deployment for one test: a real nats-server, a hand that appends, and an object store.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use hansard_archive::{Archive, Archiver, ArchiverSettings, Objects};
use hansard_model::event::EventClass;
use hansard_model::record::EventKey;
use hansard_model::{
    ConversationId, GroupId, LogTime, MessageId, PartitionCount, PartitionId, Seq, UserId,
};
use hansard_nats::deployment::{self, ProvisionOptions};
use hansard_nats::log::{Append, StoredEvent};
use hansard_nats::server::{Server, ServerOptions, ServerUser};
use hansard_nats::streams::StreamName;
use hansard_nats::{Connection, Deployment, Durability, Endpoint, Log, LogClock, ServiceRole};
use object_store::ObjectStore;
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

/// Longer than anything that a test waits for may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
pub(crate) const PARTITION: PartitionId = PartitionId(0);
pub(crate) const STREAM: StreamName = StreamName::Events(PARTITION);

pub(crate) struct Rig {
    pub(crate) operator: Connection,
    pub(crate) deployment: Deployment,
    pub(crate) log: Log,
    /// With the rights of a projector.
    pub(crate) archiving: Log,
    server: Option<Server>,
    data: TempDir,
    minted: AtomicU64,
}

impl Rig {
    pub(crate) async fn start() -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let (server, endpoint) = serve(data.path(), 0).await;
        let connect = async |role| Connection::connect(&endpoint, role).await.expect("connected");
        let operator = connect(ServiceRole::Operator).await;
        let options = ProvisionOptions { partitions: PartitionCount::new(1), replicas: 1 };
        let (deployment, _) = deployment::provision(&operator, options).await.expect("provisioned");
        let log = Log::open(&operator, &deployment, LogClock::new());
        let projector = connect(ServiceRole::Projector).await;
        let archiving = Log::open(&projector, &deployment, LogClock::new());
        let minted = AtomicU64::new(0);
        let server = Some(server);
        Self { operator, deployment, log, archiving, server, data, minted }
    }

    pub(crate) async fn stop(mut self) {
        self.server.take().expect("running").stop().await;
    }

    /// Does something to the server's files while it does not run.
    pub(crate) async fn while_stopped(&mut self, work: impl FnOnce(&Path)) {
        let server = self.server.take().expect("running");
        let port = server.address().port();
        server.stop().await;
        work(self.data.path());
        self.server = Some(serve(self.data.path(), port).await.0);
        for log in [&self.log, &self.archiving] {
            within("the log", async || log.last_seq(PARTITION).await.ok()).await;
        }
    }

    /// Appends `kept` events and then `lost` more, which the stream alone loses again after
    /// `between`.
    pub(crate) async fn append_and_lose(
        &mut self,
        (kept, lost): (u64, u64),
        between: impl AsyncFnOnce(&Self),
    ) {
        let copy = tempfile::tempdir().expect("a directory");
        let copied = copy.path().join("stream");
        self.append(kept).await;
        self.while_stopped(|data| copy_directory(&directory_of_stream(data), &copied)).await;
        self.append(lost).await;
        between(self).await;
        self.while_stopped(|data| {
            let stream = directory_of_stream(data);
            std::fs::remove_dir_all(&stream).expect("removed");
            copy_directory(&copied, &stream);
        })
        .await;
    }

    pub(crate) fn kill_server(&self) {
        let server = self.server.as_ref().expect("running");
        let pid = server.pid().expect("running").to_string();
        let killed = std::process::Command::new("kill").args(["-9", &pid]).status();
        assert!(killed.is_ok_and(|status| status.success()));
    }

    pub(crate) async fn archive(&self, store: &Arc<dyn ObjectStore>) -> Archive {
        let objects = Objects::of(Arc::clone(store));
        within("a store", async || objects.bind(&self.deployment).await.ok()).await;
        Archive::open(objects, self.archiving.connection(), &self.deployment)
    }

    /// Stores `count` events of several conversations, some of them void, some of them no JSON.
    pub(crate) async fn append(&self, count: u64) {
        let first = self.minted.fetch_add(count, Ordering::Relaxed);
        for chunk in (first..first + count).collect::<Vec<_>>().chunks(500) {
            within("acknowledgements", async || {
                let appends =
                    chunk.iter().map(async |number| self.log.append(event(*number)).await?.await);
                try_join_all(appends).await.ok()
            })
            .await;
        }
    }

    /// Everything that the stream holds.
    pub(crate) async fn stored(&self) -> Vec<StoredEvent> {
        let extent = self.log.extent(STREAM).await.expect("an extent");
        let mut reader = self.log.follow_stream(STREAM, Seq(extent.first.0 - 1));
        let mut stored = Vec::new();
        while reader.position() < extent.last {
            stored.push(soon(reader.next_stored()).await.expect("an event"));
        }
        stored
    }

    /// Everything that the log holds, by the one reader.
    pub(crate) async fn whole_log(&self, archive: &Archive) -> Vec<StoredEvent> {
        let last = self.log.last_seq(PARTITION).await.expect("an answer");
        let mut reader = archive.follow_stream(&self.log, STREAM, Seq::ZERO);
        let mut stored = Vec::new();
        while reader.position() < last {
            stored.push(soon(movable(reader.next_stored())).await.expect("an event"));
        }
        stored
    }

    /// Archives until segments hold everything up to `last` and the stream begins at `first` or
    /// behind.
    pub(crate) async fn archive_until(
        &self,
        archive: &Archive,
        settings: ArchiverSettings,
        (last, first): (Seq, Seq),
    ) {
        let stop = CancellationToken::new();
        let archiver = Archiver::new(archive, &self.archiving, PARTITION, settings, || true);
        let done = within("an archive", async || {
            let head = archive.head(PARTITION).await.ok()??;
            let extent = self.log.extent(STREAM).await.ok()?;
            (head.last >= last && extent.first >= first).then_some(())
        });
        tokio::select! {
            () = movable(archiver.run(stop.clone())) => panic!("the archiver ended"),
            () = done => {}
        }
    }
}

/// What owners run in tasks of their own.
fn movable<F: Future + Send>(work: F) -> F {
    work
}

pub(crate) async fn serve(data_dir: &Path, port: u16) -> (Server, Endpoint) {
    let user = |role: ServiceRole| ServerUser {
        name: role.as_str().to_owned(),
        password: "test".to_owned(),
        publish_deny: role.publish_deny(),
    };
    let options = ServerOptions {
        data_dir: data_dir.to_owned(),
        durability: Durability::Os,
        port,
        users: ServiceRole::ALL.map(user).to_vec(),
        monitor: None,
        cluster: None,
    };
    let server = Server::start(options).await.expect("nats-server");
    let users =
        ServiceRole::ALL.map(|role| (role, role.as_str().to_owned(), "test".to_owned())).to_vec();
    let endpoint = Endpoint::with_users(vec![server.address().to_string()], users);
    (server, endpoint)
}

fn directory_of_stream(data: &Path) -> PathBuf {
    let mut directories = vec![data.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(&directory).expect("a directory").flatten() {
            if entry.file_name() == "EVENTS_0" {
                return entry.path();
            }
            if entry.path().is_dir() {
                directories.push(entry.path());
            }
        }
    }
    panic!("no stream in {}", data.display());
}

fn copy_directory(from: &Path, to: &Path) {
    let copied = std::process::Command::new("cp").arg("-a").args([from, to]).status();
    assert!(copied.is_ok_and(|status| status.success()));
}

/// Small segments, and nothing is kept in the stream.
pub(crate) fn eager() -> ArchiverSettings {
    ArchiverSettings {
        segment_events: 100,
        segment_age: Duration::ZERO,
        look_every: Duration::from_millis(10),
        ..ArchiverSettings::keeping(Duration::ZERO)
    }
}

/// Small segments, and everything stays in the stream.
pub(crate) fn keeping() -> ArchiverSettings {
    ArchiverSettings { hot_window: Duration::from_secs(3_600), ..eager() }
}

pub(crate) fn group(number: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([number; 20]))
}

fn event(number: u64) -> Append {
    let payload = match number % 7 {
        0 => format!("{{\n\"number\":{number} }}"),
        1 => format!("not JSON \u{0} {number}"),
        2 => String::new(),
        _ => format!(
            r#"{{"v":1,"id":"{number:032x}","sender":"s","device":"d","event":{{"kind":"message","text":"number {number}"}}}}"#
        ),
    };
    Append {
        key: EventKey {
            conversation: group((number % 5) as u8),
            sender: UserId::from_entropy([1; 20]),
            id: MessageId::new(number, [7; 10]),
        },
        void: Vec::new(),
        class: if number.is_multiple_of(11) { EventClass::Meta } else { EventClass::Msg },
        kind: "test",
        vouch_until: if number % 13 == 5 {
            LogTime::from_millis(1)
        } else {
            LogTime::from_nanos(u64::MAX)
        },
        expected: None,
        payload: payload.into(),
    }
}

pub(crate) async fn soon<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.expect("in time")
}

/// Waits until `ask` gives something.
pub(crate) async fn within<T>(what: &str, mut ask: impl AsyncFnMut() -> Option<T>) -> T {
    let found = tokio::time::timeout(DEADLINE, async {
        loop {
            if let Some(found) = ask().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

//! A deployment for one test: a real nats-server, a hand that appends, and searchers.

use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use hansard_archive::{Objects, ObjectsUrl};
use hansard_model::draft::Draft;
use hansard_model::record::EventKey;
use hansard_model::search::{SearchAnswer, SearchOrder, SearchOutcome, SearchRequest};
use hansard_model::{
    ConversationId, DeviceId, GroupId, LogTime, MessageId, PartitionCount, PartitionId, Seq,
    UserId, envelope,
};
use hansard_nats::deployment::{self, ProvisionOptions};
use hansard_nats::log::Append;
use hansard_nats::search::{Asked, ask};
use hansard_nats::server::{Server, ServerOptions, ServerUser};
use hansard_nats::streams::StreamName;
use hansard_nats::{Connection, Durability, Endpoint, Log, LogClock, ServiceRole};
use hansard_search::{Config, Progress, RunError};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything that a test waits for may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);
/// How long one question may take, a commit included.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);
/// So that a test need not wait for a snapshot.
const SNAPSHOT_EVERY: Duration = Duration::from_millis(200);

pub(crate) struct Rig {
    pub(crate) gateway: Connection,
    pub(crate) operator: Connection,
    pub(crate) log: Log,
    pub(crate) data: TempDir,
    options: ServerOptions,
    server: Server,
    minted: AtomicU64,
}

impl Rig {
    pub(crate) async fn start(partitions: u16) -> Self {
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
        let server = Server::start(options.clone()).await.expect("nats-server");
        let options = ServerOptions { port: server.address().port(), ..options };
        let endpoint = endpoint(server.address().to_string());
        let operator =
            Connection::connect(&endpoint, ServiceRole::Operator).await.expect("connected");
        let wanted = ProvisionOptions { partitions: PartitionCount::new(partitions), replicas: 1 };
        let (deployment, _) = deployment::provision(&operator, wanted).await.expect("provisioned");
        let gateway =
            Connection::connect(&endpoint, ServiceRole::Gateway).await.expect("connected");
        let log = Log::open(&gateway, &deployment, LogClock::new());
        Self { gateway, operator, log, data, options, server, minted: AtomicU64::new(0) }
    }

    /// Where the indexes of a searcher are.
    pub(crate) fn directory(&self, name: &str) -> PathBuf {
        self.data.path().join("search").join(name)
    }

    /// What a searcher in a process of its own is told.
    pub(crate) fn order(&self, holder: &str, directory: &str) -> Order {
        Order {
            server: self.server.address().to_string(),
            holder: holder.to_owned(),
            objects: self.data.path().join("objects"),
            directory: self.directory(directory),
        }
    }

    /// Starts a searcher on the indexes of this name.
    pub(crate) fn searcher(&self, holder: &str, directory: &str) -> Searcher {
        let (progress, shutdown) = (Progress::new(), CancellationToken::new());
        let config = self.order(holder, directory).config(progress.clone());
        let task = tokio::spawn(hansard_search::run(config, shutdown.clone()));
        Searcher { progress, shutdown, task }
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }

    /// Restarts nats-server, at its address, after something was done to its files.
    pub(crate) async fn restart(self, meanwhile: impl FnOnce(&Path)) -> Self {
        let Self { gateway, operator, log, data, options, server, minted } = self;
        server.stop().await;
        meanwhile(&options.data_dir);
        let server = Server::start(options.clone()).await.expect("nats-server");
        let rig = Self { gateway, operator, log, data, options, server, minted };
        within("the log", async || rig.log.last_seq(PartitionId(0)).await.ok()).await;
        rig
    }

    /// Makes the stream of the first partition forget what is before an event.
    pub(crate) async fn forget_before(&self, seq: Seq) {
        let deployment = deployment::open(&self.operator).await.expect("a deployment");
        let log = Log::open(&self.operator, &deployment, LogClock::new());
        let stream = StreamName::Events(PartitionId(0));
        log.trim(stream, Seq(seq.0 - 1)).await.expect("trimmed");
    }

    /// Stores an event whose checks hold for long.
    pub(crate) async fn append(&self, at: ConversationId, sender: u8, event: Value) -> Seq {
        self.append_until(at, sender, &event, LogTime::from_nanos(u64::MAX)).await
    }

    /// Stores an event that is void.
    pub(crate) async fn append_void(&self, at: ConversationId, sender: u8, event: Value) -> Seq {
        self.append_until(at, sender, &event, LogTime::from_millis(1)).await
    }

    async fn append_until(
        &self,
        at: ConversationId,
        sender: u8,
        event: &Value,
        vouch_until: LogTime,
    ) -> Seq {
        let draft = Draft::parse(&event.to_string()).expect("an event");
        let device = DeviceId::from_entropy([sender; 20]);
        let id = MessageId::new(self.minted.fetch_add(1, Relaxed), [7; 10]);
        let payload = envelope::encode(id, user(sender), device, &draft);
        let append = Append {
            key: EventKey { conversation: at, sender: user(sender), id },
            void: Vec::new(),
            class: draft.event().class(),
            kind: "test",
            vouch_until,
            expected: None,
            payload: payload.into(),
        };
        // The same id: stored once, however often it is tried.
        within("an acknowledgement", async || {
            let pending = self.log.append(append.clone()).await.ok()?;
            pending.await.ok().map(|stored| stored.seq)
        })
        .await
    }

    /// A question of this reader, which needs `min` of the conversation's partition.
    pub(crate) fn question(
        &self,
        reader: u8,
        query: &str,
        min: &[(ConversationId, Seq)],
    ) -> SearchRequest {
        SearchRequest {
            reader: user(reader),
            query: query.to_owned(),
            people: Vec::new(),
            conversations: Vec::new(),
            now_ms: 1_700_000_000_000,
            utc_offset_minutes: 0,
            order: SearchOrder::Time,
            limit: 500,
            typos: false,
            behind: None,
            seen: Vec::new(),
            min: min.iter().map(|(at, seq)| (self.log.partition_of(*at), *seq)).collect(),
        }
    }

    /// What searchers answer.
    pub(crate) async fn ask(&self, question: &SearchRequest) -> Vec<SearchAnswer> {
        let asked = Asked::All(self.log.partitions());
        ask(&self.gateway, asked, question, ANSWER_WITHIN).await.expect("asked")
    }

    /// What everybody together finds, once every partition answers: positions, the newest first.
    pub(crate) async fn found(
        &self,
        reader: u8,
        query: &str,
        min: &[(ConversationId, Seq)],
    ) -> Vec<(PartitionId, Seq)> {
        let question = self.question(reader, query, min);
        let partitions = usize::from(self.log.partitions().get());
        within("an answer of every partition", async || {
            let answers = self.ask(&question).await;
            let mut hits = Vec::new();
            let mut answered = 0;
            for answer in answers {
                let SearchOutcome::Found { hits: found, .. } = answer.outcome else { continue };
                answered += 1;
                hits.extend(found.iter().map(|hit| (hit.ts_ms, answer.partition, hit.seq)));
            }
            hits.sort_unstable();
            let hits: Vec<_> = hits.into_iter().rev().map(|(_, at, seq)| (at, seq)).collect();
            (answered == partitions).then_some(hits)
        })
        .await
    }
}

/// What a searcher is told.
#[derive(Serialize, Deserialize)]
pub(crate) struct Order {
    server: String,
    holder: String,
    objects: PathBuf,
    directory: PathBuf,
}

impl Order {
    pub(crate) fn config(self, progress: Progress) -> Config {
        let objects = Objects::open(&ObjectsUrl::Directory(self.objects)).expect("a store");
        Config {
            endpoint: endpoint(self.server),
            holder: self.holder,
            progress,
            objects,
            directory: self.directory,
            snapshot_every: SNAPSHOT_EVERY,
        }
    }
}

fn endpoint(server: String) -> Endpoint {
    let users =
        ServiceRole::ALL.map(|role| (role, role.as_str().to_owned(), "test".to_owned())).to_vec();
    Endpoint::with_users(vec![server], users)
}

/// A searcher in this process.
pub(crate) struct Searcher {
    pub(crate) progress: Progress,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Searcher {
    pub(crate) async fn serving_all(self) -> Self {
        within("all partitions searched", async || self.progress.serves_all().then_some(())).await;
        self
    }

    pub(crate) fn serving(&self) -> usize {
        self.progress.partitions().iter().filter(|partition| partition.serving).count()
    }

    /// Ends without a word, as a killed process does: leases stay until they run out, and what was
    /// not committed is lost.
    pub(crate) async fn kill(self) {
        self.task.abort();
        let _ = self.task.await;
    }

    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        self.task.await.expect("no panic").expect("no error");
    }
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

pub(crate) fn user(number: u8) -> UserId {
    UserId::from_entropy([number; 20])
}

pub(crate) fn group(number: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([number; 20]))
}

//! A deployment for one test: a real nats-server, a hand that appends, and projectors.

use std::time::Duration;

use hansard_archive::{ArchiverSettings, Objects, ObjectsUrl};
use hansard_model::draft::Draft;
use hansard_model::inbox::InboxKey;
use hansard_model::query::{EventsRequest, FeedReply, FeedRequest, Page};
use hansard_model::record::EventKey;
use hansard_model::subject::QueryVerb;
use hansard_model::{
    ConversationId, DeviceId, GroupId, LogTime, MessageId, PartitionCount, PartitionId, Seq,
    UserId, envelope,
};
use hansard_nats::deployment::{self, ProvisionOptions};
use hansard_nats::live::{LiveEvent, LiveFeed, LiveMessage};
use hansard_nats::log::Append;
use hansard_nats::query::{AskError, ask};
use hansard_nats::server::{Server, ServerOptions, ServerUser};
use hansard_nats::{Connection, Durability, Endpoint, Log, LogClock, ServiceRole};
use hansard_projector::{Config, Progress, RunError};
use serde_json::Value;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longer than anything that a test waits for may take.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Rig {
    pub(crate) gateway: Connection,
    pub(crate) operator: Connection,
    pub(crate) log: Log,
    pub(crate) endpoint: Endpoint,
    pub(crate) objects: Objects,
    pub(crate) data: TempDir,
    server: Server,
    minted: u64,
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
            data_dir: data.path().to_owned(),
            durability: Durability::Os,
            port: 0,
            users: [ServiceRole::Operator, ServiceRole::Gateway, ServiceRole::Projector]
                .map(user)
                .to_vec(),
            monitor: None,
            cluster: None,
        };
        let server = Server::start(options).await.expect("nats-server");
        let users = ServiceRole::ALL
            .map(|role| (role, role.as_str().to_owned(), "test".to_owned()))
            .to_vec();
        let endpoint = Endpoint::with_users(vec![server.address().to_string()], users);
        let operator =
            Connection::connect(&endpoint, ServiceRole::Operator).await.expect("connected");
        let options = ProvisionOptions { partitions: PartitionCount::new(partitions), replicas: 1 };
        let (deployment, _) = deployment::provision(&operator, options).await.expect("provisioned");
        let gateway =
            Connection::connect(&endpoint, ServiceRole::Gateway).await.expect("connected");
        let log = Log::open(&gateway, &deployment, LogClock::new());
        let objects = ObjectsUrl::Directory(data.path().join("objects"));
        let objects = Objects::open(&objects).expect("a store");
        Self { gateway, operator, log, endpoint, objects, data, server, minted: 0 }
    }

    pub(crate) fn projector(&self, holder: &str) -> Projector {
        let progress = Progress::new();
        let shutdown = CancellationToken::new();
        let config = Config {
            endpoint: self.endpoint.clone(),
            holder: holder.to_owned(),
            progress: progress.clone(),
            objects: self.objects.clone(),
            archiving: ArchiverSettings::keeping(Duration::from_secs(3_600)),
        };
        let task = tokio::spawn(hansard_projector::run(config, shutdown.clone()));
        Projector { progress, shutdown, task }
    }

    pub(crate) async fn stop(self) {
        self.server.stop().await;
    }

    /// Kills nats-server, and waits until its supervisor has started it again and the log answers.
    pub(crate) async fn kill_server(&self) {
        let pid = self.server.pid().expect("running");
        let killed = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()));
        within("another nats-server", async || {
            self.server.pid().filter(|other| *other != pid)?;
            self.gateway.is_connected().then_some(())
        })
        .await;
        within("the log", async || self.log.last_seq(PartitionId(0)).await.ok()).await;
    }

    /// Stores an event whose checks hold for long.
    pub(crate) async fn append(&mut self, at: ConversationId, sender: u8, event: Value) -> Seq {
        self.append_until(at, sender, &event, LogTime::from_nanos(u64::MAX)).await
    }

    /// Stores an event that is void.
    pub(crate) async fn append_void(
        &mut self,
        at: ConversationId,
        sender: u8,
        event: Value,
    ) -> Seq {
        self.append_until(at, sender, &event, LogTime::from_millis(1)).await
    }

    async fn append_until(
        &mut self,
        at: ConversationId,
        sender: u8,
        event: &Value,
        until: LogTime,
    ) -> Seq {
        let draft = Draft::parse(&event.to_string()).expect("an event");
        let device = DeviceId::from_entropy([sender; 20]);
        let payload = envelope::encode(self.next_id(), user(sender), device, &draft);
        let class = draft.event().class();
        self.append_raw(at, sender, class, payload, until).await
    }

    pub(crate) async fn append_raw(
        &mut self,
        at: ConversationId,
        sender: u8,
        class: hansard_model::event::EventClass,
        payload: String,
        vouch_until: LogTime,
    ) -> Seq {
        let key = EventKey { conversation: at, sender: user(sender), id: self.next_id() };
        self.minted += 1;
        let append = Append {
            key,
            void: Vec::new(),
            class,
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

    /// The id of the event that is appended next.
    pub(crate) fn next_id(&self) -> MessageId {
        MessageId::new(self.minted, [7; 10])
    }

    pub(crate) async fn ask<Q: serde::Serialize, A: serde::de::DeserializeOwned>(
        &self,
        about: ConversationId,
        verb: QueryVerb,
        question: &Q,
    ) -> Result<A, AskError> {
        ask(&self.gateway, self.log.partition_of(about), verb, question, DEADLINE).await
    }

    /// The chain as `reader` sees it, once `min_seq` is applied.
    pub(crate) async fn events(
        &self,
        conversation: ConversationId,
        reader: u8,
        min_seq: Seq,
    ) -> Result<Page, AskError> {
        let request = EventsRequest {
            conversation,
            reader: user(reader),
            after: None,
            before: None,
            limit: 1_000,
            newest: false,
            min_seq: Some(min_seq),
        };
        self.ask(conversation, QueryVerb::Events, &request).await
    }

    pub(crate) async fn feed(&self, partition: PartitionId, after: Seq) -> FeedReply {
        let request = FeedRequest { after, limit: 1_000 };
        ask(&self.gateway, partition, QueryVerb::Feed, &request, DEADLINE).await.expect("a feed")
    }

    /// The value of a key of the inbox bucket, once it satisfies `is_it`.
    pub(crate) async fn inbox(&self, key: InboxKey, is_it: impl Fn(&Value) -> bool) -> Value {
        let bucket = hansard_nats::inbox::InboxBucket::open(&self.gateway, self.log.partitions());
        within("the inbox bucket", async || {
            let value = match key {
                InboxKey::Head(id) => {
                    let heads = bucket.heads(&[id]).await.ok()?;
                    serde_json::to_value(heads.get(&id)?).ok()?
                }
                InboxKey::Member(user, id) => {
                    let memberships = bucket.memberships(user).await.ok()?;
                    let found = memberships.records.into_iter().find(|(of, _)| *of == id)?;
                    serde_json::to_value(found.1).ok()?
                }
                InboxKey::Position(partition) => {
                    serde_json::to_value(bucket.position(partition).await.ok()?).ok()?
                }
            };
            is_it(&value).then_some(value)
        })
        .await
    }
}

/// A projector in this process.
pub(crate) struct Projector {
    pub(crate) progress: Progress,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), RunError>>,
}

impl Projector {
    pub(crate) async fn serving_all(self) -> Self {
        within("all partitions served", async || self.progress.serves_all().then_some(())).await;
        self
    }

    pub(crate) fn owned(&self) -> usize {
        self.progress.partitions().iter().filter(|partition| partition.serving).count()
    }

    /// Ends without a word, as a killed process does: leases stay until they run out.
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

/// The next event of the live feed.
pub(crate) async fn next_event(feed: &mut LiveFeed) -> LiveEvent {
    loop {
        if let LiveMessage::Event(event) = next_message(feed).await {
            return event;
        }
    }
}

async fn next_message(feed: &mut LiveFeed) -> LiveMessage {
    let next = tokio::time::timeout(DEADLINE, feed.next()).await;
    next.expect("a live message").expect("connected")
}

pub(crate) fn user(number: u8) -> UserId {
    UserId::from_entropy([number; 20])
}

pub(crate) fn group(number: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([number; 20]))
}

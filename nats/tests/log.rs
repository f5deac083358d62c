//! The backbone against a real nats-server.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use hansard_model::draft::Draft;
use hansard_model::event::EventClass;
use hansard_model::inbox::{InboxKey, MemberRecord};
use hansard_model::placement::Occupancy;
use hansard_model::record::EventKey;
use hansard_model::subject::Subject;
use hansard_model::{
    AccountEvent, ConversationId, DeviceId, GroupId, LogTime, MessageId, PartitionCount, Role, Seq,
    UploadId, UserId, envelope,
};
use hansard_nats::accounts::{AccountLog, AppendError as AccountAppendError};
use hansard_nats::deployment::{self, ProvisionError, ProvisionOptions};
use hansard_nats::embedded::{self, EmbeddedOptions};
use hansard_nats::inbox::InboxBucket;
use hansard_nats::lease::Leases;
use hansard_nats::log::{Append, AppendError, Appended};
use hansard_nats::registry::{ConfirmRequest, GatewayEntry};
use hansard_nats::server::Server;
use hansard_nats::{
    Connection, Deployment, Durability, Endpoint, Log, LogClock, ServiceRole, durability,
};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(30);

struct Backbone {
    server: Server,
    endpoint: Endpoint,
    connection: Connection,
    deployment: Deployment,
    log: Log,
    _dir: TempDir,
}

async fn backbone() -> Backbone {
    let dir = TempDir::new().unwrap();
    let options =
        EmbeddedOptions { data_dir: dir.path().to_owned(), durability: Durability::Fsync, port: 0 };
    let (server, endpoint) = embedded::start(options).await.unwrap();
    let connection = Connection::connect(&endpoint, ServiceRole::Operator).await.unwrap();
    let options = ProvisionOptions { partitions: PartitionCount::new(2), replicas: 1 };
    let (deployment, drift) = deployment::provision(&connection, options).await.unwrap();
    assert_eq!(drift, Vec::<String>::new());
    let clock = LogClock::new();
    let log = Log::open(&connection, &deployment, clock);
    let backbone = Backbone { server, endpoint, connection, deployment, log, _dir: dir };
    backbone.compare_clock().await;
    backbone
}

impl Backbone {
    async fn compare_clock(&self) {
        let deadline = Instant::now() + DEADLINE;
        while self.log.clock().compare(&self.connection).await.is_err() {
            assert!(Instant::now() < deadline, "log time stays unknown");
        }
    }

    fn kill_server(&self) {
        let pid = self.server.pid().unwrap().to_string();
        let killed = std::process::Command::new("kill").args(["-9", &pid]).status();
        assert!(killed.unwrap().success());
    }

    fn message(&self, key: EventKey, text: &str) -> Append {
        let draft = Draft::parse(&format!(r#"{{"kind":"message","text":"{text}"}}"#)).unwrap();
        let device = DeviceId::from_entropy([9; 20]);
        Append {
            key,
            void: Vec::new(),
            class: EventClass::Msg,
            kind: "message",
            vouch_until: self.log.clock().now().unwrap().plus(Duration::from_secs(60)),
            expected: None,
            payload: Bytes::from(envelope::encode(key.id, key.sender, device, &draft)),
        }
    }

    async fn append(&self, append: Append) -> Result<Appended, AppendError> {
        self.log.append(append).await?.await
    }
}

fn key(conversation: u8, id: u64) -> EventKey {
    EventKey {
        conversation: ConversationId::Group(GroupId::from_entropy([conversation; 20])),
        sender: UserId::from_entropy([3; 20]),
        id: MessageId::new(id, [0; 10]),
    }
}

#[tokio::test]
async fn an_identity_is_stored_once_per_conversation() {
    let backbone = backbone().await;
    let first = backbone.append(backbone.message(key(1, 1), "a")).await.unwrap();
    let again = backbone.append(backbone.message(key(1, 1), "a")).await.unwrap();
    let elsewhere = backbone.append(backbone.message(key(2, 1), "a")).await.unwrap();
    assert!(!first.duplicate && again.duplicate && !elsewhere.duplicate);
    assert_eq!(first.seq, again.seq);
    let partition = backbone.log.partition_of(key(1, 1).conversation);
    let record = backbone.log.read(partition, first.seq).await.unwrap().unwrap();
    assert_eq!(record.key, Some(key(1, 1)));
    assert!(!record.is_void());
}

#[tokio::test]
async fn a_duplicate_is_told_before_a_conflict() {
    let backbone = backbone().await;
    let meta = |id, expected| Append {
        class: EventClass::Meta,
        expected: Some(Seq(expected)),
        ..backbone.message(key(1, id), "x")
    };
    let first = backbone.append(meta(1, 0)).await.unwrap();
    let conflict = backbone.append(meta(2, 0)).await;
    assert!(matches!(conflict, Err(AppendError::Conflict)), "{conflict:?}");
    let again = backbone.append(meta(1, 0)).await;
    match again {
        Ok(appended) => assert!(appended.duplicate && appended.seq == first.seq),
        Err(error) => assert!(matches!(error, AppendError::Conflict), "{error:?}"),
    }
    let (records, last) =
        backbone.log.meta_events(key(1, 1).conversation, Seq::ZERO, first.seq).await.unwrap();
    assert_eq!((records.len(), last), (1, first.seq));
}

#[tokio::test]
async fn what_is_stored_after_it_was_vouched_for_is_void_to_every_reader() {
    let backbone = backbone().await;
    let late = Append {
        vouch_until: backbone.log.clock().now().unwrap().minus(Duration::from_secs(5)),
        ..backbone.message(key(1, 1), "late")
    };
    let stored = backbone.append(late).await.unwrap();
    let partition = backbone.log.partition_of(key(1, 1).conversation);
    let read = backbone.log.read(partition, stored.seq).await.unwrap().unwrap();
    let mut reader = backbone.log.follow(partition, Seq::ZERO);
    let followed = reader.next().await.unwrap();
    assert!(read.is_void() && followed.is_void());
    assert_eq!(read.ts, followed.ts);
    let found = backbone.log.find_after(key(1, 1), EventClass::Msg, Seq::ZERO).await.unwrap();
    assert_eq!((found.seq, found.void), (None, vec![stored.seq]));
    // Under the identity of a second attempt it is stored anew.
    let again = Append { void: vec![stored.seq], ..backbone.message(key(1, 1), "late") };
    let again = backbone.append(again).await.unwrap();
    assert!(!again.duplicate && again.seq > stored.seq);
    let found = backbone.log.find_after(key(1, 1), EventClass::Msg, Seq::ZERO).await.unwrap();
    assert_eq!(found.seq, Some(again.seq));
}

#[tokio::test]
async fn a_reader_gives_every_sequence_once_across_a_killed_server() {
    let backbone = backbone().await;
    let partition = backbone.log.partition_of(key(1, 0).conversation);
    let mut reader = backbone.log.follow(partition, Seq::ZERO);
    for id in 1..=50 {
        backbone.append(backbone.message(key(1, id), "x")).await.unwrap();
    }
    for expected in 1..=50 {
        assert_eq!(reader.next().await.unwrap().seq, Seq(expected));
    }
    backbone.kill_server();
    let deadline = Instant::now() + DEADLINE;
    for id in 51..=100 {
        // Until the server is back the same identity is tried again: it is stored once.
        while backbone.append(backbone.message(key(1, id), "x")).await.is_err() {
            assert!(Instant::now() < deadline, "the log stays away");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    for expected in 51..=100 {
        let next = tokio::time::timeout(DEADLINE, reader.next()).await.unwrap().unwrap();
        assert_eq!(next.seq, Seq(expected));
    }
    assert!(reader.try_next().unwrap().is_none());
}

#[tokio::test]
async fn the_partition_count_is_fixed_and_the_servers_say_that_they_sync() {
    let backbone = backbone().await;
    let other = ProvisionOptions { partitions: PartitionCount::new(4), replicas: 1 };
    let refused = deployment::provision(&backbone.connection, other).await;
    assert!(matches!(refused, Err(ProvisionError::Partitions { .. })), "{refused:?}");
    let again = ProvisionOptions { partitions: None, replicas: 1 };
    let (same, _) = deployment::provision(&backbone.connection, again).await.unwrap();
    assert_eq!(same, backbone.deployment);
    let monitor = Connection::connect(&backbone.endpoint, ServiceRole::Monitor).await.unwrap();
    let reports = durability::report(&monitor).await.unwrap();
    assert_eq!(reports.len(), 1);
    assert_eq!(reports[0].durability, Durability::Fsync);
}

#[tokio::test]
async fn a_handle_is_created_once() {
    let backbone = backbone().await;
    let accounts = AccountLog::open(&backbone.connection);
    let handle: hansard_model::account::Handle = "ana".parse().unwrap();
    let event = AccountEvent::UserCreated {
        user: UserId::from_entropy([1; 20]),
        handle: handle.clone(),
        name: "Ana".to_owned(),
        password: None,
        request: MessageId::new(1, [0; 10]),
    };
    let subject = Subject::AccountHandle(handle);
    let first = accounts.append(&subject, &event, Some(Seq::ZERO)).await.unwrap();
    let second = accounts.append(&subject, &event, Some(Seq::ZERO)).await;
    assert!(matches!(second, Err(AccountAppendError::Conflict)), "{second:?}");
    assert_eq!(accounts.last_seq().await.unwrap(), first);
    let record = accounts.follow(Seq::ZERO).next().await;
    assert_eq!(record.event.map(|(_, event)| event), Some(event));
}

#[tokio::test]
async fn an_account_names_the_avatar_that_it_said_last() {
    let backbone = backbone().await;
    let accounts = AccountLog::open(&backbone.connection);
    let (ana, ben) = (UserId::from_entropy([1; 20]), UserId::from_entropy([2; 20]));
    let [first, second] = [1, 2].map(|of| UploadId::from_entropy([of; 20]));
    let say = async |user, name: Option<&str>, avatar: Option<&str>| {
        let event = AccountEvent::ProfileChanged {
            name: name.map(str::to_owned),
            avatar: avatar.map(str::to_owned),
            presence: None,
            last_seen: None,
            read_receipts: None,
        };
        accounts.append(&Subject::AccountUser(user), &event, None).await.unwrap();
    };
    let named = async |user| accounts.avatar(user).await.unwrap();
    assert_eq!(named(ana).await, None);
    say(ana, None, Some(first.as_str())).await;
    say(ben, None, Some(second.as_str())).await;
    // More than one answer holds.
    for _ in 0..1_100 {
        say(ana, Some("Ana"), None).await;
    }
    assert_eq!((named(ana).await, named(ben).await), (Some(first), Some(second)));
    say(ana, None, Some(second.as_str())).await;
    assert_eq!(named(ana).await, Some(second));
    say(ana, None, Some("")).await;
    assert_eq!((named(ana).await, named(ben).await), (None, Some(second)));
}

#[tokio::test]
async fn an_older_copy_does_not_replace_a_newer_one_in_the_inbox() {
    let backbone = backbone().await;
    let bucket = InboxBucket::open(&backbone.connection, backbone.deployment.partitions);
    let (user, conversation) = (UserId::from_entropy([1; 20]), key(1, 1).conversation);
    let record = |as_of| MemberRecord {
        role: Some(Role::Member),
        joined: Seq(1),
        view_from: Seq(1),
        view_to: None,
        read: Seq(1),
        read_n: 0,
        mentions: 0,
        as_of: Seq(as_of),
    };
    for as_of in [5, 9, 7] {
        let value = serde_json::to_vec(&record(as_of)).unwrap();
        bucket.put(InboxKey::Member(user, conversation), value, Seq(as_of), 0).await.unwrap();
    }
    let memberships = bucket.memberships(user).await.unwrap();
    assert_eq!(memberships.records, [(conversation, record(9))]);
}

#[tokio::test]
async fn a_lease_has_one_holder_until_it_is_released() {
    let backbone = backbone().await;
    let leases = Leases::open(&backbone.connection);
    let mut held = leases.acquire("projector.0", "one").await.unwrap().unwrap();
    assert!(leases.acquire("projector.0", "two").await.unwrap().is_none());
    leases.renew(&mut held).await.unwrap();
    leases.release(held).await;
    let taken = leases.acquire("projector.0", "two").await.unwrap();
    assert!(taken.is_some());
}

#[tokio::test]
async fn a_lease_can_be_renewed_after_a_killed_server() {
    let backbone = backbone().await;
    let leases = Leases::open(&backbone.connection);
    let mut held = leases.acquire("projector.0", "one").await.unwrap().unwrap();
    backbone.kill_server();
    let deadline = Instant::now() + DEADLINE;
    // The renewal whose answer was lost may have been stored: then the holder takes it again.
    while leases.renew(&mut held).await.is_err() {
        assert!(Instant::now() < deadline, "the lease stays away");
        if let Ok(Some(again)) = leases.acquire("projector.0", "one").await {
            held = again;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_connection_made_once_does_not_come_back() {
    let backbone = backbone().await;
    let once = Connection::connect_once(&backbone.endpoint, ServiceRole::Operator).await.unwrap();
    let log = Log::open(&once, &backbone.deployment, backbone.log.clock().clone());
    let stored = log.append(backbone.message(key(1, 1), "a")).await.unwrap().await.unwrap();
    assert!(!stored.duplicate);
    backbone.kill_server();
    let deadline = Instant::now() + DEADLINE;
    // The other connection is back, and the server with it.
    while backbone.append(backbone.message(key(1, 2), "b")).await.is_err() {
        assert!(Instant::now() < deadline, "the server does not come back");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(!once.is_connected());
    assert!(matches!(
        log.append(backbone.message(key(1, 3), "c")).await.err(),
        Some(AppendError::Disconnected)
    ));
}

#[tokio::test]
async fn a_registered_gateway_is_listed_and_confirms() {
    let backbone = backbone().await;
    let gateway = DeviceId::from_entropy([5; 20]);
    let entry = GatewayEntry {
        gateway,
        url: Some("http://127.0.0.1:1".to_owned()),
        region: "eu".to_owned(),
        connections: 3,
        users: 2,
        devices: 2,
        capacity: 10,
        occupancy: Occupancy::Open,
        draining: false,
    };
    backbone.connection.register_gateway(&entry).await.unwrap();
    assert_eq!(backbone.connection.gateways().await.unwrap(), [gateway]);
    let registered = backbone.connection.registered_gateways().await.unwrap();
    let age = backbone.log.clock().now().unwrap().minus(DEADLINE);
    assert!(registered.iter().all(|registered| registered.ts > age));
    assert_eq!(
        registered.into_iter().map(|registered| registered.entry).collect::<Vec<_>>(),
        [entry]
    );
    let mut confirmations = backbone.connection.confirmations(gateway).await.unwrap();
    let request = ConfirmRequest { conversation: key(1, 1).conversation, seq: Seq(7) };
    let (asked, ()) =
        tokio::join!(backbone.connection.ask_confirmation(gateway, request, DEADLINE), async {
            let confirmation = confirmations.next().await.unwrap();
            assert_eq!(confirmation.request, request);
            confirmation.confirm().await;
        });
    assert!(asked);
    // One that was taken back is there for as long as its vouches, and offered to nobody.
    backbone.connection.deregister_gateway(gateway).await.unwrap();
    assert_eq!(backbone.connection.gateways().await.unwrap(), [gateway]);
    assert!(backbone.connection.registered_gateways().await.unwrap().is_empty());
}

#[tokio::test]
async fn log_time_is_the_servers() {
    let backbone = backbone().await;
    let before = backbone.log.clock().now().unwrap();
    let appended = backbone.append(backbone.message(key(1, 1), "x")).await.unwrap();
    let partition = backbone.log.partition_of(key(1, 1).conversation);
    let record = backbone.log.read(partition, appended.seq).await.unwrap().unwrap();
    let after = backbone.log.clock().now().unwrap();
    let error = Duration::from_millis(250);
    assert!(before.minus(error) <= record.ts && record.ts <= after.plus(error));
    assert!(record.ts > LogTime::from_millis(1_700_000_000_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_record_that_is_being_overwritten_is_not_left_out() {
    let backbone = backbone().await;
    let bucket = InboxBucket::open(&backbone.connection, backbone.deployment.partitions);
    let user = UserId::from_entropy([1; 20]);
    let put = |conversation: u8, as_of: u64, revision: u64| {
        let record = MemberRecord {
            role: Some(Role::Member),
            joined: Seq(1),
            view_from: Seq(1),
            view_to: None,
            read: Seq(1),
            read_n: 0,
            mentions: 0,
            as_of: Seq(as_of),
        };
        let member = InboxKey::Member(user, key(conversation, 1).conversation);
        bucket.put(member, serde_json::to_vec(&record).unwrap(), Seq(as_of), revision)
    };
    let mut revisions = Vec::new();
    for conversation in 0..20 {
        revisions.push(put(conversation, 1, 0).await.unwrap());
    }
    let writing = async {
        for as_of in 2..400 {
            let writes = (0..20)
                .map(|conversation| put(conversation, as_of, revisions[usize::from(conversation)]));
            let written = futures_util::future::join_all(writes).await;
            revisions = written.into_iter().map(Result::unwrap).collect();
        }
    };
    let reader = bucket.clone();
    let reading = async {
        let mut fewest = 20;
        for _ in 0..400 {
            fewest = fewest.min(reader.memberships(user).await.unwrap().records.len());
        }
        fewest
    };
    let ((), fewest) = tokio::join!(writing, reading);
    assert_eq!(fewest, 20);
}

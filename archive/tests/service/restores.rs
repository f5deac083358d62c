//! NATS lost everything, or its end; the object store did not.

use std::sync::Arc;
use std::time::Duration;

use hansard_archive::restore::{Outcome, RestoreError, restore};
use hansard_archive::{Archive, Archiver, Objects};
use hansard_model::subject::Subject;
use hansard_model::{AccountEvent, MessageId, Seq, UserId};
use hansard_nats::accounts::AccountLog;
use hansard_nats::deployment::{self, ProvisionError, ProvisionOptions};
use hansard_nats::streams::StreamName;
use hansard_nats::{Connection, Log, LogClock, ServiceRole};
use object_store::ObjectStore;
use tokio_util::sync::CancellationToken;

use crate::rig::{PARTITION, Rig, STREAM, eager, keeping, serve, soon, within};
use crate::{memory, paths};

fn account(number: u64) -> (Subject, AccountEvent) {
    let user = UserId::from_entropy([number as u8; 20]);
    let event = AccountEvent::UserCreated {
        user,
        handle: format!("user{number}").parse().expect("a handle"),
        name: "Ana".to_owned(),
        password: None,
        request: MessageId::new(number, [0; 10]),
    };
    (Subject::AccountUser(user), event)
}

/// Archives all that there is, accounts included.
async fn archive_all(rig: &Rig, store: &Arc<dyn ObjectStore>, last: Seq, accounts: Seq) {
    let archive = rig.archive(store).await;
    let archiver = Archiver::new(&archive, &rig.archiving, PARTITION, eager(), || true);
    let done = within("both archives", async || {
        let has_accounts = archive.head_of(StreamName::Accounts).await.ok()??.last == accounts;
        let has_events = archive.head(PARTITION).await.ok()??.last == last;
        (has_accounts && has_events).then_some(())
    });
    tokio::select! {
        () = archiver.run(CancellationToken::new()) => panic!("the archiver ended"),
        () = done => {}
    }
}

#[tokio::test]
async fn a_deployment_comes_back_in_a_fresh_nats_server() {
    let lost = Rig::start().await;
    let store = memory();
    let (subject, event) = account(1);
    let accounts = AccountLog::open(&lost.operator);
    accounts.append(&subject, &event, Some(Seq::ZERO)).await.expect("stored");
    let (subject, event) = account(2);
    accounts.append(&subject, &event, Some(Seq::ZERO)).await.expect("stored");
    lost.append(330).await;
    let expected = lost.stored().await;
    archive_all(&lost, &store, Seq(330), Seq(2)).await;
    let salt = lost.deployment.salt.clone();
    lost.stop().await;

    let data = tempfile::tempdir().expect("a directory");
    let (server, endpoint) = serve(data.path(), 0).await;
    let operator = Connection::connect(&endpoint, ServiceRole::Operator).await.expect("connected");
    let objects = Objects::of(Arc::clone(&store));
    let restored = restore(&operator, &objects, 1).await.expect("restored");
    assert_eq!(
        restored.streams,
        [
            (STREAM, Outcome::Created { archived: Seq(330) }),
            (StreamName::Accounts, Outcome::StoredAgain { events: 2 }),
        ]
    );
    assert!(restored.wait.as_secs() > 60, "{:?}", restored.wait);
    let options = ProvisionOptions { partitions: None, replicas: 1 };
    let (again, drift) = deployment::provision(&operator, options).await.expect("provisioned");
    assert_eq!((again.salt.as_str(), again.epoch, drift), (salt.as_str(), restored.epoch, vec![]));
    // Later than any that a deployment counted up to.
    assert!(restored.epoch > 1_700_000_000);
    let log = Log::open(&operator, &again, LogClock::new());
    let archive = Archive::open(objects.clone(), &operator, &again);
    assert_eq!(log.last_seq(PARTITION).await.expect("an answer"), Seq(330));
    let mut reader = archive.follow_stream(&log, STREAM, Seq::ZERO);
    for event in &expected {
        assert_eq!(&soon(reader.next_stored()).await.expect("an event"), event);
    }
    let read = soon(AccountLog::open(&operator).follow(Seq(1)).next()).await;
    assert_eq!((read.seq, read.event.map(|(_, event)| event)), (Seq(2), Some(account(2).1)));
    // Sequences go on, and so does the archive.
    let next = log.store_again(&expected[4]).await.expect("stored");
    assert_eq!(next, Seq(331));
    assert_eq!(soon(reader.next()).await.expect("a record").seq, Seq(331));
    let archiver = Archiver::new(&archive, &log, PARTITION, keeping(), || true);
    let (subject, event) = account(3);
    AccountLog::open(&operator).append(&subject, &event, None).await.expect("stored");
    let done = within("both archives", async || {
        let accounts = archive.head_of(StreamName::Accounts).await.ok()??.last;
        let events = archive.head(PARTITION).await.ok()??.last;
        ((events, accounts) == (Seq(331), Seq(3))).then_some(())
    });
    tokio::select! {
        () = archiver.run(CancellationToken::new()) => panic!("the archiver ended"),
        () = done => {}
    }
    let verified = archive.verify(Some(&log), PARTITION).await.expect("verified");
    assert_eq!((verified.findings, verified.events), (Vec::new(), 331));
    let verified = archive.verify_stream(Some(&log), StreamName::Accounts).await;
    let verified = verified.expect("verified");
    assert_eq!((verified.findings, verified.compared), (Vec::new(), 3));
    // Again: nothing to do, but the epoch.
    let again = restore(&operator, &objects, 1).await.expect("restored");
    assert_eq!(again.streams[0], (STREAM, Outcome::Whole { last: Seq(331) }));
    assert_eq!(again.streams[1], (StreamName::Accounts, Outcome::Whole { last: Seq(3) }));
    assert_eq!(again.epoch, restored.epoch + 1);
    server.stop().await;
}

#[tokio::test]
async fn a_stream_that_lost_its_end_goes_on_behind_its_archive() {
    let mut rig = Rig::start().await;
    let store = memory();
    let (subject, event) = account(1);
    AccountLog::open(&rig.operator).append(&subject, &event, None).await.expect("stored");
    let archive = rig.archive(&store).await;
    let mut expected = Vec::new();
    rig.append_and_lose((180, 70), async |rig| {
        expected = rig.stored().await;
        rig.archive_until(&archive, keeping(), (Seq(250), Seq(1))).await;
    })
    .await;
    assert_eq!(rig.stored().await, expected[..180]);
    let options = ProvisionOptions { partitions: None, replicas: 1 };
    let refused = deployment::provision(&rig.operator, options).await;
    assert!(
        matches!(refused, Err(ProvisionError::Behind { archived: Seq(250), last: Seq(180), .. })),
        "{refused:?}"
    );
    let objects = Objects::of(Arc::clone(&store));
    let restored = restore(&rig.operator, &objects, 1).await.expect("restored");
    let continued = Outcome::Continued { last: Seq(180), archived: Seq(250) };
    assert_eq!(restored.streams[0], (STREAM, continued));
    assert_eq!(restored.epoch, 2);
    deployment::provision(&rig.operator, options).await.expect("provisioned");
    assert!(rig.whole_log(&archive).await == expected);
    rig.append(1).await;
    assert_eq!(rig.log.last_seq(PARTITION).await.expect("an answer"), Seq(251));
    rig.stop().await;
}

#[tokio::test]
async fn an_old_copy_of_nats_costs_no_segment_before_it_is_restored() {
    let mut rig = Rig::start().await;
    let store = memory();
    let archive = rig.archive(&store).await;
    let mut expected = Vec::new();
    rig.append_and_lose((180, 70), async |rig| {
        expected = rig.stored().await;
        rig.archive_until(&archive, keeping(), (Seq(250), Seq(1))).await;
    })
    .await;
    // The copy is of before the first segment: its head is none.
    let head = deployment::archive_head(&rig.operator, STREAM).await.expect("an answer");
    let forgotten =
        deployment::replace_archive_head(&rig.operator, STREAM, None, head.revision).await;
    forgotten.expect("replaced");
    let before = paths(&store).await;
    let archiver = Archiver::new(&archive, &rig.archiving, PARTITION, keeping(), || true);
    let work = archiver.run(CancellationToken::new());
    let _ = tokio::time::timeout(Duration::from_millis(700), work).await;
    assert_eq!(paths(&store).await, before, "no segment is removed, and none is made");
    let verified = archive.verify(Some(&rig.log), PARTITION).await.expect("verified");
    assert_eq!(verified.count, 1, "{:?}", verified.findings);
    assert!(verified.findings[0].problem.contains("go on to 250"), "{:?}", verified.findings);
    let objects = Objects::of(Arc::clone(&store));
    let restored = restore(&rig.operator, &objects, 1).await.expect("restored");
    let continued = Outcome::Continued { last: Seq(180), archived: Seq(250) };
    assert_eq!(restored.streams[0], (STREAM, continued));
    assert!(rig.whole_log(&archive).await == expected);
    rig.stop().await;
}

#[tokio::test]
async fn what_differs_or_is_damaged_or_anothers_is_refused_before_anything_is_changed() {
    let mut rig = Rig::start().await;
    let store = memory();
    let objects = Objects::of(Arc::clone(&store));
    let refused = restore(&rig.operator, &objects, 1).await;
    assert!(matches!(refused, Err(RestoreError::NoArchive)), "{refused:?}");
    let archive = rig.archive(&store).await;
    rig.append_and_lose((180, 70), async |rig| {
        rig.archive_until(&archive, keeping(), (Seq(250), Seq(1))).await;
    })
    .await;
    // Another deployment's NATS.
    let other = Rig::start().await;
    let refused = restore(&other.operator, &objects, 1).await;
    assert!(matches!(refused, Err(RestoreError::Other { .. })), "{refused:?}");
    other.stop().await;
    // The stream lost its end, and went on with other events.
    rig.append(20).await;
    let refused = restore(&rig.operator, &objects, 1).await;
    assert!(matches!(refused, Err(RestoreError::Diverged { seq: Seq(181), .. })), "{refused:?}");
    // A damaged segment.
    let listed = archive.list(STREAM).await.expect("a list");
    let path = object_store::path::Path::parse(&listed[1].object).expect("a path");
    store.put_opts(&path, "x".into(), Default::default()).await.expect("put");
    let refused = restore(&rig.operator, &objects, 1).await;
    assert!(matches!(refused, Err(RestoreError::Damaged { .. })), "{refused:?}");
    assert_eq!(rig.log.last_seq(PARTITION).await.expect("an answer"), Seq(200));
    assert_eq!(deployment::epoch(&rig.operator).await.expect("an answer"), 1);
    rig.stop().await;
}

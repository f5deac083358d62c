//! NATS lost everything, the object store did not: `hansard restore`.

use std::time::Duration;

use hansard_archive::{Archive, Archiver, ArchiverSettings, Objects, ObjectsUrl};
use hansard_nats::deployment;
use hansard_nats::streams::StreamName;
use tokio_util::sync::CancellationToken;

use crate::harness::{Roles, couple, eventually, message};

/// Puts all that there is into segments, accounts included, and lets the streams forget all but
/// the accounts.
async fn archive_all(roles: &Roles) {
    let (connection, log) = roles.data.operator().await;
    let deployment = deployment::open(&connection).await.unwrap();
    let objects = Objects::open(&ObjectsUrl::Directory(roles.data.objects())).unwrap();
    objects.bind(&deployment).await.unwrap();
    let archive = Archive::open(objects, &connection, &deployment);
    let settings = ArchiverSettings {
        segment_events: 10,
        segment_age: Duration::ZERO,
        look_every: Duration::from_millis(20),
        ..ArchiverSettings::keeping(Duration::ZERO)
    };
    let partitions = || log.partitions().partitions();
    let archivers = partitions().map(|partition| {
        Archiver::new(&archive, &log, partition, settings, || true).run(CancellationToken::new())
    });
    let done = eventually("all to be archived", async || {
        let mut is_done = true;
        for partition in partitions() {
            let extent = log.extent(StreamName::Events(partition)).await.unwrap();
            is_done &= extent.first > extent.last;
        }
        let accounts = log.extent(StreamName::Accounts).await.unwrap().last;
        let head = archive.head_of(StreamName::Accounts).await.unwrap();
        is_done && head.is_some_and(|head| head.last == accounts)
    });
    tokio::select! {
        _ = futures_util::future::join_all(archivers) => panic!("archivers ended"),
        () = done => {}
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deployment_comes_back_from_its_object_store() {
    let mut roles = Roles::start(1, 1).await;
    let (ana, _ben, conversation) = couple(roles.gateways[0].address).await;
    let mut last = 0;
    for number in 0..25 {
        last = ana.store(&conversation, &message(&format!("said {number}"))).await;
    }
    let said = roles.data.replay(&conversation).await;
    assert_eq!(said.len(), 25);
    for mut gateway in roles.gateways.drain(..) {
        gateway.process.terminate().await;
    }
    roles.stop_projectors().await;
    archive_all(&roles).await;
    let is_same = async |roles: &Roles| {
        let again = roles.data.replay(&conversation).await;
        let of = |replayed: &[crate::harness::Replayed]| -> Vec<_> {
            replayed.iter().map(|r| (r.seq, r.ts.clone(), r.void, r.body.clone())).collect()
        };
        assert_eq!(of(&again), of(&said));
    };
    is_same(&roles).await;
    let listed = roles.data.hansard_done(&["archive", "list"]).await;
    assert!(listed.lines().count() > 3, "{listed}");
    roles.stop().await;
    std::fs::remove_dir_all(roles.data.streams()).unwrap();

    // Nothing is made in its place, which would be another deployment.
    let refused = roles.data.hansard(&["serve", "--listen", "127.0.0.1:0"]).await;
    let said_why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && said_why.contains("hansard restore"), "{said_why}");
    let offline = roles.data.hansard_done(&["archive", "verify", "--offline"]).await;
    assert!(offline.contains(": 0 faults"), "{offline}");
    let restored = roles.data.hansard_done(&["restore", "--no-wait"]).await;
    assert!(restored.contains("epoch "), "{restored}");
    roles.restart_nats().await;
    is_same(&roles).await;
    roles.data.hansard_done(&["archive", "verify"]).await;
    // The sequences go on.
    let next = roles.data.store_straight(&conversation, &ana.user, r#"{"v":1,"event":{}}"#).await;
    assert!(next > last, "{next} after {last}");
    assert_eq!(roles.data.replay(&conversation).await.len(), 26);
}

//! Services that are killed in the middle: what was acknowledged is there, and nothing else stays.

use hansard_model::media::Variant;

use crate::client::bytes;
use crate::process::Process;
use crate::rig::{Rig, patient, within};

/// How many times a service is killed.
const KILLS: u64 = 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_survives_services_that_are_killed_at_random_offsets() {
    let rig = Rig::start().await;
    let mut process = Process::start(&rig, "a").await;
    let uploads: u64 = 4;
    let mut stored = Vec::new();
    for seed in 0..uploads {
        // Two of them are of the same bytes.
        let file = bytes(50 + seed % (uploads - 1), 7_654_321);
        let client = rig.uploader(&process.address, 1);
        let id = client.create(file.len() as u64, "original").await.id();
        let mut acknowledged = 0;
        for kill in 0..KILLS / uploads {
            let client = client.at(&process.address);
            // A service that has just begun may have to come to know what time it is.
            let offset =
                within("an offset", async || client.head(id).await.number("upload-offset")).await;
            assert!(offset >= acknowledged, "{offset} of {acknowledged}");
            acknowledged = offset;
            let rest = &file[usize::try_from(offset).expect("small")..];
            // Somewhere in what is left, by the same numbers each time.
            let random = bytes(1_000 + seed * 100 + kill, 8);
            let random = u64::from_le_bytes(random.try_into().expect("eight bytes"));
            let sent = usize::try_from(random).unwrap_or(usize::MAX) % (rest.len() + 1);
            client.patch_and_leave(id, offset, rest, sent).await;
            process.kill();
            process = Process::start(&rig, "a").await;
        }
        client.at(&process.address).resume(id, &file).await;
        stored.push((id, file));
    }
    for (id, file) in &stored {
        rig.ready(*id).await;
        let got = rig.reader(&process.address, *id, Variant::File).get(*id, &[]).await;
        assert!(got.expect("all").body == *file);
    }
    // One blob for each of the different files, and not an object more.
    let mut needed = 0;
    for (id, _) in &stored[..stored.len() - 1] {
        let blob = rig.ready(*id).await.blob;
        needed += rig.blob(blob).await.expect("a blob").parts.len();
    }
    within("no spare parts", async || (rig.part_objects().await.len() == needed).then_some(()))
        .await;
    process.kill();
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_service_goes_on_where_a_killed_one_was() {
    let rig = Rig::start().await;
    let doomed = Process::start(&rig, "a").await;
    let service = rig.service("b", patient()).await;
    let file = bytes(60, 6_000_000);
    let client = rig.uploader(&doomed.address, 1);
    let id = client.create(6_000_000, "").await.id();
    client.patch_and_leave(id, 0, &file, 4_000_000).await;
    within("some parts", async || (rig.part_objects().await.len() > 1).then_some(())).await;
    doomed.kill();
    client.at(&service.address).resume(id, &file).await;
    rig.ready(id).await;
    let got = rig.reader(&service.address, id, Variant::File).get(id, &[]).await.expect("all");
    assert!(got.body == file);
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_service_was_writing_goes_a_day_later() {
    let rig = Rig::start().await;
    let folder = rig.data.path().join("objects/media/d5tq2kzv7mxw3hn6ra4b");
    std::fs::create_dir_all(&folder).expect("a directory");
    let (old, young) = (folder.join("2-0-5-abc#1"), folder.join("2-5-5-abc#1"));
    for file in [&old, &young] {
        std::fs::write(file, "bytes").expect("written");
    }
    let now = std::time::UNIX_EPOCH
        + std::time::Duration::from_millis(rig.clock.now().expect("log time").as_millis());
    let day = std::time::Duration::from_secs(24 * 60 * 60);
    let file = std::fs::File::options().write(true).open(&old).expect("opened");
    file.set_modified(now - day).expect("an older file");
    let process = Process::start(&rig, "one").await;
    within("only the young one", async || (!old.exists()).then_some(())).await;
    assert!(young.exists());
    process.kill();
    rig.stop().await;
}

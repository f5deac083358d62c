//! The same bytes are stored once, however many uploads hold them, and nobody can tell.

use std::collections::BTreeSet;

use hansard_model::UploadId;
use hansard_model::media::{Blob, HOLDERS_MAX, MediaKey, Variant};
use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use crate::client::bytes;
use crate::rig::{Rig, patient, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_bytes_are_stored_once_until_nobody_holds_them() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let file = bytes(30, 2_200_000);
    let clients = [1, 2, 3].map(|number| rig.uploader(&service.address, number));
    let mut ids = Vec::new();
    for client in &clients {
        let id = client.upload(&file, "").await;
        rig.ready(id).await;
        ids.push(id);
        assert_eq!(rig.part_objects().await.len(), 3, "parts of {}", ids.len());
    }
    let blob = rig.ready(ids[0]).await.blob;
    let holders = rig.blob(blob).await.expect("a blob").holders;
    assert_eq!(holders, ids.iter().copied().collect::<BTreeSet<_>>());
    // Whose parts they are does not matter to the others.
    for (gone, client) in clients.iter().enumerate() {
        client.delete(ids[gone]).await;
        within("no record", async || rig.upload(ids[gone]).await.is_none().then_some(())).await;
        for id in &ids[gone + 1..] {
            let got = rig.reader(&service.address, *id, Variant::File).get(*id, &[]).await;
            assert!(got.expect("all").body == file);
        }
    }
    assert!(rig.blob(blob).await.is_none());
    assert_eq!(rig.objects().await, Vec::<String>::new());
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_uploads_of_the_same_bytes_at_once_end_with_one_copy() {
    let rig = Rig::start().await;
    let services = [rig.service("a", patient()).await, rig.service("b", patient()).await];
    let file = bytes(31, 1_300_000);
    let uploads = (0..12_u8).map(|number| {
        let client = rig.uploader(&services[usize::from(number % 2)].address, number / 3);
        let file = &file;
        async move {
            let id = client.create(file.len() as u64, "").await.id();
            client.resume(id, file).await;
            id
        }
    });
    let ids = futures_util::future::join_all(uploads).await;
    for id in &ids {
        rig.ready(*id).await;
    }
    assert_eq!(rig.part_objects().await.len(), 2);
    for id in &ids {
        let got = rig.reader(&services[0].address, *id, Variant::File).get(*id, &[]).await;
        assert!(got.expect("all").body == file);
    }
    let [a, b] = services;
    a.stop().await;
    b.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_objects_are_there_again_after_the_next_upload_of_the_same() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let client = rig.uploader(&service.address, 1);
    let file = bytes(32, 2_200_000);
    let first = client.upload(&file, "").await;
    rig.ready(first).await;
    let lost = &rig.part_objects().await[1];
    rig.store().delete(&Path::from(lost.as_str())).await.expect("deleted");
    let second = client.upload(&file, "").await;
    rig.ready(second).await;
    for id in [first, second] {
        let got = rig.reader(&service.address, id, Variant::File).get(id, &[]).await;
        assert!(got.expect("all").body == file);
    }
    assert_eq!(rig.part_objects().await.len(), 3, "what was left of the first is gone");
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_as_many_holders_as_may_be_the_bytes_are_stored_a_second_time() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let client = rig.uploader(&service.address, 1);
    let file = bytes(33, 1_000);
    let first = client.upload(&file, "").await;
    let content = rig.ready(first).await;
    let key = MediaKey::Blob(content.blob);
    let mut blob: Blob = rig.blob(content.blob).await.expect("a blob");
    let holder = |number: usize| {
        let mut entropy = [7; 20];
        entropy[..4].copy_from_slice(
            &[0, 5, 10, 15].map(|shift| u8::try_from(number >> shift & 31).expect("five bits")),
        );
        UploadId::from_entropy(entropy)
    };
    blob.holders.extend((1..HOLDERS_MAX).map(holder));
    assert_eq!(blob.holders.len(), HOLDERS_MAX);
    rig.bucket.overwrite(key, &blob).await.expect("written");
    let second = client.upload(&file, "").await;
    let copy = rig.ready(second).await;
    assert_ne!(copy.blob, content.blob);
    assert_eq!((copy.sha256(), copy.sha256), (content.blob, Some(content.blob)));
    assert_eq!(rig.part_objects().await.len(), 2);
    let third = client.upload(&file, "").await;
    assert_eq!(rig.ready(third).await.blob, copy.blob, "the copy is shared like any other");
    for id in [first, second] {
        let got = rig.reader(&service.address, id, Variant::File).get(id, &[]).await.expect("all");
        assert!(got.body == file);
        assert_eq!(got.header("etag"), format!("\"{}\"", content.blob));
    }
    client.delete(third).await;
    client.delete(second).await;
    within("one copy", async || (rig.part_objects().await.len() == 1).then_some(())).await;
    service.stop().await;
    rig.stop().await;
}

//! Files in a bucket of a real S3 service.

use futures_util::TryStreamExt as _;
use hansard_client::Store;
use hansard_model::media::Variant;
use tempfile::TempDir;

use super::gate::Gate;
use super::{files, media_at, media_of, noise, prepared, ready, sha256, write};
use crate::harness::{Dice, S3, Serve, Signal, couple, signal};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_are_in_the_bucket_whole_whatever_was_killed_meanwhile() {
    let s3 = tokio::task::spawn_blocking(S3::start).await.unwrap();
    let mut variables = s3.variables();
    variables.push(("HANSARD_OBJECT_STORE".to_owned(), "s3://hansard/some/prefix".to_owned()));
    let mut serve = Serve::among(&variables, &[]).await;
    let mut dice = Dice::new();
    let (ana, _, _) = couple(serve.address).await;
    let gate = Gate::before(serve.address).await;
    let directory = TempDir::new().unwrap();
    let bytes = noise(&mut dice, 5 << 20);
    let path = write(directory.path(), "noise", &bytes);
    let media = media_of(&ana, gate.address, Store::in_memory().await.unwrap());
    let unfinished = prepared(&media, &path).await;
    gate.up.let_through(dice.below(5 << 20));
    let upload = media.resume(unfinished);
    gate.up.reached().await;
    serve.process.kill().await;
    serve.restart().await;
    gate.open();
    let info = upload.done().await.unwrap();
    assert_eq!(info.sha256.map(|sha256| sha256.to_string()), Some(sha256(&bytes)));
    let objects = s3.objects("some/prefix");
    let listed: Vec<_> =
        objects.store.list(Some(&objects.path("media"))).try_collect().await.unwrap();
    assert!(listed.len() > 5, "{listed:?}");
    assert!(!serve.data.objects().exists(), "something is in a directory");

    // A service that stands still for a moment is waited for.
    signal(s3.server.id(), Signal::Stop);
    let path = directory.path().join("fetched");
    let download = media.download(info.id, Variant::File, path.clone());
    let pictures = media_at(&ana, serve.address);
    let picture = bytes::Bytes::from(files::jpeg(640, 480));
    let upload = pictures.upload(picture, Default::default());
    signal(s3.server.id(), Signal::Continue);
    download.done().await.unwrap();
    assert_eq!(std::fs::read(path).unwrap(), bytes);
    let info = upload.done().await.unwrap();
    assert_eq!(ready(&pictures, info.id).await.variants.len(), 2);
}

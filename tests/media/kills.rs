//! Uploads and downloads while the gateway, the media service and all of it together are killed, at
//! any byte.

use std::time::Duration;

use hansard_client::Store;
use hansard_client::media::{Media, Progress};
use hansard_model::media::{Declared, Variant};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::watch;

use super::gate::Gate;
use super::{files, media_at, media_of, noise, prepared, ready, sha256, stored, with_file, write};
use crate::harness::{Dice, Patience, Plan, Roles, Serve, couple, eventually};

/// Several parts, and a rest.
const BYTES: usize = (5 << 20) + 12_345;
/// How long what is over may stay, on a machine that is busy.
const GONE_WITHIN: Duration = Duration::from_secs(90);
/// More than the head of any answer.
const HEAD_BYTES: u64 = 4 * 1024;
/// Of each process.
const KILLS: usize = 5;

/// How far a transfer falls back before its end.
async fn lowest(mut progress: watch::Receiver<Progress>) -> u64 {
    let mut lowest = progress.borrow_and_update().done;
    while progress.changed().await.is_ok() {
        lowest = lowest.min(progress.borrow_and_update().done);
    }
    lowest
}

/// Uploads a file with a kill at some byte of it, and fetches it again with another.
async fn killed_at_any_byte(
    media: &Media,
    gate: &Gate,
    dice: &mut Dice,
    kill: &mut impl AsyncFnMut(),
) {
    let directory = TempDir::new().unwrap();
    let bytes = noise(dice, BYTES);
    let path = write(directory.path(), "noise", &bytes);
    let unfinished = prepared(media, &path).await;
    let at = dice.below(BYTES as u64);
    println!("killed at {at}");
    gate.up.let_through(at);
    let upload = media.resume(unfinished);
    gate.up.reached().await;
    kill().await;
    gate.open();
    let info = upload.done().await.unwrap();
    assert_eq!(info.sha256.map(|sha256| sha256.to_string()), Some(sha256(&bytes)), "at {at}");

    let fetched = directory.path().join("fetched");
    let at = dice.below(BYTES as u64);
    println!("and then at {at}");
    gate.down.let_through(at);
    let download = media.download(info.id, Variant::File, fetched.clone());
    gate.down.reached().await;
    // All of it but the head of the answer.
    let most = at.saturating_sub(HEAD_BYTES);
    download.progress().wait_for(|progress| progress.done >= most).await.unwrap();
    let lowest = tokio::spawn(lowest(download.progress()));
    kill().await;
    gate.open();
    assert_eq!(download.done().await.unwrap(), fetched);
    // What had arrived is not fetched again.
    assert!(lowest.await.unwrap() >= most, "at {at}");
    assert_eq!(std::fs::read(&fetched).unwrap(), bytes);
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 2, "a part is left");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_goes_on_after_the_gateway_was_killed_at_any_byte() {
    let plan = Plan { gateways: 1, projectors: 1, media: 1, ..Plan::default() };
    let mut roles = Roles::of(plan).await;
    let mut dice = Dice::new();
    let (ana, _, _) = couple(roles.gateways[0].address).await;
    let gate = Gate::before(roles.gateways[0].address).await;
    let media = media_of(&ana, gate.address, Store::in_memory().await.unwrap());
    for _ in 0..KILLS {
        let mut kill = async || {
            roles.gateways[0].process.kill().await;
            roles.restart_gateway(0).await;
        };
        killed_at_any_byte(&media, &gate, &mut dice, &mut kill).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_goes_on_after_the_media_service_was_killed_at_any_byte() {
    let plan = Plan { gateways: 1, projectors: 1, media: 1, ..Plan::default() };
    let mut roles = Roles::of(plan).await;
    let mut dice = Dice::new();
    let (ana, _, _) = couple(roles.gateways[0].address).await;
    let gate = Gate::before(roles.gateways[0].address).await;
    let media = media_of(&ana, gate.address, Store::in_memory().await.unwrap());
    for _ in 0..KILLS {
        let mut kill = async || {
            roles.media.remove(0).process.kill().await;
            roles.start_media().await;
        };
        killed_at_any_byte(&media, &gate, &mut dice, &mut kill).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_transfer_goes_on_after_all_of_it_was_killed_at_any_byte() {
    let mut serve = Serve::start().await;
    let mut dice = Dice::new();
    let (ana, _, _) = couple(serve.address).await;
    let gate = Gate::before(serve.address).await;
    let media = media_of(&ana, gate.address, Store::in_memory().await.unwrap());
    for _ in 0..KILLS {
        let mut kill = async || {
            serve.process.kill().await;
            serve.restart().await;
        };
        killed_at_any_byte(&media, &gate, &mut dice, &mut kill).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_is_gone_leaves_what_another_one_goes_on_with() {
    let serve = Serve::start().await;
    let mut dice = Dice::new();
    let (ana, _, _) = couple(serve.address).await;
    let gate = Gate::before(serve.address).await;
    let directory = TempDir::new().unwrap();
    let journal = directory.path().join("ana.db");
    let bytes = noise(&mut dice, BYTES);
    let path = write(directory.path(), "noise", &bytes);
    let store = Store::open(&journal).await.unwrap();
    let media = media_of(&ana, gate.address, store.clone());
    let unfinished = prepared(&media, &path).await;
    gate.up.let_through(dice.below(BYTES as u64));
    let upload = media.resume(unfinished);
    gate.up.reached().await;
    // Dropped as the end of the process drops it: without a word to anybody.
    drop(upload);
    store.close().await;
    gate.open();
    let store = Store::open(&journal).await.unwrap();
    let media = media_of(&ana, gate.address, store);
    let [unfinished] = media.unfinished().await.unwrap().try_into().unwrap();
    assert!(unfinished.upload.is_some(), "nobody wrote down what the server calls it");
    let info = media.resume(unfinished).done().await.unwrap();
    assert_eq!(info.sha256.map(|sha256| sha256.to_string()), Some(sha256(&bytes)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_that_is_paused_holds_no_connection_and_goes_on_where_it_was() {
    let serve = Serve::start().await;
    let mut dice = Dice::new();
    let (ana, _, _) = couple(serve.address).await;
    let gate = Gate::before(serve.address).await;
    let media = media_of(&ana, gate.address, Store::none());
    let bytes = noise(&mut dice, BYTES);
    gate.up.let_through(2 << 20);
    let upload = media.upload(bytes::Bytes::from(bytes.clone()), Declared::default());
    gate.up.reached().await;
    upload.pause();
    gate.open();
    // What was let through arrived, and no more does.
    eventually("what has arrived", async || upload.progress().borrow().done > 0).await;
    upload.unpause();
    let progress = upload.progress();
    let lowest = tokio::spawn(lowest(progress));
    let info = upload.done().await.unwrap();
    let lowest = lowest.await.unwrap();
    assert!(lowest > 0, "it began anew");
    assert_eq!(info.sha256.map(|sha256| sha256.to_string()), Some(sha256(&bytes)));
}

/// Whether the file, its thumbnail and its preview are all that is stored, each in one part.
fn is_all_that_is_left(serve: &Serve, upload: &str) -> bool {
    let (manifests, parts): (Vec<String>, Vec<String>) =
        stored(&serve.data).into_iter().partition(|name| name.contains("/manifests/"));
    let [manifest] = manifests.as_slice() else { return false };
    manifest.contains(upload) && parts.len() == 3
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_what_nobody_sent_and_all_of_what_somebody_did() {
    let mut serve = Serve::with(&["--media-keep", "6s", "--unsafe-haste"]).await;
    let mut dice = Dice::new();
    let (ana, _, conversation) = couple(serve.address).await;
    let gate = Gate::before(serve.address).await;
    let media = media_at(&ana, serve.address);
    let whole = async |bytes: Vec<u8>| {
        media.upload(bytes::Bytes::from(bytes), Declared::default()).done().await.unwrap()
    };
    // One that is cut off and never gone on with, one that nobody sends, one whose message is
    // deleted, and one that stays; the last two have the same bytes.
    let cut = media_at(&ana, gate.address);
    gate.up.let_through(3 << 20);
    let cut = cut.upload(bytes::Bytes::from(noise(&mut dice, BYTES)), Declared::default());
    gate.up.reached().await;
    drop(cut);
    gate.open();
    whole(noise(&mut dice, BYTES)).await;
    let picture = files::jpeg(1_600, 900);
    let (deleted, kept) = (whole(picture.clone()).await, whole(picture).await);
    let seq = ana.store(&conversation, &with_file("for a moment", &deleted)).await;
    ana.store(&conversation, &with_file("for ever", &kept)).await;
    ana.store(&conversation, &json!({"kind": "delete", "target": seq})).await;
    serve.process.kill().await;
    serve.restart().await;
    let of_kept = kept.id.to_string();
    let patience = Patience::of(GONE_WITHIN);
    let mut seen = Vec::new();
    while !is_all_that_is_left(&serve, &of_kept) {
        let left = stored(&serve.data);
        if left != seen {
            println!("of {} objects there are {}", seen.len(), left.len());
            seen = left;
        }
        patience.look_again("nothing but what was sent").await;
    }
    let gone = format!("/v1/media/{}/info", deleted.id);
    assert_eq!(ana.http.ask("GET", &gone, None).await.status, 404);
    let info = ready(&media, kept.id).await;
    let directory = TempDir::new().unwrap();
    for variant in [Variant::File, Variant::Thumb, Variant::Preview] {
        let path = directory.path().join(format!("{variant:?}"));
        media.download(info.id, variant, path).done().await.unwrap();
    }
}

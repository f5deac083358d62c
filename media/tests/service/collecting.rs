//! What messages refer to stays, and what they refer to no more goes.

use std::collections::BTreeSet;
use std::time::Duration;

use hansard_media::Patience;
use hansard_model::media::{Home, MediaKey, Sha256, State, Variant};
use hansard_model::{ConversationId, Seq, UploadId};
use http::StatusCode;
use serde_json::json;

use crate::client::bytes;
use crate::hand::{Hand, entries, group};
use crate::rig::{Rig, hasty, patient, user, within};

const ANA: u8 = 1;
const BEN: u8 = 2;
/// How long is kept what nothing refers to.
const GRACE: Duration = Duration::from_millis(1_500);

/// Waits until an upload has exactly these references.
pub(crate) async fn refers(rig: &Rig, upload: UploadId, at: ConversationId, messages: &[Seq]) {
    let messages: BTreeSet<Seq> = messages.iter().copied().collect();
    within("references", async || {
        let found = rig.upload(upload).await?;
        (found.references == messages && found.home == Home::Conversation(at)).then_some(())
    })
    .await;
}

/// Waits until nothing is left of an upload but bytes that others hold.
pub(crate) async fn ended(rig: &Rig, upload: UploadId) {
    within("the end of an upload", async || {
        let is_gone = rig.upload(upload).await.is_none() && watches(rig, upload).await.is_empty();
        is_gone.then_some(())
    })
    .await;
}

/// Waits until nothing is left of an upload.
pub(crate) async fn gone(rig: &Rig, upload: UploadId) {
    ended(rig, upload).await;
    let id = upload.to_string();
    let left = rig.objects().await.into_iter().filter(|name| name.contains(&id));
    assert_eq!(left.collect::<Vec<_>>(), [""; 0]);
}

/// The hours in which an upload is watched.
pub(crate) async fn watches(rig: &Rig, upload: UploadId) -> Vec<u64> {
    let mut hours = Vec::new();
    for hour in rig.bucket.watched_hours().await.expect("an answer") {
        let key = MediaKey::Watch(hour, upload);
        if rig.bucket.get::<serde_json::Value>(key).await.expect("an answer").0.is_some() {
            hours.push(hour);
        }
    }
    hours
}

#[tokio::test]
async fn a_file_goes_some_time_after_the_last_message_that_referred_to_it() {
    let rig = Rig::start().await;
    let service = rig.service("one", hasty(GRACE)).await;
    let (hand, ana) = (Hand::of(&rig).await, rig.uploader(&service.address, ANA));
    let text = bytes(1, 3_000);
    let upload = ana.post("", "text/plain", &text).await.id();
    rig.ready(upload).await;
    let first = hand.send(ANA, group(1), &[upload]).await.expect("sent");
    // Any member may send again what is the conversation's.
    let second = hand.send(BEN, group(1), &[upload]).await.expect("sent again");
    refers(&rig, upload, group(1), &[first, second]).await;
    hand.delete(ANA, group(1), first).await;
    refers(&rig, upload, group(1), &[second]).await;
    // Longer than anything is kept.
    let until = rig.clock.now().expect("log time").plus(GRACE * 2);
    within("some time", async || (rig.clock.now().ok()? > until).then_some(())).await;
    let reader = rig.reader(&service.address, upload, Variant::File);
    assert_eq!(reader.get(upload, &[]).await.expect("an answer").body, text);
    hand.delete(BEN, group(1), second).await;
    let deleted = rig.clock.now().expect("log time");
    refers(&rig, upload, group(1), &[]).await;
    gone(&rig, upload).await;
    assert!(rig.clock.now().expect("log time").since(deleted) >= GRACE);
    assert_eq!(rig.holdings(ANA).await.bytes, 0);
    assert_eq!(rig.objects().await, [""; 0]);
    service.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn bytes_stay_while_anybodys_message_refers_to_them() {
    let rig = Rig::start().await;
    let service = rig.service("one", hasty(GRACE)).await;
    let (hand, same) = (Hand::of(&rig).await, bytes(2, 5_000));
    let ana = rig.uploader(&service.address, ANA).post("", "text/plain", &same).await.id();
    let ben = rig.uploader(&service.address, BEN).post("", "text/plain", &same).await.id();
    let blob = rig.ready(ben).await.blob;
    assert_eq!(rig.ready(ana).await.blob, blob);
    let sent = hand.send(BEN, group(1), &[ben]).await.expect("sent");
    refers(&rig, ben, group(1), &[sent]).await;
    // Nobody ever sends it, and it was the first with these bytes.
    gone_but(&rig, ana, blob).await;
    let reader = rig.reader(&service.address, ben, Variant::File);
    assert_eq!(reader.get(ben, &[]).await.expect("an answer").body, same);
    hand.delete(BEN, group(1), sent).await;
    gone(&rig, ben).await;
    assert_eq!(rig.objects().await, [""; 0]);
    service.stop().await;
    rig.stop().await;
}

/// Waits until an upload is gone, whose bytes others hold.
async fn gone_but(rig: &Rig, upload: UploadId, blob: Sha256) {
    within("the end of an upload", async || rig.upload(upload).await.is_none().then_some(())).await;
    let holders = rig.blob(blob).await.expect("a blob").holders;
    assert!(!holders.is_empty() && !holders.contains(&upload));
}

#[tokio::test]
async fn an_edit_says_what_a_message_has_from_then_on() {
    let rig = Rig::start().await;
    let service = rig.service("one", patient()).await;
    let (hand, ana) = (Hand::of(&rig).await, rig.uploader(&service.address, ANA));
    let one = ana.post("", "text/plain", b"one").await.id();
    let two = ana.post("", "text/plain", b"two").await.id();
    let sent = hand.send(ANA, group(1), &[one]).await.expect("sent");
    refers(&rig, one, group(1), &[sent]).await;
    let edit = hand.edit(ANA, group(1), sent, &[two]).await.expect("edited");
    refers(&rig, two, group(1), &[sent]).await;
    let edits = rig.upload(two).await.expect("an upload").edits;
    assert_eq!(edits, [(sent, edit)].into(), "who joined in between sees the edit");
    refers(&rig, one, group(1), &[]).await;
    let kept = rig.upload(one).await.expect("an upload").keep_until;
    assert!(kept > rig.clock.now().expect("log time"), "not at once");
    assert!(!watches(&rig, one).await.is_empty());
    hand.delete(ANA, group(1), sent).await;
    refers(&rig, two, group(1), &[]).await;
    // What is deleted stays so, whatever is appended.
    hand.edit(ANA, group(1), sent, &[one]).await.expect("edited");
    let last = hand.send(ANA, group(1), &[two]).await.expect("sent");
    refers(&rig, two, group(1), &[last]).await;
    refers(&rig, one, group(1), &[]).await;
    service.stop().await;
    rig.stop().await;
}

/// What is known of the files of a message.
async fn known(rig: &Rig, at: ConversationId, message: Seq) -> Option<serde_json::Value> {
    rig.bucket.get(MediaKey::Message(at, message)).await.expect("an answer").0
}

#[tokio::test]
async fn a_message_without_files_is_forgotten_after_a_while() {
    let rig = Rig::start().await;
    let forget = Duration::from_secs(2);
    let service = rig.service("one", Patience { forget, ..patient() }).await;
    let (hand, ana) = (Hand::of(&rig).await, rig.uploader(&service.address, ANA));
    let upload = ana.post("", "text/plain", b"one").await.id();
    let deleted = hand.send(ANA, group(1), &[upload]).await.expect("sent");
    let emptied = hand.send(ANA, group(1), &[upload]).await.expect("sent");
    let kept = hand.send(ANA, group(1), &[upload]).await.expect("sent");
    let text = hand.say(ANA, group(1), json!({"kind": "message", "text": "hi"})).await;
    hand.delete(ANA, group(1), deleted).await;
    hand.delete(ANA, group(1), text).await;
    let last = hand.edit(ANA, group(1), emptied, &[]).await.expect("edited");
    hand.read(group(1), last).await;
    refers(&rig, upload, group(1), &[kept]).await;
    for message in [deleted, emptied, text] {
        within("nothing known", async || {
            known(&rig, group(1), message).await.is_none().then_some(())
        })
        .await;
    }
    assert!(known(&rig, group(1), kept).await.is_some());
    // What goes by itself can be written again.
    hand.edit(ANA, group(1), emptied, &[upload]).await.expect("edited");
    refers(&rig, upload, group(1), &[emptied, kept]).await;
    service.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn what_is_not_the_senders_to_give_is_not_referred_to() {
    let rig = Rig::start().await;
    let service = rig.service("one", patient()).await;
    let hand = Hand::of(&rig).await;
    let mine = rig.uploader(&service.address, ANA).post("", "text/plain", b"mine").await.id();
    rig.ready(mine).await;
    // No gateway lets these in: what it does not let in counts for nothing either.
    let made_up = UploadId::from_entropy([9; 20]);
    let media = entries(&[mine, made_up]);
    let event = json!({"kind": "message", "text": "", "media": media});
    let not_let_in = hand.say(BEN, group(1), event).await;
    hand.read(group(1), not_let_in).await;
    assert!(!hand.claim(BEN, group(1), mine).await);
    let sent = hand.send(ANA, group(1), &[mine]).await.expect("sent");
    refers(&rig, mine, group(1), &[sent]).await;
    // It is that conversation's now, and no other's.
    assert!(!hand.claim(ANA, group(2), mine).await);
    let media = entries(&[mine]);
    hand.say(ANA, group(2), json!({"kind": "message", "text": "", "media": media})).await;
    let again = hand.send(BEN, group(1), &[mine]).await.expect("sent");
    refers(&rig, mine, group(1), &[sent, again]).await;
    assert!(rig.upload(made_up).await.is_none());
    service.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn an_unfinished_upload_ends_with_all_of_its_parts() {
    let rig = Rig::start().await;
    let service = rig.service("one", hasty(GRACE)).await;
    let ana = rig.uploader(&service.address, ANA);
    let upload = ana.create(3_000_000, "").await.id();
    ana.patch_and_leave(upload, 0, &bytes(3, 3_000_000), 1_500_000).await;
    within("a part", async || (!rig.objects().await.is_empty()).then_some(())).await;
    gone(&rig, upload).await;
    assert_eq!(rig.objects().await, [""; 0]);
    let holdings = rig.holdings(ANA).await;
    assert!(holdings.unfinished.is_empty() && holdings.bytes == 0);
    assert_eq!(ana.head(upload).await.status, StatusCode::NOT_FOUND);
    service.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_claim_holds_until_its_message_comes() {
    let rig = Rig::start().await;
    let patience = Patience { claim: GRACE * 4, ..hasty(GRACE) };
    let service = rig.service("one", patience).await;
    let hand = Hand::of(&rig).await;
    let upload = rig.uploader(&service.address, ANA).post("", "text/plain", b"late").await.id();
    rig.ready(upload).await;
    assert!(hand.claim(ANA, group(1), upload).await);
    let until = rig.clock.now().expect("log time").plus(GRACE * 2);
    within("some time", async || (rig.clock.now().ok()? > until).then_some(())).await;
    let media = entries(&[upload]);
    let sent =
        hand.say(ANA, group(1), json!({"kind": "message", "text": "", "media": media})).await;
    refers(&rig, upload, group(1), &[sent]).await;
    assert_eq!(rig.upload(upload).await.expect("an upload").uploader, user(ANA));
    let until = rig.clock.now().expect("log time").plus(GRACE * 4);
    within("some time", async || (rig.clock.now().ok()? > until).then_some(())).await;
    assert_eq!(rig.upload(upload).await.expect("an upload").state, State::Ready);
    service.stop().await;
    rig.stop().await;
}

//! Sending files, and being told that they are ready.

use std::time::Duration;

use hansard_model::media::{Home, ReadyNotice, State, Upload};
use hansard_model::{Seq, UploadId};
use hansard_nats::{Connection, ServiceRole, deployment};
use serde_json::{Value, json};

use crate::client::Answer;
use crate::media::service::{Files, picture};
use crate::rig::{DEADLINE, Person, Rig, eventually, new_id};
use crate::wire::Wire;

fn message(files: &[Value]) -> Value {
    json!({"kind": "message", "text": "", "media": files})
}

async fn send(of: &Person, conversation: &str, id: &str, event: &Value) -> Answer {
    let path = format!("/v1/conversations/{conversation}/messages");
    of.client.post(&path, &json!({"id": id, "event": event})).await
}

#[tokio::test]
async fn a_file_belongs_to_the_conversation_before_its_message_is_stored() {
    let rig = Rig::start().await;
    let files = Files::without_service(&rig).await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let talk = ana.with(&ben);
    files.catch_up().await;
    let file = files.picture(&ana.user, 1).await;
    let (id, event) = (new_id(), message(&[json!({"id": file, "type": "image/jpeg", "size": 9})]));
    send(&ana, &talk, &id, &event).await.expecting(201);
    let claimed = files.read(file).await;
    assert_eq!(claimed.home, Home::Conversation(talk.parse().expect("an id")));
    assert!(claimed.claimed.is_some());
    // At once again: nothing is written.
    send(&ana, &talk, &new_id(), &event).await.expecting(201);
    assert_eq!(files.read(file).await, claimed);
    // It is nobody else's to send, and goes nowhere else.
    let elsewhere = ana.found("tea", &[&ben]).await;
    send(&ana, &elsewhere, &new_id(), &event).await.refused(404, "not_found");
    // What was stored is stored, whatever has become of the file.
    let gone = Upload { state: State::Dying, ..claimed };
    files.write(&gone).await;
    let again = send(&ana, &talk, &id, &event).await.expecting(201);
    assert_eq!(again["duplicate"], true);
    send(&ana, &talk, &new_id(), &event).await.refused(404, "not_found");
    rig.stop().await;
}

#[tokio::test]
async fn after_a_restore_a_file_goes_nowhere_until_the_records_have_the_log() {
    let rig = Rig::start().await;
    let mut files = Files::without_service(&rig).await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let talk = ana.with(&ben);
    let message = |file: UploadId| message(&[json!({"id": file})]);
    let first = files.picture(&ana.user, 1).await;
    send(&ana, &talk, &new_id(), &message(first)).await.expecting(201);
    let operator =
        Connection::connect(rig.endpoint(), ServiceRole::Operator).await.expect("connected");
    let epoch = deployment::epoch(&operator).await.expect("an epoch");
    deployment::raise_epoch(&operator, epoch).await.expect("raised");
    // By its record, an older copy, it is still the sender's own.
    let mut of = 2;
    let mut file = first;
    eventually("a refusal", async || {
        file = files.picture(&ana.user, of).await;
        of += 1;
        let answer = send(&ana, &talk, &new_id(), &message(file)).await;
        answer.status == 503 && answer.text.contains("which messages have the file")
    })
    .await;
    assert_eq!(files.read(file).await.home, Home::Uploader);
    let avatar = json!({"avatar": file});
    ana.client.patch("/v1/users/me", &avatar).await.refused(503, "unavailable");
    files.settle(epoch + 1, false).await;
    send(&ana, &talk, &new_id(), &message(file)).await.refused(503, "unavailable");
    files.settle(epoch + 1, true).await;
    send(&ana, &talk, &new_id(), &message(file)).await.expecting(201);
    rig.stop().await;
}

#[tokio::test]
async fn what_is_no_file_of_the_sender_is_not_sent() {
    let rig = Rig::start().await;
    let files = Files::without_service(&rig).await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let talk = ana.with(&ben);
    let own = files.picture(&ana.user, 1).await;
    let bens = files.picture(&ben.user, 2).await;
    let mut unfinished = picture(&ana.user, 3);
    unfinished.state = State::Receiving;
    files.write(&unfinished).await;
    let missing = UploadId::from_entropy([4; 20]);
    // After a loss the records may lack what there is: as long as that may be, nothing is refused
    // for good.
    ana.say(&talk, "words").await;
    let event = message(&[json!({"id": missing})]);
    let is_undecided = async || send(&ana, &talk, &new_id(), &event).await.status == 503;
    eventually("the gateway has delivered what was said", is_undecided).await;
    files.catch_up().await;
    for file in [
        json!({}),
        json!({"id": 7}),
        json!({"id": "made-up"}),
        json!({"id": missing}),
        json!({"id": bens}),
        json!({"id": unfinished.id}),
    ] {
        let event = message(&[json!({"id": own}), file.clone()]);
        send(&ana, &talk, &new_id(), &event).await.refused(404, "not_found");
        let edited = ana.say(&talk, "words").await;
        let edit = json!({"kind": "edit", "target": edited, "text": "", "media": [file]});
        send(&ana, &talk, &new_id(), &edit).await.refused(404, "not_found");
    }
    let edited = ana.say(&talk, "words").await;
    let edit = json!({"kind": "edit", "target": edited, "text": "", "media": [{"id": own}]});
    send(&ana, &talk, &new_id(), &edit).await.expecting(201);
    rig.stop().await;
}

#[tokio::test]
async fn who_sees_a_file_sends_it_on_within_the_conversation_and_who_does_not_cannot() {
    let rig = Rig::start().await;
    let files = Files::without_service(&rig).await;
    let [ana, ben] = [rig.person("ana").await, rig.person("ben").await];
    let eve = rig.person("eve").await;
    let group = ana.found("tea", &[&ben]).await;
    let seq = ana.say(&group, "look").await;
    let file = files.sent(&ana.user, 1, &group, &[seq]).await;
    let add = json!({"kind": "member", "op": "add", "user": eve.user});
    send(&ana, &group, &new_id(), &add).await.expecting(201);
    let event = message(&[json!({"id": file})]);
    // As long as the records may lack a message that she sees, it is not refused for good.
    let is_undecided = async || send(&eve, &group, &new_id(), &event).await.status == 503;
    eventually("the gateway has delivered what was said", is_undecided).await;
    files.catch_up().await;
    send(&eve, &group, &new_id(), &event).await.refused(404, "not_found");
    let sent = send(&ben, &group, &new_id(), &event).await.expecting(201);
    files.sent(&ana.user, 1, &group, &[seq, sent["seq"].as_u64().expect("a place")]).await;
    send(&eve, &group, &new_id(), &event).await.expecting(201);
    rig.stop().await;
}

#[tokio::test]
async fn those_who_see_a_message_are_told_that_its_file_is_ready() {
    let rig = Rig::start().await;
    let files = Files::without_service(&rig).await;
    let [ana, ben] = [rig.person("ana").await, rig.person("ben").await];
    let [cleo, eve] = [rig.person("cleo").await, rig.person("eve").await];
    let group = ana.found("tea", &[&ben, &cleo]).await;
    let first = ana.say(&group, "look").await;
    let remove = json!({"kind": "member", "op": "remove", "user": cleo.user});
    send(&ana, &group, &new_id(), &remove).await.expecting(201);
    let add = json!({"kind": "member", "op": "add", "user": eve.user});
    send(&ana, &group, &new_id(), &add).await.expecting(201);
    let mut sockets = Vec::new();
    for person in [&ana, &ben, &cleo, &eve] {
        sockets.push(Wire::of(person).await);
    }
    let home = Home::Conversation(group.parse().expect("an id"));
    let references = [Seq(first)].into();
    let upload = Upload { home, references, ..picture(&ana.user, 1) };
    let conversation = group.parse().expect("an id");
    let notice = ReadyNotice { conversation, references: upload.references.clone(), upload };
    // Nobody is told twice, and who has just subscribed may miss one.
    let subscribed = async || {
        files.bucket.tell_ready(&notice).await.expect("told");
        let told = tokio::time::timeout(Duration::from_millis(200), sockets[0].until("media"));
        told.await.is_ok()
    };
    eventually("the gateway hears of it", subscribed).await;
    let frame = sockets[1].until("media").await;
    let wanted = json!({"thumb": {"type": "image/webp", "size": 5, "width": 4, "height": 3}});
    assert_eq!((&frame["conversation"], &frame["seq"]), (&json!(group), &json!(first)));
    assert_eq!((&frame["media"]["state"], &frame["media"]["variants"]), (&json!("ready"), &wanted));
    // Neither who was removed nor who came later: a pong is behind everything that was told.
    for socket in &mut sockets[2..] {
        socket.say(&json!({"type": "ping", "ref": 1})).await;
        let frames = tokio::time::timeout(DEADLINE, socket.through("pong")).await.expect("a pong");
        assert!(frames.iter().all(|frame| frame["type"] != "media"), "{frames:?}");
    }
    rig.stop().await;
}

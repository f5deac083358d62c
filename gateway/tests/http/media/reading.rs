//! Who gets the bytes of a file, and who learns that there is one.

use std::time::Duration;

use hansard_model::media::{Allows, Home, State, Upload, Variant};
use hansard_model::{Seq, UploadId, UserId};
use serde_json::{Value, json};

use crate::media::service::{Files, granted, picture};
use crate::rig::{DEADLINE, Person, Rig, eventually, new_id};
use crate::wire::Wire;

/// A deployment with a media service, and some people.
async fn stage<const N: usize>(handles: [&str; N]) -> (Rig, Files, [Person; N]) {
    let rig = Rig::start().await;
    let files = Files::of(&rig).await;
    let mut people = Vec::new();
    for handle in handles {
        people.push(rig.person(handle).await);
    }
    let people = people.try_into().unwrap_or_else(|_| panic!("as many"));
    (rig, files, people)
}

async fn change(of: &Person, group: &str, event: Value) -> u64 {
    let path = format!("/v1/conversations/{group}/messages");
    let sent = of.client.post(&path, &json!({"id": new_id(), "event": event})).await;
    sent.expecting(201)["seq"].as_u64().expect("a place")
}

fn path(id: UploadId) -> String {
    format!("/v1/media/{id}")
}

async fn status(person: &Person, path: &str) -> u16 {
    person.client.get(path).await.status
}

#[tokio::test]
async fn only_those_who_see_a_message_that_has_a_file_get_its_bytes() {
    let (rig, files, people) = stage(["ana", "ben", "cleo", "dan", "eve"]).await;
    let [ana, ben, cleo, dan, eve] = &people;
    let group = ana.found("tea", &[ben, cleo]).await;
    let seq = ana.say(&group, "look").await;
    let shared = files.sent(&ana.user, 1, &group, &[seq]).await;
    change(ana, &group, json!({"kind": "member", "op": "remove", "user": cleo.user})).await;
    change(ana, &group, json!({"kind": "member", "op": "add", "user": eve.user})).await;
    files.catch_up().await;
    let unsent = files.picture(&ana.user, 2).await;
    let talk = ana.with(ben);
    let seq = ana.say(&talk, "for you").await;
    let private = files.sent(&ana.user, 3, &talk, &[seq]).await;
    let table: [(&Person, [u16; 3]); 5] = [
        (ana, [200, 200, 200]),  // who uploaded it
        (ben, [200, 404, 200]),  // a member, of the direct conversation too
        (cleo, [404, 404, 404]), // a member that was
        (dan, [404, 404, 404]),  // a stranger
        (eve, [404, 404, 404]),  // a member who came later
    ];
    for (person, wanted) in table {
        for (id, wanted) in [shared, unsent, private].into_iter().zip(wanted) {
            let paths = ["", "?variant=thumb", "/info", "/url", "/url?variant=thumb"];
            for suffix in paths {
                let answer = person.client.get(&format!("{}{suffix}", path(id))).await;
                assert_eq!(answer.status, wanted, "{} {id}{suffix}", person.user);
                if wanted == 404 {
                    answer.refused(404, "not_found");
                }
            }
            let head = person.client.send("HEAD", &path(id), None).await;
            assert_eq!(head.status, wanted);
        }
    }
    rig.client().get(&path(shared)).await.refused(401, "unauthorized");
    // Nobody was vouched for who was refused, and everybody else for what they asked.
    let readers: Vec<UserId> = [ana, ben].map(|person| person.user.parse().expect("id")).into();
    for heard in files.heard() {
        assert!(readers.contains(&granted(&heard).0), "{heard:?}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn whoever_sees_one_of_the_messages_sees_the_file_and_nothing_of_it_elsewhere() {
    let (rig, files, [ana, ben, eve]) = stage(["ana", "ben", "eve"]).await;
    let group = ana.found("tea", &[&ben]).await;
    let first = ana.say(&group, "look").await;
    change(&ana, &group, json!({"kind": "member", "op": "add", "user": eve.user})).await;
    let second = ana.say(&group, "look again").await;
    let file = files.sent(&ana.user, 1, &group, &[first, second]).await;
    assert_eq!(status(&eve, &path(file)).await, 200);
    files.catch_up().await;
    // A message that refers to a file of another conversation shares nothing of it.
    let other = eve.found("other", &[]).await;
    let stolen = json!({"kind": "message", "text": "", "media": [{"id": file}]});
    let stolen = json!({"id": new_id(), "event": stolen});
    let refused = eve.client.post(&format!("/v1/conversations/{other}/messages"), &stolen).await;
    refused.refused(404, "not_found");
    // Who sees no message of before sees what one was edited to since.
    let edited = files.sent(&ana.user, 2, &group, &[first]).await;
    assert_eq!(status(&eve, &path(edited)).await, 404);
    let edit = change(&ana, &group, json!({"kind": "edit", "target": first, "text": "now"})).await;
    let mut record = files.read(edited).await;
    record.edits.insert(Seq(first), Seq(edit));
    files.write(&record).await;
    assert_eq!(status(&eve, &path(edited)).await, 200);
    // Leaving ends it, also for who uploaded it.
    change(&eve, &group, json!({"kind": "member", "op": "leave", "user": eve.user})).await;
    assert_eq!(status(&eve, &path(file)).await, 404);
    change(
        &ana,
        &group,
        json!({"kind": "member", "op": "role", "user": ben.user, "role": "owner"}),
    )
    .await;
    change(&ana, &group, json!({"kind": "member", "op": "leave", "user": ana.user})).await;
    assert_eq!(status(&ana, &path(file)).await, 404);
    assert_eq!(status(&ben, &path(file)).await, 200);
    rig.stop().await;
}

#[tokio::test]
async fn a_file_is_awaited_until_the_records_have_the_message_that_was_delivered() {
    let (rig, files, [ana, ben]) = stage(["ana", "ben"]).await;
    let talk = ana.with(&ben);
    let mut bens = Wire::of(&ben).await;
    let seq = ana.say(&talk, "look").await;
    assert_eq!(bens.until("event").await["seq"], seq);
    let file = files.sent(&ana.user, 1, &talk, &[]).await;
    let asked = path(file);
    let mut asking = std::pin::pin!(ben.client.get(&asked));
    let early = tokio::time::timeout(Duration::from_millis(300), &mut asking).await;
    assert!(early.is_err(), "it is not known yet whether he sees it");
    files.sent(&ana.user, 1, &talk, &[seq]).await;
    assert_eq!(asking.await.status, 200);
    // Without an answer in time it is not said that there is none.
    files.sent(&ana.user, 1, &talk, &[]).await;
    ben.client.get(&path(file)).await.refused(503, "unavailable");
    files.catch_up().await;
    ben.client.get(&path(file)).await.refused(404, "not_found");
    rig.stop().await;
}

#[tokio::test]
async fn what_is_not_ready_is_known_to_those_who_will_read_it_and_read_by_its_uploader() {
    let (rig, files, [ana, ben, dan]) = stage(["ana", "ben", "dan"]).await;
    let talk = ana.with(&ben);
    let seq = ana.say(&talk, "look").await;
    let home = Home::Conversation(talk.parse().expect("an id"));
    let mut upload = Upload {
        home,
        references: [Seq(seq)].into(),
        state: State::Processing,
        ..picture(&ana.user, 1)
    };
    upload.contents.remove(&Variant::Thumb);
    files.write(&upload).await;
    let own = path(upload.id);
    assert_eq!(status(&ana, &own).await, 200);
    let early = ben.client.get(&own).await;
    early.refused(503, "unavailable");
    assert_eq!(early.expecting(503)["error"]["retry_after_ms"], 1_000);
    for person in [&ana, &ben] {
        let info = person.client.get(&format!("{own}/info")).await.expecting(200);
        assert_eq!((&info["state"], &info["size"]), (&json!("processing"), &json!(9)));
        let thumb = person.client.get(&format!("{own}?variant=thumb")).await;
        thumb.refused(503, "unavailable");
    }
    dan.client.get(&format!("{own}/info")).await.refused(404, "not_found");
    let unfinished = Upload {
        state: State::Receiving,
        contents: [].into(),
        home: Home::Uploader,
        references: [].into(),
        ..picture(&ana.user, 2)
    };
    files.write(&unfinished).await;
    let own = path(unfinished.id);
    let info = ana.client.get(&format!("{own}/info")).await.expecting(200);
    let wanted = json!({
        "id": unfinished.id, "state": "uploading", "name": "cat.jpg", "size": 9, "length": 9,
        "offset": 5, "type": "application/octet-stream",
    });
    assert_eq!(info, wanted);
    ana.client.get(&own).await.refused(503, "unavailable");
    ben.client.get(&format!("{own}/info")).await.refused(404, "not_found");
    rig.stop().await;
}

#[tokio::test]
async fn a_signed_url_is_good_for_one_variant_one_session_and_a_while() {
    let (mut rig, files, [ana, ben, cleo]) = stage(["ana", "ben", "cleo"]).await;
    let group = ana.found("tea", &[&ben, &cleo]).await;
    let seq = ana.say(&group, "look").await;
    let file = files.sent(&ana.user, 1, &group, &[seq]).await;
    files.catch_up().await;
    let signed = ben.client.get(&format!("{}/url?variant=thumb", path(file))).await.expecting(200);
    let url = signed["url"].as_str().expect("a URL").to_owned();
    let stranger = rig.client();
    let got = stranger.get(&url).await;
    assert_eq!((got.status, got.text.as_str()), (200, "Thumb"));
    assert_eq!(got.headers["content-type"], "text/plain", "as the service says it");
    let heard = files.heard();
    let wanted = (ben.user.parse().expect("a user"), Allows::Read(file, Variant::Thumb));
    assert_eq!(granted(heard.last().expect("a request")), wanted);
    let other = files.sent(&ana.user, 2, &group, &[seq]).await;
    let device = ben.client.token.as_deref().and_then(|token| token.split('.').nth(1));
    let device = device.expect("a device");
    for forged in [
        url.replace("variant=thumb", "variant=file"),
        url.replace("variant=thumb&", ""),
        url.replace(&file.to_string(), &other.to_string()),
        url.replace(&ben.user, &ana.user),
        url.replace(device, &ana.user),
        url.replace("expires=1", "expires=2"),
        url[..url.len() - 1].to_owned(),
    ] {
        assert_ne!(forged, url);
        stranger.get(&forged).await.refused(401, "unauthorized");
    }
    stranger.get(&format!("{url}&signature=x")).await.refused(400, "bad_frame");
    let bare = format!("{}?signature=x", path(file));
    stranger.get(&bare).await.refused(400, "bad_frame");
    assert!(files.heard().is_empty(), "nobody was vouched for");
    // Every gateway takes it, and a removal ends it.
    let elsewhere =
        rig.add_gateway(|config| config.media_url_ttl = Duration::from_millis(300)).await;
    assert_eq!(elsewhere.get(&url).await.status, 200);
    // Who logs out takes what they had with them, and nothing of their other devices.
    let second = rig.client().log_in("ben").await;
    let own = second.get(&format!("{}/url?variant=thumb", path(file))).await.expecting(200);
    let own = own["url"].as_str().expect("a URL").to_owned();
    assert_eq!(stranger.get(&own).await.status, 200);
    let device = second.token.as_deref().and_then(|token| token.split('.').nth(1));
    second.delete(&format!("/v1/sessions/{}", device.expect("a device"))).await.expecting(204);
    stranger.get(&own).await.refused(401, "unauthorized");
    eventually("the other gateway", async || elsewhere.get(&own).await.status == 401).await;
    assert_eq!(stranger.get(&url).await.status, 200);
    change(&ana, &group, json!({"kind": "member", "op": "remove", "user": ben.user})).await;
    stranger.get(&url).await.refused(404, "not_found");
    elsewhere.get(&url).await.refused(404, "not_found");
    let brief = elsewhere.with_token(cleo.client.token.as_deref().expect("a token"));
    let brief = brief.get(&format!("{}/url", path(file))).await.expecting(200);
    let brief = brief["url"].as_str().expect("a URL").to_owned();
    eventually("the URL ends", async || stranger.get(&brief).await.status == 401).await;
    tokio::time::timeout(DEADLINE, rig.stop()).await.expect("stopped");
}

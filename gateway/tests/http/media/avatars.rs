//! Pictures of people.

use hansard_model::UploadId;
use hansard_model::media::{Home, State, Upload, Variant};
use hansard_nats::accounts::AccountLog;
use hansard_nats::{Connection, ServiceRole};
use serde_json::json;

use crate::client::Client;
use crate::media::service::{Files, picture};
use crate::rig::Rig;

#[tokio::test]
async fn an_avatar_is_read_by_everybody_until_there_is_another() {
    let rig = Rig::start().await;
    let files = Files::of(&rig).await;
    let (ana, dan) = (rig.person("ana").await, rig.person("dan").await);
    let (first, second) = (files.picture(&ana.user, 1).await, files.picture(&ana.user, 2).await);
    let show = async |avatar: &str| {
        ana.client.patch("/v1/users/me", &json!({"avatar": avatar})).await.expecting(200)
    };
    let thumb = |id| format!("/v1/media/{id}?variant=thumb");
    dan.client.get(&thumb(first)).await.refused(404, "not_found");
    assert_eq!(show(&first.to_string()).await["avatar"], json!(first));
    assert_eq!(show(&first.to_string()).await["avatar"], json!(first), "again");
    assert_eq!(dan.client.get(&thumb(first)).await.status, 200);
    rig.client().get(&thumb(first)).await.refused(401, "unauthorized");
    show(&second.to_string()).await;
    assert_eq!(dan.client.get(&thumb(second)).await.status, 200);
    dan.client.get(&thumb(first)).await.refused(404, "not_found");
    assert_eq!(ana.client.get(&thumb(first)).await.status, 200);
    let former = files.read(first).await;
    assert_eq!(former.home, Home::Uploader);
    assert!(former.keep_until > picture(&ana.user, 1).keep_until);
    assert!(show("").await.get("avatar").is_none());
    dan.client.get(&thumb(second)).await.refused(404, "not_found");
    rig.stop().await;
}

/// Each takes for the former one what it knew when its own change began.
#[tokio::test]
async fn two_gateways_leave_the_avatar_that_the_account_names() {
    let mut rig = Rig::start().await;
    let files = Files::without_service(&rig).await;
    let elsewhere = rig.add_gateway(|_| {}).await;
    let ana = rig.person("ana").await;
    let other = elsewhere.log_in("ana").await;
    let pictures = [files.picture(&ana.user, 1).await, files.picture(&ana.user, 2).await];
    let show = async |client: &Client, avatar: UploadId| {
        client.patch("/v1/users/me", &json!({"avatar": avatar})).await.expecting(200);
    };
    let operator = Connection::connect(rig.endpoint(), ServiceRole::Operator).await;
    let accounts = AccountLog::open(&operator.expect("connected"));
    let user = ana.user.parse().expect("a user");
    for round in 0..12 {
        let [from, to] = [pictures[round % 2], pictures[(round + 1) % 2]];
        show(&ana.client, from).await;
        tokio::join!(show(&ana.client, to), show(&other, from));
        let named = accounts.avatar(user).await.expect("an answer").expect("an avatar");
        assert_eq!(files.read(named).await.home, Home::Avatar, "in round {round}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn only_an_own_picture_that_is_ready_and_private_becomes_an_avatar() {
    let rig = Rig::start().await;
    let files = Files::without_service(&rig).await;
    let (ana, dan) = (rig.person("ana").await, rig.person("dan").await);
    let talk = ana.with(&dan);
    let foreign = files.picture(&dan.user, 1).await;
    let sent = files.sent(&ana.user, 2, &talk, &[1]).await;
    let early = Upload { state: State::Processing, ..picture(&ana.user, 3) };
    let mut plain = picture(&ana.user, 4);
    plain.contents.remove(&Variant::Thumb);
    files.write(&early).await;
    files.write(&plain).await;
    let table = [
        ("made-up".to_owned(), 400, "bad_frame"),
        (picture(&ana.user, 5).id.to_string(), 404, "not_found"),
        (foreign.to_string(), 404, "not_found"),
        (sent.to_string(), 409, "conflict"),
        (early.id.to_string(), 503, "unavailable"),
        (plain.id.to_string(), 400, "bad_frame"),
    ];
    for (avatar, status, code) in table {
        let refused = ana.client.patch("/v1/users/me", &json!({"avatar": avatar})).await;
        refused.refused(status, code);
    }
    // What is refused for its name shows nothing either.
    let fit = files.picture(&ana.user, 6).await;
    let refused = ana.client.patch("/v1/users/me", &json!({"avatar": fit, "name": " "})).await;
    refused.refused(400, "empty");
    assert_eq!(files.read(fit).await.home, Home::Uploader);
    assert!(ana.client.get("/v1/users/me").await.expecting(200).get("avatar").is_none());
    rig.stop().await;
}

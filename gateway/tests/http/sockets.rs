//! What happens over HTTP and shows on sockets.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::client::Client;
use crate::rig::Rig;
use crate::wire::Wire;

async fn listen(client: &Client) -> Wire {
    Wire::hello_of(client, json!({})).await.0
}

#[tokio::test]
async fn a_revoked_session_closes_its_sockets_everywhere() {
    let mut rig = Rig::start().await;
    let elsewhere = rig.add_gateway(|_| {}).await;
    let ana = rig.person("ana").await;
    let phone = rig.client().log_in("ana").await;
    let phone_elsewhere = elsewhere.with_token(phone.token.as_deref().expect("a token"));
    let mut here = listen(&phone).await;
    let mut there = listen(&phone_elsewhere).await;
    let mut own = listen(&ana.client).await;
    let sessions = ana.client.get("/v1/sessions").await.expecting(200);
    let sessions = sessions["items"].as_array().expect("a list").clone();
    let other = sessions.iter().find(|session| session["current"] == false).expect("the phone");
    let path = format!("/v1/sessions/{}", other["device"].as_str().expect("an id"));
    let revoked = Instant::now();
    assert_eq!(ana.client.delete(&path).await.status, 204);
    assert_eq!((here.end().await.0, there.end().await.0), (4003, 4003));
    assert!(revoked.elapsed() < Duration::from_secs(2), "{:?}", revoked.elapsed());
    own.say(&json!({"type": "ping", "ref": 1})).await;
    own.until("pong").await;
    rig.stop().await;
}

#[tokio::test]
async fn a_session_that_expires_closes_its_socket_unless_it_was_refreshed() {
    let rig = Rig::start_with(|config| config.session_ttl = Duration::from_secs(4)).await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let mut expiring = listen(&ben.client).await;
    let mut refreshed = listen(&ana.client).await;
    assert_eq!(expiring.until_closed_refreshing(&ana.client).await, 4001);
    refreshed.say(&json!({"type": "ping", "ref": 1})).await;
    refreshed.until("pong").await;
    rig.stop().await;
}

impl Wire {
    /// The close code; until then another session is refreshed every second.
    async fn until_closed_refreshing(&mut self, client: &Client) -> u16 {
        let mut client = client.clone();
        let refreshing = async {
            loop {
                tokio::time::sleep(Duration::from_secs(1)).await;
                let refreshed =
                    client.post("/v1/sessions/refresh", &json!({})).await.expecting(201);
                client = client.with_token(refreshed["token"].as_str().expect("a token"));
            }
        };
        tokio::select! {
            (code, _) = self.end() => code,
            () = refreshing => unreachable!("it refreshes for ever"),
        }
    }
}

#[tokio::test]
async fn settings_reach_the_own_devices_and_profiles_the_people_one_talks_to() {
    let mut rig = Rig::start().await;
    let elsewhere = rig.add_gateway(|_| {}).await;
    let (ana, ben, cleo) =
        (rig.person("ana").await, rig.person("ben").await, rig.person("cleo").await);
    let talk = ana.with(&ben);
    ana.say(&talk, "hi").await;
    let group = ana.found("tea", &[&cleo]).await;
    let anas = elsewhere.with_token(ana.client.token.as_deref().expect("a token"));
    let mut anas = listen(&anas).await;
    let mut bens = listen(&ben.client).await;
    let mut cleos = listen(&cleo.client).await;

    let path = format!("/v1/conversations/{group}/me");
    ana.client.patch(&path, &json!({"pinned": true})).await.expecting(200);
    let frame = anas.until("conversation").await;
    assert_eq!((&frame["conversation"], &frame["pinned"]), (&json!(group), &json!(true)));

    ana.client.patch("/v1/users/me", &json!({"name": "Ana B."})).await.expecting(200);
    for socket in [&mut anas, &mut bens, &mut cleos] {
        let frame = socket.until("user").await;
        assert_eq!((&frame["user"], &frame["name"]), (&json!(ana.user), &json!("Ana B.")));
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_message_sent_over_http_arrives_on_sockets_of_every_gateway() {
    let mut rig = Rig::start().await;
    let elsewhere = rig.add_gateway(|_| {}).await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let bens = elsewhere.with_token(ben.client.token.as_deref().expect("a token"));
    let mut sockets = [listen(&ana.client).await, listen(&bens).await];
    let seq = ana.say(&ana.with(&ben), "hi").await;
    for socket in &mut sockets {
        assert_eq!(socket.until("event").await["seq"], seq);
    }
    rig.stop().await;
}

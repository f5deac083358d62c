//! `/v1/users` and `/v1/sessions`.

use hansard_gateway::config::Rate;
use serde_json::json;

use crate::rig::{PASSWORD, Rig, new_id};

#[tokio::test]
async fn a_creation_sent_again_makes_no_second_user() {
    let mut rig = Rig::start().await;
    let elsewhere = rig.add_gateway(|_| {}).await;
    let client = rig.client();
    let request = json!({"id": new_id(), "handle": "ana", "password": PASSWORD, "name": "Ana"});
    let first = client.post("/v1/users", &request).await.expecting(201);
    assert_eq!((&first["handle"], &first["name"]), (&json!("ana"), &json!("Ana")));
    assert_eq!(client.post("/v1/users", &request).await.expecting(200), first);
    assert_eq!(elsewhere.post("/v1/users", &request).await.expecting(200), first);
    let mut other = request.clone();
    other["password"] = json!("another horse");
    elsewhere.post("/v1/users", &other).await.refused(409, "id_reused");
    let mut other = request.clone();
    other["handle"] = json!("anna");
    client.post("/v1/users", &other).await.refused(409, "id_reused");
    rig.stop().await;
}

#[tokio::test]
async fn of_many_who_want_a_handle_one_gets_it() {
    let mut rig = Rig::start().await;
    let clients = [rig.client(), rig.add_gateway(|_| {}).await];
    let race = (0..8).map(|n| {
        let client = clients[n % 2].clone();
        async move {
            let request = json!({"id": new_id(), "handle": "ana", "password": PASSWORD});
            client.post("/v1/users", &request).await
        }
    });
    let answers = futures_util::future::join_all(race).await;
    let won = answers.iter().filter(|answer| answer.status == 201).count();
    assert_eq!(won, 1);
    for answer in answers.iter().filter(|answer| answer.status != 201) {
        answer.refused(409, "handle_taken");
    }
    rig.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_an_account_is_said() {
    let rig = Rig::start().await;
    let client = rig.client();
    let create = async |change: serde_json::Value| {
        let mut request = json!({"id": new_id(), "handle": "ana", "password": PASSWORD});
        for (key, value) in change.as_object().expect("an object") {
            request[key] = value.clone();
        }
        client.post("/v1/users", &request).await
    };
    create(json!({"id": "1"})).await.refused(400, "bad_id");
    create(json!({"handle": "A B"})).await.refused(400, "bad_frame");
    create(json!({"password": "short"})).await.refused(400, "bad_frame");
    create(json!({"name": " "})).await.refused(400, "empty");
    create(json!({"name": "x".repeat(200)})).await.refused(413, "too_large");
    rig.stop().await;
}

#[tokio::test]
async fn only_the_right_password_logs_in_on_any_gateway() {
    let mut rig = Rig::start().await;
    let ana = rig.person("ana").await;
    let elsewhere = rig.add_gateway(|_| {}).await;
    let wrong = json!({"handle": "ana", "password": "wrong horse"});
    elsewhere.post("/v1/sessions", &wrong).await.refused(401, "unauthorized");
    let nobody = json!({"handle": "nobody", "password": PASSWORD});
    elsewhere.post("/v1/sessions", &nobody).await.refused(401, "unauthorized");
    let there = elsewhere.log_in("ana").await;
    assert_eq!(there.get("/v1/users/me").await.expecting(200)["user"], ana.user.as_str());
    // A token that was opened a moment ago elsewhere is known here.
    let here = rig.client().with_token(there.token.as_deref().expect("a token"));
    here.get("/v1/users/me").await.expecting(200);
    rig.client().get("/v1/users/me").await.refused(401, "unauthorized");
    here.with_token("nonsense").get("/v1/users/me").await.refused(401, "unauthorized");
    rig.stop().await;
}

#[tokio::test]
async fn a_revoked_session_is_refused_and_the_others_stay() {
    let rig = Rig::start().await;
    let ana = rig.person("ana").await;
    let second = rig.client().log_in("ana").await;
    let list = ana.client.get("/v1/sessions").await.expecting(200);
    let sessions = list["items"].as_array().expect("a list");
    assert_eq!(sessions.len(), 2);
    let other = sessions.iter().find(|session| session["current"] == false).expect("the other");
    let path = format!("/v1/sessions/{}", other["device"].as_str().expect("an id"));
    assert_eq!(ana.client.delete(&path).await.status, 204);
    second.get("/v1/users/me").await.refused(401, "unauthorized");
    ana.client.get("/v1/users/me").await.expecting(200);
    ana.client.delete(&path).await.refused(404, "not_found");
    ana.client.delete("/v1/sessions/x*").await.refused(400, "bad_id");
    rig.stop().await;
}

#[tokio::test]
async fn a_refresh_replaces_the_token_of_the_same_device() {
    let rig = Rig::start().await;
    let ana = rig.person("ana").await;
    let before = ana.client.get("/v1/sessions").await.expecting(200);
    let refreshed = ana.client.post("/v1/sessions/refresh", &json!({})).await.expecting(201);
    assert_eq!(refreshed["device"], before["items"][0]["device"]);
    let client = ana.client.with_token(refreshed["token"].as_str().expect("a token"));
    let after = client.get("/v1/sessions").await.expecting(200);
    assert_eq!(after["items"].as_array().map(Vec::len), Some(1));
    // The answer may be lost: the old token lasts a little longer.
    ana.client.get("/v1/users/me").await.expecting(200);
    rig.stop().await;
}

#[tokio::test]
async fn several_refreshes_at_once_log_nobody_out() {
    let rig = Rig::start().await;
    let ana = rig.person("ana").await;
    let nothing = json!({});
    let refreshes = (0..4).map(|_| ana.client.post("/v1/sessions/refresh", &nothing));
    for answer in futures_util::future::join_all(refreshes).await {
        answer.expecting(201);
    }
    rig.stop().await;
}

#[tokio::test]
async fn an_expired_token_is_refused() {
    let rig = Rig::start_with(|config| config.session_ttl = std::time::Duration::ZERO).await;
    let ana = rig.person("ana").await;
    ana.client.get("/v1/users/me").await.refused(401, "unauthorized");
    rig.stop().await;
}

#[tokio::test]
async fn people_are_found_by_id_handle_and_prefix() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    rig.person("anna").await;
    let handles = async |query: &str| {
        let list = ana.client.get(&format!("/v1/users?{query}")).await.expecting(200);
        let items = list["items"].as_array().expect("a list").clone();
        items.iter().map(|item| item["handle"].as_str().expect("a handle").to_owned()).collect()
    };
    let by = async |query: &str| -> Vec<String> { handles(query).await };
    assert_eq!(by("q=an").await, ["ana", "anna"]);
    assert_eq!(by("q=AN&limit=1").await, ["ana"]);
    assert_eq!(by("handle=ben").await, ["ben"]);
    assert_eq!(by("handle=no%20one").await, [""; 0]);
    assert_eq!(by(&format!("ids={},{}", ben.user, ana.user)).await, ["ben", "ana"]);
    ana.client.get("/v1/users").await.refused(400, "bad_frame");
    ana.client.get("/v1/users?q=a&handle=ana").await.refused(400, "bad_frame");
    ana.client.get(&format!("/v1/users/{}", "b".repeat(20))).await.refused(404, "not_found");
    ana.client.patch("/v1/users/me", &json!({"name": "Ana B."})).await.expecting(200);
    let path = format!("/v1/users/{}", ana.user);
    assert_eq!(ben.client.get(&path).await.expecting(200)["name"], "Ana B.");
    rig.stop().await;
}

#[tokio::test]
async fn guessing_passwords_is_slowed_down() {
    let rig = Rig::start_with(|config| config.rates.logins_per_handle = Rate::new(1, 3)).await;
    let client = rig.client();
    let guess = json!({"handle": "ana", "password": "wrong horse"});
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(client.post("/v1/sessions", &guess).await);
    }
    let limited = answers.iter().find(|answer| answer.status == 429).expect("too many");
    limited.refused(429, "rate_limited");
    assert!(limited.headers.contains_key("retry-after"));
    rig.stop().await;
}

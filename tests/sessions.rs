//! Accounts and sessions: who somebody is, on which device, and for how long.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Closed, Http, Roles, Serve, Socket, couple, mint, sign_up};

#[tokio::test]
async fn an_account_is_made_once_per_request_and_per_handle() {
    let serve = Serve::start().await;
    let http = Http::anonymous(serve.address);
    let request = json!({"id": mint(), "handle": "ana", "password": "long enough", "name": "Ana"});
    let first = http.ask("POST", "/v1/users", Some(&request)).await;
    assert_eq!((first.status, &first.body["name"]), (201, &json!("Ana")));
    let again = http.ask("POST", "/v1/users", Some(&request)).await;
    assert_eq!((again.status, &again.body), (200, &first.body));
    let taken = json!({"id": mint(), "handle": "ana", "password": "long enough"});
    let taken = http.ask("POST", "/v1/users", Some(&taken)).await;
    assert_eq!((taken.status, taken.code()), (409, "handle_taken"));
    let reused = json!({"id": request["id"], "handle": "ben", "password": "long enough"});
    assert_eq!(http.ask("POST", "/v1/users", Some(&reused)).await.code(), "id_reused");
    for (handle, password) in [("a", "long enough"), ("Ana", "long enough"), ("ana2", "short")] {
        let bad = json!({"id": mint(), "handle": handle, "password": password});
        let bad = http.ask("POST", "/v1/users", Some(&bad)).await;
        assert!((400..500).contains(&bad.status) && !bad.code().is_empty(), "{}", bad.text);
    }
}

#[tokio::test]
async fn ten_people_who_want_one_handle_leave_one_of_them_with_it() {
    let roles = Roles::start(2, 1).await;
    let attempts = (0..10).map(|attempt| {
        let http = Http::anonymous(roles.gateways[attempt % 2].address);
        tokio::spawn(async move {
            let request = json!({"id": mint(), "handle": "ana", "password": "long enough"});
            http.ask("POST", "/v1/users", Some(&request)).await.status
        })
    });
    let mut statuses = Vec::new();
    for attempt in attempts.collect::<Vec<_>>() {
        statuses.push(attempt.await.unwrap());
    }
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409, 409, 409, 409, 409, 409, 409, 409]);
}

#[tokio::test]
async fn a_wrong_password_and_an_unknown_handle_are_answered_alike() {
    let serve = Serve::start().await;
    let http = Http::anonymous(serve.address);
    sign_up(serve.address, "ana").await;
    let mut answers = Vec::new();
    for handle in ["ana", "nobody"] {
        let request = json!({"handle": handle, "password": "not the password"});
        let answer = http.ask("POST", "/v1/sessions", Some(&request)).await;
        answers.push((answer.status, answer.text));
    }
    assert_eq!(answers[0].0, 401);
    assert_eq!(answers[0], answers[1]);
}

#[tokio::test]
async fn a_request_without_a_valid_token_is_refused() {
    let serve = Serve::start().await;
    let ana = sign_up(serve.address, "ana").await.log_in(serve.address).await;
    let mut stolen = ana.http.clone();
    let token = ana.token.clone();
    let wrong =
        format!("{}{}", &token[..token.len() - 1], if token.ends_with('A') { 'B' } else { 'A' });
    for token in [None, Some(wrong.clone()), Some("x".to_owned()), Some(String::new())] {
        stolen.token = token;
        let answer = stolen.ask("GET", "/v1/conversations", None).await;
        assert_eq!((answer.status, answer.code()), (401, "unauthorized"));
    }
    let mut socket = Socket::open(serve.address).await;
    socket.send(&json!({"type": "hello", "token": wrong})).await;
    let error = socket.frame("an error", |frame| frame["type"] == "error").await;
    assert_eq!(error["code"], "unauthorized");
    assert_eq!(socket.closed().await, Closed(4001));
}

#[tokio::test]
async fn revoking_a_session_closes_its_sockets_on_every_gateway_within_two_seconds() {
    let roles = Roles::start(2, 1).await;
    let [here, there] = [roles.gateways[0].address, roles.gateways[1].address];
    let person = sign_up(here, "ana").await;
    let (kept, lost) = (person.log_in(here).await, person.log_in(here).await);
    let mut sockets = [lost.connect().await, lost.at(there).connect().await];
    let mut stays = kept.connect().await;
    let listed = kept.http.get("/v1/sessions").await;
    assert_eq!(listed["items"].as_array().unwrap().len(), 2);

    let path = format!("/v1/sessions/{}", lost.device);
    assert_eq!(kept.http.ask("DELETE", &path, None).await.status, 204);
    for socket in &mut sockets {
        assert_eq!(socket.closed_within(Duration::from_secs(2)).await, Closed(4003));
    }
    for gateway in [here, there] {
        let refused = lost.at(gateway).http.ask("GET", "/v1/conversations", None).await;
        assert_eq!(refused.status, 401);
    }
    stays.cursor().await;
    assert_eq!(kept.http.get("/v1/sessions").await["items"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn refreshing_a_token_keeps_device_and_open_sockets() {
    let serve = Serve::start().await;
    let ana = sign_up(serve.address, "ana").await.log_in(serve.address).await;
    let mut socket = ana.connect().await;
    let fresh = ana.http.post("/v1/sessions/refresh", &json!({})).await;
    assert_eq!(fresh["device"], *ana.device);
    assert_ne!(fresh["token"], *ana.token);
    let token = fresh["token"].as_str().map(str::to_owned);
    Http { address: serve.address, token }.get("/v1/conversations").await;
    socket.cursor().await;
}

#[tokio::test]
async fn people_are_found_by_handle_id_and_prefix() {
    let serve = Serve::start().await;
    let (ana, ben, _) = couple(serve.address).await;
    let items = async |query: String| -> Vec<Value> {
        ana.http.get(&format!("/v1/users?{query}")).await["items"].as_array().unwrap().clone()
    };
    assert_eq!(items("handle=ben".to_owned()).await[0]["user"], *ben.user);
    assert_eq!(items(format!("ids={},{}", ana.user, ben.user)).await.len(), 2);
    assert_eq!(items("q=be".to_owned()).await[0]["handle"], "ben");
    assert_eq!(items("handle=nobody".to_owned()).await, [] as [Value; 0]);
    let named = ana.http.ask("PATCH", "/v1/users/me", Some(&json!({"name": "Ana B."}))).await;
    assert_eq!((named.status, &named.body["name"]), (200, &json!("Ana B.")));
    let shown = ben.http.get(&format!("/v1/users/{}", ana.user)).await;
    assert_eq!(shown["name"], "Ana B.");
}

#[tokio::test]
async fn a_ninth_connection_of_a_device_is_refused_and_the_others_stay() {
    let serve = Serve::start().await;
    let ana = sign_up(serve.address, "ana").await.log_in(serve.address).await;
    let mut sockets = Vec::new();
    for _ in 0..8 {
        sockets.push(ana.connect().await);
    }
    let mut ninth = Socket::open(serve.address).await;
    ninth.send(&json!({"type": "hello", "token": ana.token})).await;
    assert!(matches!(ninth.closed().await, Closed(4000..=4099)));
    for socket in &mut sockets {
        socket.cursor().await;
    }
}

#[tokio::test]
async fn what_is_not_there_is_answered_with_a_typed_error() {
    let serve = Serve::start().await;
    let ana = sign_up(serve.address, "ana").await.log_in(serve.address).await;
    for (method, path, status) in [
        ("GET", "/v1/nothing", 404),
        ("GET", "/v1/search?q=has:foo", 400),
        ("PUT", "/v1/conversations", 405),
        ("GET", "/v1/conversations/*", 400),
        ("GET", "/v1/conversations?limit=0", 400),
        ("POST", "/v1/conversations", 400),
    ] {
        let answer = ana.http.ask(method, path, None).await;
        assert_eq!(answer.status, status, "{method} {path}: {}", answer.text);
        let error = &answer.body["error"];
        for field in ["code", "message", "stored", "retry"] {
            assert!(error[field].is_string(), "{method} {path}: {}", answer.text);
        }
        assert!(answer.head.to_ascii_lowercase().contains("content-type: application/json"));
    }
}

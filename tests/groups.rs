//! A group from its creation to its last member's leave.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{
    Serve, Session, assert_chain, eventually, message, mint, seq_of, sign_up, text_of,
};

async fn people(serve: &Serve, handles: &[&str]) -> Vec<Session> {
    let mut sessions = Vec::new();
    for handle in handles {
        sessions.push(sign_up(serve.address, handle).await.log_in(serve.address).await);
    }
    sessions
}

fn member(op: &str, user: &str) -> Value {
    json!({"kind": "member", "user": user, "op": op})
}

fn role(user: &str, role: &str) -> Value {
    json!({"kind": "member", "user": user, "op": "role", "role": role})
}

async fn members(session: &Session, group: &str) -> Vec<(String, String)> {
    let list = session.http.get(&format!("/v1/conversations/{group}/members")).await;
    let items = list["items"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    items.map(|item| (text(&item["user"]), text(&item["role"]))).collect()
}

#[tokio::test]
async fn creating_a_group_again_with_the_same_id_gives_the_same_group() {
    let serve = Serve::start().await;
    let [ana, ben] = people(&serve, &["ana", "ben"]).await.try_into().unwrap();
    let request = json!({"id": mint(), "kind": "group", "title": "ours", "members": [ben.user]});
    let first = ana.http.ask("POST", "/v1/conversations", Some(&request)).await;
    assert_eq!(first.status, 201, "{}", first.text);
    let again = ana.http.ask("POST", "/v1/conversations", Some(&request)).await;
    assert_eq!((again.status, &again.body["conversation"]), (200, &first.body["conversation"]));
    assert_eq!(first.body["kind"], "group");
    assert_eq!(first.body["title"], "ours");
    assert_eq!(first.body["role"], "owner");
    assert_eq!(first.body["member_count"], 2);
    let other = json!({"id": request["id"], "kind": "group", "title": "mine", "members": []});
    let reused = ana.http.ask("POST", "/v1/conversations", Some(&other)).await;
    assert_eq!((reused.status, reused.code()), (409, "id_reused"));
    let unknown = json!({"id": mint(), "kind": "group", "title": "t",
        "members": ["aaaaaaaaaaaaaaaaaaaa"]});
    let unknown = ana.http.ask("POST", "/v1/conversations", Some(&unknown)).await;
    assert_eq!((unknown.status, unknown.code()), (404, "not_found"));
}

#[tokio::test]
async fn members_come_and_go_and_see_what_happened_while_they_were_there() {
    let serve = Serve::start().await;
    let [ana, ben, cem] = people(&serve, &["ana", "ben", "cem"]).await.try_into().unwrap();
    let (mut bens, mut cems) = (ben.connect().await, cem.connect().await);
    let group = ana.create_group("ours", &[&ben.user]).await;
    bens.frame("the new group", |frame| {
        frame["type"] == "conversation" && frame["conversation"] == *group
    })
    .await;
    let early = ana.store(&group, &message("before cem")).await;
    assert_eq!(cem.refused(&group, &message("knock")).await, "not_a_member");

    let added = ana.store(&group, &member("add", &cem.user)).await;
    cems.frame("the conversation", |frame| {
        frame["type"] == "conversation" && frame["conversation"] == *group
    })
    .await;
    cems.event(&group, added).await;
    let seq = ben.store(&group, &message("welcome")).await;
    assert_eq!(text_of(&cems.event(&group, seq).await), "welcome");
    assert!(cems.events(&group).iter().all(|event| seq_of(event) > early));
    assert!(cem.events(&group).await.iter().all(|event| seq_of(event) >= added));
    assert_eq!(cem.in_inbox(&group).await.unwrap()["view_from"], added);

    let removed = ana.store(&group, &member("remove", &cem.user)).await;
    let last = cems.event(&group, removed).await;
    assert_eq!(last["body"]["event"]["op"], "remove");
    assert_eq!(cem.refused(&group, &message("hey!")).await, "not_a_member");
    let path = format!("/v1/conversations/{group}/events");
    assert_eq!(cem.http.ask("GET", &path, None).await.code(), "not_a_member");
    let path = format!("/v1/conversations/{group}/messages");
    assert_eq!(cem.http.ask("GET", &path, None).await.code(), "not_a_member");
    ana.store(&group, &message("without cem")).await;

    let again = ana.store(&group, &member("add", &cem.user)).await;
    cems.event(&group, again).await;
    let seen: Vec<u64> = cems.events(&group).iter().map(seq_of).collect();
    assert_eq!(seen, [added, seq, removed, again]);
    let left = cem.store(&group, &member("leave", &cem.user)).await;
    cems.event(&group, left).await;
    let everything = ben.events(&group).await;
    assert_chain(&everything);
    assert_eq!(everything.len(), 8);
}

#[tokio::test]
async fn roles_decide_who_may_change_the_group() {
    let serve = Serve::start().await;
    let [ana, ben, cem] = people(&serve, &["ana", "ben", "cem"]).await.try_into().unwrap();
    let group = ana.create_group("ours", &[&ben.user, &cem.user]).await;
    let title = json!({"kind": "title", "title": "his"});
    let seq = cem.store(&group, &message("hello")).await;
    let pin = json!({"kind": "pin", "target": seq, "op": "add"});
    for event in [&title, &pin, &member("remove", &cem.user), &role(&ben.user, "admin")] {
        assert_eq!(ben.refused(&group, event).await, "forbidden", "{event}");
    }
    ana.store(&group, &role(&ben.user, "admin")).await;
    ben.store(&group, &title).await;
    ben.store(&group, &pin).await;
    ben.store(&group, &json!({"kind": "delete", "target": seq})).await;
    assert_eq!(ben.refused(&group, &member("remove", &ana.user)).await, "forbidden");
    assert_eq!(ben.in_inbox(&group).await.unwrap()["title"], "his");
    let roles = members(&cem, &group).await;
    let role_of = |user: &str| roles.iter().find(|(of, _)| of == user).unwrap().1.clone();
    assert_eq!(role_of(&ana.user), "owner");
    assert_eq!(role_of(&ben.user), "admin");
    assert_eq!(role_of(&cem.user), "member");
    ben.store(&group, &member("remove", &cem.user)).await;
    assert_eq!(members(&ana, &group).await.len(), 2);
}

#[tokio::test]
async fn a_full_group_takes_nobody_until_somebody_leaves() {
    let serve = Serve::with(&["--group-limit", "3"]).await;
    let [ana, ben, cem, dan] =
        people(&serve, &["ana", "ben", "cem", "dan"]).await.try_into().unwrap();
    let four = json!({"id": mint(), "kind": "group", "title": "t",
        "members": [ben.user, cem.user, dan.user]});
    let refused = ana.http.ask("POST", "/v1/conversations", Some(&four)).await;
    assert_eq!((refused.status, refused.code()), (409, "group_full"));
    let group = ana.create_group("three", &[&ben.user, &cem.user]).await;
    assert_eq!(ana.refused(&group, &member("add", &dan.user)).await, "group_full");
    assert_eq!(ana.refused(&group, &member("add", &cem.user)).await, "conflict");
    cem.store(&group, &member("leave", &cem.user)).await;
    ana.store(&group, &member("add", &dan.user)).await;
    assert_eq!(dan.in_inbox(&group).await.unwrap()["member_count"], 3);
}

#[tokio::test]
async fn a_removed_member_learns_it_when_coming_back() {
    let serve = Serve::start().await;
    let [ana, ben] = people(&serve, &["ana", "ben"]).await.try_into().unwrap();
    let group = ana.create_group("ours", &[&ben.user]).await;
    let said = ana.store(&group, &message("hi ben")).await;
    let mut socket = ben.connect().await;
    socket.event(&group, said).await;
    let cursor = socket.cursor().await;
    drop(socket);
    let missed = ana.store(&group, &message("still here?")).await;
    let removed = ana.store(&group, &member("remove", &ben.user)).await;
    let last = ana.store(&group, &message("about ben")).await;
    ana.connect().await.event(&group, last).await;

    let back = ben.resume(&cursor).await;
    let seqs: Vec<u64> = back.events(&group).iter().map(seq_of).collect();
    assert_eq!(seqs, [missed, removed]);
    let state = back.of_type("conversation");
    let state = state.iter().find(|frame| frame["conversation"] == *group).unwrap();
    assert_eq!(state["role"], Value::Null);
    eventually("the group to leave the inbox", async || ben.in_inbox(&group).await.is_none()).await;
}

#[tokio::test]
async fn a_removal_waits_for_what_is_on_its_way_and_not_for_what_was_only_read_or_refused() {
    let serve = Serve::start().await;
    let [ana, ben] = people(&serve, &["ana", "ben"]).await.try_into().unwrap();
    let group = ana.create_group("ours", &[&ben.user]).await;
    for op in ["remove", "add", "remove"] {
        ana.messages(&group).await;
        ana.refused(&group, &json!({"kind": "edit", "target": 999, "text": "x"})).await;
        ben.refused(&group, &json!({"kind": "title", "title": "his"})).await;
        let began = Instant::now();
        ana.store(&group, &member(op, &ben.user)).await;
        // Far below a lease, which is what it would wait out.
        assert!(began.elapsed() < Duration::from_millis(1_500), "{op}: {:?}", began.elapsed());
    }
}

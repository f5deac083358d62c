//! Presence and sessions: who is shown to whom, when, and who is not.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::harness::{
    Closed, DEADLINE, Patience, Plan, Roles, Serve, Session, Signal, Socket, couple, direct,
    eventually, message, sign_up, signal,
};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

/// How long after a drop a person is still shown.
const GRACE: Duration = Duration::from_secs(10);
/// When a change must be seen that nothing delays: two seconds, and more for a machine that does
/// other things; but less than the grace. How long it took is printed.
const SOON: Duration = Duration::from_secs(8);
/// When the end of a gateway must be seen: what it said ends, and then the grace.
const GATEWAY_GONE: Duration = Duration::from_secs(60 + 10);

/// The presence of a user as a socket was told it, in order.
fn told(socket: &Socket, user: &str) -> Vec<String> {
    let frames = socket.of_type("presence").into_iter().filter(|frame| frame["user"] == *user);
    frames.map(|frame| frame["state"].as_str().unwrap().to_owned()).collect()
}

/// Waits until a socket was told that many times of a user; the last frame, and how long it took.
async fn changes(socket: &mut Socket, user: &str, count: usize, within: Duration) -> Value {
    let asked = Instant::now();
    while told(socket, user).len() < count {
        let left = within.saturating_sub(asked.elapsed());
        let next = tokio::time::timeout(left, socket.next()).await;
        let seen = told(socket, user);
        next.unwrap_or_else(|_| panic!("not {count} changes within {within:?}: {seen:?}")).unwrap();
    }
    println!("change {count} of {user} after {:?}", asked.elapsed());
    socket.of_type("presence").into_iter().rfind(|frame| frame["user"] == *user).unwrap()
}

/// Watches people; returns when the socket was told of each.
async fn watch(socket: &mut Socket, users: &[&str]) {
    socket.send(&json!({"type": "watch", "users": users})).await;
    for user in users {
        let is_it = |frame: &Value| frame["type"] == "presence" && frame["user"] == **user;
        socket.frame("presence", is_it).await;
    }
}

/// Ends a connection as a page that is left does.
async fn close(mut socket: Socket) {
    let frame = CloseFrame { code: 1000.into(), reason: "".into() };
    socket.send_message(Message::Close(Some(frame))).await;
    socket.closed().await;
}

async fn person(roles: &Roles, gateway: usize, handle: &str) -> Session {
    let address = roles.gateways[gateway].address;
    sign_up(address, handle).await.log_in(address).await
}

/// Who of a conversation is there, over HTTP: the state of each, by user.
async fn shown(session: &Session, conversation: &str) -> Value {
    session.http.get(&format!("/v1/conversations/{conversation}/presence")).await
}

fn state_in(list: &Value, user: &str) -> String {
    let items = list["items"].as_array().unwrap();
    let item = items.iter().find(|item| item["user"] == *user);
    item.unwrap_or_else(|| panic!("{user} is not in {list}"))["state"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn coming_leaving_and_vanishing_are_seen_in_time_at_another_gateway() {
    let roles = Roles::start(2, 1).await;
    let (ana, ben) = (person(&roles, 0, "ana").await, person(&roles, 1, "ben").await);
    let conversation = direct(&ana.user, &ben.user);
    ana.store(&conversation, &message("hi")).await;
    let mut his = ben.connect().await;
    watch(&mut his, &[&ana.user]).await;
    assert_eq!(told(&his, &ana.user), ["offline"]);

    let hers = ana.connect().await;
    changes(&mut his, &ana.user, 2, SOON).await;
    close(hers).await;
    let gone = changes(&mut his, &ana.user, 3, SOON).await;
    assert!(gone["last_seen"].is_string(), "{gone}");
    assert_eq!(state_in(&shown(&ben, &conversation).await, &ana.user), "offline");

    let hers = ana.connect().await;
    changes(&mut his, &ana.user, 4, SOON).await;
    assert_eq!(state_in(&shown(&ben, &conversation).await, &ana.user), "online");
    // As with `kill -9`: the system closes the socket, and nobody says anything.
    let dropped = Instant::now();
    drop(hers);
    changes(&mut his, &ana.user, 5, GRACE + SOON).await;
    assert!(dropped.elapsed() > GRACE - Duration::from_secs(1), "{:?}", dropped.elapsed());
    // Logged out: at once, although she has just been here.
    let hers = ana.connect().await;
    changes(&mut his, &ana.user, 6, SOON).await;
    let device = format!("/v1/sessions/{}", ana.device);
    assert_eq!(ana.http.ask("DELETE", &device, None).await.status, 204);
    changes(&mut his, &ana.user, 7, SOON).await;
    drop(hers);
    let seen = ["offline", "online", "offline", "online", "offline", "online", "offline"];
    assert_eq!(told(&his, &ana.user), seen);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_at_a_gateway_that_is_killed_goes_and_who_comes_back_does_not() {
    let mut roles = Roles::start(2, 1).await;
    let (ana, cem) = (person(&roles, 0, "ana").await, person(&roles, 0, "cem").await);
    let ben = person(&roles, 1, "ben").await;
    for other in [&ana, &cem] {
        other.store(&direct(&other.user, &ben.user), &message("hi")).await;
    }
    let (hers, its) = (ana.connect().await, cem.connect().await);
    let mut his = ben.connect().await;
    watch(&mut his, &[&ana.user, &cem.user]).await;
    eventually("both are there", async || {
        his.cursor().await;
        [&ana, &cem].map(|who| told(&his, &who.user).last().cloned())
            == [Some("online".to_owned()), Some("online".to_owned())]
    })
    .await;
    let before = (told(&his, &ana.user).len(), told(&his, &cem.user));
    roles.gateways[0].process.kill().await;
    let back = cem.at(roles.gateways[1].address).connect().await;
    let gone = changes(&mut his, &ana.user, before.0 + 1, GATEWAY_GONE).await;
    assert_eq!(gone["state"], "offline");
    assert!(gone["last_seen"].is_string(), "{gone}");
    his.cursor().await;
    assert_eq!(told(&his, &cem.user), before.1, "who came back was not seen to go");
    drop((hers, its, back));
}

#[tokio::test]
async fn twenty_reconnects_in_ten_seconds_show_one_change_at_most() {
    let roles = Roles::start(2, 1).await;
    let (ana, ben) = (person(&roles, 0, "ana").await, person(&roles, 1, "ben").await);
    ana.store(&direct(&ana.user, &ben.user), &message("hi")).await;
    let mut his = ben.connect().await;
    let mut hers = ana.connect().await;
    watch(&mut his, &[&ana.user]).await;
    let is_here = |frame: &Value| frame["state"] == "online" && frame["user"] == *ana.user;
    his.frame("ana", is_here).await;
    let before = told(&his, &ana.user).len();
    let start = Instant::now();
    for turn in 0..20 {
        // Closed in order or not, here and there.
        if turn % 3 == 2 {
            close(hers).await;
        } else {
            drop(hers);
        }
        hers = ana.at(roles.gateways[turn % 2].address).connect().await;
    }
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    // What was held back would show by the end of the grace: everything before this is seen too.
    let cem = person(&roles, 1, "cem").await;
    cem.store(&direct(&cem.user, &ben.user), &message("hi")).await;
    let its = cem.connect().await;
    watch(&mut his, &[&ana.user, &cem.user]).await;
    let is_gone = |frame: &Value| frame["state"] == "offline" && frame["user"] == *cem.user;
    let online = |frame: &Value| frame["state"] == "online" && frame["user"] == *cem.user;
    his.frame("cem", online).await;
    drop(its);
    his.frame("cem's end", is_gone).await;
    let seen = told(&his, &ana.user);
    assert!(seen.len() <= before + 1, "{seen:?}");
    assert_eq!(seen.last().map(String::as_str), Some("online"));
    drop(hers);
}

#[tokio::test]
async fn a_stranger_learns_nothing_and_a_removed_member_nothing_more() {
    let roles = Roles::start(2, 1).await;
    let (ana, ben) = (person(&roles, 0, "ana").await, person(&roles, 1, "ben").await);
    let eve = person(&roles, 1, "eve").await;
    ana.store(&direct(&ana.user, &ben.user), &message("hi")).await;
    let group = ana.create_group("the three of us", &[&ben.user]).await;
    let (mut his, mut evil) = (ben.connect().await, eve.connect().await);
    watch(&mut his, &[&ana.user]).await;
    evil.send(&json!({"type": "watch", "users": [ana.user, ben.user, eve.user]})).await;
    // Whoever watches themselves is told: the watch was looked at.
    let own = |frame: &Value| frame["type"] == "presence" && frame["user"] == *eve.user;
    evil.frame("her own", own).await;
    let mut count = told(&his, &ana.user).len();
    let hers = ana.connect().await;
    count += 1;
    changes(&mut his, &ana.user, count, SOON).await;
    evil.cursor().await;
    assert_eq!((told(&evil, &ana.user).len(), told(&evil, &ben.user).len()), (0, 0));
    for conversation in [&group, &direct(&ana.user, &ben.user)] {
        let path = format!("/v1/conversations/{conversation}/presence");
        assert_eq!(eve.http.ask("GET", &path, None).await.code(), "not_a_member");
    }
    // Nor by naming a conversation in which nobody has said anything.
    let empty = shown(&eve, &direct(&eve.user, &ana.user)).await;
    assert_eq!(empty, json!({"items": []}));

    let add = json!({"kind": "member", "user": eve.user, "op": "add"});
    ana.store(&group, &add).await;
    evil.frame("the group", |frame| frame["type"] == "event" && frame["conversation"] == group)
        .await;
    watch(&mut evil, &[&ana.user, &ben.user]).await;
    assert_eq!(told(&evil, &ana.user).last().map(String::as_str), Some("online"));
    assert_eq!(state_in(&shown(&eve, &group).await, &ana.user), "online");

    let remove = json!({"kind": "member", "user": eve.user, "op": "remove"});
    let seq = ana.store(&group, &remove).await;
    evil.event(&group, seq).await;
    let before = (told(&evil, &ana.user), told(&evil, &ben.user));
    close(hers).await;
    count += 1;
    assert_eq!(changes(&mut his, &ana.user, count, SOON).await["state"], "offline");
    // Asking again does not help.
    let own = told(&evil, &eve.user).len();
    evil.send(&json!({"type": "watch", "users": [ana.user, eve.user]})).await;
    // Whoever watches themselves is told: the watch was looked at.
    changes(&mut evil, &eve.user, own + 1, SOON).await;
    let hers = ana.connect().await;
    count += 1;
    changes(&mut his, &ana.user, count, SOON).await;
    evil.cursor().await;
    assert_eq!((told(&evil, &ana.user), told(&evil, &ben.user)), before);
    let path = format!("/v1/conversations/{group}/presence");
    assert_eq!(eve.http.ask("GET", &path, None).await.code(), "not_a_member");
    drop(hers);
}

#[tokio::test]
async fn who_takes_batches_is_told_of_several_people_in_one_frame() {
    let serve = Serve::start().await;
    let (ana, ben, _) = couple(serve.address).await;
    let mut others = vec![];
    for handle in ["cem", "dan", "eve"] {
        others.push(sign_up(serve.address, handle).await.log_in(serve.address).await);
    }
    let mut members: Vec<&str> = others.iter().map(|other| other.user.as_str()).collect();
    members.push(&ben.user);
    let group = ana.create_group("the five of us", &members).await;
    let watched: Vec<&str> = others.iter().map(|other| other.user.as_str()).collect();
    let (mut his, mut hers) = (ben.connect().await, ana.connect().await);
    for socket in [&mut his, &mut hers] {
        let is_it = |frame: &Value| frame["type"] == "event" && frame["conversation"] == group;
        socket.frame("the group", is_it).await;
    }
    let features = his.of_type("welcome")[0]["features"].clone();
    assert!(features.as_array().expect("a list").contains(&json!("presence_batch")));

    let watch_batch = json!({"type": "watch", "users": watched, "batch": true});
    his.send(&watch_batch).await;
    let batch = his.frame("the people", |frame| frame["type"] == "presences").await;
    let mut people: Vec<Value> = batch["people"].as_array().unwrap().clone();
    people.sort_by_key(|person| person["user"].to_string());
    let mut wanted: Vec<Value> =
        watched.iter().map(|user| json!({"user": user, "state": "offline"})).collect();
    wanted.sort_by_key(|person| person["user"].to_string());
    assert_eq!(people, wanted);
    watch(&mut hers, &watched).await;

    let its = others[0].connect().await;
    for (socket, count) in [(&mut his, 1), (&mut hers, 2)] {
        let shown = changes(socket, watched[0], count, SOON).await;
        assert_eq!(shown["state"], "online");
    }
    assert_eq!((his.of_type("presences").len(), his.of_type("presence").len()), (1, 1));
    assert_eq!((hers.of_type("presences").len(), hers.of_type("presence").len()), (0, 4));
    drop(its);
}

#[tokio::test]
async fn the_devices_of_a_person_are_one_over_two_gateways() {
    let roles = Roles::start(2, 1).await;
    let (ana, ben) = (person(&roles, 0, "ana").await, person(&roles, 1, "ben").await);
    ana.store(&direct(&ana.user, &ben.user), &message("hi")).await;
    let tablet = ana.again().await.at(roles.gateways[1].address);
    let mut his = ben.connect().await;
    watch(&mut his, &[&ana.user]).await;
    // What runs in the background is nobody who is there: the next that is told is of the phone.
    let background = ana.again().await.connect_with(json!({"background": true})).await;
    let phone = ana.connect_with(json!({"presence": "away"})).await;
    assert_eq!(changes(&mut his, &ana.user, 2, SOON).await["state"], "away");
    let mut desk = tablet.connect().await;
    assert_eq!(changes(&mut his, &ana.user, 3, SOON).await["state"], "online");
    desk.send(&json!({"type": "presence", "state": "invisible"})).await;
    assert_eq!(changes(&mut his, &ana.user, 4, SOON).await["state"], "away");
    desk.send(&json!({"type": "presence", "state": "online"})).await;
    assert_eq!(changes(&mut his, &ana.user, 5, SOON).await["state"], "online");
    close(phone).await;
    close(desk).await;
    // Of two gateways either may be the first to say so.
    eventually("she is gone", async || {
        his.cursor().await;
        told(&his, &ana.user).last().is_some_and(|state| state == "offline")
    })
    .await;
    drop(background);
}

#[tokio::test]
async fn who_is_invisible_or_hides_is_offline_to_others() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let cem = sign_up(serve.address, "cem").await.log_in(serve.address).await;
    for other in [&ana, &cem] {
        other.store(&direct(&other.user, &ben.user), &message("hi")).await;
    }
    let mut his = ben.connect().await;
    his.send(
        &json!({"type": "watch", "users": [ana.user, cem.user], "conversations": [conversation]}),
    )
    .await;
    for who in [&ana, &cem] {
        changes(&mut his, &who.user, 1, SOON).await;
    }
    let mut hers = ana.connect_with(json!({"presence": "invisible"})).await;
    hers.send(&json!({"type": "typing", "conversation": conversation})).await;
    hers.cursor().await;
    // Whoever came after her is seen: so would she be.
    let its = cem.connect().await;
    changes(&mut his, &cem.user, 2, SOON).await;
    assert_eq!(told(&his, &ana.user), ["offline"]);
    assert_eq!(his.of_type("typing").len(), 0);
    assert!(shown(&ben, &conversation).await["items"][0].get("last_seen").is_none());

    hers.send(&json!({"type": "presence", "state": "online"})).await;
    changes(&mut his, &ana.user, 2, SOON).await;
    let hide = json!({"presence": "nobody", "last_seen": "nobody"});
    let set = ana.http.ask("PATCH", "/v1/users/me", Some(&hide)).await;
    assert_eq!(
        (&set.body["presence"], &set.body["last_seen"]),
        (&json!("nobody"), &json!("nobody"))
    );
    let gone = changes(&mut his, &ana.user, 3, SOON).await;
    assert_eq!((&gone["state"], gone.get("last_seen")), (&json!("offline"), None));
    let list = shown(&ben, &conversation).await;
    assert_eq!(list["items"], json!([{"user": ana.user, "state": "offline"}]));
    // She sees the others as before, and is there again when she wants to be.
    assert_eq!(state_in(&shown(&ana, &conversation).await, &ben.user), "online");
    let show = json!({"presence": "shared"});
    ana.http.ask("PATCH", "/v1/users/me", Some(&show)).await;
    changes(&mut his, &ana.user, 4, SOON).await;
    assert_eq!(told(&his, &ana.user), ["offline", "online", "offline", "online"]);
    drop((hers, its));
}

#[tokio::test]
async fn who_does_nothing_is_away_until_they_do_something() {
    let serve = Serve::with(&["--away-after", "3s"]).await;
    let (ana, ben, conversation) = couple(serve.address).await;
    ana.store(&conversation, &message("hi")).await;
    let mut his = ben.connect().await;
    watch(&mut his, &[&ana.user]).await;
    let mut hers = ana.connect().await;
    changes(&mut his, &ana.user, 3, SOON * 2).await;
    // A device that is only asked whether it lives does not count.
    hers.cursor().await;
    hers.send(&json!({"type": "typing", "conversation": conversation})).await;
    changes(&mut his, &ana.user, 4, SOON).await;
    assert_eq!(told(&his, &ana.user), ["offline", "online", "away", "online"]);
}

/// So many people. Members cost a password each when they sign up: these are imported.
async fn crowd(serve: &Serve, reader: &Session, count: usize) -> Vec<String> {
    let file = format!("{}/crowd.jsonl", serve.data.path());
    let lines: String = (0..count)
        .map(|n| json!({"ts": "2004-12-25T10:00:00Z", "channel": "crowd", "nick": format!("crowd{n:03}"), "text": "hi"}))
        .map(|line| format!("{line}\n"))
        .collect();
    std::fs::write(&file, lines).unwrap();
    serve.data.hansard_done(&["import", "--jsonl", &file, "--group", "crowd"]).await;
    let found = reader.http.get("/v1/users?q=crowd&limit=200").await;
    let items = found["items"].as_array().unwrap();
    assert_eq!(items.len(), count, "{found}");
    items.iter().map(|item| item["user"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_group_that_grows_too_large_is_no_reason_to_be_told_any_more() {
    let serve = Serve::with(&["--group-limit", "200"]).await;
    let (ana, ben, _) = couple(serve.address).await;
    let cem = sign_up(serve.address, "cem").await.log_in(serve.address).await;
    ben.store(&direct(&ben.user, &cem.user), &message("hi")).await;
    let crowd = crowd(&serve, &ana, 99).await;
    let mut members: Vec<&str> = crowd[..98].iter().map(String::as_str).collect();
    members.push(&ben.user);
    let group = ana.create_group("a hundred", &members).await;
    let mut his = ben.connect().await;
    his.frame("the group", |frame| frame["type"] == "event" && frame["conversation"] == group)
        .await;
    his.send(&json!({"type": "watch", "users": [ana.user, cem.user], "conversations": [group]}))
        .await;
    changes(&mut his, &ana.user, 1, SOON).await;
    changes(&mut his, &cem.user, 1, SOON).await;
    let (mut hers, mut its) = (ana.connect().await, cem.connect().await);
    changes(&mut his, &ana.user, 2, SOON).await;
    changes(&mut his, &cem.user, 2, SOON).await;

    let add = json!({"kind": "member", "user": crowd[98], "op": "add"});
    let seq = ana.store(&group, &add).await;
    his.event(&group, seq).await;
    let (mut known, mut of_cem, mut untold) = (2, 2, 0);
    let patience = Patience::of(DEADLINE);
    while untold < 2 {
        patience.look_again("he is not told of her any more").await;
        let state = if of_cem % 2 == 0 { "invisible" } else { "online" };
        hers.send(&json!({"type": "presence", "state": state})).await;
        its.send(&json!({"type": "presence", "state": state})).await;
        of_cem += 1;
        changes(&mut his, &cem.user, of_cem, SOON).await;
        let now = told(&his, &ana.user).len();
        untold = if now == known { untold + 1 } else { 0 };
        known = now;
    }
    drop((hers, its));
}

#[tokio::test]
async fn a_large_group_has_a_list_and_tells_nobody() {
    let serve = Serve::with(&["--group-limit", "200"]).await;
    let (ana, ben, _) = couple(serve.address).await;
    let cem = sign_up(serve.address, "cem").await.log_in(serve.address).await;
    ben.store(&direct(&ben.user, &cem.user), &message("hi")).await;
    let mut members = crowd(&serve, &ana, 100).await;
    members.push(ben.user.clone());
    let members: Vec<&str> = members.iter().map(String::as_str).collect();
    let group = ana.create_group("all of us", &members).await;
    let mut his = ben.connect().await;
    his.frame("the group", |frame| frame["type"] == "event" && frame["conversation"] == group)
        .await;
    his.send(&json!({"type": "watch", "users": [ana.user, cem.user], "conversations": [group]}))
        .await;
    changes(&mut his, &cem.user, 1, SOON).await;
    let (hers, its) = (ana.connect().await, cem.connect().await);
    changes(&mut his, &cem.user, 2, SOON).await;
    eventually("ana is in the list", async || {
        let mut items = Vec::new();
        let mut cursor = String::new();
        loop {
            let path = format!("/v1/conversations/{group}/presence?limit=40{cursor}");
            let page = ben.http.get(&path).await;
            items.extend(page["items"].as_array().unwrap().iter().cloned());
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(items.len(), 101, "everybody but the reader, once");
        items.iter().filter(|item| item["state"] == "online").count() == 1
            && state_in(&json!({"items": items}), &ana.user) == "online"
    })
    .await;
    his.cursor().await;
    assert_eq!(told(&his, &ana.user).len(), 0);
    drop((hers, its));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn presence_comes_back_with_a_nats_server_that_was_killed() {
    let roles = Roles::of(Plan { gateways: 2, projectors: 1, ..Plan::default() }).await;
    let (ana, ben) = (person(&roles, 0, "ana").await, person(&roles, 1, "ben").await);
    let conversation = direct(&ana.user, &ben.user);
    ana.store(&conversation, &message("hi")).await;
    let (hers, mut his) = (ana.connect().await, ben.connect().await);
    watch(&mut his, &[&ana.user]).await;
    let is_here = |frame: &Value| frame["state"] == "online" && frame["user"] == *ana.user;
    his.frame("ana", is_here).await;
    let before = told(&his, &ana.user);
    let killed = roles.data.nats_pid().unwrap();
    signal(killed, Signal::Kill);
    eventually("another nats-server", async || {
        roles.data.nats_pid().is_some_and(|pid| pid != killed)
    })
    .await;
    // By a read of the bucket: the gateway that asks watches nobody.
    let cem = person(&roles, 0, "cem").await;
    cem.store(&direct(&ana.user, &cem.user), &message("hi")).await;
    eventually("she is in the bucket again", async || {
        let path = format!("/v1/conversations/{}/presence", direct(&ana.user, &cem.user));
        let list = cem.http.ask("GET", &path, None).await;
        list.status == 200 && list.body["items"][0]["state"] == "online"
    })
    .await;
    his.cursor().await;
    assert_eq!(told(&his, &ana.user), before, "nothing was seen of it");
    close(hers).await;
    let gone = changes(&mut his, &ana.user, before.len() + 1, SOON).await;
    assert_eq!(gone["state"], "offline");
}

#[tokio::test]
async fn every_connection_is_shown_to_its_owner_and_ends_with_its_session() {
    let roles = Roles::start(2, 1).await;
    let ana = person(&roles, 0, "ana").await;
    let phone = ana.again().await;
    let there = roles.gateways[1].address;
    let (here, mut abroad) = (ana.connect().await, phone.at(there).connect().await);
    let hidden = phone.connect_with(json!({"background": true})).await;
    let sessions = ana.http.get("/v1/sessions").await;
    let of = |sessions: &Value, session: &Session| -> Vec<Value> {
        let items = sessions["items"].as_array().unwrap();
        let item = items.iter().find(|item| item["device"] == *session.device).unwrap();
        item["connections"].as_array().unwrap().clone()
    };
    let (mine, hers) = (of(&sessions, &ana), of(&sessions, &phone));
    assert_eq!((mine.len(), hers.len()), (1, 2), "{sessions}");
    assert!(sessions.get("partial").is_none(), "{sessions}");
    for connection in mine.iter().chain(&hers) {
        assert_eq!(connection["network"], "127.0.0.0/24");
        assert!(connection["since"].is_string());
    }
    assert_ne!(hers[0]["gateway"], hers[1]["gateway"]);
    assert_eq!(hers.iter().filter(|connection| connection["background"] == true).count(), 1);
    let ben = person(&roles, 0, "ben").await;
    let others = ben.http.get("/v1/sessions").await;
    assert_eq!(others["items"].as_array().unwrap().len(), 1);
    assert_eq!(of(&others, &ben), [] as [Value; 0]);

    let device = format!("/v1/sessions/{}", phone.device);
    assert_eq!(ana.http.ask("DELETE", &device, None).await.status, 204);
    assert_eq!(abroad.closed().await, Closed(4003));
    eventually("only one is left", async || {
        let sessions = ana.http.get("/v1/sessions").await;
        let items = sessions["items"].as_array().unwrap().len();
        (items, of(&sessions, &ana).len()) == (1, 1)
    })
    .await;
    drop((here, hidden));
}

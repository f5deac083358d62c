//! `/v1/conversations`.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::rig::{Rig, new_id};

#[tokio::test]
async fn what_was_sent_is_read_at_once_by_the_sender() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let talk = ana.with(&ben);
    for n in 0..5_u64 {
        let seq = ana.say(&talk, &format!("message {n}")).await;
        let path = format!("/v1/conversations/{talk}/events?limit=1");
        let last = ana.client.get(&path).await.expecting(200);
        assert_eq!(last["items"][0]["seq"], seq);
        assert_eq!(last["items"][0]["type"], "event");
        assert_eq!(last["more"], n > 0);
        let inbox = ana.client.get("/v1/conversations").await.expecting(200);
        assert_eq!(inbox["items"][0]["last"]["seq"], seq);
        assert_eq!(inbox["items"][0]["unread"], 0);
        // Somebody else asks for it by name.
        let inbox = ben.client.get(&format!("/v1/conversations?min_seq={talk}:{seq}")).await;
        let entry = &inbox.expecting(200)["items"][0];
        assert_eq!((&entry["unread"], &entry["with"]), (&json!(n + 1), &json!(ana.user)));
    }
    rig.stop().await;
}

#[tokio::test]
async fn pages_have_one_anchor_and_say_what_is_beyond() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let talk = ana.with(&ben);
    let mut seqs = Vec::new();
    for n in 0..5 {
        seqs.push(ana.say(&talk, &format!("message {n}")).await);
    }
    let page = async |query: &str| {
        let path = format!("/v1/conversations/{talk}/messages?{query}");
        ana.client.get(&path).await
    };
    let read = async |query: &str| {
        let page = page(query).await.expecting(200);
        let items = page["items"].as_array().expect("a list");
        let found: Vec<u64> = items.iter().filter_map(|item| item["seq"].as_u64()).collect();
        (found, page["more_before"] == true, page["more_after"] == true)
    };
    assert_eq!(read("limit=2").await, (seqs[3..].to_vec(), true, false));
    assert_eq!(read(&format!("before={}&limit=2", seqs[2])).await.0, seqs[..2]);
    assert_eq!(read(&format!("after={}&limit=2", seqs[2])).await.0, seqs[3..]);
    assert!(read(&format!("around={}&limit=3", seqs[2])).await.0.contains(&seqs[2]));
    assert_eq!(read("at=2020-01-01T00:00:00Z&limit=500").await.0, seqs);
    page("after=1&before=9").await.refused(400, "bad_frame");
    page("after=x").await.refused(400, "bad_frame");
    page("at=yesterday").await.refused(400, "bad_frame");
    page("limit=0").await.refused(400, "bad_frame");
    page("min_seq=7").await.refused(400, "bad_frame");
    // At once: waiting would not bring it.
    let asked = Instant::now();
    page(&format!("min_seq={talk}:999999")).await.refused(503, "unavailable");
    let inbox = format!("/v1/conversations?min_seq={talk}:999999");
    ana.client.get(&inbox).await.refused(503, "unavailable");
    assert!(asked.elapsed() < Duration::from_secs(1), "{:?}", asked.elapsed());
    let path = format!("/v1/conversations/{talk}/events");
    let events =
        async |query: &str| ana.client.get(&format!("{path}?{query}")).await.expecting(200);
    let nothing = events(&format!("after={}&before={}", seqs[3], seqs[1])).await;
    assert_eq!(nothing, json!({"items": [], "more": false}));
    let between = events(&format!("after={}&before={}", seqs[1], seqs[3])).await;
    assert_eq!(between["items"][0]["seq"], seqs[2]);
    rig.stop().await;
}

#[tokio::test]
async fn the_same_send_is_stored_once_and_another_event_refused() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let path = format!("/v1/conversations/{}/messages", ana.with(&ben));
    let mut send = json!({"id": new_id(), "event": {"kind": "message", "text": "hi"}});
    let first = ana.client.post(&path, &send).await.expecting(201);
    let again = ana.client.post(&path, &send).await.expecting(201);
    assert_eq!((&again["seq"], &again["duplicate"]), (&first["seq"], &json!(true)));
    send["event"]["text"] = json!("ho");
    ana.client.post(&path, &send).await.refused(409, "id_reused");
    let cleo = rig.person("cleo").await;
    send["id"] = json!(new_id());
    cleo.client.post(&path, &send).await.refused(403, "not_a_member");
    ana.client.post("/v1/conversations/g.%3E/messages", &send).await.refused(400, "bad_id");
    rig.stop().await;
}

#[tokio::test]
async fn a_group_is_created_once_per_request() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let mut request =
        json!({"id": new_id(), "kind": "group", "title": "tea", "members": [ben.user]});
    let first = ana.client.post("/v1/conversations", &request).await.expecting(201);
    assert_eq!(
        (&first["title"], &first["role"], &first["member_count"]),
        (&json!("tea"), &json!("owner"), &json!(2))
    );
    let again = ana.client.post("/v1/conversations", &request).await.expecting(200);
    assert_eq!(again["conversation"], first["conversation"]);
    // The same id of somebody else is another request.
    let other = ben.client.post("/v1/conversations", &request).await.expecting(201);
    assert_ne!(other["conversation"], first["conversation"]);
    request["title"] = json!("coffee");
    ana.client.post("/v1/conversations", &request).await.refused(409, "id_reused");
    request["id"] = json!(new_id());
    request["members"] = json!(["c".repeat(20)]);
    ana.client.post("/v1/conversations", &request).await.refused(404, "not_found");
    request["members"] = json!([]);
    request["title"] = json!("");
    ana.client.post("/v1/conversations", &request).await.refused(400, "empty");
    rig.stop().await;
}

#[tokio::test]
async fn a_removed_member_reads_nothing_more() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let group = ana.found("tea", &[&ben]).await;
    ana.say(&group, "before").await;
    let path = |rest: &str| format!("/v1/conversations/{group}{rest}");
    ben.client.get(&path("/messages")).await.expecting(200);
    let removal =
        json!({"id": new_id(), "event": {"kind": "member", "user": ben.user, "op": "remove"}});
    ana.client.post(&path("/messages"), &removal).await.expecting(201);
    for rest in ["", "/messages", "/events", "/members"] {
        ben.client.get(&path(rest)).await.refused(403, "not_a_member");
    }
    ben.client.patch(&path("/me"), &json!({"pinned": true})).await.refused(403, "not_a_member");
    let send = json!({"id": new_id(), "event": {"kind": "message", "text": "still here"}});
    ben.client.post(&path("/messages"), &send).await.refused(403, "not_a_member");
    let inbox = ben.client.get("/v1/conversations").await.expecting(200);
    assert_eq!(inbox["items"], json!([]));
    rig.stop().await;
}

#[tokio::test]
async fn strangers_see_no_group_and_no_talk_of_others() {
    let rig = Rig::start().await;
    let (ana, ben, cleo) =
        (rig.person("ana").await, rig.person("ben").await, rig.person("cleo").await);
    let group = ana.found("tea", &[&ben]).await;
    let talk = ana.with(&ben);
    ana.say(&talk, "between us").await;
    for conversation in [group.as_str(), &talk, &format!("g.{}", "a".repeat(20))] {
        for rest in ["", "/messages", "/events", "/members"] {
            let path = format!("/v1/conversations/{conversation}{rest}");
            cleo.client.get(&path).await.refused(403, "not_a_member");
        }
    }
    for id in ["*", "%3E", "a.b", "g.", "%20"] {
        cleo.client.get(&format!("/v1/conversations/{id}")).await.refused(400, "bad_id");
    }
    rig.stop().await;
}

#[tokio::test]
async fn settings_are_kept_and_merged() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let path = format!("/v1/conversations/{}/me", ana.with(&ben));
    let pinned = ana.client.patch(&path, &json!({"pinned": true})).await.expecting(200);
    assert_eq!((&pinned["pinned"], &pinned["archived"]), (&json!(true), &json!(false)));
    let until = "2030-01-01T00:00:00.000Z";
    let muted = ana.client.patch(&path, &json!({"muted_until": until})).await.expecting(200);
    assert_eq!((&muted["pinned"], &muted["muted_until"]), (&json!(true), &json!(until)));
    let loud = ana.client.patch(&path, &json!({"muted_until": null})).await.expecting(200);
    assert_eq!(loud.get("muted_until"), None);
    // Two devices at once: neither change is lost.
    let changes = [json!({"archived": true}), json!({"pinned": false})];
    let both = changes.iter().map(|change| ana.client.patch(&path, change));
    for answer in futures_util::future::join_all(both).await {
        answer.expecting(200);
    }
    let both = ana.client.get(path.trim_end_matches("/me")).await.expecting(200);
    assert_eq!((&both["pinned"], &both["archived"]), (&json!(false), &json!(true)));
    rig.stop().await;
}

#[tokio::test]
async fn the_inbox_is_paged_last_active_first() {
    let rig = Rig::start().await;
    let ana = rig.person("ana").await;
    let (mut talks, mut min) = (Vec::new(), String::new());
    for handle in ["ben", "cleo", "dora"] {
        let other = rig.person(handle).await;
        let talk = ana.with(&other);
        let seq = other.say(&talk, "hello").await;
        min = format!("{min}&min_seq={talk}:{seq}");
        talks.insert(0, talk);
    }
    let mut found = Vec::new();
    let mut cursor = String::new();
    loop {
        let page = ana.client.get(&format!("/v1/conversations?limit=2{cursor}{min}")).await;
        let page = page.expecting(200);
        for item in page["items"].as_array().expect("a list") {
            found.push(item["conversation"].as_str().expect("an id").to_owned());
            assert_eq!(item["unread"], 1);
        }
        let Some(next) = page["next"].as_str() else { break };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(found, talks);
    ana.client.get("/v1/conversations?cursor=x").await.refused(400, "bad_frame");
    rig.stop().await;
}

#[tokio::test]
async fn a_direct_conversation_exists_by_its_name() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let open = json!({"kind": "direct", "with": ben.user});
    let opened = ana.client.post("/v1/conversations", &open).await.expecting(201);
    assert_eq!(opened["conversation"], ana.with(&ben));
    assert_eq!((&opened["kind"], &opened["with"]), (&json!("direct"), &json!(ben.user)));
    ana.say(&ana.with(&ben), "hi").await;
    let again = ana.client.post("/v1/conversations", &open).await.expecting(200);
    assert_eq!(again["last"]["body"]["event"]["text"], "hi");
    let nobody = json!({"kind": "direct", "with": "b".repeat(20)});
    ana.client.post("/v1/conversations", &nobody).await.refused(404, "not_found");
    let notes = ana.with(&ana);
    ana.say(&notes, "remember").await;
    let members = format!("/v1/conversations/{notes}/members");
    let members = ana.client.get(&members).await.expecting(200);
    assert_eq!(members["items"].as_array().map(Vec::len), Some(1));
    rig.stop().await;
}

#[tokio::test]
async fn members_are_paged_with_their_roles() {
    let rig = Rig::start().await;
    let (ana, ben, cleo) =
        (rig.person("ana").await, rig.person("ben").await, rig.person("cleo").await);
    let group = ana.found("tea", &[&ben, &cleo]).await;
    let path = format!("/v1/conversations/{group}/members?limit=2");
    let first = ben.client.get(&path).await.expecting(200);
    let next = first["next"].as_str().expect("more");
    let second = ben.client.get(&format!("{path}&cursor={next}")).await.expecting(200);
    assert_eq!(second.get("next"), None);
    let items = [&first["items"], &second["items"]];
    let mut found: Vec<(&str, &str)> = items
        .iter()
        .flat_map(|items| items.as_array().expect("a list"))
        .map(|item| (item["user"].as_str().expect("id"), item["role"].as_str().expect("role")))
        .collect();
    let mut expected = [(&*ana.user, "owner"), (&*ben.user, "member"), (&*cleo.user, "member")];
    found.sort_unstable();
    expected.sort_unstable();
    assert_eq!(found, expected);
    rig.stop().await;
}

#[tokio::test]
async fn a_thread_is_its_root_and_its_replies_from_any_place() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let talk = ana.with(&ben);
    let path = format!("/v1/conversations/{talk}/messages");
    let root = ana.say(&talk, "root").await;
    let mut replies = Vec::new();
    for n in 0..4 {
        ana.say(&talk, "elsewhere").await;
        let event = json!({"kind": "message", "text": format!("reply {n}"), "thread": root});
        let sent = ben.client.post(&path, &json!({"id": new_id(), "event": event})).await;
        replies.push(sent.expecting(201)["seq"].as_u64().expect("a place"));
    }
    let last = *replies.last().expect("a reply");
    let page = async |query: &str| {
        let path = format!("{path}?thread={root}&min_seq={talk}:{last}&{query}");
        let page = ana.client.get(&path).await.expecting(200);
        let items = page["items"].as_array().expect("a list").clone();
        let seqs: Vec<u64> = items.iter().filter_map(|item| item["seq"].as_u64()).collect();
        (seqs, items, page["more_before"] == true, page["more_after"] == true)
    };
    let all: Vec<u64> = [root].into_iter().chain(replies.iter().copied()).collect();
    let (seqs, items, more_before, more_after) = page("").await;
    assert_eq!((seqs, more_before, more_after), (all.clone(), false, false));
    assert_eq!(items[0]["state"]["thread"], json!({"count": 4, "last": last}));
    assert_eq!(page("limit=2").await.0, all[3..]);
    assert!(page("limit=2").await.2, "there is more before");
    assert_eq!(page(&format!("after={root}&limit=2")).await.0, all[1..3]);
    assert_eq!(page(&format!("before={}&limit=2", replies[1])).await.0, all[..2]);
    let (around, _, more_before, more_after) = page(&format!("around={}&limit=3", all[2])).await;
    assert!(around.contains(&all[2]) && around.iter().all(|seq| all.contains(seq)), "{around:?}");
    assert!(more_before && more_after, "{around:?}");
    assert_eq!(page("at=2020-01-01T00:00:00Z").await.0, all);
    // A message that is no root has a thread of its own: itself.
    let path = format!("{path}?thread={}", replies[0]);
    ana.client.get(&path).await.expecting(200);
    rig.stop().await;
}

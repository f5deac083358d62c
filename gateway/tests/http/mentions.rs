//! `/v1/mentions` and what explains the counts of an inbox.

use serde_json::{Value, json};

use crate::rig::{Person, Rig, new_id};

async fn send(person: &Person, conversation: &str, event: &Value) -> u64 {
    let path = format!("/v1/conversations/{conversation}/messages");
    let sent = person.client.post(&path, &json!({"id": new_id(), "event": event})).await;
    sent.expecting(201)["seq"].as_u64().expect("a place")
}

fn mention(text: &str, whom: &str) -> Value {
    json!({"kind": "message", "text": text, "mentions": [whom]})
}

/// `min_seq` of what others sent: who reads knows only of their own acknowledgements.
async fn mentions(person: &Person, query: &str) -> (Vec<String>, Option<String>) {
    let page = person.client.get(&format!("/v1/mentions?{query}")).await.expecting(200);
    let items = page["items"].as_array().expect("a list");
    let text = |item: &Value| item["body"]["event"]["text"].as_str().unwrap_or("?").to_owned();
    assert!(items.iter().all(|item| item["type"] == "event"), "{page}");
    (items.iter().map(text).collect(), page["next"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn mentions_come_newest_first_from_everywhere_as_they_are_now() {
    let rig = Rig::start().await;
    let (ana, ben, cleo) =
        (rig.person("ana").await, rig.person("ben").await, rig.person("cleo").await);
    let (talk, group) = (ana.with(&ben), ana.found("tea", &[&ben, &cleo]).await);
    send(&ana, &talk, &mention("1", &ben.user)).await;
    send(&ana, &group, &mention("2", "all")).await;
    let edited = send(&ana, &talk, &mention("3", &ben.user)).await;
    let deleted = send(&ana, &group, &mention("4", &ben.user)).await;
    send(&cleo, &group, &mention("not ben", &ana.user)).await;
    send(&ana, &group, &json!({"kind": "delete", "target": deleted})).await;
    let edit = json!({"kind": "edit", "target": edited, "text": "3!", "mentions": [ben.user]});
    let in_talk = send(&ana, &talk, &edit).await;
    let in_group = send(&ana, &group, &mention("5", &ben.user)).await;
    let min = format!("min_seq={talk}:{in_talk}&min_seq={group}:{in_group}");

    let (all, next) = mentions(&ben, &min).await;
    assert_eq!((all, next), (vec!["5".into(), "3!".into(), "2".into(), "1".into()], None));
    // Page by page, the same; what comes in between is on neither page.
    let (first, next) = mentions(&ben, &format!("{min}&limit=3")).await;
    assert_eq!(first, ["5", "3!", "2"]);
    let later = send(&ana, &talk, &mention("6", &ben.user)).await;
    let cursor = next.expect("there is more");
    let (second, next) =
        mentions(&ben, &format!("min_seq={talk}:{later}&limit=3&cursor={cursor}")).await;
    assert_eq!((second, next), (vec!["1".to_owned()], None));
    assert_eq!(mentions(&cleo, &min).await.0, ["2"]);
    assert_eq!(mentions(&ana, &min).await.0, ["not ben"], "nobody mentions themselves");
    ben.client.get("/v1/mentions?cursor=x").await.refused(400, "bad_frame");

    // Who is removed sees nothing of the group any more.
    send(&ana, &group, &json!({"kind": "member", "op": "remove", "user": ben.user})).await;
    let (rest, _) = mentions(&ben, &format!("min_seq={talk}:{later}")).await;
    assert_eq!(rest, ["6", "3!", "1"]);
    rig.stop().await;
}

#[tokio::test]
async fn what_is_behind_a_count_is_named() {
    let rig = Rig::start().await;
    let (ana, ben, cleo) =
        (rig.person("ana").await, rig.person("ben").await, rig.person("cleo").await);
    let group = ana.found("tea", &[&ben]).await;
    let path = format!("/v1/conversations/{group}");
    let own = send(&ben, &group, &json!({"kind": "message", "text": "mine"})).await;
    let plain = send(&ana, &group, &json!({"kind": "message", "text": "theirs"})).await;
    let named = send(&ana, &group, &mention("you", &ben.user)).await;
    let min = format!("min_seq={group}:{named}");
    let inbox = ben.client.get(&format!("{path}?{min}")).await.expecting(200);
    let explained = ben.client.get(&format!("{path}/explain?{min}")).await.expecting(200);
    assert_eq!(explained["unread_events"], json!([plain, named]), "{explained}");
    assert_eq!(explained["mentions"], json!([named]));
    assert_eq!((&explained["read"], &explained["last"]), (&json!(own), &json!(named)));
    assert_eq!(explained["unread"], inbox["unread"]);
    assert_eq!(inbox["mentions"], 1);
    assert_eq!(explained["view_from"], inbox["view_from"]);
    cleo.client.get(&format!("{path}/explain")).await.refused(403, "not_a_member");
    rig.stop().await;
}

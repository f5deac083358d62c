//! `/pins` and `/reactions` of a conversation.

use serde_json::{Value, json};

use crate::rig::{Person, Rig, new_id};

async fn send(person: &Person, conversation: &str, event: &Value) -> u64 {
    let path = format!("/v1/conversations/{conversation}/messages");
    let sent = person.client.post(&path, &json!({"id": new_id(), "event": event})).await;
    sent.expecting(201)["seq"].as_u64().expect("a place")
}

async fn say(person: &Person, conversation: &str, text: &str) -> u64 {
    send(person, conversation, &json!({"kind": "message", "text": text})).await
}

fn pin(target: u64, op: &str) -> Value {
    json!({"kind": "pin", "target": target, "op": op})
}

fn react(target: u64, emoji: &str) -> Value {
    json!({"kind": "reaction", "target": target, "emoji": emoji, "op": "add"})
}

/// The texts of a page of pins, and the cursor of the next.
async fn pins(person: &Person, conversation: &str, query: &str) -> (Vec<String>, Option<String>) {
    let path = format!("/v1/conversations/{conversation}/pins?{query}");
    let page = person.client.get(&path).await.expecting(200);
    let items = page["items"].as_array().expect("a list");
    assert!(items.iter().all(|item| item["state"]["pinned"] == true), "{page}");
    let text = |item: &Value| item["body"]["event"]["text"].as_str().unwrap_or("?").to_owned();
    (items.iter().map(text).collect(), page["next"].as_str().map(str::to_owned))
}

#[tokio::test]
async fn pins_are_listed_newest_first_as_they_are_now() {
    let rig = Rig::start().await;
    let (ana, ben, cleo) =
        (rig.person("ana").await, rig.person("ben").await, rig.person("cleo").await);
    let group = ana.found("tea", &[&ben]).await;
    let mut said = Vec::new();
    for number in 0..6 {
        said.push(say(&ana, &group, &number.to_string()).await);
    }
    // Not in the order in which they were said.
    for at in [4, 0, 2, 3, 5] {
        send(&ana, &group, &pin(said[at], "add")).await;
    }
    send(&ben, &group, &react(said[1], "x")).await;
    send(&ana, &group, &json!({"kind": "edit", "target": said[2], "text": "2!"})).await;
    send(&ana, &group, &pin(said[3], "remove")).await;
    let last = send(&ana, &group, &json!({"kind": "delete", "target": said[5]})).await;
    let min = format!("min_seq={group}:{last}");

    let (all, next) = pins(&ben, &group, &min).await;
    assert_eq!((all, next), (vec!["4".into(), "2!".into(), "0".into()], None));
    let (first, next) = pins(&ben, &group, &format!("{min}&limit=2")).await;
    assert_eq!(first, ["4", "2!"]);
    let cursor = next.expect("there is more");
    let (second, _) = pins(&ben, &group, &format!("{min}&limit=2&cursor={cursor}")).await;
    assert_eq!(second, ["0"]);

    let path = format!("/v1/conversations/{group}/pins");
    cleo.client.get(&path).await.refused(403, "not_a_member");
    ana.client.get(&format!("{path}?cursor=x")).await.refused(400, "bad_frame");
    // Who comes later sees what is theirs to see.
    let add = json!({"kind": "member", "op": "add", "user": cleo.user});
    let added = send(&ana, &group, &add).await;
    assert_eq!(pins(&cleo, &group, &format!("min_seq={group}:{added}")).await.0, [""; 0]);
    assert_eq!(pins(&ana, &ana.with(&ben), "").await.0, [""; 0], "nothing was said there yet");
    rig.stop().await;
}

#[tokio::test]
async fn who_reacted_is_told_in_the_order_in_which_they_did() {
    let rig = Rig::start().await;
    let (ana, ben, cleo) =
        (rig.person("ana").await, rig.person("ben").await, rig.person("cleo").await);
    let group = ana.found("tea", &[&ben, &cleo]).await;
    let target = say(&ana, &group, "tea?").await;
    let mut seqs = Vec::new();
    for (person, emoji) in [(&cleo, "y"), (&ben, "x"), (&ana, "y"), (&cleo, "x")] {
        seqs.push(send(person, &group, &react(target, emoji)).await);
    }
    let gone = json!({"kind": "reaction", "target": target, "emoji": "y", "op": "remove"});
    let last = send(&cleo, &group, &gone).await;
    let of = format!("/v1/conversations/{group}/reactions");
    let path = format!("{of}?seq={target}&min_seq={group}:{last}");
    let item = |person: &Person, emoji: &str, seq| json!({"user": person.user, "emoji": emoji, "seq": seq});
    let all = ben.client.get(&path).await.expecting(200);
    let expected = [item(&ben, "x", seqs[1]), item(&ana, "y", seqs[2]), item(&cleo, "x", seqs[3])];
    assert_eq!(all, json!({"items": expected}));
    let first = ben.client.get(&format!("{path}&limit=2")).await.expecting(200);
    assert_eq!(first["items"], json!(expected[..2]));
    let cursor = first["next"].as_str().expect("there is more");
    let rest = ben.client.get(&format!("{path}&cursor={cursor}")).await.expecting(200);
    assert_eq!(rest, json!({"items": expected[2..]}));

    ben.client.get(&of).await.refused(400, "bad_frame");
    ben.client.get(&format!("{of}?seq={last}")).await.refused(404, "not_found");
    rig.person("dora").await.client.get(&path).await.refused(403, "not_a_member");
    rig.stop().await;
}

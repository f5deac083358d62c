//! Reading back: pages, positions, and reads that include what was acknowledged.

use hansard_model::limit::TEXT_BYTES_MAX;
use serde_json::{Value, json};

use crate::harness::{Serve, couple, eventually, message, seq_of, text_of};

/// The numbers that the items say.
fn numbers(page: &Value) -> Vec<u64> {
    let items = page["items"].as_array().unwrap();
    items.iter().map(|item| text_of(item).parse().unwrap()).collect()
}

#[tokio::test]
async fn pages_meet_without_overlap_in_both_directions() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut socket = ana.connect().await;
    let mut seqs = Vec::new();
    for number in 0..25 {
        seqs.push(seq_of(&socket.store(&conversation, &message(&number.to_string())).await));
    }
    let page = async |query: String| {
        ben.http.get(&format!("/v1/conversations/{conversation}/{query}")).await
    };
    let last = seqs[24];

    let newest = page(format!("messages?limit=10&min_seq={conversation}:{last}")).await;
    assert_eq!(numbers(&newest), (15..25).collect::<Vec<_>>());
    assert_eq!((&newest["more_before"], &newest["more_after"]), (&json!(true), &json!(false)));
    assert!(newest["as_of"].as_u64().unwrap() >= last);
    let before = page(format!("messages?limit=10&before={}", seqs[15])).await;
    assert_eq!(numbers(&before), (5..15).collect::<Vec<_>>());
    let first = page(format!("messages?limit=10&before={}", seqs[5])).await;
    assert_eq!(numbers(&first), (0..5).collect::<Vec<_>>());
    assert_eq!(first["more_before"], false);
    let after = page(format!("messages?limit=10&after={}", seqs[4])).await;
    assert_eq!(numbers(&after), (5..15).collect::<Vec<_>>());
    let around = numbers(&page(format!("messages?limit=10&around={}", seqs[12])).await);
    assert!(around.contains(&12) && around.contains(&8) && around.contains(&15), "{around:?}");
    let ts = newest["items"][0]["ts"].as_str().unwrap().to_owned();
    assert!(numbers(&page(format!("messages?limit=10&at={ts}")).await).contains(&15));

    let events = page(format!("events?limit=10&after={}", seqs[4])).await;
    assert_eq!((numbers(&events), &events["more"]), ((5..15).collect(), &json!(true)));
    let events = page(format!("events?limit=10&before={}", seqs[5])).await;
    assert_eq!((numbers(&events), &events["more"]), ((0..5).collect(), &json!(false)));
    let both = format!("/v1/conversations/{conversation}/messages?before=9&after=1");
    assert_eq!(ben.http.ask("GET", &both, None).await.status, 400);
}

/// Text of as many bytes as a message may have.
fn long(number: u64) -> String {
    format!("{number:016}").repeat(TEXT_BYTES_MAX / 16)
}

#[tokio::test]
async fn what_was_made_long_later_is_read_in_more_pages() {
    const MESSAGES: u64 = 66;
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut socket = ana.connect().await;
    let mut seqs = Vec::new();
    for number in 0..MESSAGES {
        let text = format!("@{} {number}", ben.user);
        let mention = json!({"kind": "message", "text": text, "mentions": [ben.user]});
        seqs.push(seq_of(&socket.store(&conversation, &mention).await));
    }
    let mut last = 0;
    for (seq, number) in seqs.iter().zip(0..) {
        let edit = json!({
            "kind": "edit", "target": seq, "text": long(number), "mentions": [ben.user],
        });
        last = seq_of(&socket.store(&conversation, &edit).await);
        let pin = json!({"kind": "pin", "target": seq, "op": "add"});
        last = seq_of(&socket.store(&conversation, &pin).await).max(last);
    }
    // More than fits in one answer, in every list of messages.
    let c = format!("/v1/conversations/{conversation}");
    let min = format!("min_seq={conversation}:{last}");
    let number_of = |item: &Value| text_of(item)[..16].parse::<u64>().unwrap();
    let items = |page: &Value| page["items"].as_array().unwrap().clone();
    let (mut read, mut before) = (Vec::new(), String::new());
    loop {
        let page = ben.http.get(&format!("{c}/messages?limit=500&{min}{before}")).await;
        read.extend(items(&page).iter().rev().map(number_of));
        if page["more_before"] == false {
            break;
        }
        before = format!("&before={}", page["items"][0]["seq"]);
    }
    let newest_first: Vec<u64> = (0..MESSAGES).rev().collect();
    assert_eq!(read, newest_first);
    for list in [format!("{c}/pins?limit=500&{min}"), "/v1/mentions?limit=500".to_owned()] {
        let (mut read, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = ben.http.get(&format!("{list}{cursor}")).await;
            read.extend(items(&page).iter().map(number_of));
            let Some(next) = page["next"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(read, newest_first, "{list}");
    }
}

#[tokio::test]
async fn what_a_device_was_told_is_stored_is_in_its_next_read() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    for number in 0..30 {
        let text = number.to_string();
        let seq = ana.store(&conversation, &message(&text)).await;
        let c = format!("/v1/conversations/{conversation}");
        // The gateway knows what this device was told,
        let messages = ana.http.get(&format!("{c}/messages?limit=1")).await;
        assert_eq!(text_of(&messages["items"][0]), text);
        let inbox = ana.http.get("/v1/conversations").await;
        assert_eq!(text_of(&inbox["items"][0]["last"]), text);
        // and others can say what they were told.
        let min = format!("min_seq={conversation}:{seq}");
        let messages = ben.http.get(&format!("{c}/messages?limit=1&{min}")).await;
        assert_eq!(text_of(&messages["items"][0]), text);
        let events = ben.http.get(&format!("{c}/events?limit=1&{min}")).await;
        assert_eq!(text_of(&events["items"][0]), text);
        let inbox = ben.http.get(&format!("/v1/conversations?{min}")).await;
        assert_eq!(text_of(&inbox["items"][0]["last"]), text);
    }
}

#[tokio::test]
async fn a_read_that_cannot_include_what_was_asked_for_says_so() {
    let serve = Serve::start().await;
    let (ana, _, conversation) = couple(serve.address).await;
    let seq = ana.store(&conversation, &message("one")).await;
    let path = format!(
        "/v1/conversations/{conversation}/messages?min_seq={conversation}:{}",
        seq + 1_000_000
    );
    let response = ana.http.ask("GET", &path, None).await;
    assert_eq!((response.status, response.code()), (503, "unavailable"));
}

#[tokio::test]
async fn the_inbox_lists_the_last_active_first_page_by_page() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut groups = Vec::new();
    for number in 0..5 {
        groups.push(ana.create_group(&format!("group {number}"), &[&ben.user]).await);
    }
    ana.store(&conversation, &message("last")).await;
    ana.store(&groups[0], &message("the very last")).await;
    let expected: Vec<String> =
        [&groups[0], &conversation, &groups[4], &groups[3], &groups[2], &groups[1]]
            .into_iter()
            .cloned()
            .collect();

    eventually("the whole inbox, in order", async || {
        let (mut listed, mut cursor) = (Vec::new(), String::new());
        loop {
            let page = ben.http.get(&format!("/v1/conversations?limit=4{cursor}")).await;
            let items = page["items"].as_array().unwrap();
            let ids = items.iter().map(|item| item["conversation"].as_str().unwrap().to_owned());
            listed.extend(ids);
            match page["next"].as_str() {
                Some(next) => cursor = format!("&cursor={next}"),
                None => break,
            }
        }
        listed == expected
    })
    .await;
}

#[tokio::test]
async fn personal_settings_of_a_conversation_reach_the_own_devices_only() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    ana.store(&conversation, &message("hi")).await;
    let (mut hers, mut his) = (ana.connect().await, ben.connect().await);
    let path = format!("/v1/conversations/{conversation}/me");
    let changed = ana.http.ask("PATCH", &path, Some(&json!({"pinned": true}))).await;
    assert_eq!((changed.status, &changed.body["pinned"]), (200, &json!(true)));
    let is_change = |frame: &Value| frame["type"] == "conversation" && frame["pinned"] == true;
    let frame = hers.frame("the change", is_change).await;
    assert_eq!(frame["conversation"], *conversation);
    let until = json!({"muted_until": "2099-01-01T00:00:00.000Z"});
    let muted = ana.http.ask("PATCH", &path, Some(&until)).await.body;
    assert_eq!((&muted["pinned"], &muted["muted_until"]), (&json!(true), &until["muted_until"]));
    let unmuted = ana.http.ask("PATCH", &path, Some(&json!({"muted_until": null}))).await.body;
    assert_eq!((&unmuted["pinned"], &unmuted["muted_until"]), (&json!(true), &Value::Null));

    his.cursor().await;
    assert!(!his.seen.iter().any(is_change));
    assert_eq!(ben.in_inbox(&conversation).await.unwrap()["pinned"], false);
}

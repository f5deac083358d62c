//! Suggestions while one types a search: what is suggested is what the search then means.

use serde_json::Value;

use crate::harness::{
    DEADLINE, Patience, Serve, Session, couple, eventually, including_acks, message, seq_of,
};

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// What was typed, with the suggestion taken that has this text.
async fn typed_and_taken(session: &Session, told_of: &str, typed: &str, text: &str) -> String {
    let path = format!("/v1/search/suggestions?q={}&{}", escaped(typed), including_acks(told_of));
    let patience = Patience::of(DEADLINE);
    loop {
        let list = session.http.get(path.trim_end_matches('&')).await;
        let items = list["items"].as_array().unwrap();
        if let Some(taken) = items.iter().find(|item| item["text"] == text) {
            return replaced(typed, taken);
        }
        patience.look_again(&format!("{text} for {typed}, not {list}")).await;
    }
}

/// As a browser does it, without a grammar of its own.
fn replaced(typed: &str, taken: &Value) -> String {
    let units: Vec<u16> = typed.encode_utf16().collect();
    let place = |of: usize| usize::try_from(taken["replaces"][of].as_u64().unwrap()).unwrap();
    let (before, behind) = (&units[..place(0)], &units[place(1)..]);
    let text = |units: &[u16]| String::from_utf16(units).unwrap();
    format!("{}{}{}", text(before), taken["text"].as_str().unwrap(), text(behind))
}

#[tokio::test]
async fn a_suggestion_that_is_taken_finds_what_it_was_about() {
    let serve = Serve::start().await;
    let (ana, ben, talk) = couple(serve.address).await;
    let group = ana.create_group("Tea \u{1f370} tïme", &[&ben.user]).await;
    let twin = ana.create_group("tea \u{1f370} TÏME", &[&ben.user]).await;
    let other = ana.create_group("Coffee", &[&ben.user]).await;
    let by_ana = ana.store(&other, &message("the Käsekuchen \u{1f370}")).await;
    let in_talk = ben.store(&talk, &message("Käsekuchen, secretly")).await;
    let in_group = ben.store(&group, &message("Käsekuchen for tea")).await;
    ben.store(&twin, &message("Käsekuchen for the twin")).await;
    for (typed, text, means) in [
        ("kasekuchen \u{1f370} from:a", "from:me", by_ana),
        ("kasekuchen in:BE", "in:ben", in_talk),
        ("kasekuchen (x or in:\"coff", "in:Coffee", by_ana),
        ("kasekuchen TEA \u{1f370} ti", format!("in:{group}").as_str(), in_group),
        ("kasekuchen -\u{1f370} ben", "in:ben", in_talk),
    ] {
        let query = typed_and_taken(&ana, &group, typed, text).await;
        let acks: Vec<String> = [&talk, &group, &other].map(|c| including_acks(c)).into();
        let path = format!("/v1/search?q={}&{}", escaped(&query), acks.join("&"));
        eventually(&format!("{query} finds {means}"), async || {
            let found = ana.http.get(&path).await;
            found["items"].as_array().unwrap().iter().map(seq_of).eq([means])
        })
        .await;
    }
}

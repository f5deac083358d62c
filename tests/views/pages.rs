//! Pages from any place of a history: windows of one list, without holes, that say what is beyond.

use serde_json::{Value, json};

use crate::harness::{Session, seq_of};

/// Items of a page; not a divisor of anything.
const LIMIT: usize = 7;

/// Checks pages before, around and at a few places of what `/messages` lists, and its threads.
pub(crate) async fn assert_pages(member: &Session, conversation: &str, listed: &[Value]) {
    let last = listed.len() - 1;
    for place in [0, last / 3, last * 3 / 4, last] {
        let item = &listed[place];
        let (seq, ts) = (seq_of(item), item["ts"].as_str().unwrap());
        let page = async |query: String| {
            member.messages_page(conversation, &format!("{query}&limit={LIMIT}")).await
        };
        let before = page(format!("before={seq}")).await;
        assert_eq!(window(&before, listed), (place.saturating_sub(LIMIT), place), "{before}");
        let (from, to) = window(&page(format!("around={seq}")).await, listed);
        assert!(from <= place && place < to, "{from} to {to} is not around {place}");
        assert_eq!(to - from, LIMIT.min(listed.len()), "around {place} of {}", listed.len());
        // Several may have been stored in one millisecond.
        let first = listed.iter().position(|item| item["ts"] == ts).unwrap();
        let (from, to) = window(&page(format!("at={ts}")).await, listed);
        assert!(from <= first && first < to, "{from} to {to} is not at {first}");
    }
    let roots = listed.iter().filter(|item| item["state"]["thread"].is_object());
    for root in roots.take(3) {
        let seq = seq_of(root);
        let in_thread =
            |item: &&Value| seq_of(item) == seq || item["body"]["event"]["thread"] == json!(seq);
        let shown = member.messages_page(conversation, &format!("thread={seq}&limit=100")).await;
        let shown = shown["items"].as_array().unwrap();
        // A deleted reply no longer says where it belonged, and still does.
        let expected: Vec<&Value> = listed.iter().filter(in_thread).collect();
        let known: Vec<&Value> = shown.iter().filter(in_thread).collect();
        assert_eq!(known, expected, "the thread of {seq}");
        assert_eq!(root["state"]["thread"]["count"], shown.len() - 1, "the thread of {seq}");
    }
}

/// Which part of the list a page is; panics when it is none, or does not say what is beyond.
fn window(page: &Value, listed: &[Value]) -> (usize, usize) {
    let items = page["items"].as_array().unwrap();
    let Some(first) = items.first() else { return (0, 0) };
    let from = listed.iter().position(|item| seq_of(item) == seq_of(first)).unwrap();
    let to = from + items.len();
    assert_eq!(items.as_slice(), &listed[from..to], "a page, and the list");
    assert_eq!(page["more_before"], json!(from > 0), "{page}");
    assert_eq!(page["more_after"], json!(to < listed.len()), "{page}");
    (from, to)
}

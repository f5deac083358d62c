use hansard_model::{GroupId, LogTime};
use serde_json::Value;
use serde_json::value::RawValue;

use super::*;

fn item(seq: u64, prev: u64, bytes: usize) -> Item {
    let body = format!("\"{}\"", "x".repeat(bytes.saturating_sub(2)));
    Item {
        seq: Seq(seq),
        prev: Seq(prev),
        n: seq,
        ts: LogTime::default(),
        body: RawValue::from_string(body).expect("JSON"),
        state: None,
    }
}

/// Frames as `e<seq>` and `g<from>-<to>`.
fn frames(fetched: Fetched, after: u64, bytes_left: &mut usize) -> Vec<String> {
    let conversation = ConversationId::Group(GroupId::from_entropy([1; 20]));
    fetched
        .into_frames(conversation, Seq(after), bytes_left)
        .iter()
        .map(|frame| {
            let value: Value = serde_json::from_slice(&frame.payload()).expect("JSON");
            match value["type"].as_str() {
                Some("gap") => format!("g{}-{}", value["from"], value["to"]),
                _ => format!("e{}", value["seq"]),
            }
        })
        .collect()
}

fn fetched(items: Vec<Item>, more_before: bool) -> Fetched {
    let conversation = ConversationId::Group(GroupId::from_entropy([1; 20]));
    let items = items.iter().map(|item| event(conversation, item)).collect();
    Fetched { items, as_of: Seq(99), more_before, ..Fetched::default() }
}

#[test]
fn a_whole_page_has_no_gap() {
    let page = fetched(vec![item(5, 3, 10), item(8, 5, 10)], false);
    assert_eq!(frames(page, 3, &mut 1_000), ["e5", "e8"]);
    // There are older ones, but the client has them.
    let page = fetched(vec![item(5, 3, 10)], true);
    assert_eq!(frames(page, 3, &mut 1_000), ["e5"]);
}

#[test]
fn what_is_cut_becomes_one_gap_before_the_rest() {
    let page = fetched(vec![item(7, 5, 10), item(8, 7, 10)], true);
    assert_eq!(frames(page, 3, &mut 1_000), ["g3-5", "e7", "e8"]);
}

#[test]
fn bytes_are_bounded_by_leaving_out_the_oldest() {
    let page = || fetched(vec![item(5, 3, 40), item(7, 5, 40), item(8, 7, 40)], false);
    let whole =
        event(ConversationId::Group(GroupId::from_entropy([1; 20])), &item(5, 3, 40)).frame.len();
    assert!(whole > 40 + 40, "all of the frame counts");
    let mut left = 3 * whole - 1;
    assert_eq!(frames(page(), 3, &mut left), ["g3-5", "e7", "e8"]);
    assert!(left < whole);
    assert_eq!(frames(page(), 3, &mut left), ["g3-8"]);
}

#[test]
fn a_client_that_wants_no_events_gets_the_gap() {
    let page = Fetched { none_wanted: true, ..fetched(vec![item(8, 7, 10)], true) };
    assert_eq!(frames(page, 3, &mut 1_000), ["g3-8"]);
    let page = Fetched { none_wanted: true, ..fetched(Vec::new(), false) };
    assert!(frames(page, 3, &mut 1_000).is_empty());
}

//! `hansard bench search` at a small size: both sides find what they are asked for, and whatever is
//! typed is answered; how long it takes on a busy machine means little.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::run;

/// Two starts, and a few seconds of questions.
const WITHIN: Duration = Duration::from_secs(110);

const WORDS: [&str; 24] = [
    "kernel", "panic", "driver", "wireless", "battery", "please", "install", "the", "and", "sound",
    "nobody", "hears", "screen", "flickers", "again", "after", "upgrade", "to", "hardy", "thanks",
    "reboot", "fixed", "it", "printer",
];

/// A chat of so many lines.
fn chat(lines: usize) -> String {
    let line = |number: usize| {
        let word = |place: usize| WORDS[(number * 7 + place * (number % 5 + 1)) % WORDS.len()];
        let text: Vec<&str> = (0..3 + number % 5).map(word).collect();
        let nick = format!("nick{}", number % 9);
        json!({"ts": "2008-04-24T12:00:00Z", "nick": nick, "text": text.join(" ")}).to_string()
    };
    (0..lines).map(line).collect::<Vec<_>>().join("\n")
}

fn count(figures: &Value) -> u64 {
    figures.as_u64().unwrap_or_else(|| panic!("no number: {figures}"))
}

#[tokio::test]
async fn the_search_and_fts5_find_what_they_are_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("chat.jsonl");
    std::fs::write(&file, chat(150)).unwrap();
    let arguments = [
        "bench",
        "search",
        "--durability",
        "os",
        "--partitions",
        "2",
        "--seed",
        "5",
        "--jsonl",
        file.to_str().unwrap(),
        "--messages",
        "300",
        "--conversations",
        "30",
        "--people",
        "30",
        "--readers",
        "3",
        "--of-reader",
        "6",
        "--queries",
        "24",
        "--restarts",
        "1",
        "--restart-queries",
        "6",
        "--fts5-queries",
        "24",
        "--writes-per-second",
        "20",
        "--freshness-seconds",
        "2",
        "--fuzz-seconds",
        "3",
    ];
    let output = run(&arguments, WITHIN).await;
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{errors}");
    let figures: Value = serde_json::from_str(text.lines().last().unwrap()).unwrap();

    let index = &figures["index"];
    assert_eq!((&index["messages"], &index["events"]), (&json!(150), &json!(157)), "{index}");
    assert!(index["hansard"]["index_bytes_per_message"].as_f64().unwrap() > 10.0, "{index}");
    for (side, round) in [
        ("hansard", "after_a_restart"),
        ("hansard", "warm"),
        ("hansard", "warm_while_writing"),
        ("fts5", "after_a_restart"),
        ("fts5", "warm"),
        ("fts5", "warm_while_writing"),
    ] {
        let asked = &figures["queries"][side][round];
        assert_eq!(asked["failed"], 0, "{side} {round}: {asked}");
        assert!(count(&asked["all"]["count"]) >= 6, "{side} {round}: {asked}");
        assert_eq!(asked["with_hits"], asked["all"]["count"], "{side} {round}: {asked}");
    }
    let searched = &figures["queries"]["hansard"]["warm"]["in_the_searcher"];
    assert!(searched["partitions_searched_per_question"].as_f64().unwrap() >= 2.0, "{searched}");
    let freshness = &figures["freshness"];
    assert_eq!(freshness["never_found"], 0, "{freshness}");
    assert!(count(&freshness["ack_to_found"]["count"]) > 0, "{freshness}");
    let fuzz = &figures["fuzz"];
    assert_eq!((&fuzz["faults"], &fuzz["broken_off"]), (&json!(0), &json!(0.0)), "{fuzz}");
    assert!(count(&fuzz["queries"]) > 0, "{fuzz}");
    assert_eq!(fuzz["shapes"].as_object().unwrap().len(), 10, "{fuzz}");
}

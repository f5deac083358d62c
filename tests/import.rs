//! `hansard import` and `hansard replay`: what goes in from a file comes out of the log the same,
//! line by line, whatever happens to the nats-server meanwhile.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Roles, Signal, eventually, run, sign_up, signal};

const WITHIN: Duration = Duration::from_secs(90);
const LINES: usize = 3_000;

/// A chat of people with awkward names, several lines a minute.
fn lines() -> Vec<Value> {
    let nicks = ["ana", "Ana", "|QuaD-", "[miles]", "`J1", "^", "ünï", "x", "aga^_^"];
    (0..LINES)
        .map(|number| {
            let ts = format!("2004-12-25T{:02}:{:02}:00Z", number / 240 % 24, number / 4 % 60);
            let nick = nicks[number * 7 % nicks.len()];
            json!({"ts": ts, "channel": "ubuntu", "nick": nick, "text": format!("\u{1f980} {number}")})
        })
        .collect()
}

fn text_of(output: &std::process::Output) -> String {
    let both = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    String::from_utf8(both).unwrap()
}

/// The messages of a group as lines of a file; panics at a void event or a foreign one.
async fn replayed(roles: &Roles, said: &str) -> Vec<Value> {
    let group = said.split_whitespace().find(|word| word.starts_with("g.")).unwrap();
    let mut lines = Vec::new();
    for record in roles.data.replay(group).await {
        assert!(!record.void, "void: {record:?}");
        let event = &record.body["event"];
        if event["kind"] == "message" {
            let mut line = event["data"]["import"].clone();
            line["text"] = event["text"].clone();
            line.as_object_mut().unwrap().remove("line");
            lines.push(line);
        }
    }
    lines
}

#[tokio::test]
async fn a_chat_is_imported_in_order_once_though_nats_server_is_killed_twice() {
    let roles = Roles::start(1, 1).await;
    let file = format!("{}/chat.jsonl", roles.data.path());
    let text: String = lines().iter().map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, text).unwrap();
    let data = roles.data.path();
    let arguments = ["import", "--data", &data, "--jsonl", &file, "--group", "ubuntu"];
    let (_, log) = roles.data.operator().await;
    let kill = async |when: u64| {
        eventually("messages are in the log", async || {
            let mut stored = 0;
            for partition in log.partitions().partitions() {
                stored += log.last_seq(partition).await.map_or(0, |seq| seq.0);
            }
            stored >= when
        })
        .await;
        let pid = roles.data.nats_pid().unwrap();
        signal(pid, Signal::Kill);
        eventually("another nats-server", async || {
            roles.data.nats_pid().is_some_and(|now| now != pid)
        })
        .await;
    };
    let (first, ()) = tokio::join!(run(&arguments, WITHIN), async {
        kill(300).await;
        kill(1_500).await;
    });
    let said = text_of(&first);
    assert!(first.status.success(), "{said}");
    assert!(said.contains(&format!("imported {LINES} messages by 9 people")), "{said}");
    assert_eq!(replayed(&roles, &said).await, lines());

    let again = text_of(&run(&arguments, WITHIN).await);
    assert!(again.contains("imported 0 messages by 9 people"), "{again}");
    assert!(again.contains(&format!("{LINES} were there already")), "{again}");
    assert_eq!(replayed(&roles, &said).await.len(), LINES);

    let zoe = sign_up(roles.gateways[0].address, "zoe").await;
    let stolen = run(&[&arguments[..], &["--owner", "zoe"]].concat(), WITHIN).await;
    assert!(!stolen.status.success() && text_of(&stolen).contains("another owner"), "{stolen:?}");
    let own = ["import", "--data", &data, "--jsonl", &file, "--group", "own", "--owner", "zoe"];
    let own = run(&own, WITHIN).await;
    assert!(own.status.success(), "{}", text_of(&own));
    let zoe = zoe.log_in(roles.gateways[0].address).await;
    eventually("zoe has the group", async || {
        let inbox = zoe.http.ask("GET", "/v1/conversations", None).await;
        inbox.text.contains("\"title\":\"own\"")
    })
    .await;
}

#[tokio::test]
async fn an_import_that_cannot_succeed_stores_nothing() {
    let roles = Roles::start(0, 0).await;
    let (data, file) = (roles.data.path(), format!("{}/chat.jsonl", roles.data.path()));
    let text: String = lines().iter().map(|line| format!("{line}\n")).collect();
    let import = async |text: &str, limit: &str| {
        std::fs::write(&file, text).unwrap();
        let arguments =
            ["import", "--data", &data, "--jsonl", &file, "--group", "u", "--group-limit", limit];
        run(&arguments, WITHIN).await
    };
    let full = import(&text, "8").await;
    assert!(!full.status.success() && text_of(&full).contains("--group-limit 9"), "{full:?}");
    let mistaken = import(&format!("{text}not json\n"), "9").await;
    let line = format!("line {}", LINES + 1);
    assert!(!mistaken.status.success() && text_of(&mistaken).contains(&line), "{mistaken:?}");
    let (_, log) = roles.data.operator().await;
    for partition in log.partitions().partitions() {
        assert_eq!(log.last_seq(partition).await.unwrap().0, 0, "something was stored");
    }
}

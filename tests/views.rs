//! The views: whatever happens to who keeps them, they say what the log says.

pub(crate) mod fold;
mod freshness;
pub(crate) mod load;
mod pages;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use self::fold::{assert_views_equal_the_log, bucket_is_written};
use self::freshness::Checker;
use self::load::Company;
use crate::harness::{
    DataDir, Dice, Http, Plan, Roles, Serve, Signal, couple, direct, eventually, message, mint,
    seq_of, setting, text_of,
};

/// `VIEW_KILLS=20` is the bar.
const KILLS: u64 = 3;
/// Owners that are asked to end.
const ENDS: u64 = 3;
/// A partition without an owner has another one within this.
const TAKEOVER_WITHIN: Duration = Duration::from_secs(10);
/// Events that are acknowledged before anything happens.
const WARM_UP: u64 = 80;

/// A deployment with two of everything.
async fn two_of_each() -> Roles {
    Roles::of(Plan { gateways: 2, projectors: 2, ..Plan::default() }).await
}

/// Waits until every conversation shows what is stored in it now; how long it took.
async fn shows_the_present(company: &Company, roles: &Roles) -> Duration {
    let began = Instant::now();
    for conversation in &company.conversations {
        let sender = company.members_of(conversation)[0];
        let event = message("still here");
        let gateways = roles.addresses();
        let seq = sender.store_at_last(&gateways, conversation, &mint(), &event).await;
        let path = format!("/v1/conversations/{conversation}?min_seq={conversation}:{seq}");
        eventually("a read of what was just stored", async || {
            sender.http.ask("GET", &path, None).await.status == 200
        })
        .await;
    }
    began.elapsed()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_equal_the_log_whatever_moment_their_owner_is_killed_at() {
    let mut roles = two_of_each().await;
    let company = Company::gather(&roles.addresses(), 2).await;
    let mut dice = Dice::new();
    let load = company.talk(&mut dice);
    let mut takeovers = Vec::new();
    for _ in 0..setting("VIEW_KILLS", KILLS) {
        load.goes_on_a_while(&mut dice).await;
        roles.take_owner(&mut dice).await.process.kill().await;
        takeovers.push(shows_the_present(&company, &roles).await);
        roles.start_projector().await;
    }
    load.end().await;
    let events =
        assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
    bucket_is_written(&roles).await;
    assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
    roles.data.hansard_done(&["views", "verify"]).await;
    println!("{events} events, takeovers: {takeovers:?}");
    let slowest = takeovers.iter().max().unwrap();
    assert!(*slowest < TAKEOVER_WITHIN, "a takeover took {slowest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn views_equal_the_log_when_their_owner_is_asked_to_end_right_after_the_last_message() {
    let mut roles = two_of_each().await;
    let company = Company::gather(&roles.addresses(), 2).await;
    let mut dice = Dice::new();
    for _ in 0..setting("VIEW_ENDS", ENDS) {
        let load = company.talk(&mut dice);
        load.goes_on(20 + dice.below(20)).await;
        // What it has applied and not written yet is as new as can be, and nothing comes later that
        // would put right what was written wrong.
        load.end().await;
        roles.take_owner(&mut dice).await.process.terminate().await;
        roles.start_projector().await;
        bucket_is_written(&roles).await;
        assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
        roles.data.hansard_done(&["views", "verify"]).await;
    }
}

/// What somebody who may read everything finds in the inbox bucket.
async fn bucket_of(data: &DataDir, company: &Company) -> Vec<String> {
    let (connection, log) = data.operator().await;
    let bucket = hansard_nats::inbox::InboxBucket::open(&connection, log.partitions());
    let conversations: Vec<_> =
        company.conversations.iter().map(|one| one.parse().unwrap()).collect();
    let heads = bucket.heads(&conversations).await.unwrap();
    let mut found: Vec<String> = heads.iter().map(|head| format!("{head:?}")).collect();
    for person in &company.people {
        let mine = bucket.memberships(person.user.parse().unwrap()).await.unwrap();
        let records = mine.records.iter().map(|record| format!("{} {record:?}", person.user));
        found.extend(records);
        found.push(format!("{:?}", mine.positions));
    }
    found.sort();
    found.dedup();
    found
}

/// Every object below a directory of the object store, and its size.
fn objects(data: &DataDir, below: &str) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    let mut open = vec![data.objects().join(below)];
    while let Some(directory) = open.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries.map(Result::unwrap) {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                open.push(entry.path());
            } else {
                found.push((entry.path(), metadata.len()));
            }
        }
    }
    found.sort();
    found
}

/// `PAUSE_S=30` pauses for longer than it takes others to take over.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_was_paused_changes_nothing_after_the_takeover() {
    let mut roles = two_of_each().await;
    let company = Company::gather(&roles.addresses(), 2).await;
    let mut dice = Dice::new();
    let load = company.talk(&mut dice);
    load.goes_on(WARM_UP).await;
    load.goes_on_a_while(&mut dice).await;
    let paused = roles.take_owner(&mut dice).await;
    paused.process.signal(Signal::Stop);
    shows_the_present(&company, &roles).await;
    tokio::time::sleep(Duration::from_secs(setting("PAUSE_S", 0))).await;
    load.end().await;
    shows_the_present(&company, &roles).await;
    assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
    bucket_is_written(&roles).await;
    let before = (bucket_of(&roles.data, &company).await, objects(&roles.data, "archive"));

    paused.process.signal(Signal::Continue);
    eventually("the paused owner to find that it is none", async || {
        paused.metric("hansard_projector_partitions_owned").await == 0.0
    })
    .await;
    let after = (bucket_of(&roles.data, &company).await, objects(&roles.data, "archive"));
    assert_eq!(after, before, "the bucket and the archive");
    assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
    // What it may have written into the store shows when the store is opened again.
    roles.stop_projectors().await;
    roles.start_projector().await;
    assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
    roles.data.hansard_done(&["views", "verify"]).await;
}

/// `MIN_SEQ_CHECKS=10000` is the bar.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_read_is_older_than_the_position_it_carries() {
    let mut roles = two_of_each().await;
    let company = Company::gather(&roles.addresses(), 2).await;
    let mut dice = Dice::new();
    let checks = setting("MIN_SEQ_CHECKS", 300);
    let mut checker = Checker::new(&company, &roles.addresses(), &mut dice).await;
    checker.run(checks / 2).await;
    roles.take_owner(&mut dice).await.process.kill().await;
    checker.run(checks - checks / 2).await;
    roles.start_projector().await;
    println!("{checks} checks, {} answered unavailable", checker.unavailable);
    assert_eq!(checker.stale, [] as [String; 0]);
    // An owner that is gone is no reason to refuse everything.
    assert!(checker.unavailable < checks / 2, "{} of {checks}", checker.unavailable);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleted_views_come_back_from_the_log_equal() {
    let mut roles = Roles::of(Plan { gateways: 1, projectors: 1, ..Plan::default() }).await;
    let company = Company::gather(&roles.addresses(), 1).await;
    let load = company.talk(&mut Dice::new());
    load.goes_on(WARM_UP).await;
    load.end().await;
    bucket_is_written(&roles).await;
    let before = bucket_of(&roles.data, &company).await;

    roles.stop_projectors().await;
    assert!(!objects(&roles.data, "history").is_empty(), "there is no history to delete");
    fs::remove_dir_all(roles.data.objects().join("history")).unwrap();
    roles.start_projector().await;
    assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;

    roles.stop_projectors().await;
    let nats = roles.data.jetstream().await;
    nats.delete_stream("KV_INBOX").await.unwrap();
    roles.start_projector().await;
    assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
    bucket_is_written(&roles).await;
    eventually("the inbox bucket as it was", async || {
        bucket_of(&roles.data, &company).await == before
    })
    .await;
    roles.data.hansard_done(&["views", "verify"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rebuilding_views_under_load_fails_no_read_and_shows_nothing_old() {
    let roles = two_of_each().await;
    let company = Company::gather(&roles.addresses(), 2).await;
    let mut dice = Dice::new();
    let load = company.talk(&mut dice);
    load.goes_on(WARM_UP).await;
    let mut checker = Checker::new(&company, &roles.addresses(), &mut dice).await;
    let rebuilding = async {
        for view in ["history", "inbox", "history"] {
            roles.data.hansard_done(&["views", "rebuild", view]).await;
        }
    };
    checker.run_while(rebuilding).await;
    assert_eq!(checker.stale, [] as [String; 0]);
    assert_eq!(checker.unavailable, 0, "reads failed, of {}", checker.done);
    assert!(checker.done > 10, "hardly anything was read: {}", checker.done);
    load.end().await;
    assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
    roles.data.hansard_done(&["views", "verify"]).await;
    roles.data.hansard_done(&["views", "rollback"]).await;
    shows_the_present(&company, &roles).await;
    assert_views_equal_the_log(&roles.data, &company.people, &company.conversations).await;
    roles.data.hansard_done(&["views", "verify"]).await;
}

#[tokio::test]
async fn an_event_that_cannot_be_read_is_parked_and_shown_and_stops_nothing() {
    let mut roles = Roles::of(Plan { gateways: 1, projectors: 1, ..Plan::default() }).await;
    let (ana, ben, conversation) = couple(roles.gateways[0].address).await;
    let first = ana.store(&conversation, &message("before")).await;
    let poison = [
        ("not json at all".to_owned(), "not_an_object"),
        (body_of(&ana.user, 1, &json!({"kind": "message"})), "shape"),
        (body_of(&ana.user, 99, &message("of a later rule set")), "rule_set"),
        (body_of(&ana.user, 1, &json!({"kind": "telepathy", "fallback": "?"})), "shape"),
    ];
    let mut seqs = Vec::new();
    for (payload, _) in &poison {
        seqs.push(roles.data.store_straight(&conversation, &ana.user, payload).await);
    }
    let last = ben.store(&conversation, &message("after")).await;

    let assert_shown = async |roles: &Roles| {
        let events = ana.events(&conversation).await;
        crate::harness::assert_chain(&events);
        let shown: Vec<u64> = events.iter().map(seq_of).collect();
        assert_eq!(shown, [&[first], seqs.as_slice(), &[last]].concat());
        let kinds = events.iter().map(|event| event["body"]["event"]["kind"].as_str().unwrap());
        // A kind that is not known yet goes out as it came: clients may know it.
        let expected =
            ["message", "unreadable", "unreadable", "unreadable", "telepathy", "message"];
        assert_eq!(kinds.collect::<Vec<_>>(), expected);
        assert!(events.iter().all(|event| event["body"]["v"] == 1), "{events:?}");
        let listed: Vec<String> =
            ana.messages(&conversation).await.iter().map(|item| text_of(item).to_owned()).collect();
        assert_eq!(listed, ["before", "after"]);
        let said = roles.data.hansard_done(&["views", "parked", "--json"]).await;
        let mut parked: Vec<Value> =
            said.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        parked.sort_by_key(seq_of);
        for ((item, seq), (payload, reason)) in parked.iter().zip(&seqs).zip(&poison) {
            assert_eq!((seq_of(item), &item["reason"]), (*seq, &json!(reason)), "{payload}");
            assert_eq!(item["conversation"], *conversation);
        }
        assert_eq!(parked.len(), poison.len(), "{said}");
    };
    assert_shown(&roles).await;
    let counted = roles.projectors[0].metric("hansard_projector_parked_total").await;
    assert_eq!(counted, poison.len() as f64);
    roles.data.hansard_done(&["views", "rebuild", "history"]).await;
    assert_shown(&roles).await;
    roles.projectors[0].process.kill().await;
    roles.projectors.clear();
    roles.start_projector().await;
    assert_shown(&roles).await;
    // And a partition whose last event is poison is ready all the same.
    let other = direct(&ben.user, &ben.user);
    roles.data.store_straight(&other, &ben.user, "poison").await;
    let admin = Http::anonymous(roles.projectors[0].admin);
    eventually("readiness", async || admin.ask("GET", "/readyz", None).await.status == 200).await;
}

/// A stored payload.
fn body_of(sender: &str, rules: u8, event: &Value) -> String {
    json!({"v": rules, "id": mint(), "sender": sender, "device": sender, "event": event})
        .to_string()
}

#[tokio::test]
async fn mentions_and_what_is_behind_a_count_are_named() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let group = ana.create_group("ours", &[&ben.user]).await;
    let mut seqs = Vec::new();
    for (at, mentions) in [
        (&conversation, json!([ben.user])),
        (&group, json!(["all"])),
        (&conversation, json!([])),
        (&group, json!([ben.user])),
    ] {
        let mut event = message("@ben");
        if mentions.as_array().is_some_and(|mentions| !mentions.is_empty()) {
            event["mentions"] = mentions;
        }
        seqs.push((at.clone(), ana.store(at, &event).await));
    }
    let explained = async |at: &str| {
        let min = seqs.iter().rfind(|(of, _)| of == at).unwrap().1;
        ben.http.get(&format!("/v1/conversations/{at}/explain?min_seq={at}:{min}")).await
    };
    let of_direct = explained(&conversation).await;
    assert_eq!(of_direct["unread"], 2, "{of_direct}");
    assert_eq!(of_direct["unread_events"], json!([seqs[0].1, seqs[2].1]), "{of_direct}");
    assert_eq!(of_direct["mentions"], json!([seqs[0].1]), "{of_direct}");
    let of_group = explained(&group).await;
    assert_eq!(of_group["unread_events"], json!([seqs[1].1, seqs[3].1]), "{of_group}");
    assert_eq!(of_group["mentions"], json!([seqs[1].1, seqs[3].1]), "{of_group}");

    let page = ben.http.get("/v1/mentions").await;
    let mut named: Vec<(String, u64)> = page["items"]
        .as_array()
        .unwrap()
        .iter()
        .map(|item| (item["conversation"].as_str().unwrap().to_owned(), seq_of(item)))
        .collect();
    named.sort();
    let mut expected = vec![seqs[0].clone(), seqs[1].clone(), seqs[3].clone()];
    expected.sort();
    assert_eq!(named, expected, "{page}");
    assert_eq!(ana.http.get("/v1/mentions").await["items"], json!([]));
}

#[tokio::test]
async fn what_is_alerted_on_is_there_before_it_happens() {
    let serve = Serve::start().await;
    let page = include_str!("../docs/operations.md");
    let alerts = page.lines().find(|line| line.starts_with("Alert on: ")).unwrap();
    let quoted = alerts.split('`').skip(1).step_by(2);
    let wanted: Vec<&str> = quoted.filter(|name| name.starts_with("hansard_")).collect();
    assert!(wanted.len() > 3, "{wanted:?}");
    let text = Http::anonymous(serve.admin).ask("GET", "/metrics", None).await.text;
    for series in wanted {
        let is_there = |line: &str| line.starts_with(series) && !line.starts_with('#');
        assert!(text.lines().any(is_there), "{series}");
    }
}

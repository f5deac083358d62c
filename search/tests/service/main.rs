//! Searchers on a real nats-server.
#![expect(clippy::print_stdout, reason = "the runner shows what a failed test says of itself")]

mod contents;
mod files;
mod kills;
mod process;
mod rig;

use std::fs;

use hansard_model::query::{JobState, QueryError, View, ViewsOp, ViewsRequest, ViewsStatus};
use hansard_model::search::SearchOutcome;
use hansard_model::{ConversationId, PartitionId, Seq};
use hansard_nats::deployment::raise_epoch;
use hansard_nats::query::AskError;
use hansard_nats::search::ask_views;
use serde_json::{Value, json};

use self::rig::{DEADLINE, Rig, group, user, within};

const ANA: u8 = 1;
const BEN: u8 = 2;
const CLEO: u8 = 3;

fn direct() -> ConversationId {
    ConversationId::direct(user(ANA), user(BEN))
}

fn message(text: &str) -> Value {
    json!({"kind": "message", "text": text})
}

fn seqs(found: &[(PartitionId, Seq)]) -> Vec<Seq> {
    found.iter().map(|(_, seq)| *seq).collect()
}

#[tokio::test]
async fn what_was_just_said_is_found_when_it_is_waited_for() {
    let rig = Rig::start(2).await;
    let searcher = rig.searcher("one", "one").serving_all().await;
    for number in 0..5 {
        let said = rig.append(direct(), ANA, message(&format!("tea {number}"))).await;
        let found = rig.found(BEN, &format!("\"tea {number}\" "), &[(direct(), said)]).await;
        assert_eq!(seqs(&found), [said]);
    }
    searcher.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_position_that_does_not_come_is_not_answered_without() {
    let rig = Rig::start(1).await;
    let searcher = rig.searcher("one", "one").serving_all().await;
    let said = rig.append(direct(), ANA, message("tea")).await;
    let question = rig.question(ANA, "tea ", &[(direct(), Seq(said.0 + 10))]);
    let answers = rig.ask(&question).await;
    assert!(matches!(&answers[..], [one] if one.outcome == SearchOutcome::Behind), "{answers:?}");
    searcher.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn edits_deletions_and_void_events_are_reflected() {
    let rig = Rig::start(1).await;
    let searcher = rig.searcher("one", "one").serving_all().await;
    let first = rig.append(direct(), ANA, message("green tea")).await;
    let second = rig.append(direct(), ANA, message("black tea")).await;
    // Committed on the way: what comes behind changes documents of the index.
    assert_eq!(rig.found(ANA, "tea ", &[(direct(), second)]).await.len(), 2);
    let void = message("void tea");
    rig.append_void(direct(), ANA, void).await;
    rig.append(direct(), ANA, json!({"kind": "edit", "target": first, "text": "white coffee"}))
        .await;
    let last = rig.append(direct(), ANA, json!({"kind": "delete", "target": second})).await;
    let min = [(direct(), last)];
    assert_eq!(rig.found(ANA, "tea ", &min).await, []);
    assert_eq!(seqs(&rig.found(ANA, "coffee ", &min).await), [first]);
    searcher.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_removed_member_finds_nothing_and_a_new_one_what_is_theirs() {
    let rig = Rig::start(2).await;
    let searcher = rig.searcher("one", "one").serving_all().await;
    let member = |of: u8, op: &str| json!({"kind": "member", "user": user(of), "op": op});
    rig.append(group(9), ANA, json!({"kind": "create", "members": [user(BEN)]})).await;
    let first = rig.append(group(9), ANA, message("tea one")).await;
    rig.append(group(9), ANA, member(CLEO, "add")).await;
    let second = rig.append(group(9), ANA, message("tea two")).await;
    let removed = rig.append(group(9), ANA, member(BEN, "remove")).await;
    let min = [(group(9), removed)];
    assert_eq!(seqs(&rig.found(ANA, "tea ", &min).await), [second, first]);
    assert_eq!(seqs(&rig.found(CLEO, "tea ", &min).await), [second]);
    assert_eq!(rig.found(BEN, "tea ", &min).await, []);
    searcher.stop().await;
    rig.stop().await;
}

/// Everything that was appended, as a search for all of it gives it.
async fn appended(rig: &Rig, count: usize, before: &mut Vec<Seq>) -> Seq {
    let mut last = Seq::ZERO;
    for _ in 0..count {
        let number = before.len();
        last = rig.append(direct(), ANA, message(&format!("tea {number}"))).await;
        before.push(last);
    }
    last
}

#[tokio::test]
async fn kills_and_restarts_neither_skip_nor_double_anything() {
    let rig = Rig::start(1).await;
    let mut all = Vec::new();
    for round in 0..6 {
        // The same name takes its leases again at once.
        let searcher = rig.searcher("one", "one").serving_all().await;
        let last = appended(&rig, 7 + round, &mut all).await;
        if round % 2 == 0 {
            // Some of it committed, the rest not.
            rig.found(ANA, "tea ", &[(direct(), all[all.len() / 2])]).await;
            searcher.kill().await;
        } else {
            rig.found(ANA, "tea ", &[(direct(), last)]).await;
            searcher.stop().await;
        }
    }
    let last = appended(&rig, 3, &mut all).await;
    let searcher = rig.searcher("one", "one").serving_all().await;
    let mut found = seqs(&rig.found(BEN, "tea ", &[(direct(), last)]).await);
    found.reverse();
    assert_eq!(found, all);
    searcher.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn searchers_share_the_partitions_and_take_over_from_one_that_died() {
    let rig = Rig::start(4).await;
    let first = rig.searcher("first", "first").serving_all().await;
    let second = rig.searcher("second", "second");
    let mut min = Vec::new();
    for number in 0..16 {
        let at = group(number);
        rig.append(at, ANA, json!({"kind": "create", "members": []})).await;
        min.push((at, rig.append(at, ANA, message("tea")).await));
    }
    within("equal shares", async || {
        assert_eq!(rig.found(ANA, "tea ", &min).await.len(), 16);
        ((first.serving(), second.serving()) == (2, 2)).then_some(())
    })
    .await;
    first.kill().await;
    let second = second.serving_all().await;
    assert_eq!(rig.found(ANA, "tea ", &min).await.len(), 16, "the other reads the log");
    second.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_partition_that_nobody_owns_is_missing_in_the_answer() {
    let rig = Rig::start(1).await;
    let question = rig.question(ANA, "tea ", &[]);
    assert_eq!(rig.ask(&question).await, []);
    rig.stop().await;
}

/// The generations of a partition's index on the disk.
fn generations(rig: &Rig, name: &str) -> Vec<String> {
    let entries = fs::read_dir(rig.directory(name).join("0")).expect("a directory");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("an entry").file_name().into_string().expect("text")
    };
    entries.map(name).collect()
}

#[tokio::test]
async fn an_index_that_is_lost_or_damaged_is_made_again() {
    let rig = Rig::start(1).await;
    let mut all = Vec::new();
    let last = appended(&rig, 5, &mut all).await;
    let min = [(direct(), last)];
    let searcher = rig.searcher("one", "one").serving_all().await;
    assert_eq!(rig.found(ANA, "tea ", &min).await.len(), 5);
    searcher.stop().await;
    let index = rig.directory("one").join("0").join("1");
    fs::write(index.join("meta.json"), "{").expect("written");
    let searcher = rig.searcher("one", "one").serving_all().await;
    assert_eq!(rig.found(ANA, "tea ", &min).await.len(), 5);
    searcher.stop().await;
    fs::remove_dir_all(rig.directory("one")).expect("removed");
    let searcher = rig.searcher("one", "one").serving_all().await;
    assert_eq!(rig.found(ANA, "tea ", &min).await.len(), 5);
    searcher.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn an_index_of_another_log_is_built_anew_while_people_search() {
    let rig = Rig::start(1).await;
    let mut all = Vec::new();
    let last = appended(&rig, 5, &mut all).await;
    let searcher = rig.searcher("one", "one").serving_all().await;
    let min = [(direct(), last)];
    assert_eq!(rig.found(ANA, "tea ", &min).await.len(), 5);
    raise_epoch(&rig.operator, 1).await.expect("raised");
    within("another generation", async || (generations(&rig, "one") == ["2"]).then_some(())).await;
    assert_eq!(rig.found(ANA, "tea ", &min).await.len(), 5);
    searcher.stop().await;
    rig.stop().await;
}

/// The manifest of the partition's snapshot, if there is one.
fn manifest(rig: &Rig, partition: u16) -> Option<Value> {
    let path = rig.data.path().join(format!("objects/search/{partition}/manifest.json"));
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

#[tokio::test]
async fn a_machine_without_an_index_begins_with_the_snapshot_and_goes_on_from_there() {
    let rig = Rig::start(1).await;
    let mut all = Vec::new();
    let searcher = rig.searcher("one", "one").serving_all().await;
    let covered = appended(&rig, 5, &mut all).await;
    within("a snapshot", async || {
        (manifest(&rig, 0)?["position"]["seq"] == covered.0).then_some(())
    })
    .await;
    searcher.kill().await;
    let last = appended(&rig, 3, &mut all).await;
    // What is before the snapshot's position is in no stream and no archive: only it has that.
    rig.forget_before(covered).await;
    let other = rig.searcher("one", "other").serving_all().await;
    let found = rig.found(BEN, "tea ", &[(direct(), last)]).await;
    assert_eq!(found.len(), 8);
    // A restored index is written on, and its files go when they were merged.
    let edit = json!({"kind": "edit", "target": all[0], "text": "coffee"});
    let last = rig.append(direct(), ANA, edit).await;
    assert_eq!(rig.found(BEN, "tea ", &[(direct(), last)]).await.len(), 7);
    other.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_damaged_snapshot_is_none() {
    let rig = Rig::start(1).await;
    let mut all = Vec::new();
    let searcher = rig.searcher("one", "one").serving_all().await;
    let last = appended(&rig, 5, &mut all).await;
    within("a snapshot", async || (manifest(&rig, 0)?["position"]["seq"] == last.0).then_some(()))
        .await;
    searcher.stop().await;
    for file in fs::read_dir(rig.data.path().join("objects/search/0/files")).expect("files") {
        fs::write(file.expect("a file").path(), "nonsense").expect("written");
    }
    let other = rig.searcher("one", "other").serving_all().await;
    assert_eq!(rig.found(BEN, "tea ", &[(direct(), last)]).await.len(), 5);
    other.stop().await;
    rig.stop().await;
}

/// Where the index of the first partition stands.
async fn views(rig: &Rig, op: ViewsOp, view: View) -> Result<ViewsStatus, AskError> {
    ask_views(&rig.operator, PartitionId(0), &ViewsRequest { op, view }, DEADLINE).await
}

#[tokio::test]
async fn an_index_is_built_anew_beside_the_one_that_is_searched() {
    let rig = Rig::start(1).await;
    let mut all = Vec::new();
    let searcher = rig.searcher("one", "one").serving_all().await;
    let last = appended(&rig, 5, &mut all).await;
    assert_eq!(rig.found(ANA, "tea ", &[(direct(), last)]).await.len(), 5);
    let begun = views(&rig, ViewsOp::Rebuild, View::Search).await.expect("begun");
    assert_eq!(begun.job.map(|job| job.view), Some(View::Search));
    let last = appended(&rig, 5, &mut all).await;
    let done = within("the end of the rebuild", async || {
        let status = views(&rig, ViewsOp::Status, View::Search).await.ok()?;
        let job = status.job.clone()?;
        assert_ne!(job.state, JobState::Failed, "{:?}", job.failure);
        (job.state == JobState::Done).then_some(status)
    })
    .await;
    assert_eq!(done.generation, 2);
    assert_eq!(rig.found(ANA, "tea ", &[(direct(), last)]).await.len(), 10);
    let last = appended(&rig, 2, &mut all).await;
    assert_eq!(rig.found(ANA, "tea ", &[(direct(), last)]).await.len(), 12);
    searcher.stop().await;
    within("the removal of the one before", async || {
        (!generations(&rig, "one").contains(&"1".to_owned())).then_some(())
    })
    .await;
    // A new start takes the one that counts.
    let searcher = rig.searcher("one", "one").serving_all().await;
    assert_eq!(rig.found(ANA, "tea ", &[(direct(), last)]).await.len(), 12);
    for (op, view) in [(ViewsOp::Rebuild, View::History), (ViewsOp::Verify, View::Search)] {
        let refused = views(&rig, op, view).await;
        assert!(matches!(refused, Err(AskError::Query(QueryError::BadRequest))), "{refused:?}");
    }
    searcher.stop().await;
    rig.stop().await;
}

//! Views that are lost, wrong or of another log.

use std::fs;
use std::sync::Arc;

use hansard_model::inbox::InboxKey;
use hansard_model::query::{
    Anchor, Difference, DifferenceKind, JobState, MessagesRequest, Page, RecordRequest,
    StoredRecord, View, ViewsJob, ViewsOp, ViewsRequest, ViewsStatus,
};
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, PartitionId, Seq};
use hansard_nats::inbox::InboxBucket;
use serde_json::{Value, json};
use slatedb::{Db, Settings, WriteBatch};

use crate::rig::{Projector, Rig, group, user, within};
use crate::{ANA, BEN, create, direct, message};

const ONLY: PartitionId = PartitionId(0);

/// Says some of everything; the last position.
async fn talk(rig: &mut Rig) -> Seq {
    let at = group(9);
    rig.append(at, ANA, create(&[BEN])).await;
    let first = rig.append(at, ANA, message("one")).await;
    rig.append(at, ANA, json!({"kind": "edit", "target": first, "text": "edited"})).await;
    rig.append(at, BEN, json!({"kind": "reaction", "target": first, "emoji": "x", "op": "add"}))
        .await;
    rig.append_void(direct(), ANA, message("void")).await;
    let mention = json!({"kind": "message", "text": "two", "mentions": [user(BEN)]});
    rig.append(at, ANA, mention).await;
    for number in 0..50 {
        rig.append(direct(), BEN, message(&number.to_string())).await;
    }
    rig.append(direct(), ANA, message("last")).await
}

/// What both see of both conversations, and what the bucket says.
async fn everything(rig: &Rig, last: Seq) -> Vec<Value> {
    let mut seen = Vec::new();
    for (conversation, reader) in [(group(9), BEN), (direct(), ANA)] {
        let request = MessagesRequest {
            conversation,
            reader: user(reader),
            anchor: Anchor::Newest,
            thread: None,
            limit: 100,
            min_seq: Some(last),
        };
        let page: Page =
            rig.ask(conversation, QueryVerb::Messages, &request).await.expect("a page");
        seen.push(serde_json::to_value(page).expect("json"));
        let page = rig.events(conversation, reader, last).await.expect("a page");
        seen.push(serde_json::to_value(page).expect("json"));
    }
    rig.inbox(InboxKey::Position(ONLY), |position| *position == json!(last)).await;
    for key in [
        InboxKey::Head(group(9)),
        InboxKey::Head(direct()),
        InboxKey::Member(user(BEN), group(9)),
        InboxKey::Member(user(ANA), direct()),
    ] {
        seen.push(rig.inbox(key, |_| true).await);
    }
    seen
}

async fn views(rig: &Rig, op: ViewsOp, view: View) -> ViewsStatus {
    let request = ViewsRequest { op, view };
    rig.ask(group(9), QueryVerb::Views, &request).await.expect("a status")
}

/// Runs a job to its end.
async fn job(rig: &Rig, op: ViewsOp, view: View) -> ViewsJob {
    views(rig, op, view).await;
    let ended = within("the end of a job", async || {
        let job = views(rig, ViewsOp::Status, view).await.job?;
        (job.state != JobState::Running).then_some(job)
    });
    let job = ended.await;
    assert_eq!((job.op, job.view, job.state), (op, view, JobState::Done), "{job:?}");
    job
}

async fn restarted(rig: &Rig, projector: Projector, holder: &str) -> Projector {
    projector.stop().await;
    rig.projector(holder).serving_all().await
}

#[tokio::test]
async fn a_deleted_store_and_a_deleted_bucket_come_back_equal() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    let last = talk(&mut rig).await;
    let before = everything(&rig, last).await;
    let projector = restarted(&rig, projector, "two").await;
    assert_eq!(everything(&rig, last).await, before, "from the rows");
    projector.stop().await;
    fs::remove_dir_all(rig.data.path().join("objects/history")).expect("removed");
    let projector = rig.projector("three").serving_all().await;
    assert_eq!(everything(&rig, last).await, before, "from the log");
    projector.stop().await;
    let bucket = InboxBucket::open(&rig.operator, rig.log.partitions());
    bucket.forget(ONLY).await.expect("removed");
    let projector = rig.projector("four").serving_all().await;
    assert_eq!(everything(&rig, last).await, before, "the bucket from the rows");
    assert_eq!(job(&rig, ViewsOp::Verify, View::Inbox).await.differences, 0);
    projector.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn an_owner_killed_at_any_moment_leaves_what_a_fresh_replay_gives() {
    let mut rig = Rig::start(1).await;
    let mut last = Seq::ZERO;
    for round in 0..3 {
        let projector = rig.projector("same").serving_all().await;
        last = talk(&mut rig).await;
        if round == 1 {
            rig.events(direct(), ANA, last).await.expect("a page");
        }
        projector.kill().await;
    }
    let projector = rig.projector("same").serving_all().await;
    let seen = everything(&rig, last).await;
    let verified = job(&rig, ViewsOp::Verify, View::History).await;
    assert_eq!((verified.found, verified.differences), (Vec::new(), 0));
    assert!(verified.compared > 300, "{} rows", verified.compared);
    let inbox = job(&rig, ViewsOp::Verify, View::Inbox).await;
    assert_eq!((inbox.found, inbox.differences), (Vec::new(), 0));
    assert_eq!(everything(&rig, last).await, seen);
    projector.stop().await;
    rig.stop().await;
}

/// Changes a stored row, and removes another.
async fn plant(rig: &Rig) {
    let path = rig.objects.path("history/0/1");
    let settings = Settings { wal_enabled: false, flush_interval: None, ..Settings::default() };
    let store = Arc::clone(&rig.objects.store);
    let db = Db::builder(path, store).with_settings(settings).build().await.expect("opened");
    let mut rows = db.scan(b"m".to_vec()..b"n".to_vec()).await.expect("rows");
    let (mut batch, mut is_changed) = (WriteBatch::new(), false);
    while let Some(row) = rows.next().await.expect("a row") {
        let text = String::from_utf8_lossy(&row.value).into_owned();
        if text.contains(r#""last""#) {
            batch.delete(&row.key);
        } else if !is_changed && text.contains(r#""7""#) {
            let mut value = row.value.to_vec();
            let at = value.windows(3).position(|part| part == br#""7""#).expect("there");
            value[at + 1] = b'8';
            batch.put(&row.key, &value);
            is_changed = true;
        }
    }
    assert!(is_changed);
    db.write(batch).await.expect("written");
    db.close().await.expect("closed");
}

fn kinds(found: &[Difference]) -> Vec<DifferenceKind> {
    found.iter().map(|difference| difference.what).collect()
}

#[tokio::test]
async fn what_is_not_as_the_log_says_is_found_named_and_put_right() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    let last = talk(&mut rig).await;
    let right = everything(&rig, last).await;
    projector.stop().await;
    plant(&rig).await;
    let bucket = InboxBucket::open(&rig.operator, rig.log.partitions());
    let of_ben = InboxKey::Member(user(BEN), group(9));
    let entry = bucket.entry(of_ben).await.expect("answers").expect("an entry");
    let wrong = String::from_utf8_lossy(&entry.value).replace(r#""mentions":1"#, r#""mentions":9"#);
    assert!(bucket.replace(of_ben, wrong.into_bytes(), entry.revision).await.expect("written"));
    let stranger = InboxKey::Head(ConversationId::direct(user(BEN), user(BEN)));
    assert!(bucket.replace(stranger, entry.value.to_vec(), 0).await.expect("written"));

    let projector = rig.projector("two").serving_all().await;
    let verified = job(&rig, ViewsOp::Verify, View::History).await;
    assert_eq!(verified.differences, 2);
    let mut found = kinds(&verified.found);
    found.sort_by_key(|kind| *kind == DifferenceKind::Missing);
    assert_eq!(found, [DifferenceKind::Different, DifferenceKind::Missing]);
    assert!(
        verified.found.iter().all(|one| one.key.contains(&direct().to_string())),
        "{verified:?}"
    );
    let verified = job(&rig, ViewsOp::Verify, View::Inbox).await;
    let mut named: Vec<String> = verified.found.iter().map(|one| one.key.clone()).collect();
    named.sort();
    assert_eq!(named, [stranger.to_string(), of_ben.to_string()], "{verified:?}");

    let rebuilt = job(&rig, ViewsOp::Rebuild, View::History).await;
    assert_eq!(rebuilt.differences, 2);
    assert_eq!(job(&rig, ViewsOp::Rebuild, View::Inbox).await.differences, 2);
    assert_eq!(everything(&rig, last).await, right);
    for view in [View::History, View::Inbox] {
        assert_eq!(job(&rig, ViewsOp::Verify, view).await.differences, 0);
    }
    let status = views(&rig, ViewsOp::Status, View::History).await;
    assert_eq!((status.generation, status.previous), (2, Some(1)));
    job(&rig, ViewsOp::Rollback, View::History).await;
    assert_eq!(job(&rig, ViewsOp::Verify, View::History).await.differences, 2, "as it was");
    projector.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn readiness_ends_with_the_lease() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    rig.append(direct(), ANA, message("one")).await;
    assert!(projector.progress.serves_all());
    let progress = projector.progress.clone();
    // Nobody renews: it ends by itself.
    projector.kill().await;
    within("the end of the lease", async || (!progress.serves_all()).then_some(())).await;
    rig.stop().await;
}

#[tokio::test]
async fn a_record_is_told_as_it_was_stored() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    let seq = rig.append(direct(), ANA, message("one")).await;
    let void = rig.append_void(direct(), ANA, message("void")).await;
    for (seq, is_void) in [(seq, false), (void, true)] {
        let request = RecordRequest { seq };
        let found: Option<StoredRecord> =
            rig.ask(direct(), QueryVerb::Record, &request).await.expect("an answer");
        let record = found.expect("a record").into_record();
        let stored = rig.log.read(ONLY, seq).await.expect("answers").expect("stored");
        assert_eq!(record.payload, stored.payload);
        assert_eq!((record.is_void(), record.ts, record.key), (is_void, stored.ts, stored.key));
    }
    let none: Option<StoredRecord> = rig
        .ask(direct(), QueryVerb::Record, &RecordRequest { seq: void.next() })
        .await
        .expect("an answer");
    assert!(none.is_none());
    projector.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn identical_opens_at_the_same_moment_are_one_read_and_say_the_same() {
    let mut rig = Rig::start(1).await;
    let projector = rig.projector("one").serving_all().await;
    let last = talk(&mut rig).await;
    let opens = (0..200).map(|_| rig.events(direct(), ANA, last));
    let pages = futures_util::future::join_all(opens).await;
    let first = serde_json::to_string(pages[0].as_ref().expect("a page")).expect("json");
    for page in pages {
        assert_eq!(serde_json::to_string(&page.expect("a page")).expect("json"), first);
    }
    projector.stop().await;
    rig.stop().await;
}

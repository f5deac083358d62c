//! Archive and views in a bucket of a real S3 service: killed owners, paused owners, a service that
//! is away, and a service that was named wrongly.

use std::ops::Range;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use hansard_model::query::ViewsStatus;
use serde_json::Value;

use crate::harness::{
    DataDir, Plan, Roles, S3, Serve, Session, Signal, Variable, couple, eventually, free_port,
    message, run_among, signal, text_of,
};
use crate::views::fold::assert_views_equal_the_log;

/// Where the deployment is in the bucket.
const PREFIX: &str = "some/prefix";
const PLACE: &str = "s3://hansard/some/prefix";
/// So that there are segments soon.
const SMALL: [&str; 5] = ["--hot-window", "4s", "--segment-events", "20", "--unsafe-windows"];
/// A start that waits for nothing, and one that waits for a service.
const ENDS_WITHIN: Duration = Duration::from_secs(60);

async fn s3() -> S3 {
    // Where nothing is installed yet, it is now.
    tokio::task::spawn_blocking(S3::start).await.unwrap()
}

/// By which every process finds the bucket.
fn variables(s3: &S3) -> Vec<Variable> {
    let mut variables = s3.variables();
    variables.push(("HANSARD_OBJECT_STORE".to_owned(), PLACE.to_owned()));
    variables
}

/// The objects below a part of the deployment's prefix that end so.
async fn objects(s3: &S3, part: &str, end: &str) -> usize {
    let objects = s3.objects(PREFIX);
    let listed: Vec<_> = objects.store.list(Some(&objects.path(part))).try_collect().await.unwrap();
    listed.iter().filter(|object| object.location.as_ref().ends_with(end)).count()
}

/// Where the views of each partition stand.
async fn standing(data: &DataDir) -> Vec<ViewsStatus> {
    let said = data.hansard_done(&["views", "status", "--json"]).await;
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until every row is in the bucket.
async fn are_flushed(data: &DataDir) {
    eventually("the rows to be in the bucket", async || {
        let all = standing(data).await;
        all.iter().all(|one| one.applied == one.last_known && one.flushed == one.applied)
    })
    .await;
}

/// What somebody sees of a conversation: its chain, and its line in the inbox.
async fn seen(by: &Session, conversation: &str) -> (Vec<Value>, Option<Value>) {
    (by.events(conversation).await, by.in_inbox(conversation).await)
}

/// Says this much more.
async fn say(by: &Session, at: &str, numbers: Range<u32>) {
    for number in numbers {
        by.store(at, &message(&format!("said {number}"))).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_in_a_bucket_outlives_the_death_of_all_that_wrote_it() {
    let s3 = s3().await;
    let more = [&SMALL[..], &["--partitions", "2"]].concat();
    let mut serve = Serve::among(&variables(&s3), &more).await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let group = ana.create_group("ours", &[&ben.user]).await;
    tokio::join!(say(&ana, &conversation, 0..40), say(&ben, &group, 0..40));
    are_flushed(&serve.data).await;
    eventually("segments", async || objects(&s3, "archive", ".zst").await > 0).await;
    assert!(objects(&s3, "history", ".sst").await > 0, "no rows are in the bucket");
    assert!(!serve.data.objects().exists(), "something is in a directory");

    // With rows that are in no object yet.
    tokio::join!(say(&ana, &conversation, 40..60), say(&ben, &group, 40..60));
    let before = (seen(&ana, &conversation).await, seen(&ben, &group).await);
    serve.process.kill().await;
    serve.restart().await;
    assert_eq!((seen(&ana, &conversation).await, seen(&ben, &group).await), before);
    say(&ben, &conversation, 60..61).await;
    let (people, conversations) = ([ana, ben], [conversation, group]);
    assert_views_equal_the_log(&serve.data, &people, &conversations).await;
    serve.data.hansard_done(&["views", "verify"]).await;
    let verified = serve.data.hansard_done(&["archive", "verify"]).await;
    assert!(verified.lines().all(|line| line.ends_with(": 0 faults")), "{verified}");
    let checked = serve.data.hansard_done(&["check"]).await;
    assert!(checked.contains(&format!("object_store = {PLACE} at http://")), "{checked}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_who_sends_or_listens_notices_that_the_service_is_away() {
    let s3 = s3().await;
    let more = [&SMALL[..], &["--partitions", "2"]].concat();
    let serve = Serve::among(&variables(&s3), &more).await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let mut his = ben.connect().await;
    say(&ana, &conversation, 0..40).await;
    signal(s3.server.id(), Signal::Stop);
    let mut number = 40;
    eventually("a flush that does not end", async || {
        say(&ana, &conversation, number..number + 1).await;
        let text = format!("said {number}");
        his.frame("what is said meanwhile", |frame| text_of(frame) == text).await;
        number += 1;
        serve.process.log().contains("rows are not flushed")
    })
    .await;
    let waiting = standing(&serve.data).await;
    assert!(waiting.iter().any(|one| one.flushed < one.applied), "{waiting:?}");
    signal(s3.server.id(), Signal::Continue);
    are_flushed(&serve.data).await;
    let (people, conversations) = ([ana, ben], [conversation]);
    assert_views_equal_the_log(&serve.data, &people, &conversations).await;
    serve.data.hansard_done(&["archive", "verify"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_owner_that_comes_back_changes_nothing_in_the_bucket() {
    let s3 = s3().await;
    let variables = variables(&s3);
    let mut roles = Roles::of(Plan {
        gateways: 1,
        projectors: 1,
        to_projectors: &SMALL,
        variables: &variables,
        ..Plan::default()
    })
    .await;
    let (ana, ben, conversation) = couple(roles.gateways[0].address).await;
    let owned = async |roles: &Roles, index: usize| {
        roles.projectors[index].metric("hansard_projector_partitions_owned").await
    };
    say(&ana, &conversation, 0..30).await;
    are_flushed(&roles.data).await;
    // With rows that it has not flushed.
    say(&ana, &conversation, 30..60).await;
    ana.events(&conversation).await;
    roles.projectors[0].process.signal(Signal::Stop);
    roles.start_projector().await;
    say(&ana, &conversation, 60..90).await;
    eventually("a takeover", async || owned(&roles, 1).await == 4.0).await;
    let taken_over = seen(&ben, &conversation).await.0;
    assert_eq!(taken_over.len(), 90);
    roles.projectors[0].process.signal(Signal::Continue);
    // It finds that it owns nothing any more; a new owner that it had shut out would give it nothing.
    eventually("equal shares", async || {
        (owned(&roles, 0).await, owned(&roles, 1).await) == (2.0, 2.0)
    })
    .await;
    say(&ana, &conversation, 90..120).await;
    are_flushed(&roles.data).await;
    assert_eq!(seen(&ben, &conversation).await.0[..90], taken_over[..]);
    let (people, conversations) = ([ana, ben], [conversation]);
    assert_views_equal_the_log(&roles.data, &people, &conversations).await;
    roles.data.hansard_done(&["views", "verify", "history"]).await;
    roles.data.hansard_done(&["archive", "verify"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_was_named_wrongly_is_told_of_at_the_start() {
    let s3 = s3().await;
    let dirs = tempfile::tempdir().unwrap();
    let starts = async |name: &str, command: &str, change: (&str, &str), place: &str| {
        let mut variables = s3.variables();
        for (_, value) in variables.iter_mut().filter(|(name, _)| name == change.0) {
            *value = change.1.to_owned();
        }
        let data = dirs.path().join(name);
        let arguments = [command, "--data", data.to_str().unwrap(), "--object-store", place];
        let arguments = [&arguments[..], &["--listen", "127.0.0.1:0"]].concat();
        let output = run_among(&variables, &arguments, ENDS_WITHIN).await;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).into_owned();
        (output.status.success(), said)
    };
    let fails = async |name: &str, command: &str, change: (&str, &str), place: &str, says: &str| {
        let (succeeded, said) = starts(name, command, change, place).await;
        assert!(!succeeded && said.contains(says) && said.contains(place), "{name}: {said}");
    };
    let secret = ("AWS_SECRET_ACCESS_KEY", "guessed");
    let away = format!("http://{}", free_port());
    let away = ("AWS_ENDPOINT", away.as_str());
    let bucket = "there is no such bucket: create it, or correct --object-store";
    tokio::join!(
        fails("bucket", "serve", ("", ""), "s3://nowhere/x", bucket),
        fails("secret", "serve", secret, PLACE, "credentials are refused (SignatureDoesNotMatch)"),
        fails("check-bucket", "check", ("", ""), "s3://nowhere/x", bucket),
        fails("check-away", "check", away, PLACE, "the object store does not answer"),
    );
    let (succeeded, said) = starts("good", "check", ("", ""), PLACE).await;
    assert!(succeeded && said.contains("(no deployment's yet)"), "{said}");
}

use hansard_archive::ObjectsUrl;

use super::*;
use crate::rows::Rows;

#[path = "../../../archive/tests/service/s3.rs"]
mod s3;

const PARTITION: PartitionId = PartitionId(3);
/// Some forty requests take a second or two of it.
const WITHIN: Duration = Duration::from_secs(60);

fn row(number: u64) -> RowKey {
    RowKey::Parked(hansard_model::Seq(number))
}

fn rows(number: u64) -> Changed {
    Changed::from([(row(number).encode(), Some(Bytes::from_static(b"kept")))])
}

async fn held(store: &Store, numbers: Range<u64>) -> Vec<u64> {
    let rows = store.snapshot().expect("a snapshot");
    let mut held = Vec::new();
    for number in numbers {
        if rows.get(&row(number)).await.expect("an answer").is_some() {
            held.push(number);
        }
    }
    held
}

fn is_shut_out(outcome: &Result<(), StoreError>) -> bool {
    matches!(outcome, Err(error) if error.is_closed())
}

/// Two processes on one object store.
async fn one_owner_at_a_time(objects: &Objects) {
    let (one, other) = (Stores::new(objects.clone()), Stores::new(objects.clone()));
    let early = one.open(PARTITION, 1).await.expect("opened");
    early.write(rows(1)).await.expect("written");
    early.flush().await.expect("flushed");
    early.write(rows(2)).await.expect("written");
    let late = other.open(PARTITION, 1).await.expect("opened");
    assert_eq!(held(&late, 1..5).await, [1], "what was flushed, and no more");
    late.write(rows(3)).await.expect("written");
    // At the same moment: the conditional write of one of them must fail.
    let (shut_out, flushed) = tokio::join!(early.flush(), late.flush());
    assert!(is_shut_out(&shut_out), "{shut_out:?}");
    flushed.expect("flushed");
    let refused = early.write(rows(4)).await;
    assert!(is_shut_out(&refused), "{refused:?}");
    // Of two that open it together one stays, whoever it is, and what it wrote is there. Each may shut
    // the other out while it opens: then both try again, as owners do.
    let mut kept = vec![1, 3];
    while kept.len() == 2 {
        let (first, second) = tokio::join!(one.open(PARTITION, 1), other.open(PARTITION, 1));
        for (number, opened) in [(10, first), (11, second)] {
            let outcome = match opened {
                Ok(store) => match store.write(rows(number)).await {
                    Ok(()) => store.flush().await,
                    Err(error) => Err(error),
                },
                Err(error) => Err(error),
            };
            if outcome.is_ok() {
                kept.push(number);
            } else {
                assert!(is_shut_out(&outcome), "{outcome:?}");
            }
        }
    }
    assert_eq!(kept.len(), 3, "one owner: {kept:?}");
    let last = one.open(PARTITION, 1).await.expect("opened");
    assert_eq!(held(&last, 1..12).await, kept);
    last.close(false).await.expect("closed");
    one.remove(PARTITION, 1).await.expect("removed");
    let left: Vec<_> = objects.store.list(None).try_collect().await.expect("a list");
    assert!(left.is_empty(), "{left:?}");
}

/// Where conditions do not hold, both go on for ever.
async fn in_time(objects: Objects) {
    let test = Box::pin(one_owner_at_a_time(&objects));
    tokio::time::timeout(WITHIN, test).await.expect("one of two is shut out");
}

#[tokio::test]
async fn who_opens_a_store_shuts_out_who_had_it_in_a_directory() {
    let directory = tempfile::tempdir().expect("a directory");
    let url = ObjectsUrl::from(directory.path());
    in_time(Objects::open(&url).expect("opened")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_opens_a_store_shuts_out_who_had_it_in_a_bucket() {
    let s3 = tokio::task::spawn_blocking(s3::S3::start).await.expect("an S3 server");
    in_time(s3.objects("some/prefix")).await;
}

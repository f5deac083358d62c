//! The archive against a real nats-server.

mod faulty;
mod restores;
mod rig;
mod s3;
mod stores;

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use hansard_archive::{
    Archive, Archiver, ArchiverSettings, FollowError, Objects, ReadError, verify_offline,
};
use hansard_model::{PartitionId, Seq};
use hansard_nats::deployment;
use hansard_nats::log::{self, StoredEvent};
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt as _};
use tokio_util::sync::CancellationToken;

use self::faulty::Faulty;
use self::rig::{DEADLINE, PARTITION, Rig, STREAM, eager, group, keeping, soon, within};

fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

async fn objects(store: &Arc<dyn ObjectStore>) -> Vec<ObjectMeta> {
    store.list(Some(&Path::from("archive"))).try_collect().await.expect("a list")
}

async fn paths(store: &Arc<dyn ObjectStore>) -> Vec<Path> {
    let mut paths: Vec<Path> = objects(store).await.into_iter().map(|o| o.location).collect();
    paths.sort();
    paths
}

#[tokio::test]
async fn segments_and_stream_are_one_log() {
    let rig = Rig::start().await;
    let store = memory();
    let archive = rig.archive(&store).await;
    rig.append(550).await;
    let before = rig.stored().await;
    rig.archive_until(&archive, eager(), (Seq(550), Seq(551))).await;
    rig.append(50).await;
    let mut expected = before;
    expected.extend(rig.stored().await);
    assert_eq!(expected.len(), 600);
    assert_eq!(rig.whole_log(&archive).await, expected);
    for after in [0, 99, 100, 101, 549, 550, 551, 599] {
        let mut reader = archive.follow(&rig.log, PARTITION, Seq(after));
        for event in &expected[after as usize..] {
            let record = soon(reader.next()).await.expect("a record");
            assert_eq!(Some(record), event.record());
        }
        assert_eq!((reader.position(), reader.last_known()), (Seq(600), Seq(600)));
        assert!(reader.try_next().expect("nothing wrong").is_none());
    }
    for seq in [1, 100, 101, 550, 551, 600] {
        let read = archive.read(&rig.log, PARTITION, Seq(seq)).await.expect("an answer");
        assert_eq!(read, expected[seq as usize - 1].record());
    }
    assert_eq!(archive.read(&rig.log, PARTITION, Seq(601)).await.expect("an answer"), None);
    rig.stop().await;
}

#[tokio::test]
async fn a_reader_goes_on_while_the_stream_is_trimmed_under_it() {
    let rig = Rig::start().await;
    let archive = rig.archive(&memory()).await;
    rig.append(2_000).await;
    let expected = rig.stored().await;
    rig.archive_until(&archive, keeping(), (Seq(2_000), Seq(1))).await;
    let mut reader = archive.follow(&rig.log, PARTITION, Seq::ZERO);
    let mut read = Vec::new();
    let mut trimmed = 0;
    for number in 1..=2_000_u64 {
        read.push(soon(reader.next_stored()).await.expect("an event"));
        if number % 150 == 0 {
            // Far ahead of the reader, and of what its consumer has sent it already.
            trimmed = (number + 400).min(2_000);
            rig.archiving.trim(STREAM, Seq(trimmed)).await.expect("trimmed");
            let mut late = archive.follow(&rig.log, PARTITION, Seq(number));
            let next = soon(late.next()).await.expect("a record");
            assert_eq!(next.seq, Seq(number + 1));
        }
    }
    assert_eq!(trimmed, 2_000);
    assert_eq!(read, expected);
    rig.stop().await;
}

#[tokio::test]
async fn a_reader_of_the_stream_alone_does_not_take_trimmed_for_deleted() {
    let rig = Rig::start().await;
    let archive = rig.archive(&memory()).await;
    rig.append(300).await;
    let mut early = rig.log.follow(PARTITION, Seq::ZERO);
    assert_eq!(soon(early.next()).await.expect("a record").seq, Seq(1));
    rig.archive_until(&archive, eager(), (Seq(300), Seq(301))).await;
    rig.append(1).await;
    let late = soon(rig.log.follow(PARTITION, Seq(5)).next()).await;
    assert!(
        matches!(late, Err(log::FollowError::Trimmed { after: Seq(5), first: Seq(301), .. })),
        "{late:?}"
    );
    // This one's consumer may have all of it already; if not, it says so.
    let mut position = Seq(1);
    let ended = loop {
        match soon(early.next()).await {
            Ok(record) => {
                assert_eq!(record.seq, position.next());
                position = record.seq;
                if position == Seq(301) {
                    break None;
                }
            }
            Err(error) => break Some(error),
        }
    };
    let is_fine = matches!(ended, None | Some(log::FollowError::Trimmed { .. }));
    assert!(is_fine, "{ended:?}");
    rig.stop().await;
}

#[tokio::test]
async fn a_trim_behind_the_end_is_refused() {
    let rig = Rig::start().await;
    rig.append(10).await;
    let refused = rig.archiving.trim(STREAM, Seq(11)).await;
    assert!(matches!(refused, Err(log::TrimError::Beyond { .. })), "{refused:?}");
    rig.append(1).await;
    assert_eq!(rig.log.last_seq(PARTITION).await.expect("an answer"), Seq(11));
    rig.stop().await;
}

#[tokio::test]
async fn a_conversation_is_replayed_out_of_segments_and_stream() {
    let rig = Rig::start().await;
    let archive = rig.archive(&memory()).await;
    rig.append(400).await;
    let mut expected = rig.stored().await;
    rig.archive_until(&archive, eager(), (Seq(400), Seq(401))).await;
    rig.append(100).await;
    expected.extend(rig.stored().await);
    for after in [0, 250, 450, 500] {
        let mut records = archive.replay(&rig.log, group(2), Seq(after), false).await.expect("one");
        let mut replayed = Vec::new();
        while let Some(record) = soon(records.recv()).await {
            replayed.push(record.expect("a record"));
        }
        let of_it = expected.iter().filter_map(StoredEvent::record);
        let of_it = of_it.filter(|record| record.conversation == group(2) && record.seq.0 > after);
        assert_eq!(replayed, of_it.collect::<Vec<_>>(), "after {after}");
    }
    // Live, and in a conversation that the stream has forgotten.
    let mut records = archive.replay(&rig.log, group(2), Seq(495), true).await.expect("one");
    rig.append(20).await;
    let mut live = 0;
    while live < 4 {
        let record = soon(records.recv()).await.expect("a record").expect("no error");
        live += u32::from(record.seq > Seq(500));
    }
    rig.stop().await;
}

/// Drops the archiver after some polls: at whichever point it waits then.
async fn cut_off_after(polls: u64, work: impl Future<Output = ()>) {
    let mut work = pin!(work);
    let mut left = polls;
    std::future::poll_fn(|context| {
        if left == 0 {
            return Poll::Ready(());
        }
        left -= 1;
        work.as_mut().poll(context)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_left_by_archivers_that_fail_and_die_is_the_whole_log() {
    for seed in 1..=2_u64 {
        let rig = Rig::start().await;
        let truth = memory();
        let faulty = Arc::new(Faulty::new(Arc::clone(&truth), 60, seed));
        let store: Arc<dyn ObjectStore> = Arc::<Faulty>::clone(&faulty);
        rig.append(1_200).await;
        let mut expected = rig.stored().await;
        let mut lives = 0;
        let mut dice = seed;
        // Every number of polls up to many, then more and more, so that it ends.
        let done = async |archive: &Archive| {
            let head = archive.head(PARTITION).await.expect("an answer");
            let first = rig.log.extent(STREAM).await.expect("an extent").first;
            head.is_some_and(|head| head.last >= Seq(1_200)) && first > Seq(1_200)
        };
        loop {
            let archive = rig.archive(&store).await;
            if done(&archive).await {
                break;
            }
            lives += 1;
            assert!(lives < 5_000, "it does not get further");
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let polls = if lives <= 60 { lives } else { (dice >> 33) % (lives * 4) };
            let settings = ArchiverSettings { look_every: Duration::ZERO, ..eager() };
            let archiver = Archiver::new(&archive, &rig.archiving, PARTITION, settings, || true);
            let work = archiver.run(CancellationToken::new());
            // A life that only waits for the store is over too.
            let _ =
                tokio::time::timeout(Duration::from_millis(300), cut_off_after(polls, work)).await;
            if lives == 30 && seed == 2 {
                rig.kill_server();
                within("the log", async || rig.log.last_seq(PARTITION).await.ok()).await;
                within("the log", async || rig.archiving.last_seq(PARTITION).await.ok()).await;
            }
        }
        assert!(faulty.faults.load(Ordering::Relaxed) > 3, "the store did not fail");
        rig.append(30).await;
        expected.extend(rig.stored().await.into_iter().filter(|event| event.seq > Seq(1_200)));
        let archive = rig.archive(&truth).await;
        let whole = rig.whole_log(&archive).await;
        assert_eq!(whole.len(), expected.len());
        assert!(whole == expected, "seed {seed}");
        let verified = archive.verify(Some(&rig.log), PARTITION).await.expect("verified");
        assert_eq!((verified.findings, verified.events), (Vec::new(), 1_200), "seed {seed}");
        rig.stop().await;
    }
}

#[tokio::test]
async fn what_nothing_reaches_is_removed_by_the_next_archiver_if_the_log_has_it() {
    let rig = Rig::start().await;
    let store = memory();
    let archive = rig.archive(&store).await;
    rig.append(300).await;
    rig.archive_until(&archive, keeping(), (Seq(300), Seq(1))).await;
    let of_the_log: Vec<Path> = paths(&store).await;
    // The head is forgotten; these are of another log, with the same sequences and others.
    let head = deployment::archive_head(&rig.operator, STREAM).await.expect("an answer");
    let forgotten =
        deployment::replace_archive_head(&rig.operator, STREAM, None, head.revision).await;
    forgotten.expect("replaced");
    let other = Rig::start().await;
    let elsewhere = memory();
    other.append(500).await;
    let archive_elsewhere = other.archive(&elsewhere).await;
    other.archive_until(&archive_elsewhere, keeping(), (Seq(500), Seq(1))).await;
    other.stop().await;
    let foreign = paths(&elsewhere).await;
    for path in &foreign {
        let file = elsewhere.get(path).await.expect("there").bytes().await.expect("bytes");
        store.put(path, file.into()).await.expect("put");
    }
    let half = Path::from(of_the_log[0].as_ref().replace("0001-", "0002-"));
    store.put(&half, "half".into()).await.expect("put");
    let larger = ArchiverSettings { segment_events: 150, ..keeping() };
    rig.archive_until(&archive, larger, (Seq(300), Seq(1))).await;
    let left = paths(&store).await;
    assert!(of_the_log.iter().chain([&half]).all(|path| !left.contains(path)), "{left:?}");
    assert!(foreign.iter().all(|path| left.contains(path)), "{left:?}");
    assert_eq!(left.len(), 2 + foreign.len());
    let verified = archive.verify(Some(&rig.log), PARTITION).await.expect("verified");
    assert_eq!((verified.findings, verified.compared), (Vec::new(), 300));
    assert_eq!(verified.unreachable, foreign.len() as u64);
    // Readers see what the head reaches.
    assert!(rig.whole_log(&archive).await == rig.stored().await);
    rig.stop().await;
}

#[tokio::test]
async fn an_archiver_that_lost_its_lease_writes_nothing() {
    let rig = Rig::start().await;
    let truth = memory();
    let counting = Arc::new(Faulty::new(Arc::clone(&truth), 0, 0));
    let store: Arc<dyn ObjectStore> = Arc::<Faulty>::clone(&counting);
    let archive = rig.archive(&store).await;
    rig.append(250).await;
    let run = async |held: &AtomicBool| {
        let held = || held.load(Ordering::Relaxed);
        let archiver = Archiver::new(&archive, &rig.archiving, PARTITION, eager(), held);
        let work = archiver.run(CancellationToken::new());
        let _ = tokio::time::timeout(Duration::from_millis(700), work).await;
    };
    let before = counting.puts.load(Ordering::Relaxed);
    run(&AtomicBool::new(false)).await;
    assert_eq!(counting.puts.load(Ordering::Relaxed), before);
    let head = deployment::archive_head(&rig.operator, STREAM).await.expect("an answer");
    assert_eq!((head.value, head.revision), (None, 0));
    assert_eq!(rig.log.extent(STREAM).await.expect("an extent").first, Seq(1));
    run(&AtomicBool::new(true)).await;
    assert_eq!(
        archive.head(PARTITION).await.expect("an answer").map(|head| head.last),
        Some(Seq(250))
    );
    rig.stop().await;
}

#[tokio::test]
async fn of_two_archivers_the_later_one_goes_on() {
    let rig = Rig::start().await;
    let archive = rig.archive(&memory()).await;
    rig.append(100).await;
    // Two that both believe that they hold the lease, for as long as it takes.
    let run = |_| Archiver::new(&archive, &rig.archiving, PARTITION, keeping(), || true);
    let both = async {
        tokio::join!(run(0).run(CancellationToken::new()), run(1).run(CancellationToken::new()));
    };
    let work = async {
        for round in 1..=10 {
            let last = Seq(round * 100);
            within("an archive", async || {
                let head = archive.head(PARTITION).await.ok()??;
                (head.last >= last).then_some(())
            })
            .await;
            rig.append(100).await;
        }
    };
    tokio::select! {
        () = both => panic!("archivers ended"),
        () = work => {}
    }
    let expected = rig.stored().await;
    assert_eq!(rig.whole_log(&archive).await, expected);
    let verified = archive.verify(Some(&rig.log), PARTITION).await.expect("verified");
    assert_eq!(verified.findings, Vec::new());
    rig.stop().await;
}

#[tokio::test]
async fn an_archiver_that_was_paused_names_nothing_that_its_successor_removed() {
    let rig = Rig::start().await;
    let store = memory();
    let slow = Arc::new(Faulty::new(Arc::clone(&store), 0, 0));
    let of_paused = rig.archive(&(Arc::<Faulty>::clone(&slow) as Arc<dyn ObjectStore>)).await;
    rig.append(100).await;
    slow.hold.store(true, Ordering::Relaxed);
    let paused = Archiver::new(&of_paused, &rig.archiving, PARTITION, keeping(), || true);
    let mut paused = Box::pin(paused.run(CancellationToken::new()));
    tokio::select! {
        () = &mut paused => panic!("the archiver ended"),
        () = soon(slow.held.notified()) => {}
    }
    assert_eq!(objects(&store).await.len(), 1);
    // It believes that it holds the lease all the time. Its successor finds nothing to archive, but what nothing reaches.
    let archive = rig.archive(&store).await;
    let idle = ArchiverSettings {
        look_every: Duration::from_millis(10),
        ..ArchiverSettings::keeping(DEADLINE * 60)
    };
    let successor = Archiver::new(&archive, &rig.archiving, PARTITION, idle, || true);
    let removed = within("the removal", async || objects(&store).await.is_empty().then_some(()));
    tokio::select! {
        () = successor.run(CancellationToken::new()) => panic!("the archiver ended"),
        () = removed => {}
    }
    slow.release.notify_one();
    tokio::select! {
        () = &mut paused => panic!("the archiver ended"),
        () = within("an archive", async || archive.head(PARTITION).await.ok()?.map(|_| ())) => {}
    }
    drop(paused);
    let verified = archive.verify(Some(&rig.log), PARTITION).await.expect("verified");
    assert_eq!((verified.findings, verified.events), (Vec::new(), 100));
    rig.stop().await;
}

#[tokio::test]
async fn one_flipped_bit_anywhere_is_found_and_named() {
    let rig = Rig::start().await;
    let store = memory();
    let archive = rig.archive(&store).await;
    rig.append(330).await;
    rig.archive_until(&archive, eager(), (Seq(330), Seq(331))).await;
    let whole = archive.verify(Some(&rig.log), PARTITION).await.expect("verified");
    assert_eq!((whole.findings, whole.segments, whole.events), (Vec::new(), 4, 330));
    let objects_there = objects(&store).await;
    assert_eq!(objects_there.len(), 4);
    for object in &objects_there {
        let path = &object.location;
        let file = store.get(path).await.expect("there").bytes().await.expect("bytes");
        // Every byte once, its bits in turn.
        for index in (0..file.len()).step_by(7) {
            let mut damaged = file.to_vec();
            damaged[index] ^= 1 << (index % 8);
            store.put(path, damaged.into()).await.expect("put");
            let found = archive.verify(None, PARTITION).await.expect("verified");
            assert_eq!(found.findings.len(), 1, "{path} {index}: {:?}", found.findings);
            assert_eq!(found.findings[0].place, path.to_string());
        }
        let offline = verify_offline(archive.objects(), STREAM).await.expect("verified");
        let named = offline.findings.iter().any(|finding| finding.place == path.to_string());
        assert!(named, "{path}: {:?}", offline.findings);
        store.put(path, file.into()).await.expect("put");
    }
    let offline = verify_offline(archive.objects(), STREAM).await.expect("verified");
    assert_eq!((offline.findings, offline.events), (Vec::new(), 330));
    rig.stop().await;
}

#[tokio::test]
async fn a_missing_segment_is_named_and_stops_readers() {
    let rig = Rig::start().await;
    let store = memory();
    let archive = rig.archive(&store).await;
    rig.append(330).await;
    rig.archive_until(&archive, eager(), (Seq(330), Seq(331))).await;
    let listed = objects(&store).await;
    let second =
        listed.iter().find(|object| object.location.as_ref().contains("-00000000000000000200-"));
    store.delete(&second.expect("one").location).await.expect("deleted");
    for archive in [&archive, &rig.archive(&store).await] {
        let found = archive.verify(None, PARTITION).await.expect("verified");
        assert!(found.count > 0);
        let mut reader = archive.follow(&rig.log, PARTITION, Seq::ZERO);
        let stopped = loop {
            match soon(reader.next()).await {
                Ok(record) => assert!(record.seq <= Seq(100), "{}", record.seq),
                Err(error) => break error,
            }
        };
        let named = matches!(
            stopped,
            FollowError::Archive(ReadError::Missing { .. } | ReadError::Unlinked { .. })
        );
        assert!(named, "{stopped:?}");
    }
    let offline = verify_offline(archive.objects(), STREAM).await.expect("verified");
    assert!(offline.count > 0);
    rig.stop().await;
}

#[tokio::test]
async fn a_stream_that_differs_from_its_archive_is_left_alone_and_told_of() {
    let rig = Rig::start().await;
    let store = memory();
    let archive = rig.archive(&store).await;
    rig.append(100).await;
    rig.archive_until(&archive, keeping(), (Seq(100), Seq(1))).await;
    // Another deployment's stream with the same sequences.
    let other = Rig::start().await;
    other.append(150).await;
    let copy = memory();
    for object in objects(&store).await {
        let bytes = store.get(&object.location).await.expect("there").bytes().await.expect("bytes");
        if object.location.as_ref().ends_with(".zst") {
            copy.put(&object.location, bytes.into()).await.expect("put");
        }
    }
    let head = archive.head(PARTITION).await.expect("an answer").expect("a head");
    let connection = other.archiving.connection();
    deployment::replace_archive_head(connection, STREAM, Some(&head), 0).await.expect("replaced");
    let foreign = other.archive(&copy).await;
    let archiver = Archiver::new(&foreign, &other.archiving, PARTITION, eager(), || true);
    let work = archiver.run(CancellationToken::new());
    let _ = tokio::time::timeout(Duration::from_millis(700), work).await;
    assert_eq!(foreign.head(PARTITION).await.expect("an answer"), Some(head));
    assert_eq!(other.log.extent(STREAM).await.expect("an extent").first, Seq(1));
    let found = foreign.verify(Some(&other.log), PARTITION).await.expect("verified");
    assert_eq!((found.count, found.compared), (100, 100));
    other.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn accounts_are_archived_too_and_stay_in_their_stream() {
    use hansard_nats::streams::StreamName;

    let rig = Rig::start().await;
    let archive = rig.archive(&memory()).await;
    let accounts = hansard_nats::accounts::AccountLog::open(&rig.operator);
    let user = hansard_model::UserId::from_entropy([1; 20]);
    let event = hansard_model::AccountEvent::UserCreated {
        user,
        handle: "ana".parse().expect("a handle"),
        name: "Ana".to_owned(),
        password: None,
        request: hansard_model::MessageId::new(1, [0; 10]),
    };
    let subject = hansard_model::subject::Subject::AccountUser(user);
    for _ in 0..3 {
        accounts.append(&subject, &event, None).await.expect("stored");
    }
    rig.append(1).await;
    let archiver = Archiver::new(&archive, &rig.archiving, PARTITION, eager(), || true);
    let stop = CancellationToken::new();
    let done = within("both archives", async || {
        let accounts = archive.head_of(StreamName::Accounts).await.ok()??;
        let events = archive.head(PARTITION).await.ok()??;
        (accounts.last == Seq(3) && events.last == Seq(1)).then_some(())
    });
    tokio::select! {
        () = archiver.run(stop) => panic!("the archiver ended"),
        () = done => {}
    }
    assert_eq!(rig.log.extent(StreamName::Accounts).await.expect("an extent").first, Seq(1));
    let verified = archive.verify_stream(Some(&rig.log), StreamName::Accounts).await;
    let verified = verified.expect("verified");
    assert_eq!((verified.findings, verified.compared), (Vec::new(), 3));
    rig.stop().await;
}

#[tokio::test]
async fn an_epoch_is_raised_once_for_one_reason() {
    let rig = Rig::start().await;
    let mut watch = deployment::watch_epoch(&rig.operator, 1);
    let connection = rig.archiving.connection();
    let raises = [0; 4].map(|_| deployment::raise_epoch(connection, 1));
    for raised in futures_util::future::join_all(raises).await {
        assert_eq!(raised.expect("an answer"), 2);
    }
    assert_eq!(tokio::time::timeout(DEADLINE, watch.raised()).await.expect("seen"), 2);
    let view = deployment::HistoryView { generation: 3, previous: Some(2) };
    let none = deployment::history_view(connection, PartitionId(0)).await.expect("an answer");
    assert_eq!(none.value, None);
    deployment::replace_history_view(connection, PARTITION, view, 0).await.expect("replaced");
    let late = deployment::replace_history_view(connection, PARTITION, view, 0).await;
    assert!(matches!(late, Err(deployment::ReplaceError::Conflict)), "{late:?}");
    let seen = deployment::history_view(connection, PARTITION).await.expect("an answer");
    assert_eq!(seen.value, Some(view));
    let objects = Objects::of(memory());
    assert!(objects.marker().await.expect("an answer").is_none());
    rig.stop().await;
}

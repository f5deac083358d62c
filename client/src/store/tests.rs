use std::sync::Arc;

use hansard_model::media::{Declared, Sha256, Variant};
use hansard_model::{GroupId, UploadId, UserId};

use super::journal::{Beginning, Draft, Fingerprint, UNFINISHED_MAX, Unfinished};
use super::*;

fn group(n: u8) -> ConversationId {
    ConversationId::Group(GroupId::from_entropy([n; 20]))
}

fn entry(row: u64) -> OutboxEntry {
    let event = RawValue::from_string(r#"{"kind":"message","text":"hi"}"#.to_owned());
    OutboxEntry {
        row,
        conversation: group(1),
        id: MessageId::new(row, [1; 10]),
        event: event.expect("json"),
        attempts: 0,
    }
}

fn event(seq: u64, prev: u64) -> Change {
    let user = UserId::from_entropy([3; 20]);
    let body = format!(
        r#"{{"v":1,"id":"{}","sender":"{user}","device":"{user}","event":{{"kind":"message","text":"hi"}}}}"#,
        MessageId::new(seq, [1; 10])
    );
    let frame = EventFrame {
        conversation: group(1),
        seq: Seq(seq),
        prev: Seq(prev),
        n: seq,
        ts: LogTime::from_millis(5),
        body: RawValue::from_string(body).expect("json"),
        state: None,
    };
    Change::Event(Arc::new(StoredEvent::of(frame).expect("an envelope")))
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ana.db");
    let store = Store::open(&path).await.expect("opens");
    let changes = vec![
        Change::Enqueue(entry(1)),
        Change::Enqueue(entry(2)),
        Change::Attempted { row: 1 },
        event(4, 0),
        event(9, 4),
        Change::Cursor("c".to_owned()),
    ];
    store.commit(changes).await.expect("commits");
    store.commit(vec![Change::Settle { row: 2 }]).await.expect("commits");
    store.set_note("handle", "ana".to_owned()).await.expect("written");
    drop(store);
    let store = reopen(&path).await;
    let snapshot = store.load().await.expect("loads");
    assert_eq!(snapshot.cursor.as_deref(), Some("c"));
    assert_eq!(snapshot.timelines, vec![(group(1), Seq(9), Seq(0))]);
    assert_eq!(snapshot.next_row, 3);
    let rows: Vec<_> = snapshot.outbox.iter().map(|entry| (entry.row, entry.attempts)).collect();
    assert_eq!(rows, vec![(1, 1)]);
    let events = store.events(group(1), 10).await.expect("reads");
    assert_eq!(events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), vec![4, 9]);
    assert_eq!(store.note("handle").await.expect("reads").as_deref(), Some("ana"));
}

/// The file is free when the thread of the first store has ended.
async fn reopen(path: &Path) -> Store {
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(10);
    loop {
        match Store::open(path).await {
            Ok(store) => return store,
            Err(StoreError::InUse) if tokio::time::Instant::now() < deadline => {
                tokio::task::yield_now().await;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ana.db");
    let store = Store::open(&path).await.expect("opens");
    store.commit(vec![Change::Enqueue(entry(1))]).await.expect("commits");
    for file in std::fs::read_dir(directory.path()).expect("a directory") {
        let file = file.expect("a file");
        assert_eq!(file.metadata().expect("data").permissions().mode() & 0o077, 0, "{file:?}");
    }
}

#[tokio::test]
async fn a_second_process_is_told_that_the_file_is_in_use() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ana.db");
    let _store = Store::open(&path).await.expect("opens");
    assert!(matches!(Store::open(&path).await, Err(StoreError::InUse)));
}

#[tokio::test]
async fn a_skip_drops_what_was_cached_before_it() {
    let store = Store::in_memory().await.expect("opens");
    let skip = Change::Skip { conversation: group(1), through: Seq(50) };
    store.commit(vec![event(4, 0), event(9, 4), skip, event(60, 50)]).await.expect("commits");
    let events = store.events(group(1), 10).await.expect("reads");
    assert_eq!(events.iter().map(|event| event.seq.0).collect::<Vec<_>>(), vec![60]);
}

#[tokio::test]
async fn a_reset_keeps_the_outbox() {
    let store = Store::in_memory().await.expect("opens");
    let before = vec![Change::Enqueue(entry(1)), event(4, 0), Change::Cursor("c".to_owned())];
    store.commit(before).await.expect("commits");
    store.commit(vec![Change::Reset]).await.expect("commits");
    let snapshot = store.load().await.expect("loads");
    assert!(snapshot.cursor.is_none() && snapshot.timelines.is_empty());
    assert_eq!(snapshot.outbox.len(), 1);
}

fn unfinished() -> Unfinished {
    Unfinished {
        row: 0,
        path: "/pictures/cat.jpg".into(),
        fingerprint: Fingerprint { length: 7, modified_ns: 3 },
        file: Declared { name: Some("cat.jpg".to_owned()), ..Declared::default() },
        upload: None,
        message: Some(Draft { conversation: group(1), text: "look".to_owned() }),
    }
}

#[tokio::test]
async fn an_upload_is_in_the_journal_until_its_message_is_in_the_outbox() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ana.db");
    let store = Store::open(&path).await.expect("opens");
    let row = store.note_upload(unfinished()).await.expect("written").expect("room");
    let upload = Some(UploadId::from_entropy([5; 20]));
    store.note_upload_id(row, upload).await.expect("written");
    drop(store);
    let store = reopen(&path).await;
    let noted = Unfinished { row, upload, ..unfinished() };
    assert_eq!(store.uploads().await.expect("reads"), vec![noted]);
    let sent = vec![Change::Enqueue(entry(1)), Change::Uploaded { row }];
    store.commit(sent).await.expect("commits");
    assert_eq!(store.uploads().await.expect("reads"), Vec::new());
    // A number is not given again, and one that is gone is not written to.
    store.note_upload_id(row, upload).await.expect("nothing to write");
    let next = store.note_upload(unfinished()).await.expect("written").expect("room");
    assert!(next > row);
    assert_eq!(store.uploads().await.expect("reads").len(), 1);
}

#[tokio::test]
async fn the_journals_are_bounded() {
    let store = Store::in_memory().await.expect("opens");
    for _ in 0..UNFINISHED_MAX {
        assert!(store.note_upload(unfinished()).await.expect("written").is_some());
    }
    assert_eq!(store.note_upload(unfinished()).await.expect("written"), None);
    let beginning = Beginning {
        upload: UploadId::from_entropy([5; 20]),
        variant: Variant::File,
        sha256: Sha256([1; 32]),
        size: 9,
    };
    for number in 0..=100 {
        let noted = store.note_beginning(number.to_string(), Some(beginning.clone()));
        noted.await.expect("written");
    }
    assert_eq!(store.beginning("0".to_owned()).await.expect("reads"), None);
    assert_eq!(store.beginning("1".to_owned()).await.expect("reads"), Some(beginning));
    store.note_beginning("1".to_owned(), None).await.expect("written");
    assert_eq!(store.beginning("1".to_owned()).await.expect("reads"), None);
}

#[tokio::test]
async fn a_file_of_the_version_before_is_brought_up_to_date() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("ana.db");
    let store = Store::open(&path).await.expect("opens");
    store.commit(vec![Change::Enqueue(entry(1))]).await.expect("commits");
    store.close().await;
    let connection = Connection::open(&path).expect("opens");
    let before = "DROP TABLE uploads; DROP TABLE downloads; PRAGMA user_version = 2;";
    connection.execute_batch(before).expect("set back");
    drop(connection);
    let store = reopen(&path).await;
    assert_eq!(store.load().await.expect("loads").outbox.len(), 1);
    assert_eq!(store.uploads().await.expect("reads"), Vec::new());
}

use hansard_model::GroupId;

use super::*;
use crate::fold::tests::{group, incoming, indexed, user};
use serde_json::json;

#[test]
fn an_index_that_was_damaged_says_so_when_it_is_suspected() {
    let path = tempfile::tempdir().expect("a directory");
    let text = json!({"kind": "message", "text": "hello"});
    let index = indexed(path.path(), &[incoming(1, group(1), 1, &text)], |_| false);
    let files = index.files().expect("files");
    drop(index);
    let store = files.iter().find(|file| file.extension().is_some_and(|end| end == "store"));
    let store = path.path().join(store.expect("documents"));
    let mut bytes = std::fs::read(&store).expect("read");
    bytes[0] ^= 1;
    std::fs::write(&store, bytes).expect("written");
    assert!(Index::open(path.path(), Arc::default()).is_ok(), "not looked at");
    std::fs::write(path.path().join(SUSPECT), "").expect("written");
    let refused = Index::open(path.path(), Arc::default()).err().expect("refused");
    assert!(refused.is_of_the_files(), "{refused}");
}

#[test]
fn a_suspicion_that_was_wrong_is_forgotten() {
    let path = tempfile::tempdir().expect("a directory");
    let text = json!({"kind": "message", "text": "hello"});
    drop(indexed(path.path(), &[incoming(1, group(1), 1, &text)], |_| false));
    std::fs::write(path.path().join(SUSPECT), "").expect("written");
    let index = Index::open(path.path(), Arc::default()).expect("opened");
    assert!(index.view().find(Key::Message(Seq(1))).expect("read").is_some());
    assert!(!path.path().join(SUSPECT).exists());
}

#[test]
fn there_is_one_writer() {
    let path = tempfile::tempdir().expect("a directory");
    let first = Index::open(path.path(), Arc::default()).expect("opened");
    let second = std::thread::spawn({
        let path = path.path().to_owned();
        move || Index::open(&path, Arc::default()).is_ok()
    });
    drop(first);
    assert!(second.join().expect("no panic"), "the second waits for the first");
}

#[test]
fn memberships_of_others_are_not_mine() {
    let path = tempfile::tempdir().expect("a directory");
    let create = json!({"kind": "create", "members": [user(2)]});
    let view = indexed(path.path(), &[incoming(1, group(3), 1, &create)], |_| false).view();
    let found = view.memberships(user(2)).expect("memberships");
    let group = GroupId::from_entropy([3; 20]);
    assert_eq!(found, [Membership { group, user: user(2), view_from: Seq::ZERO }]);
    assert_eq!(view.memberships(user(3)).expect("memberships"), []);
}

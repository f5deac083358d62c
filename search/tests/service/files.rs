//! Files that are not what this version wrote, and logs that are not what the index was made of.

use std::fs;
use std::path::{Path, PathBuf};

use hansard_model::{PartitionId, Seq};
use hansard_nats::deployment::{self, SearchView, replace_search_view};
use serde_json::{Value, json};

use super::rig::{Rig, within};
use super::{ANA, BEN, appended, direct, generations, manifest, message};

/// A deployment with an index on the disk that nobody has open, and what it holds.
struct Shelved {
    rig: Rig,
    said: Vec<Seq>,
}

impl Shelved {
    async fn with(count: usize) -> Self {
        let rig = Rig::start(1).await;
        let mut said = Vec::new();
        let searcher = rig.searcher("one", "one").serving_all().await;
        let last = appended(&rig, count, &mut said).await;
        assert_eq!(rig.found(ANA, "tea ", &[(direct(), last)]).await.len(), count);
        searcher.stop().await;
        Self { rig, said }
    }

    fn index(&self, generation: u64) -> PathBuf {
        self.rig.directory("one").join("0").join(generation.to_string())
    }

    /// Starts a searcher on what is there; all that was said must be found, once.
    async fn assert_all_found(&self) {
        let searcher = self.rig.searcher("one", "one").serving_all().await;
        let last = *self.said.last().expect("something");
        let found = self.rig.found(BEN, "tea ", &[(direct(), last)]).await;
        let found: Vec<Seq> = found.into_iter().rev().map(|(_, seq)| seq).collect();
        assert_eq!(found, self.said);
        searcher.stop().await;
    }
}

/// Changes what the library's own file says.
fn change_meta(index: &Path, change: impl FnOnce(&mut Value)) {
    let path = index.join("meta.json");
    let mut meta: Value = serde_json::from_slice(&fs::read(&path).expect("read")).expect("json");
    change(&mut meta);
    fs::write(path, meta.to_string()).expect("written");
}

/// Changes what we say in it.
fn change_position(meta: &mut Value, field: &str, value: Value) {
    let payload = meta["payload"].as_str().expect("a payload");
    let mut position: Value = serde_json::from_str(payload).expect("json");
    position[field] = value;
    meta["payload"] = Value::String(position.to_string());
}

#[tokio::test]
async fn an_index_of_another_form_is_built_anew() {
    let shelved = Shelved::with(5).await;
    // Documents of another form.
    change_meta(&shelved.index(1), |meta| change_position(meta, "schema", json!(0)));
    shelved.assert_all_found().await;
    assert_eq!(generations(&shelved.rig, "one"), ["2"]);
    // Other fields.
    change_meta(&shelved.index(2), |meta| meta["schema"][0]["name"] = json!("words"));
    shelved.assert_all_found().await;
    let meta = fs::read_to_string(shelved.index(2).join("meta.json")).expect("read");
    assert!(!meta.contains("words"), "{meta}");
    // Another version of the library.
    change_meta(&shelved.index(2), |meta| {
        meta["index_settings"] = json!({"docstore_compression": "brotli"});
    });
    shelved.assert_all_found().await;
    shelved.rig.stop().await;
}

#[tokio::test]
async fn files_that_a_power_cut_left_half_written_are_found_out() {
    let shelved = Shelved::with(5).await;
    let files = |index: &Path| {
        let mut files: Vec<PathBuf> = fs::read_dir(index)
            .expect("a directory")
            .map(|entry| entry.expect("an entry").path())
            .filter(|path| path.metadata().is_ok_and(|of| of.len() > 8))
            .filter(|path| path.extension().is_some_and(|end| end != "json" && end != "lock"))
            .collect();
        files.sort_unstable();
        files
    };
    let kinds = |files: &[PathBuf]| {
        let end = |file: &PathBuf| file.extension().expect("a kind").to_owned();
        files.iter().map(end).collect::<std::collections::BTreeSet<_>>()
    };
    let mut damages = 0;
    for kind in kinds(&files(&shelved.index(1))) {
        for cut in [false, true] {
            let there = files(&shelved.index(1));
            let file = there.iter().find(|file| file.extension() == Some(&kind)).expect("a file");
            let mut bytes = fs::read(file).expect("read");
            let middle = bytes.len() / 2;
            if cut {
                bytes.truncate(middle);
            } else {
                bytes[middle] ^= 0x10;
            }
            fs::write(file, bytes).expect("written");
            // As after another start of the machine.
            change_meta(&shelved.index(1), |meta| change_position(meta, "boot", json!("before")));
            shelved.assert_all_found().await;
            damages += 1;
        }
    }
    assert!(damages >= 10, "{damages} kinds of damage");
    shelved.rig.stop().await;
}

#[tokio::test]
async fn a_file_that_is_gone_is_found_out() {
    let shelved = Shelved::with(5).await;
    let is_of_documents = |path: &PathBuf| path.extension().is_some_and(|end| end == "store");
    let entries = fs::read_dir(shelved.index(1)).expect("a directory");
    let store = entries.map(|entry| entry.expect("an entry").path()).find(is_of_documents);
    fs::remove_file(store.expect("documents")).expect("removed");
    shelved.assert_all_found().await;
    shelved.rig.stop().await;
}

#[tokio::test]
async fn a_log_that_was_set_back_has_an_index_of_what_it_says_now() {
    let shelved = Shelved::with(5).await;
    // Of a position that this log has not reached, and of another event.
    change_meta(&shelved.index(1), |meta| change_position(meta, "seq", json!(1_000)));
    shelved.assert_all_found().await;
    assert_eq!(generations(&shelved.rig, "one"), ["2"]);
    change_meta(&shelved.index(2), |meta| change_position(meta, "digest", json!("00")));
    shelved.assert_all_found().await;
    assert_eq!(generations(&shelved.rig, "one"), ["3"]);
    shelved.rig.stop().await;
}

/// Copies a directory.
fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a directory");
    for entry in fs::read_dir(from).expect("a directory") {
        let entry = entry.expect("an entry");
        let into = to.join(entry.file_name());
        if entry.file_type().expect("a type").is_dir() {
            copy(&entry.path(), &into);
        } else {
            fs::copy(entry.path(), into).expect("copied");
        }
    }
}

#[tokio::test]
async fn a_log_that_is_set_back_under_an_owner_is_indexed_as_it_is_then() {
    let Shelved { mut rig, mut said } = Shelved::with(5).await;
    let away = rig.data.path().join("copy");
    rig = rig.restart(|streams| copy(streams, &away)).await;
    let searcher = rig.searcher("one", "one").serving_all().await;
    let mut lost = Vec::new();
    let last = appended(&rig, 7, &mut lost).await;
    assert_eq!(rig.found(BEN, "tea ", &[(direct(), last)]).await.len(), 12);
    rig = rig
        .restart(|streams| {
            fs::remove_dir_all(streams).expect("removed");
            copy(&away, streams);
        })
        .await;
    said.push(rig.append(direct(), ANA, message("tea anew")).await);
    let min = [(direct(), *said.last().expect("something"))];
    within("an index of this log", async || {
        let found = rig.found(BEN, "tea ", &min).await;
        let found: Vec<Seq> = found.into_iter().rev().map(|(_, seq)| seq).collect();
        (found == said).then_some(())
    })
    .await;
    searcher.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn a_snapshot_of_an_older_generation_is_not_used() {
    let rig = Rig::start(1).await;
    let mut said = Vec::new();
    let searcher = rig.searcher("one", "one").serving_all().await;
    let last = appended(&rig, 5, &mut said).await;
    within("a snapshot", async || (manifest(&rig, 0)?["position"]["seq"] == last.0).then_some(()))
        .await;
    searcher.stop().await;
    // One that would be seen to have been used: it is of another event.
    let path = rig.data.path().join("objects/search/0/manifest.json");
    let mut changed = manifest(&rig, 0).expect("a snapshot");
    let mut meta: Value =
        serde_json::from_str(changed["meta"].as_str().expect("text")).expect("json");
    change_position(&mut meta, "digest", json!("00"));
    changed["meta"] = Value::String(meta.to_string());
    fs::write(&path, changed.to_string()).expect("written");
    let view = deployment::search_view(&rig.operator, PartitionId(0)).await.expect("a view");
    let next = SearchView { generation: 2 };
    replace_search_view(&rig.operator, PartitionId(0), next, view.revision)
        .await
        .expect("replaced");
    let other = rig.searcher("other", "other").serving_all().await;
    assert_eq!(rig.found(BEN, "tea ", &[(direct(), last)]).await.len(), 5);
    assert_eq!(generations(&rig, "other"), ["2"], "the next one begins where one was of no use");
    other.stop().await;
    rig.stop().await;
}

//! The data of NATS are lost, or put back from an older copy; the object store and the log are not.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use hansard_model::media::{Home, MediaKey, State, Upload, Variant};
use hansard_model::{Seq, UploadId};
use hansard_nats::deployment::{epoch, raise_epoch};
use hansard_nats::media::Change;
use serde_json::json;

use crate::client::bytes;
use crate::collecting::{ended, gone, refers};
use crate::hand::{Hand, group};
use crate::process::Process;
use crate::rig::restart::copy;
use crate::rig::{Rig, Service, hasty, within};

const ANA: u8 = 1;
const BEN: u8 = 2;
const GRACE: Duration = Duration::from_secs(3);

async fn read(rig: &Rig, service: &Service, upload: UploadId) -> Vec<u8> {
    let reader = rig.reader(&service.address, upload, Variant::File);
    within("a file", async || {
        let answer = reader.get(upload, &[]).await.ok()?;
        (answer.status == 200).then(|| answer.body.to_vec())
    })
    .await
}

#[tokio::test]
async fn records_that_are_lost_are_put_back_with_what_refers_to_them() {
    let rig = Rig::start().await;
    let service = rig.service("one", hasty(GRACE * 100)).await;
    let hand = Hand::of(&rig).await;
    let (ana, ben) = (rig.uploader(&service.address, ANA), rig.uploader(&service.address, BEN));
    let text = bytes(1, 2_500_000);
    let sent = ana.upload(&text, "").await;
    let same = ben.upload(&text, "").await;
    let unsent = ana.post("", "text/plain", b"unsent").await.id();
    let deleted = ana.post("", "text/plain", b"deleted").await.id();
    for upload in [sent, same, unsent, deleted] {
        rig.ready(upload).await;
    }
    let first = hand.send(ANA, group(1), &[sent]).await.expect("sent");
    let other = hand.send(BEN, group(2), &[same]).await.expect("sent");
    let short = hand.send(ANA, group(1), &[deleted]).await.expect("sent");
    hand.delete(ANA, group(1), short).await;
    refers(&rig, deleted, group(1), &[]).await;
    refers(&rig, same, group(2), &[other]).await;
    let held = rig.holdings(ANA).await.bytes;
    service.stop().await;
    let rig = rig
        .restart(|streams| std::fs::remove_dir_all(streams.join("KV_MEDIA")).expect("lost"))
        .await;
    assert!(rig.upload(sent).await.is_none(), "not lost");
    let service = rig.service("one", hasty(GRACE)).await;
    refers(&rig, sent, group(1), &[first]).await;
    refers(&rig, same, group(2), &[other]).await;
    assert_eq!(read(&rig, &service, sent).await, text);
    assert_eq!(read(&rig, &service, same).await, text);
    let blob = rig.ready(sent).await.blob;
    assert_eq!(rig.blob(blob).await.expect("a blob").holders, BTreeSet::from([sent, same]));
    assert!(rig.holdings(ANA).await.bytes <= held);
    // These are in nobody's message: they had their time once more, and go.
    gone(&rig, unsent).await;
    gone(&rig, deleted).await;
    assert_eq!(rig.holdings(ANA).await.bytes, text.len() as u64);
    assert_eq!(read(&rig, &service, sent).await, text);
    service.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn an_older_copy_of_the_records_loses_nothing_and_has_nothing_back() {
    let rig = Rig::start().await;
    let service = rig.service("one", hasty(GRACE * 3)).await;
    let hand = Hand::of(&rig).await;
    let ana = rig.uploader(&service.address, ANA);
    // As of the copy: one is sent, one is half there, one is unsent.
    let (old_bytes, half_bytes) = (bytes(2, 1_500_000), bytes(3, 1_500_000));
    let old = ana.upload(&old_bytes, "").await;
    let half = ana.create(half_bytes.len() as u64, "").await.id();
    ana.patch_and_leave(half, 0, &half_bytes, 1_200_000).await;
    let unsent = ana.post("", "text/plain", b"unsent").await.id();
    rig.ready(old).await;
    rig.ready(unsent).await;
    let said = hand.send(ANA, group(1), &[old]).await.expect("sent");
    refers(&rig, old, group(1), &[said]).await;
    service.stop().await;
    let copied = tempfile::tempdir().expect("a directory");
    let rig = rig.restart(|streams| copy(&streams.join("KV_MEDIA"), copied.path())).await;
    // Afterwards: the first is deleted, the second finished and sent, the third sent, one is new.
    let service = rig.service("one", hasty(GRACE * 3)).await;
    let hand = Hand::of(&rig).await;
    let ana = rig.uploader(&service.address, ANA);
    ana.resume(half, &half_bytes).await;
    rig.ready(half).await;
    let new = ana.upload(&old_bytes, "").await;
    rig.ready(new).await;
    hand.delete(ANA, group(1), said).await;
    let half_said = hand.send(ANA, group(1), &[half]).await.expect("sent");
    let unsent_said = hand.send(ANA, group(2), &[unsent]).await.expect("sent");
    let new_said = hand.send(ANA, group(2), &[new]).await.expect("sent");
    refers(&rig, new, group(2), &[new_said]).await;
    refers(&rig, half, group(1), &[half_said]).await;
    service.stop().await;
    let rig = rig
        .restart(|streams| {
            std::fs::remove_dir_all(streams.join("KV_MEDIA")).expect("removed");
            copy(copied.path(), &streams.join("KV_MEDIA"));
        })
        .await;
    // What a restore always does.
    let before = epoch(&rig.operator).await.expect("an epoch");
    raise_epoch(&rig.operator, before).await.expect("raised");
    let service = rig.service("one", hasty(GRACE)).await;
    refers(&rig, half, group(1), &[half_said]).await;
    refers(&rig, unsent, group(2), &[unsent_said]).await;
    refers(&rig, new, group(2), &[new_said]).await;
    assert_eq!(read(&rig, &service, half).await, half_bytes);
    assert_eq!(read(&rig, &service, new).await, old_bytes);
    assert_eq!(read(&rig, &service, unsent).await, b"unsent");
    ended(&rig, old).await;
    assert_eq!(read(&rig, &service, new).await, old_bytes);
    service.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn references_of_another_log_go() {
    let rig = Rig::start().await;
    let service = rig.service("one", hasty(GRACE)).await;
    let hand = Hand::of(&rig).await;
    let ana = rig.uploader(&service.address, ANA);
    let kept = ana.post("", "text/plain", b"kept").await.id();
    let lost = ana.post("", "text/plain", b"lost").await.id();
    let said = hand.send(ANA, group(1), &[kept]).await.expect("sent");
    refers(&rig, kept, group(1), &[said]).await;
    // As if a message had been in the log that was lost.
    for upload in [kept, lost] {
        let refer = |found: Option<&Upload>| {
            let mut next = found.expect("an upload").clone();
            next.home = Home::Conversation(group(1));
            next.references.insert(Seq(1_000));
            (Change::Put(next), ())
        };
        rig.bucket.update(MediaKey::Upload(upload), refer).await.expect("an answer");
    }
    for _ in 0..1_000 {
        // The log of now has gone beyond it.
        hand.say(ANA, group(1), json!({"kind": "message", "text": "x"})).await;
    }
    let before = epoch(&rig.operator).await.expect("an epoch");
    raise_epoch(&rig.operator, before).await.expect("raised");
    refers(&rig, kept, group(1), &[said]).await;
    gone(&rig, lost).await;
    assert_eq!(read(&rig, &service, kept).await, b"kept");
    assert_eq!(rig.upload(kept).await.expect("an upload").state, State::Ready);
    service.stop().await;
    rig.stop().await;
}

/// Picks what happens next: `SplitMix64`.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// A message that is there.
struct Said {
    at: u8,
    seq: Seq,
    media: Vec<UploadId>,
}

/// What was said and uploaded, as it should be found in the end.
struct Chat<'a> {
    rig: &'a Rig,
    hand: Hand,
    dice: Dice,
    /// Which bytes, by whom.
    uploads: Vec<(UploadId, u64, u8)>,
    messages: Vec<Said>,
    homes: BTreeMap<UploadId, u8>,
}

impl Chat<'_> {
    /// Sends a file, if it may be sent there.
    async fn send(&mut self, sender: u8, at: u8, id: UploadId) {
        if let Some(seq) = self.hand.send(sender, group(at), &[id]).await {
            self.homes.insert(id, at);
            self.messages.push(Said { at, seq, media: vec![id] });
        }
    }

    /// An upload, a message, an edit or a deletion.
    async fn step(&mut self, process: &Process) {
        let (sender, at) = (1 + self.dice.below(2) as u8, 1 + self.dice.below(3) as u8);
        match self.dice.below(8) {
            // Three kinds of bytes, so that most are there already.
            kind @ 0..3 => {
                let seed = self.dice.below(3) as u64;
                let client = self.rig.uploader(&process.address, sender);
                let id = client.post("", "text/plain", &bytes(seed, 40_000)).await.id();
                self.uploads.push((id, seed, sender));
                if kind > 0 {
                    self.send(sender, at, id).await;
                }
            }
            3 | 4 if !self.messages.is_empty() => {
                let id = self.messages[self.dice.below(self.messages.len())].media[0];
                self.send(sender, self.homes[&id], id).await;
            }
            5 if !self.messages.is_empty() => {
                let place = self.dice.below(self.messages.len());
                let (id, ..) = self.uploads[self.dice.below(self.uploads.len())];
                let (at, target) = (self.messages[place].at, self.messages[place].seq);
                if self.hand.edit(sender, group(at), target, &[id]).await.is_some() {
                    self.homes.insert(id, at);
                    self.messages[place].media = vec![id];
                }
            }
            6.. if self.messages.len() > 3 => {
                let place = self.dice.below(self.messages.len());
                let Said { at, seq, .. } = self.messages.swap_remove(place);
                self.hand.delete(sender, group(at), seq).await;
            }
            _ => {}
        }
    }

    /// Lets the collector get into the middle of something.
    async fn wait(&self, time: Duration) {
        let until = self.rig.clock.now().expect("log time").plus(time);
        within("time", async || (self.rig.clock.now().ok()? > until).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn services_that_are_killed_lose_nothing_and_leave_nothing() {
    let rig = Rig::start().await;
    let order = || {
        let mut order = rig.order("one");
        order.grace = Some(Duration::from_millis(1_500));
        order
    };
    let mut chat = Chat {
        rig: &rig,
        hand: Hand::of(&rig).await,
        dice: Dice(20),
        uploads: Vec::new(),
        messages: Vec::new(),
        homes: BTreeMap::new(),
    };
    for round in 0..12_u64 {
        let process = Process::follow(order()).await;
        for step in 0..12_u64 {
            chat.step(&process).await;
            if step % 4 == 3 {
                let time = Duration::from_millis(chat.dice.below(500) as u64);
                chat.wait(time).await;
            }
        }
        if round % 4 == 3 {
            // Long enough for something to be removed.
            chat.wait(Duration::from_secs(3)).await;
        }
        process.kill();
    }
    let Chat { uploads, messages, homes, .. } = chat;
    let process = Process::follow(order()).await;
    let mut sums = [0_u64; 3];
    let mut held = BTreeSet::new();
    for (id, seed, sender) in &uploads {
        let refer = messages.iter().filter(|said| said.media.contains(id));
        let refer: Vec<Seq> = refer.map(|said| said.seq).collect();
        if refer.is_empty() {
            ended(&rig, *id).await;
            continue;
        }
        refers(&rig, *id, group(homes[id]), &refer).await;
        let reader = rig.reader(&process.address, *id, Variant::File);
        let answer = reader.get(*id, &[]).await.expect("an answer");
        assert_eq!(answer.body, bytes(*seed, 40_000), "{id}");
        held.insert(rig.ready(*id).await.blob);
        sums[usize::from(*sender)] += 40_000;
    }
    assert!(!held.is_empty(), "nothing was left to lose");
    for user in [1, 2] {
        let holdings = rig.holdings(user).await;
        assert_eq!(holdings.bytes, sums[usize::from(user)], "{holdings:?}");
    }
    within("no object without an owner", async || {
        let mut needed = 0;
        for blob in &held {
            needed += rig.blob(*blob).await?.parts.len();
        }
        (rig.part_objects().await.len() == needed).then_some(())
    })
    .await;
    process.kill();
    rig.stop().await;
}

//! An upload is an avatar as long as its uploader's account names it, whatever its record said.

use std::time::Duration;

use hansard_model::UploadId;
use hansard_model::media::{Home, MediaKey, State, Upload};
use hansard_nats::deployment::{epoch, raise_epoch};
use hansard_nats::media::Change;

use crate::collecting::{gone, refers, watches};
use crate::hand::{Hand, group};
use crate::rig::{Rig, hasty, patient, within};

const ANA: u8 = 1;
const BEN: u8 = 2;
/// How long is kept what nothing refers to.
const GRACE: Duration = Duration::from_millis(1_500);

/// Makes a record say whose an upload is, and that nothing refers to it.
async fn make(rig: &Rig, upload: UploadId, home: Home) {
    let now = rig.clock.now().expect("log time");
    let change = |found: Option<&Upload>| {
        let found = found.expect("an upload").clone();
        let next = Upload { home, keep_until: now, references: [].into(), ..found };
        (Change::Put(next), ())
    };
    rig.bucket.update(MediaKey::Upload(upload), change).await.expect("an answer");
}

async fn has_home(rig: &Rig, upload: UploadId, home: Home) {
    let what = format!("{home:?}");
    within(&what, async || (rig.upload(upload).await?.home == home).then_some(())).await;
}

#[tokio::test]
async fn an_avatar_stays_until_it_is_one_no_longer() {
    let rig = Rig::start().await;
    let service = rig.service("one", hasty(GRACE)).await;
    let hand = Hand::of(&rig).await;
    let upload = rig.uploader(&service.address, ANA).post("", "text/plain", b"me").await.id();
    rig.ready(upload).await;
    hand.name_avatar(ANA, Some(upload)).await;
    make(&rig, upload, Home::Avatar).await;
    let until = rig.clock.now().expect("log time").plus(GRACE * 2);
    within("some time", async || (rig.clock.now().ok()? > until).then_some(())).await;
    let found = rig.upload(upload).await.expect("an upload");
    assert_eq!((found.state, found.home), (State::Ready, Home::Avatar));
    hand.name_avatar(ANA, None).await;
    make(&rig, upload, Home::Uploader).await;
    gone(&rig, upload).await;
    assert_eq!(rig.holdings(ANA).await.bytes, 0);
    service.stop().await;
    rig.stop().await;
}

/// A gateway died between the record and the account, or never learned what became of the change.
#[tokio::test]
async fn a_change_that_was_left_half_done_is_put_right() {
    let rig = Rig::start().await;
    let service = rig.service("one", hasty(GRACE)).await;
    let hand = Hand::of(&rig).await;
    let ana = rig.uploader(&service.address, ANA);
    let (shown, named) = (
        ana.post("", "text/plain", b"shown").await.id(),
        ana.post("", "text/plain", b"named").await.id(),
    );
    rig.ready(shown).await;
    rig.ready(named).await;
    hand.name_avatar(ANA, Some(shown)).await;
    hand.name_avatar(ANA, Some(named)).await;
    make(&rig, shown, Home::Avatar).await;
    has_home(&rig, named, Home::Avatar).await;
    gone(&rig, shown).await;
    let found = rig.upload(named).await.expect("an upload");
    assert_eq!((found.state, found.home), (State::Ready, Home::Avatar));
    assert!(!watches(&rig, named).await.is_empty());
    service.stop().await;
    rig.stop().await;
}

#[tokio::test]
async fn an_older_copy_of_the_records_shows_no_former_avatar() {
    let rig = Rig::start().await;
    // Nobody looks at them again so soon, but for the comparing.
    let service = rig.service("one", patient()).await;
    let hand = Hand::of(&rig).await;
    let (ana, ben) = (rig.uploader(&service.address, ANA), rig.uploader(&service.address, BEN));
    let removed = ana.post("", "text/plain", b"removed").await.id();
    let sent = ben.post("", "text/plain", b"sent").await.id();
    let former = ben.post("", "text/plain", b"former").await.id();
    let present = ben.post("", "text/plain", b"present").await.id();
    for upload in [removed, sent, former, present] {
        rig.ready(upload).await;
    }
    hand.name_avatar(ANA, Some(removed)).await;
    hand.name_avatar(ANA, None).await;
    for upload in [sent, former, present] {
        hand.name_avatar(BEN, Some(upload)).await;
    }
    let said = hand.send(BEN, group(1), &[sent]).await.expect("sent");
    refers(&rig, sent, group(1), &[said]).await;
    // As the records were some time before.
    for (upload, home) in [(sent, Home::Avatar), (former, Home::Avatar), (present, Home::Uploader)]
    {
        make(&rig, upload, home).await;
    }
    let now = rig.clock.now().expect("log time");
    let before = epoch(&rig.operator).await.expect("an epoch");
    raise_epoch(&rig.operator, before).await.expect("raised");
    has_home(&rig, present, Home::Avatar).await;
    has_home(&rig, former, Home::Uploader).await;
    refers(&rig, sent, group(1), &[said]).await;
    has_home(&rig, removed, Home::Uploader).await;
    let former = rig.upload(former).await.expect("an upload");
    assert!(former.keep_until >= now.plus(patient().grace));
    assert!(!watches(&rig, former.id).await.is_empty());
    service.stop().await;
    rig.stop().await;
}

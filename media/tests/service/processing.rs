//! What is worked out of files, away from all requests.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::time::Duration;

use hansard_model::media::{MediaKey, State, Upload, Variant};
use hansard_model::{Seq, UploadId};
use hansard_nats::media::Change;
use image::{DynamicImage, ImageFormat, RgbImage};
use object_store::{ObjectStoreExt as _, PutPayload, path::Path};

use crate::collecting::{refers, watches};
use crate::faulty::Faulty;
use crate::hand::{Hand, group};
use crate::process::Process;
use crate::rig::{Rig, patient, within};

const ANA: u8 = 1;
/// What stands for where a picture was taken.
const SECRET: &[u8] = b"52.5200 N 13.4050 E";

/// A JPEG with metadata.
fn photograph(width: u32, height: u32, seed: u8) -> Vec<u8> {
    let picture = RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(x % 256) as u8, (y % 256) as u8, seed])
    });
    let mut jpeg = Vec::new();
    DynamicImage::from(picture)
        .write_to(&mut Cursor::new(&mut jpeg), ImageFormat::Jpeg)
        .expect("a picture");
    // Behind the first marker, as cameras do it.
    let mut comment = vec![0xff, 0xfe];
    comment.extend((SECRET.len() as u16 + 2).to_be_bytes());
    comment.extend(SECRET);
    jpeg.splice(2..2, comment);
    jpeg
}

fn tells(bytes: &[u8]) -> bool {
    bytes.windows(SECRET.len()).any(|window| window == SECRET)
}

async fn body(rig: &Rig, address: &str, upload: UploadId, variant: &str, of: Variant) -> Vec<u8> {
    let reader = rig.reader(address, upload, of);
    within("a file", async || {
        let path = format!("/v1/media/{upload}{variant}");
        let answer = reader.fetch(&path).await?;
        (answer.status == 200).then(|| answer.body.to_vec())
    })
    .await
}

async fn processed(rig: &Rig, upload: UploadId) -> Upload {
    rig.ready(upload).await;
    rig.upload(upload).await.expect("an upload")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_is_shown_small_and_tells_nobody_where_it_was_taken() {
    let rig = Rig::start().await;
    let service = rig.service("one", patient()).await;
    let (hand, ana) = (Hand::of(&rig).await, rig.uploader(&service.address, ANA));
    let mut notices = rig.bucket.ready_notices().await.expect("a subscription");
    let photograph = photograph(1_600, 900, 1);
    assert!(tells(&photograph));
    let id = ana.post("?name=cat.jpg", "image/jpeg", &photograph).await.id();
    let said = hand.send(ANA, group(1), &[id]).await.expect("sent");
    let notice = notices.next().await.expect("a notice");
    assert_eq!((notice.conversation, notice.upload.id), (group(1), id));
    assert_eq!(notice.upload.state, State::Ready);
    assert!(notice.references.contains(&said));
    let upload = processed(&rig, id).await;
    let file = &upload.contents[&Variant::File];
    assert_eq!((file.width, file.height, file.inline), (Some(1_600), Some(900), true));
    assert_eq!(file.media_type, "image/jpeg");
    assert!(upload.facts.stripped && upload.facts.placeholder.is_some());
    let own = body(&rig, &service.address, id, "", Variant::File).await;
    assert!(!tells(&own) && own.len() as u64 == file.size);
    for (variant, query, width) in
        [(Variant::Thumb, "?variant=thumb", 320), (Variant::Preview, "?variant=preview", 1_280)]
    {
        let content = &upload.contents[&variant];
        assert_eq!((content.media_type.as_str(), content.width), ("image/webp", Some(width)));
        let bytes = body(&rig, &service.address, id, query, variant).await;
        let shown = image::load_from_memory_with_format(&bytes, ImageFormat::WebP);
        assert_eq!(shown.expect("a picture").width(), width);
    }
    // The bytes with metadata are held no more, and nothing else is left over.
    let original = upload.original.expect("a blob");
    within("the end of the original", async || rig.blob(original).await.is_none().then_some(()))
        .await;
    let mut needed = 0;
    for content in upload.contents.values() {
        needed += rig.blob(content.blob).await.expect("a blob").parts.len();
    }
    assert_eq!(rig.part_objects().await.len(), needed);
    refers(&rig, id, group(1), &[said]).await;
    within("no more to look at", async || {
        watches(&rig, id).await.len().checked_sub(2).is_none().then_some(())
    })
    .await;
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_original_is_kept_bit_for_bit_on_request() {
    let rig = Rig::start().await;
    let service = rig.service("one", patient()).await;
    let ana = rig.uploader(&service.address, ANA);
    let photograph = photograph(64, 48, 2);
    let id = ana.upload(&photograph, "filename Y2F0LmpwZw==,original dHJ1ZQ==").await;
    let upload = processed(&rig, id).await;
    assert!(!upload.facts.stripped);
    assert!(upload.contents.contains_key(&Variant::Thumb));
    assert_eq!(body(&rig, &service.address, id, "", Variant::File).await, photograph);
    // Of the same bytes, looked at and not looked at.
    let opaque = ana.upload(&photograph, "opaque dHJ1ZQ==").await;
    let upload = processed(&rig, opaque).await;
    let file = &upload.contents[&Variant::File];
    assert_eq!((file.media_type.as_str(), file.inline), ("application/octet-stream", false));
    assert_eq!((upload.contents.len(), file.width), (1, None));
    assert_eq!(body(&rig, &service.address, opaque, "", Variant::File).await, photograph);
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn processing_that_died_is_begun_again() {
    let rig = Rig::start().await;
    let mut ids = Vec::new();
    for number in 0..3_u8 {
        let process = Process::start(&rig, "one").await;
        let ana = rig.uploader(&process.address, ANA);
        let id = ana.post("", "image/jpeg", &photograph(2_400, 1_800, number)).await.id();
        // In the middle of it: later each time.
        let until = rig.clock.now().expect("log time");
        let until = until.plus(Duration::from_millis(u64::from(number) * 120));
        within("time", async || (rig.clock.now().ok()? >= until).then_some(())).await;
        process.kill();
        ids.push(id);
        // One attempt is lost to each kill, and none has more than three.
        let process = Process::start(&rig, "one").await;
        processed(&rig, id).await;
        process.kill();
    }
    let process = Process::start(&rig, "one").await;
    let mut needed = BTreeSet::new();
    for id in ids {
        let upload = processed(&rig, id).await;
        assert!(upload.facts.stripped, "{upload:?}");
        assert_eq!(upload.contents.len(), 3);
        assert!(!tells(&body(&rig, &process.address, id, "", Variant::File).await));
        for content in upload.contents.values() {
            let blob = rig.blob(content.blob).await.expect("a blob");
            needed.extend(blob.parts.iter().map(|part| (part.upload, part.sha256)));
        }
    }
    within("nothing left over", async || {
        (rig.part_objects().await.len() == needed.len()).then_some(())
    })
    .await;
    drop(process);
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_picture_is_ready_without_a_preview() {
    let rig = Rig::start().await;
    let service = rig.service("one", patient()).await;
    let ana = rig.uploader(&service.address, ANA);
    let mut damaged = photograph(640, 480, 3);
    damaged.truncate(400);
    let id = ana.post("", "image/jpeg", &damaged).await.id();
    let upload = processed(&rig, id).await;
    assert_eq!(upload.facts.reason.as_deref(), Some("unreadable"));
    let text = ana.post("", "image/png", b"no picture at all").await.id();
    let upload = processed(&rig, text).await;
    assert_eq!(upload.facts.reason.as_deref(), Some("unsupported"));
    assert_eq!(upload.references, BTreeSet::<Seq>::new());
    service.stop().await;
    rig.stop().await;
}

/// Sets how often an upload was tried, and waits until it was tried twice more or is ready.
async fn tried_on(rig: &Rig, id: UploadId, attempts: u32) -> Upload {
    within("an attempt", async || rig.upload(id).await.filter(|upload| upload.attempts > 0)).await;
    let often = |found: Option<&Upload>| match found {
        // Each of them lived to say what failed.
        Some(found) => (Change::Put(Upload { attempts, faults: attempts, ..found.clone() }), ()),
        None => (Change::Keep, ()),
    };
    rig.bucket.update(MediaKey::Upload(id), often).await.expect("written");
    within("attempts", async || {
        let upload = rig.upload(id).await?;
        (upload.state == State::Ready || upload.attempts >= attempts + 2).then_some(upload)
    })
    .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_stays_its_uploaders_while_the_store_takes_no_copy_of_it() {
    let rig = Rig::start().await;
    let store = Faulty::without_thumbnails(rig.store());
    let service = rig.service_on("one", patient(), store).await;
    let ana = rig.uploader(&service.address, ANA);
    let photograph = photograph(640, 480, 4);
    let id = ana.post("", "image/jpeg", &photograph).await.id();
    let upload = tried_on(&rig, id, 9).await;
    assert_eq!(upload.state, State::Processing, "{:?}", upload.facts);
    // Nothing is taken out of this one: it is given up, as it is.
    let kept = ana.upload(&photograph, "original dHJ1ZQ==").await;
    let upload = tried_on(&rig, kept, 9).await;
    assert_eq!((upload.state, upload.facts.reason.as_deref()), (State::Ready, Some("failed")));
    service.stop().await;
    let service = rig.service("two", patient()).await;
    let upload = processed(&rig, id).await;
    assert!(upload.facts.stripped && upload.contents.len() == 3, "{upload:?}");
    assert!(!tells(&body(&rig, &service.address, id, "", Variant::File).await));
    service.stop().await;
    rig.stop().await;
}

/// A picture that was tried so often, in a process that is gone by now; so many of the attempts
/// lived to say what failed, and the last so many of them, that bytes are missing.
async fn left_behind(rig: &Rig, seed: u8, tries: [u32; 3]) -> UploadId {
    let [attempts, faults, missing] = tries;
    let service = rig.service_on("one", patient(), Faulty::without_thumbnails(rig.store())).await;
    let ana = rig.uploader(&service.address, ANA);
    let id = ana.post("", "image/jpeg", &photograph(640, 480, seed)).await.id();
    within("an attempt", async || rig.upload(id).await.filter(|upload| upload.attempts > 0)).await;
    service.stop().await;
    let often = |found: Option<&Upload>| match found {
        Some(found) => (Change::Put(Upload { attempts, faults, missing, ..found.clone() }), ()),
        None => (Change::Keep, ()),
    };
    rig.bucket.update(MediaKey::Upload(id), often).await.expect("written");
    id
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_that_takes_its_worker_with_it_is_not_tried_for_ever() {
    let rig = Rig::start().await;
    let thrice = left_behind(&rig, 5, [3, 0, 0]).await;
    let even_then = left_behind(&rig, 6, [4, 0, 0]).await;
    let service = rig.service("two", patient()).await;
    // After three attempts it is stripped without a look at its pixels.
    let upload = processed(&rig, thrice).await;
    assert_eq!(upload.facts.reason.as_deref(), Some("decoder_failed"));
    assert!(upload.facts.stripped && upload.contents.len() == 1 && !upload.withheld);
    assert!(!tells(&body(&rig, &service.address, thrice, "", Variant::File).await));
    // What takes its worker even then is its uploader's, with what its camera wrote.
    let upload = processed(&rig, even_then).await;
    assert_eq!((upload.facts.reason.as_deref(), upload.withheld), (Some("failed"), true));
    assert_eq!(upload.attempts, 5);
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_whose_bytes_are_lost_does_not_stay_in_processing() {
    let rig = Rig::start().await;
    let id = left_behind(&rig, 7, [7, 7, 7]).await;
    for object in rig.part_objects().await {
        rig.store().delete(&object.as_str().into()).await.expect("deleted");
    }
    let service = rig.service("two", patient()).await;
    let upload = processed(&rig, id).await;
    assert_eq!((upload.facts.reason.as_deref(), upload.withheld), (Some("lost"), true));
    let reader = rig.reader(&service.address, id, Variant::File);
    assert_eq!(reader.get(id, &[]).await.expect("an answer").code(), "unavailable");
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_that_are_back_before_long_are_not_lost_whatever_failed_before() {
    let rig = Rig::start().await;
    let id = left_behind(&rig, 10, [7, 7, 0]).await;
    let store = rig.store();
    let mut away = Vec::new();
    for object in rig.part_objects().await {
        let path = Path::from(object);
        let found = store.get(&path).await.expect("there").bytes().await.expect("read");
        store.delete(&path).await.expect("deleted");
        away.push((path, found));
    }
    let service = rig.service("two", patient()).await;
    // It is the eighth attempt that fails, and the first that finds nothing.
    let upload = within("an attempt", async || {
        rig.upload(id).await.filter(|upload| upload.missing > 0 || upload.state == State::Ready)
    })
    .await;
    assert_eq!(upload.state, State::Processing, "{:?}", upload.facts);
    for (path, bytes) in away {
        store.put(&path, PutPayload::from_bytes(bytes)).await.expect("back");
    }
    let upload = processed(&rig, id).await;
    assert!(upload.facts.stripped && !upload.withheld, "{upload:?}");
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_attempt_that_waits_for_the_store_does_not_die_of_the_end_of_its_process() {
    let rig = Rig::start().await;
    let id = left_behind(&rig, 11, [1, 1, 0]).await;
    let service = rig.service_on("two", patient(), Faulty::mute(rig.store())).await;
    within("an attempt", async || rig.upload(id).await.filter(|upload| upload.attempts > 1)).await;
    service.stop().await;
    let upload = rig.upload(id).await.expect("an upload");
    assert_eq!((upload.state, upload.attempts, upload.faults), (State::Processing, 2, 2));
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_pictures_of_one_do_not_hold_up_those_of_another() {
    let rig = Rig::start().await;
    let service = rig.service("one", patient()).await;
    let ana = rig.uploader(&service.address, ANA);
    let large = photograph(3_000, 2_000, 8);
    let mut of_ana = Vec::new();
    for _ in 0..16 {
        of_ana.push(ana.post("", "image/jpeg", &large).await.id());
    }
    let ready = async || {
        let mut ready = 0;
        for id in &of_ana {
            let upload = rig.upload(*id).await.expect("an upload");
            ready += usize::from(upload.state == State::Ready);
        }
        ready
    };
    let before = ready().await;
    let bo = rig.uploader(&service.address, 2);
    let id = bo.post("", "image/jpeg", &photograph(64, 48, 9)).await.id();
    processed(&rig, id).await;
    let meanwhile = ready().await - before;
    // Those that were being looked at, and as many that came with it.
    assert!(meanwhile <= 8, "{before} before, {meanwhile} meanwhile");
    service.stop().await;
    rig.stop().await;
}

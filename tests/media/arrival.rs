//! A picture, from one person to another, and to nobody else.

use hansard_model::media::{Declared, Variant};
use hansard_protocol::media::MediaState;
use tempfile::TempDir;

use super::wire::{ask, ask_anonymously};
use super::{files, media_at, ready, sha256, with_file};
use crate::harness::{Serve, couple, seq_of, sign_up};

/// With a place in its metadata, and held upright.
fn photograph() -> Vec<u8> {
    files::jpeg_with(&files::jpeg(1_600, 900), &[files::jpeg_exif(&files::exif(1))])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_picture_reaches_those_in_its_conversation_whole_and_without_where_it_was_taken() {
    let serve = Serve::start().await;
    let (ana, ben, conversation) = couple(serve.address).await;
    let cem = sign_up(serve.address, "cem").await.log_in(serve.address).await;
    let (hers, his) = (media_at(&ana, serve.address), media_at(&ben, serve.address));
    let mut socket = ben.connect().await;
    let picture = photograph();
    assert!(picture.windows(6).any(|window| window == b"SECRET"));
    let file = Declared { name: Some("the cat.jpg".to_owned()), ..Declared::default() };
    let info = hers.upload(bytes::Bytes::from(picture), file).done().await.unwrap();
    // Nobody else knows of it before it is sent.
    assert_eq!(ask(&ben, "GET", &format!("/v1/media/{}", info.id), &[], &[]).await.status, 404);

    let seq = ana.store(&conversation, &with_file("", &info)).await;
    let event = socket.event(&conversation, seq).await;
    assert_eq!(event["body"]["event"]["media"][0]["id"], info.id.to_string());
    let known = his.info(info.id).await.unwrap();
    if known.state != MediaState::Ready {
        let frame = socket.frame("a media frame", |frame| frame["type"] == "media").await;
        assert_eq!((seq_of(&frame), &frame["media"]["state"]), (seq, &"ready".into()));
    }

    let info = ready(&his, info.id).await;
    assert_eq!((info.width, info.height), (Some(1_600), Some(900)));
    assert_eq!(info.name.as_deref(), Some("the cat.jpg"));
    assert!(info.stripped && info.placeholder.is_some(), "{info:?}");
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("cat.jpg");
    let path = his.download(info.id, Variant::File, path).done().await.unwrap();
    let fetched = std::fs::read(path).unwrap();
    assert_eq!(info.sha256.map(|sha256| sha256.to_string()), Some(sha256(&fetched)));
    assert!(!fetched.windows(6).any(|window| window == b"SECRET"), "its place is told");
    for (variant, longest) in [(Variant::Thumb, 320), (Variant::Preview, 1_280)] {
        let path = directory.path().join(format!("{variant:?}.webp"));
        let path = his.download(info.id, variant, path).done().await.unwrap();
        let picture = image::load_from_memory(&std::fs::read(path).unwrap()).unwrap();
        assert_eq!(picture.width(), longest);
    }

    let path = format!("/v1/media/{}", info.id);
    for variant in ["", "?variant=thumb"] {
        let answer = ask(&cem, "GET", &format!("{path}{variant}"), &[], &[]).await;
        assert_eq!((answer.status, answer.code().as_str()), (404, "not_found"));
    }
    let answer = ask_anonymously(serve.address, "GET", &path, &[], &[]).await;
    assert_eq!((answer.status, answer.code().as_str()), (401, "unauthorized"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_player_seeks_and_a_browser_asks_again_only_for_what_has_changed() {
    let serve = Serve::start().await;
    let (ana, _, _) = couple(serve.address).await;
    let media = media_at(&ana, serve.address);
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number / 7) as u8).collect();
    let file = Declared { name: Some("numbers".to_owned()), ..Declared::default() };
    let info = media.upload(bytes::Bytes::from(bytes.clone()), file).done().await.unwrap();
    ready(&media, info.id).await;
    let path = format!("/v1/media/{}", info.id);
    let whole = ask(&ana, "GET", &path, &[], &[]).await;
    assert_eq!((whole.status, &whole.body), (200, &bytes));
    let etag = whole.header("etag").to_owned();
    assert_eq!(etag, format!("\"{}\"", sha256(&bytes)));
    assert_eq!(whole.header("accept-ranges"), "bytes");
    assert_eq!(whole.header("x-content-type-options"), "nosniff");
    assert!(whole.header("content-disposition").starts_with("attachment"), "{whole:?}");
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=1048570-1048590", 1_048_570, 1_048_591),
        ("bytes=2999990-", 2_999_990, 3_000_000),
        ("bytes=-5", 2_999_995, 3_000_000),
        ("bytes=2999999-9999999", 2_999_999, 3_000_000),
    ] {
        let part = ask(&ana, "GET", &path, &[("Range", range)], &[]).await;
        assert_eq!((part.status, part.body.as_slice()), (206, &bytes[from..to]), "{range}");
        let said = format!("bytes {from}-{}/3000000", to - 1);
        assert_eq!(part.header("content-range"), said, "{range}");
    }
    let beyond = ask(&ana, "GET", &path, &[("Range", "bytes=3000000-")], &[]).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, "bytes */3000000"));
    let same = ask(&ana, "GET", &path, &[("If-None-Match", &etag)], &[]).await;
    assert_eq!((same.status, same.body.len()), (304, 0));
    let other = [("Range", "bytes=0-0"), ("If-Range", "\"of another file\"")];
    assert_eq!(ask(&ana, "GET", &path, &other, &[]).await.status, 200);
    let head = ask(&ana, "HEAD", &path, &[], &[]).await;
    assert_eq!((head.status, head.body.len()), (200, 0));
}

//! Files go out as they came in, or not at all.

use hansard_model::media::{State, Variant};
use http::StatusCode;
use object_store::ObjectStoreExt as _;
use object_store::path::Path;

use crate::client::bytes;
use crate::rig::{Rig, patient, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn any_range_of_a_file_can_be_had() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let file = bytes(20, 3_000_000);
    let id = rig.uploader(&service.address, 1).upload(&file, "filename eC5iaW4=").await;
    let content = rig.ready(id).await;
    let reader = rig.reader(&service.address, id, Variant::File);
    let whole = reader.get(id, &[]).await.expect("all");
    let etag = format!("\"{}\"", content.blob);
    assert_eq!(whole.status, StatusCode::OK);
    for (name, value) in [
        ("etag", etag.as_str()),
        ("content-length", "3000000"),
        ("accept-ranges", "bytes"),
        ("cache-control", "private, max-age=31536000, immutable"),
        ("content-type", "application/octet-stream"),
        ("content-disposition", "attachment; filename=\"x.bin\""),
        ("x-content-type-options", "nosniff"),
        ("content-security-policy", "default-src 'none'; sandbox"),
        ("cross-origin-resource-policy", "same-origin"),
    ] {
        assert_eq!(whole.header(name), value, "{name}");
    }
    for (range, from, to) in [
        ("bytes=0-0", 0, 1),
        ("bytes=1048575-1048576", 1_048_575, 1_048_577),
        ("bytes=1000000-", 1_000_000, 3_000_000),
        ("bytes=-5", 2_999_995, 3_000_000),
        ("bytes=2097152-9999999", 2_097_152, 3_000_000),
    ] {
        let part = reader.get(id, &[("range", range)]).await.expect("a part");
        assert_eq!(part.status, StatusCode::PARTIAL_CONTENT, "{range}");
        let expected = format!("bytes {from}-{}/3000000", to - 1);
        assert_eq!(part.header("content-range"), expected);
        assert!(part.body == file[from..to], "{range}");
        let same = [("range", range), ("if-range", etag.as_str())];
        assert_eq!(reader.get(id, &same).await.expect("a part").body.len(), to - from);
        let other = [("range", range), ("if-range", "\"other\"")];
        assert_eq!(reader.get(id, &other).await.expect("all").body.len(), 3_000_000);
    }
    let nothing = reader.get(id, &[("range", "bytes=3000000-")]).await.expect("an answer");
    assert_eq!(nothing.status, StatusCode::RANGE_NOT_SATISFIABLE);
    assert_eq!(nothing.header("content-range"), "bytes */3000000");
    let known = reader.get(id, &[("if-none-match", &format!("\"x\", W/{etag}"))]).await;
    let known = known.expect("an answer");
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let other = reader.get(id, &[("if-match", "\"x\"")]).await.expect("an answer");
    assert_eq!(other.status, StatusCode::PRECONDITION_FAILED);
    let path = format!("/v1/media/{id}");
    let head = reader.send("HEAD", &path, &[], crate::client::chunked(b"")).await.expect("a head");
    assert_eq!((head.header("content-length"), head.header("etag")), ("3000000", etag.as_str()));
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_or_missing_never_leaves() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let file = bytes(21, 3_000_000);
    let id = rig.uploader(&service.address, 1).upload(&file, "").await;
    let blob = rig.ready(id).await.blob;
    let parts = rig.blob(blob).await.expect("a blob").parts;
    let name = |index: usize| {
        let part = &parts[index];
        let (generation, offset, len) = (part.generation, part.offset, part.len);
        Path::from(format!("media/{}/{generation}-{offset}-{len}-{}", part.upload, part.sha256))
    };
    let reader = rig.reader(&service.address, id, Variant::File);
    // One bit of the second part: the first is sent, then the connection ends.
    let (from, to) = (1_048_576, 2_097_152);
    let mut bent = file[from..to].to_vec();
    bent[77] ^= 1;
    rig.store().put(&name(1), bent.into()).await.expect("bent");
    assert!(reader.get(id, &[]).await.is_err(), "it ends before all bytes are there");
    let damaged = reader.get(id, &[("range", "bytes=1048576-1048580")]).await.expect("an answer");
    assert_eq!((damaged.status.as_u16(), damaged.code().as_str()), (503, "unavailable"));
    // Of what is not damaged every byte can be had.
    let rest = reader.get(id, &[("range", "bytes=2097152-")]).await.expect("a part");
    assert!(rest.body == file[2_097_152..]);
    // A part that is longer than it should be, and none.
    rig.store().put(&name(1), vec![0; 5_000_000].into()).await.expect("put");
    let longer = reader.get(id, &[("range", "bytes=1048576-1048580")]).await.expect("an answer");
    assert_eq!(longer.code(), "unavailable");
    rig.store().delete(&name(0)).await.expect("deleted");
    assert_eq!(reader.get(id, &[]).await.expect("an answer").code(), "unavailable");
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_do_something_is_never_shown_inline() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let client = rig.uploader(&service.address, 1);
    let svg = b"<svg xmlns=\"http://www.w3.org/2000/svg\"><script>alert(1)</script></svg>";
    let html = b"<!DOCTYPE html><script>alert(1)</script>";
    let gif = b"GIF89a\x01\x00\x01\x00\x00\x00\x00;";
    for (file, declared, media_type, inline) in [
        (&svg[..], "image/png", "image/svg+xml", false),
        (html, "image/png", "text/html", false),
        (gif, "text/html", "image/gif", true),
    ] {
        let id = client.post("?name=a.png&original=true", declared, file).await.id();
        rig.ready(id).await;
        let got = rig.reader(&service.address, id, Variant::File).get(id, &[]).await.expect("all");
        assert_eq!(got.header("content-type"), media_type);
        let how = got.header("content-disposition").split(';').next();
        assert_eq!(how, Some(if inline { "inline" } else { "attachment" }), "{media_type}");
        assert!(got.body == file);
    }
    // Opaque: nobody looks at it.
    let id = client.post("?opaque=true&original=true", "image/gif", gif).await.id();
    let upload = within("ready", async || {
        rig.upload(id).await.filter(|upload| upload.state == State::Ready)
    })
    .await;
    assert_eq!(upload.contents.len(), 1);
    let got = rig.reader(&service.address, id, Variant::File).get(id, &[]).await.expect("all");
    assert_eq!(got.header("content-type"), "application/octet-stream");
    assert_eq!(got.header("content-disposition"), "attachment");
    service.stop().await;
    rig.stop().await;
}

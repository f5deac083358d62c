//! Files arrive whole, or what arrived of them can be continued.

use std::time::Duration;

use hansard_model::UploadId;
use hansard_model::media::{Allows, State, Variant};
use http::StatusCode;

use crate::client::{bytes, checksum, chunked};
use crate::rig::{Rig, UPLOAD_BYTES_MAX, hasty, patient, user, within};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_in_pieces_is_what_was_sent() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let client = rig.uploader(&service.address, 1);
    let file = bytes(1, 3_500_000);
    // `filename` and `filetype`, in base64.
    let created = client.create(3_500_000, "filename Li4vYS5iaW4=,filetype aW1hZ2UvcG5n").await;
    let id = created.id();
    assert!(created.header("upload-expires").ends_with(" GMT"));
    let mut offset = 0;
    for piece in [0, 1, 1_048_576, 0, 2_000_000] {
        let answer = client.patch(id, offset as u64, &file[offset..offset + piece]).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{:?}", answer.body);
        offset += piece;
        assert_eq!(answer.number("upload-offset"), Some(offset as u64));
        let head = client.head(id).await;
        assert_eq!(head.number("upload-offset"), Some(offset as u64));
        assert_eq!(head.number("upload-length"), Some(3_500_000));
        assert_eq!(head.header("upload-metadata"), "filename YS5iaW4=,filetype aW1hZ2UvcG5n");
    }
    // Elsewhere, too much, and not theirs.
    let elsewhere = client.patch(id, 5, &file[5..]).await;
    assert_eq!((elsewhere.status.as_u16(), elsewhere.code().as_str()), (409, "conflict"));
    assert_eq!(elsewhere.number("upload-offset"), Some(offset as u64));
    let too_much = client.patch(id, offset as u64, &bytes(2, 500_000)).await;
    assert_eq!((too_much.status.as_u16(), too_much.code().as_str()), (413, "too_large"));
    let other = rig.uploader(&service.address, 2);
    assert_eq!(other.head(id).await.status, StatusCode::NOT_FOUND);
    assert_eq!(other.patch(id, offset as u64, b"x").await.code(), "not_found");
    assert_eq!(other.delete(id).await.code(), "not_found");

    let last = client.patch(id, offset as u64, &file[offset..]).await;
    assert_eq!(last.number("upload-offset"), Some(3_500_000), "{:?}", last.body);
    let content = rig.ready(id).await;
    assert_eq!((content.size, content.inline), (3_500_000, false));
    assert_eq!(content.media_type, "application/octet-stream", "by its content alone");
    let got = rig.reader(&service.address, id, Variant::File).get(id, &[]).await.expect("all");
    assert!(got.body == file, "{} bytes", got.body.len());
    // Nothing is left of the short parts' writers but the parts themselves.
    let blob = rig.blob(content.blob).await.expect("a blob");
    assert_eq!(rig.part_objects().await.len(), blob.parts.len());
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_upload_goes_on_where_it_was_cut() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let client = rig.uploader(&service.address, 1);
    let file = bytes(3, 2_500_000);
    let id = client.create(2_500_000, "").await.id();
    client.patch_and_leave(id, 0, &file, 1_300_000).await;
    // What was sent counts: also a part that is not full, once somebody asks.
    within("bytes", async || (!rig.part_objects().await.is_empty()).then_some(())).await;
    let reached = client.head(id).await.number("upload-offset").expect("an offset");
    assert!((1..=1_300_000).contains(&reached), "{reached}");
    let counted: u64 = rig.part_objects().await.iter().map(|name| len_of(name)).sum();
    assert_eq!(counted, reached);
    client.resume(id, &file).await;
    rig.ready(id).await;
    let got = rig.reader(&service.address, id, Variant::File).get(id, &[]).await.expect("all");
    assert!(got.body == file);
    service.stop().await;
    rig.stop().await;
}

/// Bytes of a part, by its name.
fn len_of(name: &str) -> u64 {
    name.split('-').nth(2).and_then(|len| len.parse().ok()).expect("the name of a part")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bytes_with_a_checksum_count_only_if_it_is_right() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let client = rig.uploader(&service.address, 1);
    let file = bytes(4, 1_500_000);
    let id = client.create(1_500_000, "").await.id();
    let (first, rest) = file.split_at(1_200_000);
    let wrong = checksum(b"something else");
    let refused = client.try_patch(id, 0, first, &[("upload-checksum", &wrong)]).await;
    let refused = refused.expect("an answer");
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (460, "checksum_mismatch"));
    assert_eq!(client.head(id).await.number("upload-offset"), Some(0));
    assert_eq!(rig.part_objects().await, Vec::<String>::new());
    for spelled in ["md5 AAAA", "sha256", "sha256 AAAA"] {
        let refused = client.try_patch(id, 0, first, &[("upload-checksum", spelled)]).await;
        assert_eq!(refused.expect("an answer").code(), "bad_frame", "{spelled}");
    }
    let right = checksum(first);
    let taken = client.try_patch(id, 0, first, &[("upload-checksum", &right)]).await;
    assert_eq!(taken.expect("an answer").number("upload-offset"), Some(1_200_000));
    // With and without.
    let taken = client.patch(id, 1_200_000, &rest[..100_000]).await;
    assert_eq!(taken.number("upload-offset"), Some(1_300_000), "{:?}", taken.body);
    let right = checksum(&rest[100_000..]);
    let taken =
        client.try_patch(id, 1_300_000, &rest[100_000..], &[("upload-checksum", &right)]).await;
    assert_eq!(taken.expect("an answer").number("upload-offset"), Some(1_500_000));
    rig.ready(id).await;
    let got = rig.reader(&service.address, id, Variant::File).get(id, &[]).await.expect("all");
    assert!(got.body == file);
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_file_comes_in_one_request() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let client = rig.uploader(&service.address, 1);
    let answer = client.post("?name=n%C3%B6te.txt", "text/plain", b"hello there").await;
    let id = answer.id();
    let info: serde_json::Value = serde_json::from_slice(&answer.body).expect("JSON");
    assert_eq!(info["id"], id.to_string());
    assert_eq!((&info["name"], &info["size"]), (&"nöte.txt".into(), &11.into()));
    let content = rig.ready(id).await;
    assert_eq!(content.media_type, "text/plain; charset=utf-8");

    // Nobody says how long it is.
    let file = bytes(5, 1_200_000);
    let answer = client.send("POST", "/v1/media", &[], chunked(&file)).await.expect("an answer");
    let chunked_id = answer.id();
    rig.ready(chunked_id).await;
    let reader = rig.reader(&service.address, chunked_id, Variant::File);
    assert!(reader.get(chunked_id, &[]).await.expect("all").body == file);
    let holdings = rig.holdings(1).await;
    assert_eq!((holdings.bytes, holdings.unfinished.len()), (11 + 1_200_000, 0));

    // Nothing at all is a file, too.
    let empty = client.post("", "image/png", b"").await.id();
    assert_eq!(rig.ready(empty).await.size, 0);
    let got = rig.reader(&service.address, empty, Variant::File).get(empty, &[]).await;
    assert_eq!(got.expect("an answer").header("content-length"), "0");

    let form = client.post("", "multipart/form-data; boundary=x", b"x").await;
    assert_eq!(form.code(), "unsupported");
    let long = bytes(6, 16 * 1024 * 1024 + 1);
    assert_eq!(client.post("", "a/b", &long).await.code(), "too_large");
    let long = client.send("POST", "/v1/media", &[], chunked(&long)).await;
    assert!(long.is_err() || long.is_ok_and(|answer| answer.code() == "too_large"));
    // What came of it is let go.
    within("nothing unfinished", async || {
        rig.holdings(1).await.unfinished.is_empty().then_some(())
    })
    .await;
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_users_may_have_is_bounded() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let client = rig.uploader(&service.address, 1);
    assert_eq!(client.create(UPLOAD_BYTES_MAX + 1, "").await.code(), "too_large");
    for length in ["", "-1", "x", "99999999999999999999"] {
        let headers = [("tus-resumable", "1.0.0"), ("upload-length", length)];
        let answer = client.send("POST", "/v1/media", &headers, chunked(b"")).await;
        assert_eq!(answer.expect("an answer").code(), "bad_frame", "{length}");
    }
    let first = client.create(UPLOAD_BYTES_MAX, "").await.id();
    client.create(UPLOAD_BYTES_MAX, "").await.id();
    let refused = client.create(1, "").await;
    assert_eq!((refused.status.as_u16(), refused.code().as_str()), (507, "quota_exceeded"));
    // Others have room, and so has who gives something up.
    rig.uploader(&service.address, 2).create(1, "").await.id();
    assert_eq!(client.delete(first).await.status, StatusCode::NO_CONTENT);
    for _ in 0..15 {
        client.create(1, "").await.id();
    }
    assert_eq!(client.create(1, "").await.code(), "quota_exceeded", "sixteen unfinished ones");
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_who_has_a_grant_gets_in_and_only_for_what_it_says() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let client = rig.uploader(&service.address, 1);
    let id = client.post("", "text/plain", b"mine").await.id();
    rig.ready(id).await;
    let forged = rig.grant(1, Allows::Upload).replace('.', "A.");
    for grant in ["", "x", ".", &forged, &rig.old_grant(1)] {
        let nobody = crate::client::Client::new(&service.address, grant.to_owned());
        assert_eq!(nobody.create(1, "").await.code(), "unauthorized", "{grant}");
        let got = nobody.get(id, &[]).await.expect("an answer");
        assert_eq!(got.code(), "unauthorized", "{grant}");
    }
    // To read is not to upload, and one upload is not another.
    let reader = rig.reader(&service.address, id, Variant::File);
    assert_eq!(reader.create(1, "").await.code(), "forbidden");
    assert_eq!(reader.delete(id).await.code(), "forbidden");
    assert_eq!(client.get(id, &[]).await.expect("an answer").code(), "forbidden");
    let other = UploadId::from_entropy([9; 20]);
    assert_eq!(reader.get(other, &[]).await.expect("an answer").code(), "forbidden");
    let unknown = rig.reader(&service.address, other, Variant::File);
    assert_eq!(unknown.get(other, &[]).await.expect("an answer").code(), "not_found");
    let thumb = rig.reader(&service.address, id, Variant::Thumb);
    assert_eq!(thumb.get(id, &[]).await.expect("an answer").code(), "not_found");
    // What the server can do is told to everybody.
    let nobody = crate::client::Client::new(&service.address, String::new());
    let options = nobody.send("OPTIONS", "/v1/media", &[], chunked(b"")).await.expect("an answer");
    assert_eq!(options.header("tus-version"), "1.0.0");
    assert!(options.header("tus-extension").contains("creation-with-upload"));
    assert_eq!(options.number("tus-max-size"), Some(UPLOAD_BYTES_MAX));
    // Another version of the protocol.
    let answer = client.send("HEAD", &format!("/v1/media/{id}"), &[], chunked(b"")).await;
    assert_eq!(answer.expect("an answer").status, StatusCode::PRECONDITION_FAILED);
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_upload_can_begin_with_its_bytes() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let client = rig.uploader(&service.address, 1);
    let file = bytes(7, 10_000);
    let headers = [
        ("tus-resumable", "1.0.0"),
        ("upload-length", "10000"),
        ("content-type", "application/offset+octet-stream"),
    ];
    let answer = client.send("POST", "/v1/media", &headers, chunked(&file[..4_000])).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.number("upload-offset"), Some(4_000));
    let id = answer.id();
    client.resume(id, &file).await;
    let answer = client.send("POST", "/v1/media", &headers, chunked(&file)).await;
    let answer = answer.expect("an answer");
    assert_eq!(answer.number("upload-offset"), Some(10_000));
    for id in [id, answer.id()] {
        rig.ready(id).await;
        let got = rig.reader(&service.address, id, Variant::File).get(id, &[]).await;
        assert!(got.expect("all").body == file);
    }
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_comes_again_takes_over_from_a_request_that_hangs() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let client = rig.uploader(&service.address, 1);
    let file = bytes(8, 2_000_000);
    let id = client.create(2_000_000, "").await.id();
    // It has sent a part, and neither goes on nor goes.
    let hanging = tokio::net::TcpStream::connect(&service.address).await.expect("connected");
    let head = format!(
        "PATCH /v1/media/{id} HTTP/1.1\r\nhost: x\r\nhansard-grant: {}\r\ntus-resumable: 1.0.0\r\n\
         content-type: application/offset+octet-stream\r\nupload-offset: 0\r\n\
         content-length: 2000000\r\n\r\n",
        rig.grant(1, Allows::Upload)
    );
    let request = [head.as_bytes(), &file[..1_500_000]].concat();
    let mut hanging = hanging;
    tokio::io::AsyncWriteExt::write_all(&mut hanging, &request).await.expect("sent");
    within("bytes", async || (!rig.part_objects().await.is_empty()).then_some(())).await;
    let reached = client.head(id).await.number("upload-offset").expect("an offset");
    assert!(reached >= 1_048_576, "{reached}");
    let rest = usize::try_from(reached).expect("small");
    let answer = client.patch(id, reached, &file[rest..]).await;
    assert_eq!(answer.number("upload-offset"), Some(2_000_000), "{:?}", answer.body);
    rig.ready(id).await;
    drop(hanging);
    let got = rig.reader(&service.address, id, Variant::File).get(id, &[]).await.expect("all");
    assert!(got.body == file);
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_wanted_any_more_goes_with_all_its_objects() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let client = rig.uploader(&service.address, 1);
    let unfinished = client.create(2_000_000, "").await.id();
    client.patch(unfinished, 0, &bytes(9, 1_500_000)).await;
    let finished = client.upload(&bytes(10, 1_500_000), "").await;
    rig.ready(finished).await;
    assert!(!rig.objects().await.is_empty());
    for id in [unfinished, finished] {
        assert_eq!(client.delete(id).await.status, StatusCode::NO_CONTENT);
        assert_eq!(client.head(id).await.status, StatusCode::NOT_FOUND);
        assert_eq!(client.patch(id, 0, b"x").await.code(), "not_found");
    }
    within("no objects", async || rig.objects().await.is_empty().then_some(())).await;
    within("no records", async || {
        let gone = rig.upload(unfinished).await.is_none() && rig.upload(finished).await.is_none();
        gone.then_some(())
    })
    .await;
    let holdings = rig.holdings(1).await;
    assert_eq!((holdings.bytes, holdings.unfinished.len()), (0, 0));
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn unfinished_uploads_expire_and_leave_nothing() {
    let rig = Rig::start().await;
    let service = rig.service("a", hasty(Duration::from_secs(2))).await;
    let client = rig.uploader(&service.address, 1);
    let id = client.create(3_000_000, "").await.id();
    client.patch_and_leave(id, 0, &bytes(11, 3_000_000), 1_200_000).await;
    let upload = rig.upload(id).await.expect("a record");
    assert_eq!((upload.state, upload.uploader), (State::Receiving, user(1)));
    within("no record", async || rig.upload(id).await.is_none().then_some(())).await;
    assert_eq!(rig.objects().await, Vec::<String>::new());
    assert_eq!(client.head(id).await.status, StatusCode::NOT_FOUND);
    assert!(rig.holdings(1).await.unfinished.is_empty());
    service.stop().await;
    rig.stop().await;
}

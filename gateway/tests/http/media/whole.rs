//! Files from one person to another, with a media service behind the gateway.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hansard_media::Patience;
use http_body_util::Full;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::client::{Answer, Client};
use crate::rig::{Person, Rig, eventually, new_id};
use crate::wire::Wire;

/// Four by three pixels.
const PNG: &str = "iVBORw0KGgoAAAANSUhEUgAAAAQAAAADCAIAAAA7ljmRAAAAKklEQVR42g3HMQEAMAzDMAMriMDpaSgBUYCbPgEOLh5CnLjx8lOnbr36AOO3DfnBO0T2AAAAAElFTkSuQmCC";

/// Removes what is over within a moment.
fn in_haste() -> Patience {
    Patience {
        look_every: Duration::from_millis(100),
        grace: Duration::from_secs(2),
        claim: Duration::from_secs(5),
        young: Duration::from_secs(1),
        dying: Duration::from_secs(1),
        ..Patience::default()
    }
}

/// A request with a body of bytes.
async fn request(
    client: &Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let token = client.token.as_deref().unwrap_or_default();
    let mut request = http::Request::builder()
        .method(method)
        .uri(path)
        .header("host", "x")
        .header("authorization", format!("Bearer {token}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    client.exchange(request.body(Full::new(body.into())).expect("a request")).await
}

/// Uploads a picture in one request; gives its path.
async fn upload(of: &Person) -> String {
    let png = STANDARD.decode(PNG).expect("base64");
    let kind = [("content-type", "image/png")];
    let info = request(&of.client, "POST", "/v1/media?name=cat.png", &kind, png).await;
    format!("/v1/media/{}", info.expecting(201)["id"].as_str().expect("an id"))
}

fn id_of(path: &str) -> &str {
    path.rsplit('/').next().expect("an id")
}

async fn say(of: &Person, conversation: &str, event: Value) -> u64 {
    let path = format!("/v1/conversations/{conversation}/messages");
    let sent = of.client.post(&path, &json!({"id": new_id(), "event": event})).await;
    sent.expecting(201)["seq"].as_u64().expect("a place")
}

async fn send(of: &Person, conversation: &str, file: &str) -> u64 {
    let message = json!({"kind": "message", "text": "", "media": [{"id": id_of(file)}]});
    say(of, conversation, message).await
}

async fn ready(of: &Person, file: &str) -> Value {
    let path = format!("{file}/info");
    let is_ready = async || of.client.get(&path).await.expecting(200)["state"] == "ready";
    eventually("the file is ready", is_ready).await;
    of.client.get(&path).await.expecting(200)
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn only_the_right_people_get_the_bytes_of_a_file() {
    let mut rig = Rig::start().await;
    rig.add_media(Patience::default()).await;
    let [ana, ben] = [rig.person("ana").await, rig.person("ben").await];
    let [cleo, dan] = [rig.person("cleo").await, rig.person("dan").await];
    let eve = rig.person("eve").await;
    let group = ana.found("tea", &[&ben, &cleo]).await;
    let (file, unsent) = (upload(&ana).await, upload(&ana).await);
    send(&ana, &group, &file).await;
    let change = |op, user: &Person| json!({"kind": "member", "op": op, "user": user.user});
    let info = ready(&ana, &file).await;
    let of_cleo = cleo.client.get(&format!("{file}/url")).await;
    let of_cleo = of_cleo.expecting(200)["url"].as_str().expect("a URL").to_owned();
    assert_eq!(rig.client().get(&of_cleo).await.status, 200);
    say(&ana, &group, change("remove", &cleo)).await;
    say(&ana, &group, change("add", &eve)).await;
    for person in [&ana, &ben] {
        for (suffix, media_type) in [("", "image/png"), ("?variant=thumb", "image/webp")] {
            let got = person.client.get(&format!("{file}{suffix}")).await;
            assert_eq!(
                (got.status, &got.headers["content-type"]),
                (200, &media_type.parse().unwrap())
            );
            assert_eq!(got.headers["etag"], format!("\"{}\"", sha256(&got.bytes)));
            assert_eq!(got.headers["x-content-type-options"], "nosniff");
        }
        let got = person.client.get(&file).await;
        assert_eq!(info["sha256"], sha256(&got.bytes));
        assert_eq!(info["size"], got.bytes.len());
        let range = [("range", "bytes=1-3")];
        let part = request(&person.client, "GET", &file, &range, Bytes::new()).await;
        assert_eq!((part.status, &part.bytes), (206, &got.bytes.slice(1..4)));
        let signed = person.client.get(&format!("{file}/url?variant=thumb")).await.expecting(200);
        let signed = signed["url"].as_str().expect("a URL");
        assert_eq!(rig.client().get(signed).await.headers["content-type"], "image/webp");
        rig.client().get(&signed.replace("thumb", "file")).await.refused(401, "unauthorized");
    }
    for person in [&cleo, &dan, &eve] {
        for suffix in ["", "?variant=thumb", "/info", "/url"] {
            let path = format!("{file}{suffix}");
            // Who came later is told so once the records have all that was said.
            let refused = async || match person.client.get(&path).await.status {
                404 => true,
                503 => false,
                other => panic!("{other} for {} and {suffix}", person.user),
            };
            eventually("it is refused", refused).await;
        }
    }
    rig.client().get(&of_cleo).await.refused(404, "not_found");
    rig.client().get(&file).await.refused(401, "unauthorized");
    for person in [&ben, &dan] {
        person.client.get(&unsent).await.refused(404, "not_found");
        let tus = [("tus-resumable", "1.0.0")];
        let ended = request(&person.client, "DELETE", &unsent, &tus, Bytes::new()).await;
        ended.refused(404, "not_found");
        let asked = request(&person.client, "HEAD", &unsent, &tus, Bytes::new()).await;
        assert_eq!(asked.status, 404);
    }
    assert_eq!(ana.client.get(&unsent).await.status, 200);
    rig.stop().await;
}

#[tokio::test]
async fn a_file_goes_with_the_last_message_that_has_it() {
    let mut rig = Rig::start().await;
    rig.add_media(in_haste()).await;
    let [ana, ben] = [rig.person("ana").await, rig.person("ben").await];
    let talk = ana.with(&ben);
    let mut bens = Wire::of(&ben).await;
    let file = upload(&ana).await;
    let first = send(&ana, &talk, &file).await;
    let frame = bens.until("media").await;
    assert_eq!((&frame["seq"], &frame["media"]["id"]), (&json!(first), &json!(id_of(&file))));
    assert_eq!(frame["media"]["variants"]["thumb"]["type"], "image/webp");
    // He sends it on, she takes hers back: it is still there.
    let second = send(&ben, &talk, &file).await;
    say(&ana, &talk, json!({"kind": "delete", "target": first})).await;
    assert_eq!(ben.client.get(&file).await.status, 200);
    say(&ben, &talk, json!({"kind": "edit", "target": second, "text": "words"})).await;
    let gone = async || ben.client.get(&file).await.status == 404;
    eventually("nobody sees a message that has it", gone).await;
    let removed = async || ana.client.get(&file).await.status == 404;
    eventually("it is removed", removed).await;
    rig.stop().await;
}

#[tokio::test]
async fn an_upload_goes_on_where_it_was_through_another_gateway() {
    let mut rig = Rig::start().await;
    rig.add_media(Patience::default()).await;
    let elsewhere = rig.add_gateway(|_| {}).await;
    let ana = rig.person("ana").await;
    let elsewhere = elsewhere.with_token(ana.client.token.as_deref().expect("a token"));
    let bytes = Bytes::from_iter((0..3_000_000_u32).map(|n| (n % 251) as u8));
    let length = bytes.len().to_string();
    let tus = ("tus-resumable", "1.0.0");
    let created =
        [tus, ("upload-length", length.as_str()), ("upload-metadata", "filename YS5iaW4=")];
    let created = request(&ana.client, "POST", "/v1/media", &created, Bytes::new()).await;
    assert_eq!(created.status, 201, "{}", created.text);
    let path = created.headers["location"].to_str().expect("text").to_owned();
    let append = async |client: &Client, from: usize, to: usize| {
        let (offset, piece) = (from.to_string(), "application/offset+octet-stream");
        let headers = [tus, ("upload-offset", offset.as_str()), ("content-type", piece)];
        request(client, "PATCH", &path, &headers, bytes.slice(from..to)).await
    };
    assert_eq!(append(&ana.client, 0, 2_000_000).await.headers["upload-offset"], "2000000");
    let info = ana.client.get(&format!("{path}/info")).await.expecting(200);
    assert_eq!((&info["state"], &info["offset"]), (&json!("uploading"), &json!(2_000_000)));
    let head = request(&elsewhere, "HEAD", &path, &[tus], Bytes::new()).await;
    assert_eq!((head.status, &head.headers["upload-offset"]), (200, &"2000000".parse().unwrap()));
    append(&elsewhere, 1_000_000, 3_000_000).await.refused(409, "conflict");
    let last = append(&elsewhere, 2_000_000, 3_000_000).await;
    assert_eq!((last.status, last.headers["upload-offset"].to_str().ok()), (204, Some("3000000")));
    let info = ready(&ana, &path).await;
    assert_eq!(
        (&info["name"], &info["type"]),
        (&json!("a.bin"), &json!("application/octet-stream"))
    );
    let got = elsewhere.get(&path).await;
    assert_eq!(got.bytes, bytes);
    assert_eq!(info["sha256"], sha256(&bytes));
    let disposition = got.headers["content-disposition"].to_str().expect("text");
    assert!(disposition.starts_with("attachment; filename=\"a.bin\""), "{disposition}");
    let ended = request(&ana.client, "DELETE", &path, &[tus], Bytes::new()).await;
    assert_eq!(ended.status, 204, "{}", ended.text);
    let asked = request(&elsewhere, "OPTIONS", "/v1/media", &[], Bytes::new()).await;
    assert_eq!(asked.headers["tus-max-size"], "104857600");
    rig.stop().await;
}

#[tokio::test]
async fn an_avatar_is_a_picture_that_was_uploaded() {
    let mut rig = Rig::start().await;
    rig.add_media(in_haste()).await;
    let [ana, dan] = [rig.person("ana").await, rig.person("dan").await];
    let show = async |path: &str| {
        let shown = ana.client.patch("/v1/users/me", &json!({"avatar": id_of(path)})).await;
        shown.expecting(200);
    };
    let (first, second) = (upload(&ana).await, upload(&ana).await);
    ready(&ana, &first).await;
    show(&first).await;
    let of_dan = dan.client.get(&format!("/v1/users/{}", ana.user)).await.expecting(200);
    assert_eq!(of_dan["avatar"], id_of(&first));
    let thumb = dan.client.get(&format!("{first}?variant=thumb")).await;
    assert_eq!(
        (thumb.status, &thumb.headers["content-type"]),
        (200, &"image/webp".parse().unwrap())
    );
    ready(&ana, &second).await;
    show(&second).await;
    dan.client.get(&first).await.refused(404, "not_found");
    assert_eq!(dan.client.get(&second).await.status, 200);
    rig.stop().await;
}

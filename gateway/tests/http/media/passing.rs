//! What goes through a gateway to a media service and back.

use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use hansard_gateway::config::Rate;
use hansard_model::UploadId;
use hansard_model::media::{Allows, Variant};
use http_body_util::Full;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::client::Client;
use crate::media::service::{Files, granted};
use crate::rig::{DEADLINE, Rig, eventually};

/// A request with these headers.
fn request(
    client: &Client,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &'static [u8],
) -> http::Request<Full<Bytes>> {
    let token = client.token.as_deref().unwrap_or_default();
    let mut request = http::Request::builder().method(method).uri(path);
    for (name, value) in [("host", "x"), ("authorization", &format!("Bearer {token}"))] {
        request = request.header(name, value);
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Full::new(Bytes::from_static(body))).expect("a request")
}

#[tokio::test]
async fn uploads_are_passed_on_with_a_grant_and_without_the_token() {
    let rig = Rig::start().await;
    let files = Files::of(&rig).await;
    let ana = rig.person("ana").await;
    let user = ana.user.parse().expect("a user");
    let id = UploadId::from_entropy([9; 20]);
    let path = format!("/v1/media/{id}");
    let tus = ("tus-resumable", "1.0.0");
    let extra =
        [tus, ("upload-length", "6"), ("upload-metadata", "filename YQ=="), ("cookie", "a")];
    let created = request(&ana.client, "POST", "/v1/media?name=a", &extra, b"");
    let created = ana.client.exchange(created).await;
    assert_eq!((created.status, &created.headers["location"]), (201, &path.parse().expect("text")));
    assert_eq!(created.headers["tus-resumable"], "1.0.0");
    assert!(!created.headers.contains_key("set-cookie"));
    assert_eq!(created.headers["x-content-type-options"], "nosniff");
    let extra = [tus, ("upload-offset", "0"), ("content-type", "application/offset+octet-stream")];
    let appended =
        ana.client.exchange(request(&ana.client, "PATCH", &path, &extra, b"abcdef")).await;
    assert_eq!((appended.status, &appended.headers["upload-offset"]), (204, &"6".parse().unwrap()));
    let head = ana.client.exchange(request(&ana.client, "HEAD", &path, &[tus], b"")).await;
    assert_eq!((head.status, &head.headers["upload-offset"]), (200, &"5".parse().unwrap()));
    assert_eq!(ana.client.delete(&path).await.status, 204);
    let heard = files.heard();
    let asked: Vec<_> = heard.iter().map(|heard| (heard.method.as_str(), heard.body)).collect();
    let wanted = [("POST", Some(0)), ("PATCH", Some(6)), ("HEAD", Some(0)), ("DELETE", Some(0))];
    assert_eq!(asked, wanted);
    assert_eq!(heard[0].target, "/v1/media?name=a");
    assert!(heard[1..].iter().all(|heard| heard.target == path), "{heard:?}");
    for heard in &heard {
        assert_eq!(granted(heard), (user, Allows::Upload));
        assert!(["authorization", "cookie"].iter().all(|name| !heard.headers.contains_key(*name)));
    }
    assert_eq!(heard[0].headers["upload-metadata"], "filename YQ==");
    assert_eq!(heard[1].headers["content-length"], "6");
    rig.client().delete(&path).await.refused(401, "unauthorized");
    ana.client.delete("/v1/media/x").await.refused(400, "bad_id");
    rig.stop().await;
}

#[tokio::test]
async fn ranges_and_conditions_reach_the_service_and_its_answer_the_client() {
    let rig = Rig::start().await;
    let files = Files::of(&rig).await;
    let ana = rig.person("ana").await;
    let id = files.picture(&ana.user, 1).await;
    let path = format!("/v1/media/{id}?variant=thumb");
    let extra = [("range", "bytes=1-2"), ("if-range", "\"e\""), ("if-none-match", "\"f\"")];
    let part = ana.client.exchange(request(&ana.client, "GET", &path, &extra, b"")).await;
    assert_eq!((part.status, part.text.as_str()), (206, "Thumb"));
    assert_eq!(part.headers["etag"], "\"e\"");
    assert!(part.headers["content-security-policy"].to_str().expect("text").contains("'none'"));
    let heard = files.heard().remove(0);
    assert_eq!(granted(&heard).1, Allows::Read(id, Variant::Thumb));
    for (name, value) in extra {
        assert_eq!(heard.headers[name], value);
    }
    let head = ana.client.send("HEAD", &path, None).await;
    assert_eq!((head.status, &head.headers["content-length"]), (200, &"5".parse().unwrap()));
    rig.stop().await;
}

#[tokio::test]
async fn a_gateway_takes_no_more_of_an_upload_than_the_service_does() {
    let rig = Rig::start().await;
    let files = Files::of(&rig).await;
    let ana = rig.person("ana").await;
    files.gate.forget_permits(usize::MAX);
    let length = 64 * 1024 * 1024;
    let token = ana.client.token.as_deref().expect("a token");
    let mut stream = TcpStream::connect(ana.client.addr).await.expect("connected");
    let head = format!(
        "POST /v1/media HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-type: image/png\r\ncontent-length: {length}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    let part = vec![7; 256 * 1024];
    let mut written = 0;
    // What sockets and buffers take; then it stands.
    while let Ok(count) = tokio::time::timeout(Duration::from_secs(1), stream.write(&part)).await {
        written += count.expect("written");
        assert!(written < length / 2, "somebody keeps it");
    }
    files.gate.add_permits(8);
    while written < length {
        let rest = part.len().min(length - written);
        written += stream.write(&part[..rest]).await.expect("written");
    }
    let mut answer = [0; 12];
    let answered = tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer)).await;
    answered.expect("in time").expect("an answer");
    assert_eq!(&answer, b"HTTP/1.1 201");
    assert_eq!(files.heard()[0].body, Some(length));
    rig.stop().await;
}

#[tokio::test]
async fn an_upload_that_breaks_off_breaks_off_at_the_service() {
    let rig = Rig::start().await;
    let files = Files::of(&rig).await;
    let ana = rig.person("ana").await;
    let token = ana.client.token.as_deref().expect("a token");
    let mut stream = TcpStream::connect(ana.client.addr).await.expect("connected");
    let head = format!(
        "PATCH /v1/media/{} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         content-length: 100\r\n\r\nabc",
        UploadId::from_entropy([1; 20])
    );
    stream.write_all(head.as_bytes()).await.expect("written");
    stream.flush().await.expect("written");
    let has_begun = async || files.begun.load(Ordering::SeqCst) > 0;
    eventually("it is on its way", has_begun).await;
    drop(stream);
    let mut heard = Vec::new();
    let broken = async || {
        heard.extend(files.heard());
        heard.first().is_some_and(|heard| heard.body.is_none())
    };
    eventually("the service hears that it is over", broken).await;
    rig.stop().await;
}

#[tokio::test]
async fn without_a_service_it_is_tried_again_and_a_dead_one_is_passed_over() {
    let rig = Rig::start().await;
    let files = Files::without_service(&rig).await;
    let ana = rig.person("ana").await;
    let id = files.picture(&ana.user, 1).await;
    let path = format!("/v1/media/{id}");
    let refused = ana.client.get(&path).await;
    refused.refused(503, "unavailable");
    assert!(refused.headers.contains_key("retry-after"));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a listener");
    let dead = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let files = Files::of(&rig).await;
    files.bucket.announce_service("dead", &dead).await.expect("announced");
    // Both are known to the gateway within a second; either may be asked first.
    let served = async || ana.client.get(&path).await.status == 200;
    eventually("the live one is asked", served).await;
    for _ in 0..10 {
        files.bucket.announce_service("dead", &dead).await.expect("announced");
        assert_eq!(ana.client.get(&path).await.status, 200);
        let created = request(&ana.client, "POST", "/v1/media", &[], b"small");
        assert_eq!(ana.client.exchange(created).await.status, 201);
    }
    rig.stop().await;
}

#[tokio::test]
async fn new_uploads_are_counted_against_their_user() {
    let rig = Rig::start_with(|config| config.rates.uploads_per_user = Rate::per_hour(1, 2)).await;
    let _files = Files::of(&rig).await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let create = async |client: &Client| {
        client.exchange(request(client, "POST", "/v1/media", &[], b"x")).await
    };
    for _ in 0..2 {
        assert_eq!(create(&ana.client).await.status, 201);
    }
    create(&ana.client).await.refused(429, "rate_limited");
    assert_eq!(create(&ben.client).await.status, 201);
    rig.stop().await;
}

#[tokio::test]
async fn what_uploads_can_be_is_said_to_everybody_and_origins_to_browsers() {
    let origin = "https://chat.example.org";
    let rig = Rig::start_with(|config| config.allowed_origins = vec![origin.to_owned()]).await;
    let _files = Files::of(&rig).await;
    let client = rig.client();
    let asked = client.send("OPTIONS", "/v1/media", None).await;
    assert_eq!((asked.status, &asked.headers["tus-version"]), (204, &"1.0.0".parse().unwrap()));
    let preflight = [
        ("origin", origin),
        ("access-control-request-method", "PATCH"),
        ("access-control-request-headers", "tus-resumable,upload-offset,authorization"),
    ];
    let path = format!("/v1/media/{}", UploadId::from_entropy([1; 20]));
    let told = client.exchange(request(&client, "OPTIONS", &path, &preflight, b"")).await;
    assert_eq!(
        (told.status, &told.headers["access-control-allow-origin"]),
        (200, &origin.parse().unwrap())
    );
    let text = |name: &str| told.headers[name].to_str().expect("text").to_ascii_lowercase();
    assert!(text("access-control-allow-methods").contains("patch"));
    for name in ["tus-resumable", "upload-offset", "upload-metadata", "authorization"] {
        assert!(text("access-control-allow-headers").contains(name), "{name}");
    }
    let ana = rig.person("ana").await;
    let created = request(&ana.client, "POST", "/v1/media", &[("origin", origin)], b"x");
    let created = ana.client.exchange(created).await;
    let exposed = created.headers["access-control-expose-headers"].to_str().expect("text");
    for name in ["location", "upload-offset", "tus-resumable", "retry-after", "etag"] {
        assert!(exposed.to_ascii_lowercase().contains(name), "{name} in {exposed}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn a_body_that_breaks_is_its_senders_fault() {
    let rig = Rig::start().await;
    let files = Files::of(&rig).await;
    let ana = rig.person("ana").await;
    let token = ana.client.token.as_deref().expect("a token");
    let broken = format!(
        "POST /v1/media HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {token}\r\n\
         transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nno length\r\n"
    );
    let answer = ana.client.raw(broken.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    assert!(answer.contains(r#""code":"bad_frame""#), "{answer}");
    // The service is none that did not answer.
    let whole = ana.client.exchange(request(&ana.client, "POST", "/v1/media", &[], b"hello")).await;
    assert_eq!(whole.status, 201);
    assert!(!files.heard().is_empty());
    rig.stop().await;
}

//! Somebody who comes for the first time gets in, whatever many accounts do.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use hansard_model::UploadId;
use hansard_model::media::{Allows, Variant};
use http::StatusCode;
use http_body_util::{BodyExt, StreamBody};
use hyper::body::Frame;
use object_store::memory::InMemory;
use object_store::throttle::{ThrottleConfig, ThrottledStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::client::{Answer, Client, bytes};
use crate::rig::{DEADLINE, Rig, Service, patient, within};

/// Somebody of whom nobody has heard.
const STRANGER: u8 = 200;
/// As long as somebody waits who is in no hurry.
const SECONDS: Duration = Duration::from_secs(10);
/// A request that is only there to be there.
const LENGTH: u64 = 1_000_000;

/// Sends a little, and then byte by byte.
async fn dribble(client: &Client, id: UploadId, offset: u64) -> Result<Answer, hyper::Error> {
    let first = stream::once(async { Bytes::from_static(&[7; 2_000]) });
    let drops = stream::unfold((), async |()| {
        tokio::time::sleep(Duration::from_millis(200)).await;
        Some((Bytes::from_static(&[7]), ()))
    });
    let frames = first.chain(drops).map(|bytes| Ok(Frame::data(bytes)));
    let offset = offset.to_string();
    let headers = [
        ("tus-resumable", "1.0.0"),
        ("content-type", "application/offset+octet-stream"),
        ("upload-offset", &offset),
    ];
    let path = format!("/v1/media/{id}");
    let body = BodyExt::boxed(StreamBody::new(Box::pin(frames)));
    client.send("PATCH", &path, &headers, body).await
}

/// Accounts that each have so many requests which dribble, and come again whenever one ends.
fn dribblers(rig: &Rig, service: &Service, accounts: u8, each: usize) -> JoinSet<()> {
    let mut dribblers = JoinSet::new();
    for account in 1..=accounts {
        for _ in 0..each {
            let client = rig.uploader(&service.address, account);
            dribblers.spawn(async move {
                // So many at once may be told to come again.
                let id = loop {
                    let answer = client.create(LENGTH, "").await;
                    if answer.code() != "unavailable" {
                        break answer.id();
                    }
                };
                let mut offset = 0;
                while offset < LENGTH {
                    let _ = dribble(&client, id, offset).await;
                    offset = client.head(id).await.number("upload-offset").unwrap_or(offset);
                }
            });
        }
    }
    dribblers
}

async fn all_busy(rig: &Rig, service: &Service) {
    // Somebody who has as many as they may is told so.
    let client = rig.uploader(&service.address, 1);
    within("no place", async || {
        let id = client.create(1, "").await;
        let busy = id.status == StatusCode::CREATED && {
            let id = id.id();
            let answer = client.patch(id, 0, b"x").await;
            let is_busy = answer.code() == "rate_limited";
            client.delete(id).await;
            is_busy
        };
        busy.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_uploads_within_seconds_while_eight_accounts_dribble_everywhere() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let _dribblers = dribblers(&rig, &service, 8, 8);
    all_busy(&rig, &service).await;
    for number in 0..3 {
        let began = Instant::now();
        let file = bytes(70 + u64::from(number), 2_000_000);
        let id = rig.uploader(&service.address, STRANGER + number).upload(&file, "").await;
        assert!(began.elapsed() < SECONDS, "{:?}", began.elapsed());
        rig.ready(id).await;
    }
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_uploads_within_seconds_while_eighty_accounts_dribble() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let mut dribblers = dribblers(&rig, &service, 80, 2);
    tokio::time::timeout(Duration::from_secs(3), dribblers.join_next())
        .await
        .expect_err("all of them are there, and none is done");
    for number in 0..3 {
        let began = Instant::now();
        let file = bytes(80 + u64::from(number), 2_000_000);
        let id = rig.uploader(&service.address, STRANGER + number).upload(&file, "").await;
        assert!(began.elapsed() < SECONDS, "{:?}", began.elapsed());
        rig.ready(id).await;
    }
    dribblers.shutdown().await;
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_has_to_make_room_is_told_so_and_goes_on() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let mut hogs = JoinSet::new();
    for account in 1..=8 {
        for _ in 0..8 {
            let client = rig.uploader(&service.address, account);
            let id = client.create(LENGTH, "").await.id();
            hogs.spawn(async move { (dribble(&client, id, 0).await, id, client) });
        }
    }
    all_busy(&rig, &service).await;
    rig.uploader(&service.address, STRANGER).upload(&bytes(90, 100_000), "").await;
    let (answer, id, client) = hogs.join_next().await.expect("one").expect("no panic");
    let answer = answer.expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"));
    assert!(answer.number("retry-after").is_some());
    // What it had sent counts.
    assert!(client.head(id).await.number("upload-offset").expect("an offset") >= 2_000);
    hogs.shutdown().await;
    // What is no body is its sender's fault, and not worth repeating.
    let head = format!(
        "POST /v1/media HTTP/1.1\r\nhost: x\r\nhansard-grant: {}\r\n\
         transfer-encoding: chunked\r\n\r\n5\r\nhello\r\nno length\r\n",
        rig.grant(STRANGER, Allows::Upload)
    );
    let mut broken = TcpStream::connect(&service.address).await.expect("connected");
    broken.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    broken.read_to_string(&mut answer).await.expect("an answer");
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("bad_frame"), "{answer}");
    service.stop().await;
    rig.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_a_place_before_the_first_byte_is_told_so() {
    let rig = Rig::start().await;
    let store = Arc::new(ThrottledStore::new(InMemory::new(), ThrottleConfig::default()));
    let service = rig.service_on("a", patient(), store.clone()).await;
    let id = rig.uploader(&service.address, STRANGER).upload(&bytes(92, 10_000), "").await;
    rig.ready(id).await;
    // From now on nobody reads anything.
    store.config_mut(|config| config.wait_get_per_call = DEADLINE);
    let reader = |account| {
        let client =
            Client::new(&service.address, rig.grant(account, Allows::Read(id, Variant::File)));
        async move { client.get(id, &[]).await }
    };
    let mut readers = JoinSet::new();
    for account in 1..=8 {
        for _ in 0..8 {
            readers.spawn(reader(account));
        }
    }
    let mut stranger = JoinSet::new();
    stranger.spawn(reader(STRANGER));
    let answer = readers.join_next().await.expect("one").expect("no panic").expect("an answer");
    assert_eq!((answer.status.as_u16(), answer.code().as_str()), (503, "unavailable"));
    assert!(String::from_utf8_lossy(&answer.body).contains("the place went"), "{answer:?}");
    assert!(answer.number("retry-after").is_some());
    readers.shutdown().await;
    stranger.shutdown().await;
    service.stop().await;
    rig.stop().await;
}

/// Asks for a file and reads nothing of it.
async fn stuck(rig: &Rig, service: &Service, account: u8, id: UploadId) -> TcpStream {
    let socket = TcpSocket::new_v4().expect("a socket");
    // So that little of it is on the way.
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    let mut stream =
        socket.connect(service.address.parse().expect("an address")).await.expect("connected");
    let grant = rig.grant(account, Allows::Read(id, Variant::File));
    let head = format!("GET /v1/media/{id} HTTP/1.1\r\nhost: x\r\nhansard-grant: {grant}\r\n\r\n");
    stream.write_all(head.as_bytes()).await.expect("sent");
    stream
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stranger_downloads_within_seconds_while_others_take_nothing() {
    let rig = Rig::start().await;
    let service = rig.service("a", patient()).await;
    let file = bytes(91, 12_000_000);
    let id = rig.uploader(&service.address, STRANGER).upload(&file, "").await;
    rig.ready(id).await;
    let mut readers = Vec::new();
    for account in 1..=8 {
        for _ in 0..8 {
            let mut stream = stuck(&rig, &service, account, id).await;
            stream.read_exact(&mut [0; 15]).await.expect("an answer");
            readers.push(stream);
        }
    }
    for number in 0..3 {
        let began = Instant::now();
        let grant = rig.grant(STRANGER + number, Allows::Read(id, Variant::File));
        let got = Client::new(&service.address, grant).get(id, &[]).await.expect("all");
        assert!(got.body == file);
        assert!(began.elapsed() < SECONDS, "{:?}", began.elapsed());
    }
    drop(readers);
    service.stop().await;
    rig.stop().await;
}

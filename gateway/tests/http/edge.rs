//! The listener itself: errors, bounds, upgrade, shutdown, and what operators see.

use std::time::{Duration, Instant};

use serde_json::json;
use tokio::io::AsyncReadExt as _;
use tokio::net::TcpStream;

use crate::rig::{DEADLINE, Rig, eventually};
use crate::wire::Wire;

#[tokio::test]
async fn every_error_is_typed() {
    let rig = Rig::start().await;
    let ana = rig.person("ana").await;
    let client = &ana.client;
    client.get("/v1/nonsense").await.refused(404, "not_found");
    client.get("/favicon.ico").await.refused(404, "not_found");
    client.get("/v1/search").await.refused(400, "bad_frame");
    client.delete("/v1/users").await.refused(405, "unsupported");
    let send = |body: &str| client.send("POST", "/v1/conversations", Some(body.to_owned()));
    send("{").await.refused(400, "bad_frame");
    send("[]").await.refused(400, "bad_frame");
    send(&format!("{}{}", "[".repeat(10_000), "]".repeat(10_000))).await.refused(400, "bad_frame");
    send(&"x".repeat(1024 * 1024 + 1)).await.refused(413, "too_large");
    client.get(&format!("/v1/users?q={}", "x".repeat(20_000))).await.refused(413, "too_large");
    rig.stop().await;
}

#[tokio::test]
async fn the_files_of_the_client_are_served_with_strict_headers() {
    let rig = Rig::start().await;
    let client = rig.client();
    let page = client.get("/").await;
    assert_eq!(page.status, 200);
    assert!(page.text.contains("Hansard"), "{}", page.text);
    assert!(page.headers["content-security-policy"].to_str().is_ok_and(|policy| {
        policy.contains("default-src 'none'") && !policy.contains("unsafe")
    }));
    for (name, value) in [
        ("x-content-type-options", "nosniff"),
        ("x-frame-options", "DENY"),
        ("referrer-policy", "no-referrer"),
        ("cross-origin-opener-policy", "same-origin"),
        ("cache-control", "no-cache"),
        ("vary", "accept-encoding"),
    ] {
        assert_eq!(page.headers[name], value, "{name}");
    }
    // What the page refers to is there.
    let referred = page.text.split(['"', '\'']).filter(|path| path.starts_with('/'));
    for path in referred {
        assert_eq!(client.send("HEAD", path, None).await.status, 200, "{path}");
    }
    let head = client.send("HEAD", "/", None).await;
    assert_eq!((head.status, head.text.as_str()), (200, ""));
    assert_eq!(head.headers["content-length"], page.text.len().to_string());
    // Any other path is the contract's, not the page's.
    client.get("/inbox").await.refused(404, "not_found");
    client.get("/assets/none.js").await.refused(404, "not_found");
    client.send("POST", "/", Some("{}".to_owned())).await.refused(405, "unsupported");
    rig.stop().await;
}

fn handshake(addr: std::net::SocketAddr, headers: &str) -> String {
    format!(
        "GET /v1/ws HTTP/1.1\r\nHost: {addr}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
    )
}

#[tokio::test]
async fn web_pages_of_allowed_origins_may_read_what_they_ask_for() {
    const OWN: &str = "https://chat.example.org";
    let rig = Rig::start_with(|config| config.allowed_origins = vec![OWN.to_owned()]).await;
    let addr = rig.client().addr;
    let ask = async |method: &str, origin: &str, more: &str| {
        let request = format!(
            "{method} /v1/users/me HTTP/1.1\r\nHost: {addr}\r\nOrigin: {origin}\r\n{more}\r\n"
        );
        first_line(addr, &request).await.to_ascii_lowercase()
    };
    let wants = "Access-Control-Request-Method: PATCH\r\n\
                 Access-Control-Request-Headers: authorization,content-type\r\n";
    let told = ask("OPTIONS", OWN, wants).await;
    assert!(told.starts_with("http/1.1 200 "), "{told}");
    for header in [
        "access-control-allow-origin: https://chat.example.org",
        "access-control-allow-methods: get,head,post,patch,delete",
        "access-control-allow-headers: authorization,content-type,tus-resumable,",
        "access-control-max-age: 600",
    ] {
        assert!(told.contains(header), "{header}: {told}");
    }
    // A refusal as well: a page that cannot read it does not know what to do.
    let refused = ask("GET", OWN, "").await;
    assert!(refused.starts_with("http/1.1 401 "), "{refused}");
    assert!(refused.contains("access-control-allow-origin: https://chat.example.org"), "{refused}");
    for method in ["OPTIONS", "GET"] {
        let foreign = ask(method, "https://evil.example", wants).await;
        assert!(!foreign.contains("access-control-allow-origin"), "{foreign}");
    }
    rig.stop().await;
}

async fn first_line(addr: std::net::SocketAddr, request: &str) -> String {
    use tokio::io::AsyncWriteExt as _;

    let mut stream = TcpStream::connect(addr).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    while !answer.windows(4).any(|window| window == b"\r\n\r\n") {
        let mut buffer = [0; 1024];
        let read = tokio::time::timeout(DEADLINE, stream.read(&mut buffer)).await;
        let read = read.expect("in time").expect("read");
        assert!(read > 0, "closed early");
        answer.extend_from_slice(&buffer[..read]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn the_upgrade_asks_for_version_subprotocol_and_origin() {
    let rig = Rig::start_with(|config| {
        config.allowed_origins = vec!["https://chat.example.org".to_owned()];
    })
    .await;
    let addr = rig.client().addr;
    let answer = async |headers: &str| first_line(addr, &handshake(addr, headers)).await;
    const GOOD: &str = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: hansard.v1\r\n";
    let upgraded = answer(GOOD).await;
    assert!(upgraded.starts_with("HTTP/1.1 101 "), "{upgraded}");
    // The example of RFC 6455.
    assert!(upgraded.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="), "{upgraded}");
    assert!(upgraded.to_lowercase().contains("sec-websocket-protocol: hansard.v1"), "{upgraded}");
    let old = answer("Sec-WebSocket-Version: 8\r\nSec-WebSocket-Protocol: hansard.v1\r\n").await;
    assert!(old.starts_with("HTTP/1.1 426 "), "{old}");
    let other = answer("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: x\r\n").await;
    assert!(other.starts_with("HTTP/1.1 400 "), "{other}");
    for (origin, status) in [
        (format!("http://{addr}"), "101"),
        ("https://chat.example.org".to_owned(), "101"),
        ("https://evil.example".to_owned(), "403"),
        ("null".to_owned(), "403"),
    ] {
        let answer = answer(&format!("{GOOD}Origin: {origin}\r\n")).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}: {answer}");
    }
    let plain = rig.client().get("/v1/ws").await;
    assert_eq!(
        (plain.status, &plain.headers["upgrade"]),
        (426, &"websocket".parse().expect("a value"))
    );
    rig.stop().await;
}

#[tokio::test]
async fn connections_beyond_the_bound_are_told_so() {
    let rig = Rig::start_with(|config| {
        config.limits.connections_per_address = 2;
        config.limits.trust_loopback = false;
    })
    .await;
    let client = rig.client();
    let held = [
        TcpStream::connect(client.addr).await.expect("connected"),
        TcpStream::connect(client.addr).await.expect("connected"),
    ];
    // Connecting succeeds before the server has counted it.
    eventually("a refusal", async || {
        client
            .raw(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
            .await
            .contains(" 503 ")
    })
    .await;
    client.get("/").await.refused_overloaded();
    drop(held);
    eventually("a place again", async || client.get("/").await.status == 200).await;
    rig.stop().await;
}

impl crate::client::Answer {
    fn refused_overloaded(&self) {
        self.refused(503, "overloaded");
        assert!(self.headers.contains_key("retry-after"));
    }
}

#[tokio::test]
async fn strangers_do_not_take_the_places_of_those_who_are_known() {
    let mut rig = Rig::start().await;
    let ana = rig.person("ana").await;
    let narrow = rig.add_gateway(|config| config.limits.unidentified = 1).await;
    let client = narrow.with_token(ana.client.token.as_deref().expect("a token"));
    let (known, _) = Wire::hello_of(&client, json!({})).await;
    let stranger = TcpStream::connect(client.addr).await.expect("connected");
    eventually("a refusal", async || client.get("/v1/users/me").await.status == 503).await;
    drop(stranger);
    eventually("a place again", async || client.get("/v1/users/me").await.status == 200).await;
    drop(known);
    rig.stop().await;
}

#[tokio::test]
async fn operators_see_health_readiness_and_metrics() {
    let probe: hansard_gateway::config::ReadyProbe =
        { std::sync::Arc::new(|| Err("the projector is behind".to_owned())) };
    let rig = Rig::start_with(|config| {
        config.admin_listen = Some(([127, 0, 0, 1], 0).into());
        config.metrics = Some(std::sync::Arc::new(|| "gateway_up 1\n".to_owned()));
        config.ready = vec![probe];
    })
    .await;
    let operator = rig.operator();
    assert_eq!(operator.get("/healthz").await.status, 200);
    let ready = operator.get("/readyz").await.expecting(503);
    assert_eq!(ready, json!({"ready": false, "reasons": ["the projector is behind"]}));
    assert_eq!(operator.get("/metrics").await.text, "gateway_up 1\n");
    assert_eq!(rig.client().get("/healthz").await.status, 404);
    rig.stop().await;
}

#[tokio::test]
async fn a_gateway_stops_within_its_bounds() {
    let mut rig = Rig::start().await;
    let addr = rig.client().addr;
    // One connection says nothing, one is in the middle of a request, one is a WebSocket.
    let _silent = TcpStream::connect(addr).await.expect("connected");
    let good = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: hansard.v1\r\n";
    assert!(first_line(addr, &handshake(addr, good)).await.contains(" 101 "));
    let started = Instant::now();
    rig.first_gateway().stop().await;
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    assert!(TcpStream::connect(addr).await.is_err(), "nobody listens any more");
    rig.stop().await;
}

#[tokio::test]
async fn a_list_is_no_body_and_a_stranger_learns_no_position() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    ana.client.patch("/v1/users/me", &json!(["Ana"])).await.refused(400, "bad_frame");
    let large = json!({"handle": "cleo", "password": "x".repeat(20_000)});
    rig.client().post("/v1/sessions", &large).await.refused(413, "too_large");
    // Nothing of it ever comes.
    let announced =
        "POST /v1/sessions HTTP/1.1\r\nHost: hansard\r\nContent-Length: 99999999\r\n\r\n";
    assert!(first_line(rig.client().addr, announced).await.contains(" 413 "));
    let group = ana.found("tea", &[]).await;
    for of in ["messages", "events", "explain", "pins"] {
        let path = format!("/v1/conversations/{group}/{of}?min_seq={group}:9999999");
        ben.client.get(&path).await.refused(403, "not_a_member");
    }
    rig.stop().await;
}

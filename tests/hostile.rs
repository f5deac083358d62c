//! Clients that mean harm, or are broken (bar 9): each ends as the contract says, the gateway's
//! memory stays bounded, and others do not notice.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::io::AsyncWriteExt as _;
use tokio_tungstenite::tungstenite::Message;

use crate::harness::raw::{BINARY, CONTINUATION, Reader, TEXT, frame, unmasked};
use crate::harness::{
    Closed, DEADLINE, Raw, Roles, Session, Socket, couple, direct, memory_bytes, message, mint,
    mint_at, now_ms, seq_of, sign_up, text_of,
};

const MIB: u64 = 1024 * 1024;
/// What a hostile client may cost the process at most, however much it sends; the caches of a
/// warm process are in it.
const MEMORY_GROWTH_MAX: u64 = 32 * MIB;
/// How long others may wait for a message while a hostile client is at work.
const UNNOTICED: Duration = Duration::from_secs(2);

/// Two people who go on talking.
struct Bystanders {
    ana: Socket,
    ben: Socket,
    conversation: String,
    said: usize,
}

/// A deployment with bystanders, and somebody who means harm. Its gateway is a process of its own,
/// so that its memory can be told from that of the others.
struct Scene {
    roles: Roles,
    gateway: SocketAddr,
    bystanders: Bystanders,
    mallory: Session,
    memory: u64,
}

impl Scene {
    async fn new() -> Self {
        Self::with(&[]).await
    }

    async fn with(arguments: &[&str]) -> Self {
        let roles = Roles::with(1, 1, arguments).await;
        let gateway = roles.gateways[0].address;
        let (ana, ben, conversation) = couple(gateway).await;
        let mallory = sign_up(gateway, "mallory").await.log_in(gateway).await;
        let (ana, ben) = (ana.connect().await, ben.connect().await);
        let mut bystanders = Bystanders { ana, ben, conversation, said: 0 };
        bystanders.talk().await;
        let memory = memory_bytes(roles.gateways[0].process.pid());
        Self { roles, gateway, bystanders, mallory, memory }
    }

    async fn raw(&self) -> Raw {
        Raw::open(self.gateway).await
    }

    async fn welcome(&self) -> Raw {
        Raw::welcome(self.gateway, &self.mallory.token).await
    }

    /// That nobody noticed.
    async fn is_unharmed(&mut self) {
        self.bystanders.talk().await;
        let memory = memory_bytes(self.roles.gateways[0].process.pid());
        let growth = memory.saturating_sub(self.memory);
        assert!(growth < MEMORY_GROWTH_MAX, "the gateway grew by {} MiB", growth / MIB);
        assert!(!self.roles.gateways[0].process.log().contains("panicked"));
    }
}

impl Bystanders {
    async fn talk(&mut self) {
        self.said += 1;
        let began = Instant::now();
        let text = format!("number {}", self.said);
        let seq = seq_of(&self.ana.store(&self.conversation, &message(&text)).await);
        assert_eq!(text_of(&self.ben.event(&self.conversation, seq).await), text);
        assert!(began.elapsed() < UNNOTICED, "it took {:?}", began.elapsed());
    }
}

#[tokio::test]
async fn a_connection_that_never_says_hello_is_closed() {
    let mut scene = Scene::new().await;
    let mut raw = scene.raw().await;
    let began = Instant::now();
    let (closed, _) = raw.closed().await;
    assert_eq!(closed, Closed(1001), "it may be the network: a client comes again");
    assert!(began.elapsed() > Duration::from_secs(5), "the deadline of the contract is 10 s");
    scene.is_unharmed().await;
}

#[tokio::test]
async fn another_first_frame_than_hello_is_refused() {
    let mut scene = Scene::new().await;
    let conversation = scene.bystanders.conversation.clone();
    for first in [
        json!({"type": "ping"}),
        json!({"type": "send", "conversation": conversation, "id": mint(), "event": message("x")}),
        json!({"type": "hello"}),
        json!([]),
    ] {
        let mut raw = scene.raw().await;
        raw.write(&frame(TEXT, true, first.to_string().as_bytes())).await;
        assert_eq!(raw.closed().await.0, Closed(4000), "{first}");
    }
    scene.is_unharmed().await;
}

#[tokio::test]
async fn a_second_hello_is_an_error_and_changes_nothing() {
    let mut scene = Scene::new().await;
    let mut socket = scene.mallory.connect().await;
    let hello = json!({"type": "hello", "ref": "again", "token": scene.mallory.token});
    socket.send(&hello).await;
    let error = socket.frame("an error", |frame| frame["ref"] == "again").await;
    assert_eq!(error["code"], "bad_frame");
    socket.cursor().await;
    scene.is_unharmed().await;
}

#[tokio::test]
async fn a_binary_frame_ends_the_connection() {
    let mut scene = Scene::new().await;
    let mut raw = scene.welcome().await;
    raw.write(&frame(BINARY, true, br#"{"type":"ping"}"#)).await;
    assert_eq!(raw.closed().await.0, Closed(4000));
    let mut socket = scene.mallory.connect().await;
    socket.send_message(Message::binary(vec![0; 10])).await;
    assert_eq!(socket.closed().await, Closed(4000));
    scene.is_unharmed().await;
}

#[tokio::test]
async fn a_frame_of_a_mebibyte_is_refused_before_it_is_read() {
    let mut scene = Scene::new().await;
    for raw in [&mut scene.raw().await, &mut scene.welcome().await] {
        // The gateway may close before it has taken everything: what counts is how it ends.
        let _ = raw.stream.write_all(&frame(TEXT, true, &vec![b' '; 1 << 20])).await;
        let (closed, errors) = raw.closed().await;
        assert!(matches!(closed, Closed(4000 | 1006)), "{closed:?}");
        assert!(closed == Closed(1006) || errors == ["too_large"], "{errors:?}");
    }
    let mut raw = scene.welcome().await;
    // Only the header: the size alone is too much.
    raw.write(&frame(TEXT, true, &vec![b' '; 1 << 20])[..14]).await;
    assert_eq!(raw.closed().await, (Closed(4000), vec!["too_large".to_owned()]));
    scene.is_unharmed().await;
}

#[tokio::test]
async fn sixty_megabytes_in_fragments_are_refused_early() {
    let mut scene = Scene::new().await;
    for raw in [scene.raw().await, scene.welcome().await] {
        let (reader, mut writer) = raw.stream.into_split();
        let written = Arc::new(AtomicUsize::new(0));
        let writing = tokio::spawn({
            let written = written.clone();
            async move {
                for number in 0..15_000 {
                    let opcode = if number == 0 { TEXT } else { CONTINUATION };
                    if writer.write_all(&frame(opcode, false, &[b'x'; 4_000])).await.is_err() {
                        break;
                    }
                    written.fetch_add(4_000, Ordering::Relaxed);
                }
            }
        });
        let mut reader = Reader { stream: reader };
        let (closed, _) = reader.closed().await;
        // What the sockets' buffers hold is on its way before anybody can refuse it.
        let taken = written.load(Ordering::Relaxed);
        assert!(taken < 20_000_000, "{taken} bytes were taken before the refusal");
        assert!(matches!(closed, Closed(4000 | 1006)), "{closed:?}");
        drop(reader);
        tokio::time::timeout(DEADLINE, writing).await.expect("ends").unwrap();
    }
    scene.is_unharmed().await;
}

#[tokio::test]
async fn endless_empty_fragments_are_refused() {
    let mut scene = Scene::new().await;
    let mut raw = scene.welcome().await;
    raw.write(&frame(TEXT, false, b"{")).await;
    let fragments: Vec<u8> = (0..1_000).flat_map(|_| frame(CONTINUATION, false, b"")).collect();
    let began = Instant::now();
    while raw.stream.write_all(&fragments).await.is_ok() {
        assert!(began.elapsed() < DEADLINE, "they are taken for ever");
    }
    assert!(matches!(raw.closed().await.0, Closed(4000 | 1006)));
    scene.is_unharmed().await;
}

#[tokio::test]
async fn an_unmasked_frame_ends_the_connection() {
    let mut scene = Scene::new().await;
    let hello = json!({"type": "hello", "token": scene.mallory.token}).to_string();
    let mut raw = scene.raw().await;
    raw.write(&unmasked(TEXT, hello.as_bytes())).await;
    assert_eq!(raw.closed().await.0, Closed(4000));
    let mut raw = scene.welcome().await;
    raw.write(&unmasked(TEXT, br#"{"type":"ping"}"#)).await;
    assert_eq!(raw.closed().await.0, Closed(4000));
    scene.is_unharmed().await;
}

#[tokio::test]
async fn invalid_utf8_ends_the_connection() {
    let mut scene = Scene::new().await;
    let mut raw = scene.welcome().await;
    raw.write(&frame(TEXT, true, b"{\"type\":\"ping\",\"ref\":\"\xff\xfe\"}")).await;
    assert_eq!(raw.closed().await.0, Closed(4000));
    scene.is_unharmed().await;
}

#[tokio::test]
async fn reserved_bits_and_broken_control_frames_end_the_connection() {
    let mut scene = Scene::new().await;
    let mut reserved = frame(TEXT, true, b"{}");
    reserved[0] |= 0x40;
    let long_ping = frame(9, true, &[b'p'; 126]);
    let fragmented_ping = frame(9, false, b"p");
    let unknown_opcode = frame(3, true, b"{}");
    let stray_continuation = frame(CONTINUATION, true, b"{}");
    for bytes in [reserved, long_ping, fragmented_ping, unknown_opcode, stray_continuation] {
        let mut raw = scene.welcome().await;
        raw.write(&bytes).await;
        assert!(matches!(raw.closed().await.0, Closed(4000 | 1002)), "{:?}", &bytes[..2]);
    }
    scene.is_unharmed().await;
}

#[tokio::test]
async fn json_that_is_deep_or_none_is_an_error() {
    let mut scene = Scene::new().await;
    let conversation = scene.bystanders.conversation.clone();
    let deep = format!("{}{}", "[".repeat(20_000), "]".repeat(20_000));
    let nested = format!("{}1{}", r#"{"a":"#.repeat(100), "}".repeat(100));
    let id = mint();
    let mut socket = scene.mallory.connect().await;
    let mut errors = 0;
    for text in [
        deep.clone(),
        format!(r#"{{"type":"send","conversation":"{conversation}","id":"{id}","event":{deep}}}"#),
        format!(
            r#"{{"type":"send","conversation":"{conversation}","id":"{id}",
               "event":{{"kind":"message","text":"x","data":{nested}}}}}"#
        ),
        "not json".to_owned(),
        r#"{"type":"ping""#.to_owned(),
        r#"{"type":7}"#.to_owned(),
        "{}".to_owned(),
        "null".to_owned(),
        String::new(),
    ] {
        socket.send_text(text.clone()).await;
        errors += 1;
        while socket.of_type("error").len() < errors {
            let next = tokio::time::timeout(DEADLINE, socket.next()).await;
            let shown: String = text.chars().take(60).collect();
            assert!(matches!(next, Ok(Ok(_))), "{next:?} after {shown}");
        }
    }
    for error in socket.of_type("error") {
        assert_eq!(error["code"], "bad_frame", "{error}");
    }
    // An unknown field is ignored, however deep it goes.
    socket.send_text(format!(r#"{{"type":"ping","ref":"deep","x":{deep}}}"#)).await;
    socket.frame("a pong", |frame| frame["type"] == "pong" && frame["ref"] == "deep").await;
    scene.is_unharmed().await;
}

#[tokio::test]
async fn ten_thousand_frames_a_second_are_limited_and_cost_little() {
    let mut scene = Scene::new().await;
    let raw = scene.welcome().await;
    let ping = frame(TEXT, true, br#"{"type":"ping","ref":1}"#);
    let burst: Vec<u8> = ping.repeat(1_000);
    let (mut reader, mut writer) = raw.stream.into_split();
    let flooding = tokio::spawn(async move {
        // Until it is thrown out, or has sent ten seconds' worth.
        for _ in 0..100 {
            if writer.write_all(&burst).await.is_err() {
                break;
            }
        }
    });
    let reading = tokio::spawn(async move {
        let mut taken = Vec::new();
        // Its end, by either side, is what is waited for.
        let _ = tokio::io::copy(&mut reader, &mut taken).await;
        taken
    });
    while !flooding.is_finished() {
        scene.bystanders.talk().await;
    }
    flooding.await.unwrap();
    let taken = tokio::time::timeout(DEADLINE, reading).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&taken);
    assert!(said.contains("rate_limited"), "it was never told to slow down");
    let last = &taken[taken.len().saturating_sub(125)..];
    let closed = last.windows(2).any(|code| code == 4009_u16.to_be_bytes());
    assert!(closed, "persistent abuse ends with 4009");
    scene.is_unharmed().await;
}

#[tokio::test]
async fn a_flood_of_sends_is_refused_early_and_what_was_acknowledged_is_stored() {
    let mut scene = Scene::new().await;
    let notes = direct(&scene.mallory.user, &scene.mallory.user);
    let mut socket = scene.mallory.connect().await;
    let mut references = Vec::new();
    for number in 0..600 {
        references.push(socket.put(&notes, &message(&number.to_string())).await.0);
    }
    let (mut acked, mut limited) = (0, 0);
    for reference in references {
        let answer = socket.answer(reference).await;
        if answer["type"] == "ack" {
            acked += 1;
        } else {
            assert_eq!(answer["code"], "rate_limited", "{answer}");
            assert_eq!((&answer["stored"], &answer["retry"]), (&json!("no"), &json!("same_id")));
            assert!(answer["retry_after_ms"].as_u64().is_some_and(|wait| wait > 0));
            limited += 1;
        }
    }
    assert!(acked >= 100 && limited >= 100, "{acked} acked, {limited} limited");
    assert_eq!(scene.mallory.events(&notes).await.len(), acked);
    scene.is_unharmed().await;
}

#[tokio::test]
async fn an_unknown_type_is_unsupported_and_the_connection_goes_on() {
    let mut scene = Scene::new().await;
    let mut socket = scene.mallory.connect().await;
    for (reference, frame) in [
        ("a", json!({"type": "wave", "ref": "a", "x": [1]})),
        ("b", json!({"type": "HELLO", "ref": "b"})),
        ("c", json!({"type": "", "ref": "c"})),
    ] {
        socket.send(&frame).await;
        let error = socket.frame("an error", |frame| frame["ref"] == reference).await;
        assert_eq!(error["code"], "unsupported", "{error}");
        assert_eq!(error["retry"], "never");
    }
    socket.cursor().await;
    scene.is_unharmed().await;
}

#[tokio::test]
async fn ids_of_the_future_are_refused_and_ancient_ones_are_looked_up() {
    let mut scene = Scene::new().await;
    let notes = direct(&scene.mallory.user, &scene.mallory.user);
    let mut socket = scene.mallory.connect().await;
    for future in [now_ms() + 60_000, now_ms() + 400 * 86_400_000, (1 << 48) - 1] {
        let error = socket.ask_as(&notes, &mint_at(future), &message("soon")).await;
        assert_eq!(error["code"], "clock_ahead", "{error}");
        assert_eq!((&error["stored"], &error["retry"]), (&json!("no"), &json!("new_id")));
        assert!(error["server_time"].is_string());
    }
    for ancient in [0, 1, now_ms() - 10 * 365 * 86_400_000] {
        let id = mint_at(ancient);
        let ack = socket.ask_as(&notes, &id, &message("once")).await;
        assert_eq!((&ack["type"], &ack["duplicate"]), (&json!("ack"), &json!(false)), "{ack}");
        let again = socket.ask_as(&notes, &id, &message("once")).await;
        assert_eq!((&again["seq"], &again["duplicate"]), (&ack["seq"], &json!(true)));
    }
    let v4 = "f47ac10b-58cc-4372-a567-0e02b2c3d479";
    let upper = mint().to_uppercase();
    for id in [v4, "", "1", "*", &upper] {
        let frame = json!({"type": "send", "ref": id, "conversation": notes, "id": id,
            "event": message("x")});
        socket.send(&frame).await;
        let error = socket.frame("an error", |frame| frame["ref"] == *id).await;
        assert_eq!(error["code"], "bad_id", "{error}");
    }
    scene.is_unharmed().await;
}

#[tokio::test]
async fn a_conversation_of_others_is_closed_to_strangers_on_every_path() {
    let mut scene = Scene::new().await;
    let theirs = scene.bystanders.conversation.clone();
    let mut socket = scene.mallory.connect().await;
    assert_eq!(socket.refused(&theirs, &message("hello")).await, "not_a_member");
    socket.send(&json!({"type": "typing", "conversation": theirs})).await;
    socket.send(&json!({"type": "watch", "users": [], "conversations": [theirs]})).await;
    for part in ["", "/events", "/messages", "/members"] {
        let path = format!("/v1/conversations/{theirs}{part}");
        let answer = scene.mallory.http.ask("GET", &path, None).await;
        assert_eq!((answer.status, answer.code()), (403, "not_a_member"), "{path}");
    }
    let path = format!("/v1/conversations/{theirs}/me");
    let answer = scene.mallory.http.ask("PATCH", &path, Some(&json!({"pinned": true}))).await;
    assert_eq!(answer.code(), "not_a_member");
    let mut seen = serde_json::Map::new();
    seen.insert(theirs.clone(), json!(0));
    let curious = scene.mallory.connect_with(json!({"seen": seen})).await;
    scene.bystanders.ana.send(&json!({"type": "typing", "conversation": theirs})).await;
    scene.is_unharmed().await;

    let notes = direct(&scene.mallory.user, &scene.mallory.user);
    let marker = seq_of(&socket.store(&notes, &message("marker")).await);
    for mut socket in [socket, curious] {
        socket.event(&notes, marker).await;
        let about_them =
            |frame: &&Value| frame["conversation"] == *theirs && frame["type"] != "error";
        assert_eq!(socket.seen.iter().find(about_them), None);
    }
    let group = scene.mallory.create_group("mine", &[]).await;
    let mut stranger = scene.bystanders.ana;
    assert_eq!(stranger.refused(&group, &message("hello")).await, "not_a_member");
    let nowhere = format!("g.{}", "a".repeat(20));
    assert_eq!(stranger.refused(&nowhere, &message("hello")).await, "not_a_member");
}

#[tokio::test]
async fn conversation_ids_with_wildcards_dots_or_spaces_are_refused_on_every_path() {
    let mut scene = Scene::new().await;
    let user = scene.mallory.user.clone();
    let ids = [
        "*".to_owned(),
        ">".to_owned(),
        "*.*".to_owned(),
        "g.*".to_owned(),
        "g.>".to_owned(),
        "g.".to_owned(),
        ".".to_owned(),
        "..".to_owned(),
        " ".to_owned(),
        String::new(),
        format!("{user}.*"),
        format!("{user}.{user}.msg"),
        format!("{user} .{user}"),
        format!("{user}.{user}\r\nNats-Msg-Id: x"),
        "a".repeat(60_000),
    ];
    let mut socket = scene.mallory.connect().await;
    for (reference, id) in ids.iter().enumerate() {
        for kind in ["send", "typing"] {
            let reference = format!("{kind} {reference}");
            let frame = json!({"type": kind, "ref": reference, "conversation": id, "id": mint(),
                "event": message("x")});
            socket.send(&frame).await;
            let error = socket.frame("an error", |frame| frame["ref"] == *reference).await;
            assert_eq!(error["type"], "error", "{error}");
            assert!(["bad_id", "bad_frame"].contains(&error["code"].as_str().unwrap()), "{error}");
        }
        let encoded: String = id.bytes().take(2_000).map(|byte| format!("%{byte:02X}")).collect();
        let path = format!("/v1/conversations/{encoded}/messages");
        let body = json!({"id": mint(), "event": message("x")});
        let answer = scene.mallory.http.ask("POST", &path, Some(&body)).await;
        assert!([400, 404].contains(&answer.status), "{path}: {}", answer.text);
        assert!(!answer.code().is_empty());
    }
    socket.cursor().await;
    scene.is_unharmed().await;
}

#[tokio::test]
async fn a_token_revoked_in_the_middle_of_a_stream_ends_it() {
    let mut scene = Scene::new().await;
    let other = scene.mallory.clone();
    let notes = direct(&other.user, &other.user);
    let mut socket = scene.mallory.connect().await;
    let mut acked = Vec::new();
    for number in 0..20 {
        acked.push(seq_of(&socket.store(&notes, &message(&number.to_string())).await));
    }
    let path = format!("/v1/sessions/{}", other.device);
    let revoked = other.http.ask("DELETE", &path, None).await;
    assert_eq!(revoked.status, 204);
    let began = Instant::now();
    let mut closed = None;
    while closed.is_none() {
        assert!(began.elapsed() < Duration::from_secs(2), "still open");
        socket.put(&notes, &message("after")).await;
        closed = tokio::time::timeout(Duration::from_secs(2), socket.next()).await.unwrap().err();
    }
    assert!(matches!(closed, Some(Closed(4003 | 1006))), "{closed:?}");
    scene.is_unharmed().await;
}

#[tokio::test]
async fn a_reader_that_never_reads_is_cut_off_and_nobody_else_waits_for_it() {
    let arguments = ["--sends-per-second", "2000", "--send-burst", "4000"];
    let mut scene = Scene::with(&arguments).await;
    let friend = sign_up(scene.gateway, "friend").await.log_in(scene.gateway).await;
    let conversation = direct(&friend.user, &scene.mallory.user);
    let mut deaf = scene.welcome().await;
    let (mut attentive, mut talker) = (scene.mallory.connect().await, friend.connect().await);
    let text = "x".repeat(16_000);
    let mut memory = Vec::new();
    // Each part alone is more than the kernel's buffers and the outbox hold together.
    for _ in 0..3 {
        for _ in 0..400 {
            let seq = seq_of(&talker.store(&conversation, &message(&text)).await);
            attentive.event(&conversation, seq).await;
            assert_eq!(attentive.events(&conversation).len(), 1);
            attentive.seen.clear();
            talker.seen.clear();
        }
        memory.push(memory_bytes(scene.roles.gateways[0].process.pid()) / MIB);
        scene.bystanders.talk().await;
    }
    println!("MiB: {} before, then {memory:?}", scene.memory / MIB);
    assert!(memory[2] < memory[0] + 8, "the gateway goes on growing, MiB: {memory:?}");
    let (closed, _) = deaf.closed().await;
    assert!(matches!(closed, Closed(4008 | 1006)), "{closed:?}");
}

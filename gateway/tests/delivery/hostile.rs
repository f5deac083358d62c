//! Input that means harm ends as the contract says, and nobody else notices.

use std::time::Duration;

use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::rig::Rig;
use crate::wire::{Arrived, Wire, frame, send, text};

async fn ends(rig: &Rig, bytes: &[u8]) -> (u16, Option<String>) {
    let mut wire = Wire::open(rig.client().addr).await;
    wire.write(bytes).await;
    wire.end().await
}

fn bad(code: &str) -> (u16, Option<String>) {
    (4000, Some(code.to_owned()))
}

#[tokio::test]
async fn what_is_no_hello_is_refused() {
    let rig = Rig::start().await;
    let unmasked = [&[0x81, 4][..], b"{\"a\""].concat();
    let deep = "[".repeat(20_000);
    for (name, bytes, end) in [
        ("no hello", text(&json!({"type": "ping"})), bad("bad_frame")),
        ("nonsense", frame(0x81, b"nonsense"), bad("bad_frame")),
        ("deep", frame(0x81, deep.as_bytes()), bad("bad_frame")),
        ("binary", frame(0x82, b"{}"), bad("bad_frame")),
        ("unmasked", unmasked, bad("bad_frame")),
        ("invalid UTF-8", frame(0x81, b"\xFF\xFE"), bad("bad_frame")),
        ("1 MiB", frame(0x81, &vec![b'x'; 1 << 20]), bad("too_large")),
        ("reserved bits", frame(0xF1, b"{}"), (4000, None)),
        ("reserved opcode", frame(0x83, b"{}"), (4000, None)),
        ("long ping", frame(0x89, &[0; 200]), bad("bad_frame")),
        ("lone continuation", frame(0x80, b"{}"), bad("bad_frame")),
        (
            "bad token",
            text(&json!({"type": "hello", "token": "x"})),
            (4001, Some("unauthorized".to_owned())),
        ),
        ("close", frame(0x88, &1000_u16.to_be_bytes()), (1000, None)),
        ("close without code", frame(0x88, b""), (1000, None)),
        ("close of one byte", frame(0x88, b"x"), bad("bad_frame")),
    ] {
        assert_eq!(ends(&rig, &bytes).await, end, "{name}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn sixty_megabytes_in_fragments_are_refused_early() {
    let rig = Rig::start().await;
    let mut wire = Wire::open(rig.client().addr).await;
    let mut bytes = frame(0x01, &[b'x'; 1_000]);
    bytes.extend(frame(0x00, &[b'x'; 60_000]));
    wire.write(&bytes).await;
    let fragment = frame(0x00, &[b'x'; 60_000]);
    let mut written = 0;
    for _ in 0..1_000 {
        if wire.stream.write_all(&fragment).await.is_err() {
            break;
        }
        written += fragment.len();
    }
    // What was sent before the server ended is discarded there, or refused here.
    let end = wire.end().await;
    assert!(end == bad("too_large") || end.0 == 1006, "{end:?} after {written} bytes");
    let tiny: Vec<u8> = std::iter::once(frame(0x01, b""))
        .chain((0..1_000).map(|_| frame(0x00, b"")))
        .flatten()
        .collect();
    assert_eq!(ends(&rig, &tiny).await, bad("too_large"));
    rig.stop().await;
}

#[tokio::test]
async fn what_is_refused_in_a_connection_does_not_end_it() {
    let rig = Rig::start().await;
    let (ana, ben, cleo) =
        (rig.person("ana").await, rig.person("ben").await, rig.person("cleo").await);
    let theirs = ben.with(&cleo);
    let mut wire = Wire::of(&ana).await;
    let hello = json!({"type": "hello", "ref": 1, "token": ana.client.token});
    let ancient = json!({"type": "send", "ref": 1, "conversation": ana.with(&ben),
        "id": "019a9b1c-7b1a-7000-8000-00000000000a", "event": {"kind": "message", "text": "x"}});
    let future = json!({"type": "send", "ref": 1, "conversation": ana.with(&ben),
        "id": "0fffffff-7b1a-7000-8000-00000000000a", "event": {"kind": "message", "text": "x"}});
    for (value, code) in [
        (hello, "bad_frame"),
        (json!({"type": "wave", "ref": 1}), "unsupported"),
        (json!({"type": "presence", "ref": 1, "state": "asleep"}), "bad_frame"),
        (json!({"type": "receipt", "ref": 1, "conversation": theirs, "read": 1}), "not_a_member"),
        (send(1, &theirs, &json!({"kind": "message", "text": "x"})), "not_a_member"),
        (
            send(1, &format!("g.{}", "a".repeat(20)), &json!({"kind": "message", "text": "x"})),
            "not_a_member",
        ),
        (send(1, "g.*", &json!({"kind": "message", "text": "x"})), "bad_id"),
        (send(1, "a b", &json!({"kind": "message", "text": "x"})), "bad_id"),
        (send(1, ">", &json!({"kind": "message", "text": "x"})), "bad_id"),
        (send(1, &ana.with(&ben), &json!({"kind": "message", "text": ""})), "empty"),
        (future, "clock_ahead"),
    ] {
        wire.say(&value).await;
        let error = wire.until("error").await;
        assert_eq!((&error["code"], &error["ref"]), (&json!(code), &json!(1)), "{value}");
    }
    wire.say(&ancient).await;
    assert_eq!(wire.until("ack").await["ref"], 1, "an old id that was never used");
    // Fragments with a ping between them are one message.
    let half = |part: &str| part.as_bytes().to_vec();
    wire.write(&frame(0x01, &half(r#"{"type":"pi"#))).await;
    wire.write(&frame(0x89, b"")).await;
    wire.write(&frame(0x80, &half(r#"ng","ref":7}"#))).await;
    assert_eq!(wire.until("pong").await["ref"], 7);
    rig.stop().await;
}

#[tokio::test]
async fn a_flood_is_refused_and_ended_and_others_do_not_notice() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let mut bens = Wire::of(&ben).await;
    let Wire { stream } = Wire::of(&ana).await;
    let (mut read, mut write) = tokio::io::split(stream);
    let flood = tokio::spawn(async move {
        let batch: Vec<u8> =
            (0..100).flat_map(|_| text(&json!({"type": "ping", "ref": 1}))).collect();
        while write.write_all(&batch).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    });
    let mut bytes = Vec::new();
    let reading = tokio::io::AsyncReadExt::read_to_end(&mut read, &mut bytes);
    let ended = tokio::time::timeout(crate::rig::DEADLINE, reading).await;
    assert!(ended.is_ok(), "the flood goes on");
    bens.say(&json!({"type": "ping", "ref": 2})).await;
    assert_eq!(bens.until("pong").await["ref"], 2);
    let said = String::from_utf8_lossy(&bytes);
    assert!(said.contains("rate_limited") && said.contains("too many frames"));
    assert!(bytes.windows(4).any(|four| four[0] == 0x88 && four[2..] == 4009_u16.to_be_bytes()));
    flood.await.expect("ended");
    rig.stop().await;
}

#[tokio::test]
async fn a_reader_that_never_reads_is_ended_and_others_do_not_notice() {
    let rig = Rig::start_with(|config| {
        config.limits.outbox_bytes = 64 * 1024;
        config.rates.sends_per_user = hansard_gateway::config::Rate::new(100_000, 100_000);
    })
    .await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let talk = ana.with(&ben);
    let mut deaf = Wire::of(&ben).await;
    let (mut writer, mut hearing) = (Wire::of(&ana).await, Wire::of(&ben).await);
    let big = "x".repeat(16 * 1024);
    // More than the sockets' buffers take, and the outbox.
    for n in 0..1_000 {
        writer.say(&send(n, &talk, &json!({"kind": "message", "text": big}))).await;
        let seq = writer.until("ack").await["seq"].clone();
        while hearing.until("event").await["seq"] != seq {}
    }
    // It finds out when it reads at last: by the code, or by a socket that was cut.
    let code = loop {
        match deaf.next().await {
            Arrived::Closed(code) => break code,
            Arrived::Frame(_) | Arrived::Ping => {}
        }
    };
    assert!(matches!(code, 4008 | 1006), "{code}");
    rig.stop().await;
}

//! A message is sent, confirmed, delivered.

use serde_json::json;

use crate::rig::Rig;
use crate::wire::{Wire, send};

#[tokio::test]
async fn a_message_is_acknowledged_and_comes_once_to_every_connection_of_every_member() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let talk = ana.with(&ben);
    let (mut phone, mut desk, mut bens) =
        (Wire::of(&ana).await, Wire::of(&ana).await, Wire::of(&ben).await);
    for n in 0..20_u64 {
        phone.say(&send(n, &talk, &json!({"kind": "message", "text": format!("{n}")}))).await;
    }
    let (mut acked, mut seen) = (Vec::new(), Vec::new());
    while acked.len() < 20 || seen.len() < 20 {
        let frame = phone.next_frame().await;
        match frame["type"].as_str() {
            Some("ack") => acked.push((frame["ref"].as_u64(), frame["seq"].as_u64())),
            Some("event") => seen.push(frame),
            Some("conversation") => {}
            other => panic!("{other:?}: {frame}"),
        }
    }
    acked.sort_unstable();
    for socket in [&mut desk, &mut bens] {
        for event in &seen {
            assert_eq!(&socket.until("event").await, event);
        }
    }
    let seqs: Vec<_> = seen.iter().map(|event| event["seq"].as_u64()).collect();
    assert_eq!(seqs, acked.iter().map(|(_, seq)| *seq).collect::<Vec<_>>(), "in the order sent");
    for (n, pair) in seen.windows(2).enumerate() {
        assert_eq!(pair[1]["prev"], pair[0]["seq"], "the chain at {n}");
    }
    rig.stop().await;
}

#[tokio::test]
async fn typing_is_shown_to_whom_watches_and_a_ping_is_answered_with_a_cursor() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let talk = ana.with(&ben);
    let (mut anas, mut bens) = (Wire::of(&ana).await, Wire::of(&ben).await);
    bens.say(&json!({"type": "watch", "conversations": [talk]})).await;
    bens.say(&json!({"type": "ping", "ref": "x"})).await;
    let pong = bens.until("pong").await;
    assert!(pong["ref"] == "x" && pong["cursor"].is_string(), "{pong}");
    anas.say(&json!({"type": "typing", "conversation": talk})).await;
    let typing = bens.until("typing").await;
    assert_eq!(typing["user"], ana.user.as_str());
    rig.stop().await;
}

#[tokio::test]
async fn a_drained_gateway_says_so_and_restarts_its_clients() {
    let mut rig = Rig::start().await;
    let ana = rig.person("ana").await;
    let mut anas = Wire::of(&ana).await;
    let stopping = tokio::spawn(rig.first_gateway().stop());
    anas.until("drain").await;
    assert_eq!(anas.end().await, (1012, None));
    stopping.await.expect("stopped");
    rig.stop().await;
}

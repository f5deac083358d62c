//! What a client gets that was away.

use serde_json::json;

use crate::rig::{Rig, eventually};
use crate::wire::{Wire, cursor, of_type, send, seqs};

#[tokio::test]
async fn a_cursor_brings_exactly_what_was_missed() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let group = ana.found("tea", &[&ben]).await;
    let talk = ana.with(&ben);
    ana.say(&talk, "before").await;
    let (mut wire, frames) = Wire::hello(&ben, json!({})).await;
    assert_eq!(of_type(&frames, "conversation").len(), 2);
    assert_eq!(seqs(&frames).len(), 2, "the creation and a message: {frames:?}");
    wire.say(&json!({"type": "ping"})).await;
    let pong = wire.until("pong").await;
    drop(wire);
    let mut other = Wire::of(&ben).await;
    let missed = [ana.say(&talk, "1").await, ana.say(&talk, "2").await];
    // The gateway has them.
    while other.until("event").await["seq"] != missed[1] {}
    let hello = json!({"cursor": pong["cursor"]});
    let (wire, frames) = Wire::hello(&ben, hello.clone()).await;
    assert_eq!(seqs(&frames), missed);
    assert_eq!(of_type(&frames, "conversation").len(), 1, "the group has not changed");
    assert!(of_type(&frames, "gap").is_empty());
    drop(wire);
    // What was not stored with a cursor comes again, and after a cursor nothing does.
    let (_, again) = Wire::hello(&ben, hello).await;
    assert_eq!(seqs(&again), missed);
    let (_, nothing) = Wire::hello(&ben, json!({"cursor": cursor(&again)})).await;
    assert_eq!(nothing.len(), 1, "{nothing:?}");
    let in_group = ana.say(&group, "3").await;
    let (mut wire, mut frames) = Wire::hello(&ben, json!({"cursor": cursor(&nothing)})).await;
    if seqs(&frames).is_empty() {
        // It was still on its way to the gateway, and comes behind the catch-up.
        frames = vec![wire.until("event").await];
    }
    assert_eq!(seqs(&frames), [in_group]);
    rig.stop().await;
}

#[tokio::test]
async fn what_is_cut_is_stated_as_a_gap() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let talk = ana.with(&ben);
    let mut said = Vec::new();
    for n in 0..5 {
        said.push(ana.say(&talk, &n.to_string()).await);
    }
    let (_, frames) = Wire::hello(&ben, json!({"catch_up": 2})).await;
    assert_eq!(seqs(&frames), said[3..]);
    let gaps = of_type(&frames, "gap");
    assert_eq!((&gaps[0]["from"], &gaps[0]["to"]), (&json!(0), &json!(said[2])));
    let first = of_type(&frames, "event")[0];
    assert_eq!(first["prev"], said[2]);
    let (_, frames) = Wire::hello(&ben, json!({"catch_up": 0})).await;
    assert!(seqs(&frames).is_empty());
    assert_eq!(of_type(&frames, "gap")[0]["to"], said[4]);
    let (_, frames) = Wire::hello(&ben, json!({"seen": {talk: said[3]}})).await;
    assert_eq!(seqs(&frames), said[4..]);
    rig.stop().await;
}

#[tokio::test]
async fn a_cursor_of_another_log_is_a_reset() {
    let rig = Rig::start().await;
    let ana = rig.person("ana").await;
    let (_, frames) = Wire::hello(&ana, json!({"cursor": "nonsense"})).await;
    assert_eq!(frames.last().expect("synced")["reset"], true);
    cursor(&frames);
    rig.stop().await;
}

#[tokio::test]
async fn a_removed_member_gets_the_removal_last_live_and_by_resume() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let group = ana.found("tea", &[&ben]).await;
    let (mut live, frames) = Wire::hello(&ben, json!({})).await;
    let (mut anas, _) = Wire::hello(&ana, json!({})).await;
    let change = |op: &str| json!({"kind": "member", "op": op, "user": ben.user});
    anas.say(&send(1, &group, &change("remove"))).await;
    let removed = anas.until("ack").await["seq"].clone();
    ana.say(&group, "among us").await;
    let last = live.until("event").await;
    assert_eq!(last["seq"], removed);
    let (resumed, missed) = Wire::hello(&ben, json!({"cursor": cursor(&frames)})).await;
    assert_eq!(seqs(&missed), [removed.as_u64().expect("a place")]);
    assert!(of_type(&missed, "conversation")[0]["role"].is_null());
    drop(resumed);
    anas.say(&send(2, &group, &change("add"))).await;
    let added = anas.until("ack").await["seq"].clone();
    let next = live.until("event").await;
    assert_eq!(next["seq"], added, "nothing from between");
    rig.stop().await;
}

#[tokio::test]
async fn a_client_that_resumes_under_load_misses_nothing_and_sees_nothing_twice() {
    let rig = Rig::start_with(|config| {
        config.rates.sends_per_user = hansard_gateway::config::Rate::new(100_000, 100_000);
    })
    .await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let group = ana.found("tea", &[&ben]).await;
    let talk = ana.with(&ben);
    let mut writer = Wire::of(&ana).await;
    let writing = tokio::spawn(async move {
        for n in 0..1_500_u64 {
            let conversation = if n % 2 == 0 { &group } else { &talk };
            let event = json!({"kind": "message", "text": n.to_string()});
            writer.say(&send(n, conversation, &event)).await;
            writer.until("ack").await;
        }
    });
    let mut last: std::collections::HashMap<String, u64> = std::collections::HashMap::new();
    let mut at: Option<String> = None;
    let mut connections = 0;
    let mut count = 0;
    while count < 1_500 {
        let hello = at.as_ref().map_or(
            json!({"catch_up": 1_000}),
            |cursor| json!({"cursor": cursor, "catch_up": 1_000}),
        );
        let (mut wire, mut frames) = Wire::hello(&ben, hello).await;
        connections += 1;
        let caught_up = frames.len();
        // Some live events, too, then a cursor that covers them.
        for _ in 0..=connections % 10 {
            wire.say(&json!({"type": "ping"})).await;
            frames.extend(wire.through("pong").await);
        }
        assert!(of_type(&frames, "gap").is_empty());
        assert!(caught_up > 0);
        for event in of_type(&frames, "event") {
            let conversation = event["conversation"].as_str().expect("an id").to_owned();
            let (seq, prev) = (event["seq"].as_u64().expect("a place"), event["prev"].as_u64());
            let before = last.insert(conversation, seq).unwrap_or(0);
            assert_eq!(prev, Some(before), "after {before} came {seq}, connection {connections}");
            count += usize::from(event["body"]["event"]["kind"] == "message");
        }
        at = frames.last().expect("a pong")["cursor"].as_str().map(str::to_owned);
    }
    writing.await.expect("all acknowledged");
    assert!(connections > 5, "{connections} connections are no test");
    assert_eq!(count, 1_500);
    rig.stop().await;
}

#[tokio::test]
async fn settings_changed_while_away_come_with_the_catch_up() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let (group, talk) = (ana.found("tea", &[&ben]).await, ana.with(&ben));
    ana.say(&group, "hi").await;
    let (wire, frames) = Wire::hello(&ana, json!({})).await;
    drop(wire);
    let before = cursor(&frames);
    // Nothing is said in either; in the direct one nothing ever was.
    let path = |conversation: &str| format!("/v1/conversations/{conversation}/me");
    ana.client.patch(&path(&group), &json!({"pinned": true})).await.expecting(200);
    ana.client.patch(&path(&talk), &json!({"archived": true})).await.expecting(200);
    let (_, frames) = Wire::hello(&ana, json!({"cursor": before})).await;
    assert!(seqs(&frames).is_empty() && of_type(&frames, "gap").is_empty(), "{frames:?}");
    let told = of_type(&frames, "conversation");
    assert_eq!(
        (&told[0]["conversation"], &told[0]["pinned"]),
        (&json!(group), &json!(true)),
        "{frames:?}"
    );
    assert_eq!((&told[1]["conversation"], &told[1]["archived"]), (&json!(talk), &json!(true)));
    assert_eq!(told.len(), 2);
    // The cursor covers what was told, once nothing else is on its way.
    let mut at = cursor(&frames);
    eventually("a cursor behind what was told", async || {
        let (_, frames) = Wire::hello(&ana, json!({"cursor": at})).await;
        at = cursor(&frames);
        frames.len() == 1
    })
    .await;
    // Together with what was said, and by long poll.
    ana.client.patch(&path(&group), &json!({"pinned": false})).await.expecting(200);
    let said = ana.say(&group, "ho").await;
    // The event may still be on its way to the gateway.
    let mut frames = Vec::new();
    eventually("what was said", async || {
        let path = format!("/v1/sync?cursor={at}&timeout_s=0");
        let answer = ana.client.get(&path).await.expecting(200);
        frames = answer["frames"].as_array().expect("frames").clone();
        !seqs(&frames).is_empty()
    })
    .await;
    assert_eq!(seqs(&frames), [said]);
    assert_eq!(of_type(&frames, "conversation")[0]["pinned"], json!(false));
    rig.stop().await;
}

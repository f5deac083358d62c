//! The long poll.

use serde_json::{Value, json};

use crate::rig::{Rig, eventually};
use crate::wire::{cursor, seqs};

fn frames(answer: &Value) -> Vec<Value> {
    answer["frames"].as_array().expect("frames").clone()
}

#[tokio::test]
async fn a_long_poll_gives_what_was_missed_or_waits_for_the_next() {
    let rig = Rig::start().await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let talk = ana.with(&ben);
    let first = ana.say(&talk, "1").await;
    let poll = async |cursor: &str, timeout_s: u64| {
        let path = format!("/v1/sync?cursor={cursor}&timeout_s={timeout_s}");
        frames(&ben.client.get(&path).await.expecting(200))
    };
    // The event may still be on its way to the gateway.
    let mut begun = Vec::new();
    eventually("the first", async || {
        begun = frames(&ben.client.get("/v1/sync?timeout_s=0").await.expecting(200));
        !seqs(&begun).is_empty()
    })
    .await;
    assert_eq!(seqs(&begun), [first]);
    let at = cursor(&begun);
    assert!(seqs(&poll(&at, 0).await).is_empty());
    let (waited, second) = tokio::join!(poll(&at, 20), async {
        // One that does not wait, asked after the one that does, has its answer first.
        assert!(seqs(&poll(&at, 0).await).is_empty());
        ana.say(&talk, "2").await
    });
    assert!(waited.iter().any(|frame| frame["type"] == "event" || frame["type"] == "conversation"));
    // A frame that announced the event may have come alone: the event follows with the next poll.
    let mut got = seqs(&waited);
    if got.is_empty() {
        got = seqs(&poll(&cursor(&waited), 20).await);
    }
    assert_eq!(got, [second]);
    ben.client.get("/v1/sync?timeout_s=x").await.refused(400, "bad_frame");
    let reset = frames(&ben.client.get("/v1/sync?cursor=nonsense").await.expecting(200));
    assert_eq!(reset.last().expect("synced")["reset"], json!(true));
    rig.stop().await;
}

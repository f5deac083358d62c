//! When the log is another than it was.

use std::time::{Duration, Instant};

use hansard_nats::{Connection, ServiceRole, deployment};
use serde_json::json;

use crate::rig::{Rig, eventually};
use crate::wire::{Wire, cursor, seqs};

#[tokio::test]
async fn a_raised_epoch_ends_every_connection_and_resets_cursors() {
    let mut rig = Rig::start().await;
    rig.add_gateway(|_| {}).await;
    let (ana, ben) = (rig.person("ana").await, rig.person("ben").await);
    let group = ana.found("tea", &[&ben]).await;
    let said = ana.say(&group, "before").await;
    let (mut anas, _) = Wire::hello(&ana, json!({})).await;
    let (mut bens, frames) = Wire::hello(&ben, json!({})).await;
    let old = cursor(&frames);
    let operator =
        Connection::connect(rig.endpoint(), ServiceRole::Operator).await.expect("connected");
    let epoch = deployment::epoch(&operator).await.expect("an epoch");
    let raised = Instant::now();
    assert_eq!(deployment::raise_epoch(&operator, epoch).await.expect("raised"), epoch + 1);
    assert_eq!((anas.end().await.0, bens.end().await.0), (1012, 1012));
    assert!(raised.elapsed() < Duration::from_secs(2), "{:?}", raised.elapsed());

    // The feed is compared anew before anybody resumes.
    eventually("a gateway that is ready again", async || {
        ana.client.get("/v1/sync?timeout_s=0").await.status == 200
    })
    .await;
    let (_, frames) = Wire::hello(&ben, json!({"cursor": old, "seen": {&group: said}})).await;
    assert_eq!(frames.last().expect("synced")["reset"], json!(true));
    assert!(seqs(&frames).contains(&said), "what was seen was of another log: {frames:?}");
    let (mut wire, frames) = Wire::hello(&ben, json!({"cursor": cursor(&frames)})).await;
    assert_eq!(frames.last().expect("synced")["reset"], json!(false));
    let after = ana.say(&group, "after").await;
    assert_eq!(wire.until("event").await["seq"], after);
    rig.stop().await;
}

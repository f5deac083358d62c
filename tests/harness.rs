//! Starts the product in a directory of its own, on free ports, and talks to it.
//!
//! `process` runs and signals; `deployment` puts processes together; `http`, `socket` and `raw` are
//! clients that know only the wire; `people` signs up and logs in; `dice` makes ids and chances;
//! `s3` is the S3 server of the archive's own tests.
//!
//! Nothing here outlives its test: what was started is killed when its value is dropped.
//! Nothing here sleeps for a fixed time: [`eventually`] asks again until a deadline.

mod deployment;
mod dice;
mod http;
mod people;
mod process;
pub(crate) mod raw;
#[path = "../archive/tests/service/s3.rs"]
mod s3;
mod socket;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

pub(crate) use deployment::{DataDir, Plan, Replayed, Roles, Serve, free_port, metric};
pub(crate) use dice::{Dice, mint, mint_at, now_ms, setting};
pub(crate) use http::{Http, Response};
pub(crate) use people::{Session, couple, forget_acks, including_acks, sign_up};
pub(crate) use process::{
    Process, Signal, Variable, is_running, memory_bytes, run, run_among, signal,
};
pub(crate) use raw::Raw;
pub(crate) use s3::S3;
pub(crate) use socket::{Closed, Socket};

/// How long anything that should happen at once may take on a busy machine.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);
/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(10);

/// Waits until the condition holds; panics when it does not within [`DEADLINE`].
pub(crate) async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let patience = Patience::of(DEADLINE);
    while !condition().await {
        patience.look_again(what).await;
    }
}

/// What a condition that is looked at again and again has left.
pub(crate) struct Patience {
    limit: Duration,
    pub(crate) deadline: Instant,
}

impl Patience {
    /// So much from now on.
    pub(crate) fn of(limit: Duration) -> Self {
        Self { limit, deadline: Instant::now() + limit }
    }

    /// The condition does not hold yet; panics when it had to.
    pub(crate) async fn look_again(&self, what: &str) {
        assert!(Instant::now() < self.deadline, "not within {:?}: {what}", self.limit);
        tokio::time::sleep(POLL).await;
    }
}

/// Waits as long as the server has said, as every client does.
pub(crate) async fn as_told(retry_after_ms: u64) {
    tokio::time::sleep(Duration::from_millis(retry_after_ms)).await;
}

/// The id of a direct conversation, as a client computes it.
pub(crate) fn direct(one: &str, other: &str) -> String {
    if one <= other { format!("{one}.{other}") } else { format!("{other}.{one}") }
}

/// A message that says `text`.
pub(crate) fn message(text: &str) -> Value {
    json!({"kind": "message", "text": text})
}

/// What a message in an event frame says; empty when it says nothing.
pub(crate) fn text_of(frame: &Value) -> &str {
    frame["body"]["event"]["text"].as_str().unwrap_or_default()
}

/// The seq of an event, an ack or an item.
pub(crate) fn seq_of(frame: &Value) -> u64 {
    frame["seq"].as_u64().unwrap_or_else(|| panic!("no seq in {frame}"))
}

/// Checks that `events`, in the order given, are one unbroken chain: each `prev` is the seq before,
/// and `n` counts the messages.
pub(crate) fn assert_chain(events: &[Value]) {
    for pair in events.windows(2) {
        let (before, after) = (&pair[0], &pair[1]);
        assert!(seq_of(before) < seq_of(after), "out of order:\n{before}\n{after}");
        assert_eq!(after["prev"], before["seq"], "a hole between\n{before}\n{after}");
        let is_message = after["body"]["event"]["kind"] == "message";
        let counted = before["n"].as_u64().unwrap() + u64::from(is_message);
        assert_eq!(after["n"], counted, "miscounted:\n{before}\n{after}");
    }
}

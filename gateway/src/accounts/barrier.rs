//! The read barrier: waits until the fold has all that the log had when the wait began.
//!
//! Waits are shared. One question to the leader is on its way at a time, and it answers everybody
//! who was waiting when it was asked; who comes later waits for the next, because the answer on its
//! way may be older than what they must see.

use std::time::Duration;

use hansard_model::Seq;
use hansard_nats::accounts::AccountLog;
use tokio::sync::{mpsc, oneshot, watch};

use crate::metrics;

/// Waits that are queued; with more the gateway is too busy to answer them.
const WAITING_MAX: usize = 4_096;
/// How long a wait may take.
const REACH_WITHIN: Duration = Duration::from_secs(2);

/// The fold did not reach the log in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the accounts are behind the log")]
pub(crate) struct Unconfirmed;

/// Asks for the wait; clones share it.
#[derive(Clone)]
pub(crate) struct Barrier {
    waiting: mpsc::Sender<oneshot::Sender<Result<(), Unconfirmed>>>,
}

impl Barrier {
    /// A barrier over a fold whose position `applied` tells; ends when it is dropped.
    pub(crate) fn start(log: AccountLog, applied: watch::Receiver<Seq>) -> Self {
        let (waiting, queue) = mpsc::channel(WAITING_MAX);
        tokio::spawn(answer(log, applied, queue));
        Self { waiting }
    }

    /// Waits until everything is applied that the log holds now.
    ///
    /// # Errors
    /// [`Unconfirmed`] when that takes too long or too many wait.
    pub(crate) async fn wait(&self) -> Result<(), Unconfirmed> {
        let (answer, answered) = oneshot::channel();
        self.waiting.try_send(answer).map_err(|_| Unconfirmed)?;
        answered.await.map_err(|_| Unconfirmed)?
    }
}

async fn answer(
    log: AccountLog,
    mut applied: watch::Receiver<Seq>,
    mut queue: mpsc::Receiver<oneshot::Sender<Result<(), Unconfirmed>>>,
) {
    let mut waiting = Vec::new();
    while queue.recv_many(&mut waiting, WAITING_MAX).await > 0 {
        let reached = tokio::time::timeout(REACH_WITHIN, async {
            let last = log.last_seq().await.map_err(|_| Unconfirmed)?;
            reach(&mut applied, last).await
        })
        .await
        .unwrap_or(Err(Unconfirmed));
        metrics::accounts_barrier(reached.is_ok());
        for waiter in waiting.drain(..) {
            // A waiter that has gone needs no answer.
            let _ = waiter.send(reached);
        }
    }
}

/// Waits until the fold has applied `seq`.
pub(crate) async fn reach(applied: &mut watch::Receiver<Seq>, seq: Seq) -> Result<(), Unconfirmed> {
    applied.wait_for(|applied| *applied >= seq).await.map(|_| ()).map_err(|_| Unconfirmed)
}

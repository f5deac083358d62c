//! A searcher in a process of its own, which can be killed and paused as nothing in this one can.
//!
//! The process is this program once more, told to run the one test below.

use std::process::{Child, Command, Stdio};

use hansard_search::Progress;
use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

use super::rig::{Order, Rig};

/// Has the order of a searcher.
const ORDER: &str = "HANSARD_TEST_SEARCHER";
const TEST: &str = "process::a_searcher_in_a_process_of_its_own";

/// A running searcher; killed when dropped.
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts a searcher on the indexes of this name.
    pub(crate) fn start(rig: &Rig, holder: &str, directory: &str) -> Self {
        let order = serde_json::to_string(&rig.order(holder, directory)).expect("an order");
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program)
            .args([TEST, "--exact"])
            .env(ORDER, order)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn();
        Self { child: child.expect("a process") }
    }

    /// Ends it with no chance to do anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }

    /// Lets it stand still.
    pub(crate) fn pause(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn resume(&self) {
        self.signal("-CONT");
    }

    /// Ends it in order.
    pub(crate) async fn stop(mut self) {
        drop(self.child.stdin.take());
        let ended = super::rig::within("the end of a process", async || {
            self.child.try_wait().expect("a process")
        });
        assert!(ended.await.success());
    }

    fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{name}");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // An error means that it has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// No test: what [`Process`] starts. It ends when its input does, as that of whoever started it.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "this is how a process is told what to do")]
async fn a_searcher_in_a_process_of_its_own() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let order: Order = serde_json::from_str(&order).expect("an order");
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let _ = tokio::io::stdin().read(&mut [0]).await;
        stop.cancel();
    });
    hansard_search::run(order.config(Progress::new()), shutdown).await.expect("no error");
}

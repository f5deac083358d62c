//! A service in a process of its own, which can be killed as nothing in this one can.
//!
//! The process is this program once more, told to run the one test below.

use std::process::{Child, Command, Stdio};

use tokio::io::AsyncReadExt as _;
use tokio_util::sync::CancellationToken;

use crate::rig::{Order, Rig, within};

/// Has the order of a service.
const ORDER: &str = "HANSARD_TEST_MEDIA";
const TEST: &str = "process::a_service_in_a_process_of_its_own";

/// A running service; killed when dropped.
pub(crate) struct Process {
    child: Child,
    pub(crate) address: String,
}

impl Process {
    /// Starts a service and waits until it serves.
    pub(crate) async fn start(rig: &Rig, holder: &str) -> Self {
        Self::follow(rig.order(holder)).await
    }

    /// Starts a service as it is told, and waits until it serves.
    pub(crate) async fn follow(order: Order) -> Self {
        let _ = std::fs::remove_file(&order.address);
        let program = std::env::current_exe().expect("this program");
        let child = Command::new(program)
            .args([TEST, "--exact"])
            .env(ORDER, serde_json::to_string(&order).expect("an order"))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("a process");
        let address = within("the address of a service", async || {
            std::fs::read_to_string(&order.address).ok()
        })
        .await;
        Self { child, address }
    }

    /// Ends it with no chance to do anything.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
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
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "this is how a process is told what to do")]
async fn a_service_in_a_process_of_its_own() {
    let Ok(order) = std::env::var(ORDER) else { return };
    let order: Order = serde_json::from_str(&order).expect("an order");
    let shutdown = CancellationToken::new();
    let stop = shutdown.clone();
    tokio::spawn(async move {
        let mut input = Vec::new();
        let _ = tokio::io::stdin().read_to_end(&mut input).await;
        stop.cancel();
    });
    Box::pin(order.run(shutdown)).await;
}

//! Tells whether a nats-server answers.

use std::net::SocketAddr;
use std::time::Duration;

use async_nats::ConnectOptions;

use super::options::ServerOptions;

const ATTEMPT_PATIENCE: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(25);

/// Connects as the first user and asks JetStream for its account.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    user: String,
    password: String,
    server_name: String,
    in_cluster: bool,
}

impl Probe {
    /// Nothing to probe with if there are no users.
    pub(super) fn new(options: &ServerOptions, server_name: &str) -> Option<Self> {
        let first = options.users.first()?;
        Some(Self {
            user: first.name.clone(),
            password: first.password.clone(),
            server_name: server_name.to_owned(),
            in_cluster: options.cluster.is_some(),
        })
    }

    /// Returns when the server answers; never, if it does not. The caller sets the deadline.
    pub(super) async fn answered(&self, address: SocketAddr) {
        while !self.answers(address).await {
            tokio::time::sleep(POLL).await;
        }
    }

    async fn answers(&self, address: SocketAddr) -> bool {
        let connecting =
            ConnectOptions::with_user_and_password(self.user.clone(), self.password.clone())
                .name("hansard readiness")
                .connection_timeout(ATTEMPT_PATIENCE)
                .max_reconnects(1)
                .event_callback(|_event| async {})
                .connect(format!("nats://{address}"));
        let Ok(client) = connecting.await else { return false };
        let info = client.server_info();
        // Another server may hold the port that ours failed to get.
        if info.server_name != self.server_name || !info.jetstream {
            return false;
        }
        // A node of a cluster has an account to show only when a majority is up, which is not this
        // node's doing.
        self.in_cluster || {
            let mut jetstream = async_nats::jetstream::new(client);
            jetstream.set_timeout(ATTEMPT_PATIENCE);
            jetstream.query_account().await.is_ok()
        }
    }
}

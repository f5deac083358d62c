//! Whether the log syncs before it acknowledges: asked of the servers, never assumed.

use std::time::Duration;

use futures_util::StreamExt;
use serde::Deserialize;

use crate::connection::Connection;
use crate::direct::{ReadError, unavailable};
use crate::server::Durability;

/// How long servers get to answer; all of a cluster answer the one question.
const ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Once one has answered, how long the others get.
const OTHERS_WITHIN: Duration = Duration::from_millis(300);

/// How one server stores.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerReport {
    /// The server's name.
    pub server: String,
    /// Its version.
    pub version: String,
    /// What its acknowledgements survive.
    pub durability: Durability,
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Varz>,
}

#[derive(Deserialize)]
struct Varz {
    server_name: String,
    version: String,
    #[serde(default)]
    jetstream: JetStream,
}

#[derive(Default, Deserialize)]
struct JetStream {
    config: Option<Config>,
}

#[derive(Deserialize)]
struct Config {
    #[serde(default)]
    sync_always: bool,
}

/// Asks every server of the cluster how it stores; those without JetStream are left out. The
/// connection is of [`ServiceRole::Monitor`](crate::ServiceRole::Monitor).
///
/// # Errors
/// [`ReadError::Unavailable`] when none answers: what is not known is not promised.
pub async fn report(connection: &Connection) -> Result<Vec<ServerReport>, ReadError> {
    let client = &connection.client;
    let inbox = client.new_inbox();
    let mut answers = client.subscribe(inbox.clone()).await.map_err(unavailable)?;
    client
        .publish_with_reply("$SYS.REQ.SERVER.PING.VARZ", inbox, bytes::Bytes::new())
        .await
        .map_err(unavailable)?;
    let mut reports = Vec::new();
    let mut within = ANSWERS_WITHIN;
    while let Ok(Some(answer)) = tokio::time::timeout(within, answers.next()).await {
        within = OTHERS_WITHIN;
        let Ok(Answer { data: Some(varz) }) = serde_json::from_slice(&answer.payload) else {
            continue;
        };
        let Some(config) = varz.jetstream.config else { continue };
        let durability = if config.sync_always { Durability::Fsync } else { Durability::Os };
        reports.push(ServerReport { server: varz.server_name, version: varz.version, durability });
    }
    if reports.is_empty() {
        return Err(unavailable("no server says how it stores"));
    }
    Ok(reports)
}

//! The connections of a user, as each gateway has them: asked for when the user wants to see them,
//! and stored nowhere.

use std::time::Duration;

use async_nats::{Request, Subscriber};
use futures_util::StreamExt;
use hansard_model::subject::Subject;
use hansard_model::{DeviceId, LogTime, UserId};
use serde::{Deserialize, Serialize};

use crate::connection::Connection;
use crate::direct::{ReadError, unavailable};

/// A connection of a device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenConnection {
    /// Which device.
    pub device: DeviceId,
    /// To which gateway.
    pub gateway: DeviceId,
    /// Since when.
    pub since: LogTime,
    /// The network that it comes from, never the whole address.
    pub network: String,
    /// It shows nobody that its person is there.
    pub background: bool,
}

/// "Which connections does this user have with you?"
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionsRequest {
    /// Whose.
    pub user: UserId,
}

impl Connection {
    /// Asks a gateway for a user's connections; `None` when it does not answer within `timeout`.
    pub async fn ask_connections(
        &self,
        gateway: DeviceId,
        user: UserId,
        timeout: Duration,
    ) -> Option<Vec<OpenConnection>> {
        let payload = serde_json::to_vec(&ConnectionsRequest { user }).ok()?;
        let subject = Subject::GatewaySessions(gateway).to_string();
        let request = Request::new().payload(payload.into()).timeout(Some(timeout));
        let answer = self.client.send_request(subject, request).await.ok()?;
        serde_json::from_slice(&answer.payload).ok()
    }

    /// Takes questions for connections.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the subscription cannot be made.
    pub async fn connections_asked(&self, gateway: DeviceId) -> Result<Questions, ReadError> {
        let subject = Subject::GatewaySessions(gateway).to_string();
        let messages = self.client.subscribe(subject).await.map_err(unavailable)?;
        Ok(Questions { connection: self.clone(), messages })
    }
}

/// Questions for the connections of users.
pub struct Questions {
    connection: Connection,
    messages: Subscriber,
}

impl Questions {
    /// Answers questions until the client is closed. `connections` gives those of a user.
    pub async fn answer(&mut self, connections: impl Fn(UserId) -> Vec<OpenConnection>) {
        while let Some(message) = self.messages.next().await {
            let request = serde_json::from_slice::<ConnectionsRequest>(&message.payload);
            let (Ok(request), Some(reply)) = (request, message.reply) else { continue };
            let Ok(payload) = serde_json::to_vec(&connections(request.user)) else { continue };
            // Whoever asked does without when this is lost.
            let _ = self.connection.client.publish(reply, payload.into()).await;
        }
    }
}

//! The gateways that are running, and their confirmation of a group's state.
//!
//! A gateway registers before it vouches for anybody, on a synced stream, and its entry outlives
//! every vouch it has given: so whoever lists the gateways after an event was stored lists all
//! that may have vouched against the state before it.

use std::time::Duration;

use async_nats::header::{HeaderMap, NATS_MESSAGE_TTL};
use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::message::OutboundMessage;
use async_nats::{Request, Subscriber};
use futures_util::StreamExt;
use hansard_model::placement::Occupancy;
use hansard_model::subject::Subject;
use hansard_model::{ConversationId, DeviceId, LogTime, Seq};
use serde::{Deserialize, Serialize};

use crate::connection::Connection;
use crate::direct::{self, BATCH_MAX, BatchRequest, ReadError, unavailable};
use crate::streams::{GATEWAYS_BUCKET, bucket_stream, bucket_subject};

/// A gateway that does not renew its entry is forgotten after this: longer than any vouch.
pub const REGISTRATION_TTL: Duration = Duration::from_secs(10);
/// An entry that is taken back stays for as long as the last vouch (design: L + e), and a little.
const DEREGISTRATION_TTL: Duration = Duration::from_secs(4);
/// How often the entries are read again because one was renewed meanwhile.
const READ_ATTEMPTS_MAX: usize = 4;
/// How often a gateway renews its entry.
pub const REGISTER_EVERY: Duration = Duration::from_secs(3);

/// A gateway that did not renew its entry for longer missed two renewals. Its entry is there for
/// longer, for the sake of what it has vouched for.
const SILENT_AFTER: Duration = Duration::from_secs(2 * REGISTER_EVERY.as_secs() + 1);

/// What a gateway says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GatewayEntry {
    /// Its id, new at each start.
    pub gateway: DeviceId,
    /// Where clients reach it; `None`: they are not sent to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Where it is.
    #[serde(default)]
    pub region: String,
    /// Open connections.
    #[serde(default)]
    pub connections: u64,
    /// People with a WebSocket connection here; 0 in an entry of a version that did not say.
    #[serde(default)]
    pub users: u64,
    /// Devices of theirs, likewise.
    #[serde(default)]
    pub devices: u64,
    /// Connections at most; 0 in an entry of a version that did not say.
    #[serde(default)]
    pub capacity: u64,
    /// How much room it has.
    #[serde(default)]
    pub occupancy: Occupancy,
    /// It is about to stop.
    #[serde(default)]
    pub draining: bool,
}

/// An entry, and when it was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registered {
    /// What the gateway says.
    pub entry: GatewayEntry,
    /// When it said so.
    pub ts: LogTime,
}

/// "Vouch no more against a state before `seq`."
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfirmRequest {
    /// The group.
    pub conversation: ConversationId,
    /// The meta event it must have.
    pub seq: Seq,
}

impl Registered {
    /// Whether the gateway has missed two renewals: it was killed, or is cut off.
    pub fn is_silent(&self, now: LogTime) -> bool {
        now.since(self.ts) > SILENT_AFTER
    }
}

impl Connection {
    /// Writes or renews a gateway's entry.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when it is not acknowledged.
    pub async fn register_gateway(&self, entry: &GatewayEntry) -> Result<(), ReadError> {
        self.write_entry(
            entry.gateway,
            serde_json::to_vec(entry).map_err(unavailable)?,
            REGISTRATION_TTL,
        )
        .await
    }

    /// Takes a gateway's entry back, once it vouches no more.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when it is not acknowledged; the entry then ends by itself.
    pub async fn deregister_gateway(&self, gateway: DeviceId) -> Result<(), ReadError> {
        // A request that was cut off may have vouched a moment ago.
        self.write_entry(gateway, Vec::new(), DEREGISTRATION_TTL).await
    }

    async fn write_entry(
        &self,
        gateway: DeviceId,
        value: Vec<u8>,
        ttl: Duration,
    ) -> Result<(), ReadError> {
        let mut headers = HeaderMap::new();
        headers.insert(NATS_MESSAGE_TTL, format!("{}s", ttl.as_secs()));
        let subject = bucket_subject(GATEWAYS_BUCKET, gateway.as_str());
        let message = OutboundMessage::new(subject.into(), value.into(), Some(headers));
        let pending = self.jetstream.publish_message(message).await.map_err(unavailable)?;
        pending.await.map_err(unavailable)?;
        Ok(())
    }

    /// The gateways that are registered now, as the leader has them.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer: assume there are others.
    pub async fn gateways(&self) -> Result<Vec<DeviceId>, ReadError> {
        let stream = bucket_stream(GATEWAYS_BUCKET);
        let filter = bucket_subject(GATEWAYS_BUCKET, "*");
        let subjects = direct::leader_subjects(self, &stream, &filter).await?;
        let prefix = bucket_subject(GATEWAYS_BUCKET, "");
        Ok(subjects.iter().filter_map(|s| s.strip_prefix(&prefix)?.parse().ok()).collect())
    }

    /// What the gateways say of themselves, at most the first 1,024, as a replica has it: good for
    /// finding one, not for knowing that there is none.
    ///
    /// # Errors
    /// [`ReadError`] when the bucket does not answer.
    pub async fn registered_gateways(&self) -> Result<Vec<Registered>, ReadError> {
        let stream = bucket_stream(GATEWAYS_BUCKET);
        let request = BatchRequest {
            multi_last: vec![bucket_subject(GATEWAYS_BUCKET, "*")],
            batch: BATCH_MAX,
            ..BatchRequest::default()
        };
        let mut attempts = 0;
        let stored = loop {
            attempts += 1;
            match direct::batch(self, &stream, &request).await {
                Ok((stored, _)) => break stored,
                // A gateway renewed its entry just then.
                Err(ReadError::Replaced) if attempts < READ_ATTEMPTS_MAX => {}
                Err(error) => return Err(error),
            }
        };
        // One that was taken back is empty.
        let entries = stored.into_iter().filter_map(|stored| {
            let entry = serde_json::from_slice(&stored.payload).ok()?;
            Some(Registered { entry, ts: stored.ts })
        });
        Ok(entries.collect())
    }

    /// Asks a gateway to confirm; `false` when it does not within `timeout`.
    pub async fn ask_confirmation(
        &self,
        gateway: DeviceId,
        request: ConfirmRequest,
        timeout: Duration,
    ) -> bool {
        let Ok(payload) = serde_json::to_vec(&request) else { return false };
        let subject = Subject::GatewayConfirm(gateway).to_string();
        let request = Request::new().payload(payload.into()).timeout(Some(timeout));
        match self.client.send_request(subject, request).await {
            Ok(answer) => answer.payload == "ok",
            Err(_) => false,
        }
    }

    /// Takes requests for confirmation.
    ///
    /// # Errors
    /// [`ReadError::Unavailable`] when the subscription cannot be made.
    pub async fn confirmations(&self, gateway: DeviceId) -> Result<Confirmations, ReadError> {
        let subject = Subject::GatewayConfirm(gateway).to_string();
        let messages = self.client.subscribe(subject).await.map_err(unavailable)?;
        self.round_trip().await?;
        Ok(Confirmations { connection: self.clone(), messages })
    }
}

/// Requests for confirmation.
pub struct Confirmations {
    connection: Connection,
    messages: Subscriber,
}

/// One request for confirmation.
pub struct Confirmation {
    connection: Connection,
    reply: async_nats::Subject,
    /// What is to be confirmed.
    pub request: ConfirmRequest,
}

impl Confirmations {
    /// The next request; `None` when the client is closed.
    pub async fn next(&mut self) -> Option<Confirmation> {
        loop {
            let message = self.messages.next().await?;
            let request = serde_json::from_slice(&message.payload);
            if let (Ok(request), Some(reply)) = (request, message.reply) {
                return Some(Confirmation { connection: self.connection.clone(), reply, request });
            }
        }
    }
}

impl Confirmation {
    /// "I vouch no more against an earlier state, and all that I vouched for is settled."
    pub async fn confirm(self) {
        // The asker waits out the lease when this is lost.
        let _ = self.connection.client.publish(self.reply, "ok".into()).await;
    }
}

//! Asking the owner of a partition, and answering as one. Request and reply over core NATS; the
//! types are in `hansard_model::query`.

use std::time::Duration;

use async_nats::client::RequestErrorKind;
use async_nats::{Client, Message, Request, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use hansard_model::PartitionId;
use hansard_model::query::{QueryError, Reply};
use hansard_model::subject::{QueryVerb, Subject};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::connection::Connection;
use crate::direct::{ReadError, unavailable};

/// Pause before an owner is looked for again.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Why a question got no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The owner says no.
    #[error(transparent)]
    Query(#[from] QueryError),
    /// No owner answered in time.
    #[error("the owner of the partition does not answer")]
    Unavailable,
    /// The answer cannot be read.
    #[error("the answer cannot be read")]
    Unreadable(#[from] serde_json::Error),
}

/// Asks the owner of `partition`, and again while there is none, for at most `within`.
///
/// # Errors
/// [`AskError`]
pub async fn ask<Q: Serialize, A: DeserializeOwned>(
    connection: &Connection,
    partition: PartitionId,
    verb: QueryVerb,
    question: &Q,
    within: Duration,
) -> Result<A, AskError> {
    ask_at(connection, &Subject::Query(partition, verb), question, within).await
}

/// Asks whoever listens there, and again while nobody does.
pub(crate) async fn ask_at<Q: Serialize, A: DeserializeOwned>(
    connection: &Connection,
    subject: &Subject,
    question: &Q,
    within: Duration,
) -> Result<A, AskError> {
    let subject = subject.to_string();
    let payload = Bytes::from(serde_json::to_vec(question)?);
    let deadline = tokio::time::Instant::now() + within;
    loop {
        let left = deadline.saturating_duration_since(tokio::time::Instant::now());
        if left.is_zero() {
            return Err(AskError::Unavailable);
        }
        let request = Request::new().payload(payload.clone()).timeout(Some(left));
        match connection.client.send_request(subject.clone(), request).await {
            Ok(answer) => {
                return match serde_json::from_slice(&answer.payload)? {
                    Reply::Ok(answer) => Ok(answer),
                    Reply::Err(error) => Err(error.into()),
                };
            }
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                // Between two owners, or while NATS restarts.
                tokio::time::sleep(RETRY_PAUSE.min(left)).await;
            }
            Err(_) => return Err(AskError::Unavailable),
        }
    }
}

/// Takes questions about a partition; dropping it stops.
///
/// # Errors
/// [`ReadError::Unavailable`] when the subscription cannot be made.
pub async fn serve(
    connection: &Connection,
    partition: PartitionId,
) -> Result<Questions, ReadError> {
    let client = connection.client.clone();
    // Not a queue group: a former owner that is paused would be given questions it cannot answer.
    // Who no longer holds the lease stays silent.
    let messages = client.subscribe(format!("query.{partition}.*")).await.map_err(unavailable)?;
    connection.round_trip().await?;
    Ok(Questions { client, messages })
}

/// Questions about a partition.
pub struct Questions {
    client: Client,
    messages: Subscriber,
}

impl Questions {
    /// The next question; `None` when the client is closed. Safe to drop while it waits.
    pub async fn next(&mut self) -> Option<Question> {
        loop {
            let Message { subject, reply, payload, .. } = self.messages.next().await?;
            if let (Ok(Subject::Query(_, verb)), Some(reply)) = (subject.as_str().parse(), reply) {
                return Some(Question { client: self.client.clone(), reply, verb, payload });
            }
        }
    }
}

/// A question.
pub struct Question {
    client: Client,
    reply: async_nats::Subject,
    /// What is asked.
    pub verb: QueryVerb,
    /// The request, as JSON.
    pub payload: Bytes,
}

impl Question {
    /// Reads the request.
    ///
    /// # Errors
    /// [`QueryError::BadRequest`]
    pub fn read<Q: DeserializeOwned>(&self) -> Result<Q, QueryError> {
        serde_json::from_slice(&self.payload).map_err(|_| QueryError::BadRequest)
    }

    /// Answers. An asker that does not hear asks again.
    pub async fn respond<A: Serialize>(&self, answer: &Result<A, QueryError>) {
        let reply = match answer {
            Ok(answer) => Reply::Ok(answer),
            Err(error) => Reply::Err(*error),
        };
        match serde_json::to_vec(&reply) {
            Ok(payload) => {
                if let Err(error) = self.client.publish(self.reply.clone(), payload.into()).await {
                    tracing::debug!(%error, "answer not sent");
                }
            }
            Err(error) => tracing::error!(%error, "answer not serialized"),
        }
    }
}

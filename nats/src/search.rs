//! Asking those who keep the indexes, and answering as one of them. One question to all over core
//! NATS, and an answer for each partition; the types are in `hansard_model::search`.

use std::collections::BTreeMap;
use std::time::Duration;

use async_nats::{Client, Message, StatusCode, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::{Select, select};
use hansard_model::query::{QueryError, Reply, ViewsRequest, ViewsStatus};
use hansard_model::search::{SearchAnswer, SearchRequest};
use hansard_model::subject::Subject;
use hansard_model::{PartitionCount, PartitionId};
use tokio::time::Instant;

use crate::connection::Connection;
use crate::direct::{ReadError, unavailable};
use crate::query;

/// Pause before searchers are looked for again, when nobody heard the question.
const RETRY_PAUSE: Duration = Duration::from_millis(100);

/// Why a question was not asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// NATS does not take it.
    #[error(transparent)]
    Unavailable(#[from] ReadError),
    /// It cannot be written.
    #[error("the question cannot be written")]
    Unwritable(#[from] serde_json::Error),
}

/// Whom to ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// The owner of each of the partitions.
    All(PartitionCount),
    /// The owner of one partition.
    One(PartitionId),
}

impl Asked {
    fn count(self) -> usize {
        match self {
            Self::All(partitions) => usize::from(partitions.get()),
            Self::One(_) => 1,
        }
    }

    fn has(self, partition: PartitionId) -> bool {
        match self {
            Self::All(partitions) => partition.0 < partitions.get(),
            Self::One(one) => partition == one,
        }
    }
}

/// Asks, and returns the first answer of each partition that came `within` the time; less when an
/// owner did not answer.
///
/// # Errors
/// [`AskError`]
pub async fn ask(
    connection: &Connection,
    asked: Asked,
    question: &SearchRequest,
    within: Duration,
) -> Result<Vec<SearchAnswer>, AskError> {
    let subject = match asked {
        Asked::All(_) => Subject::SearchAll,
        Asked::One(partition) => Subject::Search(partition),
    };
    let subject = subject.to_string();
    let payload = Bytes::from(serde_json::to_vec(question)?);
    let deadline = Instant::now() + within;
    let client = &connection.client;
    let inbox = client.new_inbox();
    let mut replies = client.subscribe(inbox.clone()).await.map_err(unavailable)?;
    let mut answers = BTreeMap::new();
    let publish = async || {
        let sent = client.publish_with_reply(subject.clone(), inbox.clone(), payload.clone()).await;
        sent.map_err(unavailable)
    };
    publish().await?;
    while answers.len() < asked.count() {
        let Ok(Some(reply)) = tokio::time::timeout_at(deadline, replies.next()).await else {
            break;
        };
        if reply.status == Some(StatusCode::NO_RESPONDERS) {
            // Between two owners, or while NATS restarts.
            let pause = Instant::now() + RETRY_PAUSE;
            tokio::time::sleep_until(pause.min(deadline)).await;
            publish().await?;
            continue;
        }
        match serde_json::from_slice::<SearchAnswer>(&reply.payload) {
            Ok(answer) if asked.has(answer.partition) => {
                answers.entry(answer.partition).or_insert(answer);
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%error, "an answer cannot be read"),
        }
    }
    Ok(answers.into_values().collect())
}

/// Asks the owner of a partition's index about it, or for work on it, and again while there is none.
///
/// # Errors
/// [`query::AskError`]
pub async fn ask_views(
    connection: &Connection,
    partition: PartitionId,
    request: &ViewsRequest,
    within: Duration,
) -> Result<ViewsStatus, query::AskError> {
    query::ask_at(connection, &Subject::SearchViews(partition), request, within).await
}

/// Takes searches in a partition, and what operators ask; dropping it stops.
///
/// # Errors
/// [`ReadError::Unavailable`] when the subscriptions cannot be made.
pub async fn serve(
    connection: &Connection,
    partition: PartitionId,
) -> Result<Questions, ReadError> {
    let client = connection.client.clone();
    let subscribe = async |subject: Subject| {
        // No queue group: each owner answers for its partition.
        client.subscribe(subject.to_string()).await.map_err(unavailable)
    };
    let all = subscribe(Subject::SearchAll).await?;
    let one = subscribe(Subject::Search(partition)).await?;
    let views = subscribe(Subject::SearchViews(partition)).await?;
    connection.round_trip().await?;
    Ok(Questions {
        client,
        views: Subject::SearchViews(partition).to_string(),
        messages: select(select(all, one), views),
    })
}

/// Searches in a partition, and what operators ask.
pub struct Questions {
    client: Client,
    /// The subject of operators.
    views: String,
    messages: Select<Select<Subscriber, Subscriber>, Subscriber>,
}

/// What an owner is asked.
pub enum Asking {
    /// A search.
    Search(Question),
    /// A question of an operator.
    Views(ViewsQuestion),
}

impl Questions {
    /// The next question; `None` when the client is closed. Safe to drop while it waits.
    pub async fn next(&mut self) -> Option<Asking> {
        loop {
            let Message { subject, reply, payload, .. } = self.messages.next().await?;
            let Some(reply) = reply else { continue };
            let client = self.client.clone();
            let read = if subject.as_str() == self.views {
                serde_json::from_slice(&payload)
                    .map(|request| Asking::Views(ViewsQuestion { client, reply, request }))
            } else {
                serde_json::from_slice(&payload)
                    .map(|request| Asking::Search(Question { client, reply, request }))
            };
            match read {
                Ok(asking) => return Some(asking),
                Err(error) => tracing::debug!(%error, "a search cannot be read"),
            }
        }
    }
}

/// A question of an operator.
pub struct ViewsQuestion {
    client: Client,
    reply: async_nats::Subject,
    /// What is asked.
    pub request: ViewsRequest,
}

impl ViewsQuestion {
    /// Answers. An asker that does not hear asks again.
    pub async fn respond(&self, answer: &Result<ViewsStatus, QueryError>) {
        let reply = match answer {
            Ok(status) => Reply::Ok(status),
            Err(error) => Reply::Err(*error),
        };
        send(&self.client, &self.reply, &reply).await;
    }
}

async fn send(client: &Client, to: &async_nats::Subject, answer: &impl serde::Serialize) {
    match serde_json::to_vec(answer) {
        Ok(payload) => {
            if let Err(error) = client.publish(to.clone(), payload.into()).await {
                tracing::debug!(%error, "answer not sent");
            }
        }
        Err(error) => tracing::error!(%error, "answer not serialized"),
    }
}

/// A search.
pub struct Question {
    client: Client,
    reply: async_nats::Subject,
    /// What is asked.
    pub request: SearchRequest,
}

impl Question {
    /// Answers. An asker that does not hear says that a partition is missing.
    pub async fn respond(&self, answer: &SearchAnswer) {
        send(&self.client, &self.reply, answer).await;
    }
}

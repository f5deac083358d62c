//! The account stream: append with create-if-absent, follow.

use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::message::OutboundMessage;
use hansard_model::account::{AccountEvent, AccountSubject};
use hansard_model::subject::Subject;
use hansard_model::{LogTime, Seq, UploadId, UserId};

use crate::connection::Connection;
use crate::direct::{self, BATCH_MAX, BatchRequest, LeaderRequest, ReadError, unavailable};
use crate::streams::ACCOUNTS;
use crate::tail::{Tail, Tailed};

/// The account stream; clones share it.
#[derive(Clone)]
pub struct AccountLog {
    connection: Connection,
}

/// Why an account event has no acknowledgement.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Not stored: the subject has another last sequence.
    #[error("the subject is taken")]
    Conflict,
    /// Perhaps stored.
    #[error("the account log did not acknowledge")]
    Unknown(#[source] async_nats::Error),
}

/// An account event as the stream holds it.
#[derive(Debug)]
pub struct AccountRecord {
    /// Where.
    pub seq: Seq,
    /// When.
    pub ts: LogTime,
    /// What it is about and what it says; `None` when it cannot be read.
    pub event: Option<(AccountSubject, AccountEvent)>,
}

impl AccountLog {
    /// The stream of a deployment.
    pub fn open(connection: &Connection) -> Self {
        Self { connection: connection.clone() }
    }

    /// Appends; with `expected`, only while the subject's last sequence is that (0: none yet).
    ///
    /// # Errors
    /// [`AppendError`]
    pub async fn append(
        &self,
        subject: &Subject,
        event: &AccountEvent,
        expected: Option<Seq>,
    ) -> Result<Seq, AppendError> {
        let unknown = |error: async_nats::Error| AppendError::Unknown(error);
        let payload = serde_json::to_vec(event).map_err(|error| unknown(error.into()))?;
        let mut headers = HeaderMap::new();
        if let Some(expected) = expected {
            headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        }
        let message =
            OutboundMessage::new(subject.to_string().into(), payload.into(), Some(headers));
        let classify = |error: async_nats::jetstream::context::PublishError| match error.kind() {
            PublishErrorKind::WrongLastSequence => AppendError::Conflict,
            PublishErrorKind::StreamNotFound
            | PublishErrorKind::WrongLastMessageId
            | PublishErrorKind::TimedOut
            | PublishErrorKind::BrokenPipe
            | PublishErrorKind::MaxAckPending
            | PublishErrorKind::MaxPayloadExceeded
            | PublishErrorKind::Other => unknown(error.into()),
        };
        let pending = self.connection.jetstream.publish_message(message).await.map_err(classify)?;
        Ok(Seq(pending.await.map_err(classify)?.sequence))
    }

    /// The last sequence of the stream, from the leader: what a reader must have applied to be as
    /// fresh as now.
    ///
    /// # Errors
    /// [`ReadError`] when the leader does not answer.
    pub async fn last_seq(&self) -> Result<Seq, ReadError> {
        Ok(direct::leader_info(&self.connection, ACCOUNTS).await?.last)
    }

    /// The avatar that an account names, by all events of the account that the leader has.
    ///
    /// # Errors
    /// [`ReadError`] when the leader or a replica does not answer, or the replica is behind.
    pub async fn avatar(&self, user: UserId) -> Result<Option<UploadId>, ReadError> {
        let subject = Subject::AccountUser(user).to_string();
        let last_by_subj = Some(subject.clone());
        let request = LeaderRequest { last_by_subj, ..LeaderRequest::default() };
        let last = direct::leader_get(&self.connection, ACCOUNTS, &request).await?;
        let last = last.map_or(Seq::ZERO, |stored| stored.seq);
        let (mut avatar, mut reached) = (None, Seq::ZERO);
        while reached < last {
            let request = BatchRequest {
                seq: Some(reached.0 + 1),
                next_by_subj: Some(subject.clone()),
                batch: BATCH_MAX,
                ..BatchRequest::default()
            };
            let (stored, _) = direct::batch(&self.connection, ACCOUNTS, &request).await?;
            let newest = stored.last().ok_or_else(|| unavailable("a replica is behind"))?;
            reached = newest.seq;
            for message in &stored {
                if let Some((_, event)) = read(&message.subject, &message.payload)
                    && let AccountEvent::ProfileChanged { avatar: Some(named), .. } = event
                {
                    // Empty: none from now on.
                    avatar = named.parse().ok();
                }
            }
        }
        Ok(avatar)
    }

    /// Follows the stream from just after `after`, for ever.
    pub fn follow(&self, after: Seq) -> AccountReader {
        AccountReader { tail: Tail::new(&self.connection, ACCOUNTS, after, 0) }
    }
}

/// A reader of the account stream. It survives lost connections by itself.
pub struct AccountReader {
    tail: Tail,
}

impl AccountReader {
    /// The next event. Waits for ever; safe to drop while it waits.
    pub async fn next(&mut self) -> AccountRecord {
        let Tailed { seq, ts, subject, payload } = self.tail.next().await;
        let event = read(&subject, &payload);
        if event.is_none() {
            tracing::error!(event.seq = seq.0, "an account event cannot be read");
        }
        AccountRecord { seq, ts, event }
    }
}

fn read(subject: &str, payload: &[u8]) -> Option<(AccountSubject, AccountEvent)> {
    let about = match subject.parse().ok()? {
        Subject::AccountHandle(_) => AccountSubject::Handle,
        Subject::AccountUser(user) => AccountSubject::User(user),
        Subject::AccountDevice(user, device) => AccountSubject::Device(user, device),
        Subject::AccountSettings(user, conversation) => {
            AccountSubject::Settings(user, conversation)
        }
        Subject::Event { .. }
        | Subject::Live(_)
        | Subject::LiveOrder(_)
        | Subject::Typing(_)
        | Subject::Query(..)
        | Subject::SearchAll
        | Subject::Search(_)
        | Subject::SearchViews(_)
        | Subject::GatewayConfirm(_)
        | Subject::GatewaySessions(_)
        | Subject::MediaReady(_)
        | Subject::Presence(_) => return None,
    };
    Some((about, serde_json::from_slice(payload).ok()?))
}

//! Receipts: how far each member has got, from a device to the stream and from there to everybody
//! whom it concerns.
//!
//! The data's way: [`Receipts::take`] checks a receipt, asks the conversation's owner what it comes
//! to, and raises the stored marks; that is when it is answered. [`tell`] follows the stream, in
//! every gateway, and tells the connections. Nothing goes from the one to the other but by the
//! stream, so its order is the order in which everybody hears.

pub(crate) mod generations;
pub(crate) mod order;
pub(crate) mod recent;
pub(crate) mod tell;
pub(crate) mod told;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::stream::{self, StreamExt as _};
use hansard_model::presence::Visibility;
use hansard_model::query::{QueryError, ReachReply, ReachRequest, Reached};
use hansard_model::receipt::{Mark, Marks};
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, DeviceId, LogTime, Seq, UserId, limit};
use hansard_nats::Connection;
use hansard_nats::log::{NotSynchronized, ReadError};
use hansard_nats::query::{AskError, ask};
use hansard_nats::receipts::{RaiseError, Receipts as Stream, StoredMarks};
use hansard_protocol::{ErrorBody, ErrorCode};

use self::generations::Generations;
use crate::accounts::Directory;
use crate::acks::Acks;
use crate::groups::{Groups, GroupsError};
use crate::http::UNAVAILABLE_RETRY_MS;
use crate::past::Past;
use crate::rate::{RateLimits, TooFast};
use crate::router::Router;

/// How long an owner may take.
const REACH_WITHIN: Duration = Duration::from_secs(3);
/// Marks that a gateway remembers to have raised, in each of two generations: about 300 bytes each.
const RAISED_MAX: usize = 32_768;
/// How long a generation lasts: what was raised in the last one is raised again when the stream's
/// server was away, because it may have lost it.
const GENERATION: Duration = Duration::from_secs(60);
/// Marks that are raised again at once.
const RAISED_AT_ONCE: usize = 16;
/// Pause before marks are raised again that could not be.
const PAUSE: Duration = Duration::from_millis(500);

/// What a device says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said {
    /// Where.
    pub(crate) conversation: ConversationId,
    /// Who.
    pub(crate) user: UserId,
    /// On which device.
    pub(crate) device: DeviceId,
    /// It has everything up to here.
    pub(crate) delivered: Option<Seq>,
    /// They have read up to here.
    pub(crate) read: Option<Seq>,
    /// The others are not to know of the reading.
    pub(crate) private: bool,
}

/// Why a receipt was not stored, or perhaps was.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReceiptError {
    #[error(transparent)]
    TooFast(#[from] TooFast),
    #[error("a receipt says what was delivered or read")]
    Nothing,
    #[error("not a member of the conversation")]
    NotAMember,
    #[error("nothing was said in the conversation")]
    NotFound,
    #[error("the membership cannot be confirmed now")]
    Groups(#[from] GroupsError),
    #[error("the end of the log is not known")]
    Log(#[from] ReadError),
    #[error("the conversation's owner does not answer")]
    Owner(#[source] AskError),
    #[error(transparent)]
    Clock(#[from] NotSynchronized),
    #[error("the receipts do not answer")]
    Raise(#[from] RaiseError),
}

impl ReceiptError {
    /// The error that the caller gets.
    pub(crate) fn body(&self) -> ErrorBody {
        let refused = |code| ErrorBody::new(code, self.to_string());
        match self {
            Self::TooFast(error) => error.body(),
            Self::Nothing => refused(ErrorCode::BadFrame),
            Self::NotAMember => refused(ErrorCode::NotAMember),
            Self::NotFound => refused(ErrorCode::NotFound),
            Self::Groups(_) | Self::Log(_) | Self::Owner(_) | Self::Clock(_) | Self::Raise(_) => {
                tracing::debug!(error = self as &dyn std::error::Error, "receipt not stored");
                refused(ErrorCode::Unavailable).after_ms(UNAVAILABLE_RETRY_MS)
            }
        }
    }
}

impl From<AskError> for ReceiptError {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Query(QueryError::NotAMember) => Self::NotAMember,
            AskError::Query(QueryError::NotFound) => Self::NotFound,
            error => Self::Owner(error),
        }
    }
}

type Raised = Generations<(ConversationId, UserId), StoredMarks>;

/// Takes receipts; clones share it.
#[derive(Clone)]
pub(crate) struct Receipts {
    connection: Connection,
    stream: Stream,
    router: Arc<Router>,
    groups: Groups,
    past: Past,
    acks: Arc<Acks>,
    directory: Directory,
    rates: Arc<RateLimits>,
    /// What this gateway has raised lately.
    raised: Arc<Mutex<Raised>>,
}

impl Receipts {
    pub(crate) fn new(
        connection: &Connection,
        router: Arc<Router>,
        groups: Groups,
        past: Past,
        acks: Arc<Acks>,
        directory: Directory,
        rates: Arc<RateLimits>,
    ) -> Self {
        let (connection, stream) = (connection.clone(), Stream::open(connection));
        let raised = Arc::new(Mutex::new(Generations::new(RAISED_MAX)));
        Self { connection, stream, router, groups, past, acks, directory, rates, raised }
    }

    /// The stream.
    pub(crate) fn stream(&self) -> &Stream {
        &self.stream
    }

    /// Stores a receipt: when this returns, no reader of the marks finds less.
    ///
    /// # Errors
    /// [`ReceiptError`]; saying it again is harmless.
    pub(crate) async fn take(&self, said: Said) -> Result<(), ReceiptError> {
        let Said { conversation, user, delivered, read, private, .. } = said;
        self.rates.receipt(user)?;
        // Whatever the device knows of what the person wants.
        let private = private || self.directory.read_receipts(user) == Visibility::Nobody;
        let said = Said { private, ..said };
        if delivered.is_none() && read.is_none() {
            return Err(ReceiptError::Nothing);
        }
        self.admit(conversation, user).await?;
        let key = (conversation, user);
        let epoch = self.router.epoch();
        let known = self.lock().get(&key).copied().filter(|known| known.marks.epoch == epoch);
        if let Some(known) = &known
            && is_known(&known.marks, &said)
        {
            return Ok(());
        }
        let reached = self.reach(&said).await?;
        if reached.delivered.is_none() && reached.read.is_none() {
            return Ok(());
        }
        let now = self.past.log().clock().now()?;
        let (delivered, read) = (mark(reached.delivered, now), mark(reached.read, now));
        let wide = reached.member_count > limit::RECEIPTS_TOLD_MEMBERS_MAX;
        let marks = Marks::said(epoch, delivered, read, private, wide);
        let stored = self.stream.raise(conversation, user, marks, known).await?;
        self.remember(key, stored);
        Ok(())
    }

    async fn admit(&self, id: ConversationId, user: UserId) -> Result<(), ReceiptError> {
        let is_member = if id.is_group() {
            self.groups.membership(id, user).await?.is_some()
        } else {
            id.other(user).is_some()
        };
        is_member.then_some(()).ok_or(ReceiptError::NotAMember)
    }

    /// What a receipt comes to: its positions, cut at the end of the conversation.
    async fn reach(&self, said: &Said) -> Result<ReachReply, ReceiptError> {
        let Said { conversation, user: reader, device, delivered, read, .. } = *said;
        let partition = conversation.partition(self.router.partitions());
        let furthest = delivered.max(read).unwrap_or_default();
        let passed = self.router.position(partition).unwrap_or_default();
        // What exists and was not heard of here yet is waited for; what does not exist is not.
        let is_there = furthest <= passed || furthest <= self.past.extent(partition).await?.last;
        let acked = self.acks.required(device, conversation);
        let min_seq = Some(passed).max(acked).max(is_there.then_some(furthest));
        let request = ReachRequest { conversation, reader, delivered, read, min_seq };
        let verb = QueryVerb::Reach;
        Ok(ask(&self.connection, partition, verb, &request, REACH_WITHIN).await?)
    }

    /// Raises again, until dropped, what was raised lately whenever the stream's server was away:
    /// the stream is not synced.
    pub(crate) async fn keep(self) -> std::convert::Infallible {
        let mut interruptions = self.connection.interruptions();
        let mut tick = tokio::time::interval(GENERATION);
        loop {
            tokio::select! {
                _ = tick.tick() => self.lock().pass(),
                changed = interruptions.changed() => {
                    if changed.is_err() {
                        std::future::pending::<()>().await;
                    }
                    let raised = self.lock().take();
                    self.raise_again(raised).await;
                }
            }
        }
    }

    async fn raise_again(&self, mut raised: HashMap<(ConversationId, UserId), StoredMarks>) {
        while !raised.is_empty() {
            let again = raised.into_iter().map(|(key, before)| async move {
                (key, before, self.stream.raise(key.0, key.1, before.marks, None).await)
            });
            let mut again = stream::iter(again).buffer_unordered(RAISED_AT_ONCE);
            let mut left = HashMap::new();
            while let Some((key, before, raised)) = again.next().await {
                match raised {
                    Ok(stored) => self.remember(key, stored),
                    Err(error) => {
                        tracing::debug!(%error, "marks not raised again yet");
                        left.insert(key, before);
                    }
                }
            }
            raised = left;
            if !raised.is_empty() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Of two that were raised at once the further one counts, whichever was answered first.
    fn remember(&self, key: (ConversationId, UserId), stored: StoredMarks) {
        let mut raised = self.lock();
        let is_further = |known: &StoredMarks| known.marks.is_within(&stored.marks);
        if raised.get(&key).is_none_or(is_further) {
            raised.insert(key, stored);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Raised> {
        self.raised.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mark(reached: Option<Reached>, ts: LogTime) -> Option<Mark> {
    reached.map(|Reached { seq, n }| Mark { seq, n, ts })
}

/// Whether the marks say already all that is said.
fn is_known(marks: &Marks, said: &Said) -> bool {
    let read = if said.private { marks.own } else { marks.read };
    said.delivered.is_none_or(|seq| seq <= marks.delivered.seq)
        && said.read.is_none_or(|seq| seq <= read.seq)
}

//! Receipts: the last marks of every member of every conversation, raised with compare-and-set, so
//! that any gateway can raise them and none can take them back.
//!
//! A member has two subjects, by whom the last change concerns. Both are guarded by one sequence,
//! the last of either: so each value is all that was ever said, and of two the later one counts.

use std::collections::HashMap;

use async_nats::header::{HeaderMap, NATS_EXPECTED_LAST_SUBJECT_SEQUENCE};
use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::context::traits::Publisher as _;
use async_nats::jetstream::message::OutboundMessage;
use hansard_model::receipt::{Audience, Marks, ReceiptKey};
use hansard_model::{ConversationId, Seq, UserId};

use crate::connection::Connection;
use crate::direct::{self, BATCH_MAX, BatchRequest, LeaderRequest, ReadError, Stored, unavailable};
use crate::streams::RECEIPTS;
use crate::tail::{Tail, Tailed};

/// Which subjects the expected sequence is of, when not of the message's own alone.
const EXPECTED_OF: &str = "Nats-Expected-Last-Subject-Sequence-Subject";
/// Attempts to raise marks that others raise at the same time: a person has few devices.
const RAISE_ATTEMPTS: u32 = 16;
/// Attempts of a read whose values are replaced while it is answered.
const READ_ATTEMPTS: u32 = 5;
/// After an interruption a reader begins this many before where it was: the stream is not synced,
/// and a server that was killed may have lost the last of it and stored others in their place.
const READ_AGAIN: u64 = 512;

/// The receipts; clones share them.
#[derive(Clone)]
pub struct Receipts {
    connection: Connection,
}

/// Marks as the stream holds them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoredMarks {
    /// Where in the stream.
    pub seq: Seq,
    /// Whose, and whom the change concerns.
    pub key: ReceiptKey,
    /// All of them.
    pub marks: Marks,
}

/// Why marks were not raised; perhaps they were.
#[derive(Debug, thiserror::Error)]
pub enum RaiseError {
    /// The stream's server did not answer.
    #[error("the receipts do not answer")]
    Unavailable(#[source] async_nats::Error),
    /// What is stored could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// Too many others raise the same marks.
    #[error("the marks are contended")]
    Contended,
}

/// Some marks that are asked for at once.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    /// Where.
    pub conversation: ConversationId,
    /// How many members it has, about.
    pub members: usize,
}

/// What changed in some conversations.
#[derive(Debug, Default)]
pub struct Changed {
    /// Ascending by place in the stream.
    pub marks: Vec<StoredMarks>,
    /// Conversations in which more people have marks than one answer names: of these nothing is in
    /// `marks`, and [`Receipts::changed_of`] gives what their members have.
    pub crowded: Vec<ConversationId>,
}

impl Receipts {
    /// The receipts of a deployment.
    pub fn open(connection: &Connection) -> Self {
        Self { connection: connection.clone() }
    }

    /// Raises the marks of a member to what was `said`, and gives what is stored then. `known` is
    /// what was stored last, as far as the caller knows: right, it saves a read; wrong, it costs
    /// one.
    ///
    /// # Errors
    /// [`RaiseError`]; saying it again is harmless.
    pub async fn raise(
        &self,
        conversation: ConversationId,
        user: UserId,
        said: Marks,
        known: Option<StoredMarks>,
    ) -> Result<StoredMarks, RaiseError> {
        let mut last = match known {
            Some(known) => Some(known),
            None => self.last(conversation, user).await?,
        };
        for _ in 0..RAISE_ATTEMPTS {
            if let Some(stored) = last
                && said.is_within(&stored.marks)
            {
                return Ok(stored);
            }
            let before = last.map(|stored| stored.marks).unwrap_or_default();
            let marks = Marks { wide: said.wide, ..before.merge(said) };
            let is_told = marks.differs_for_others(&before);
            let audience = if is_told { Audience::Members } else { Audience::Own };
            let key = ReceiptKey { conversation, user, audience };
            let expected = last.map_or(Seq::ZERO, |stored| stored.seq);
            match self.put(key, &marks, expected).await? {
                Some(seq) => return Ok(StoredMarks { seq, key, marks }),
                None => last = self.last(conversation, user).await?,
            }
        }
        Err(RaiseError::Contended)
    }

    /// Writes marks while the last of the member's is at `expected`; `None`: it is not.
    async fn put(
        &self,
        key: ReceiptKey,
        marks: &Marks,
        expected: Seq,
    ) -> Result<Option<Seq>, RaiseError> {
        let payload = serde_json::to_vec(marks).map_err(unavailable)?;
        let mut headers = HeaderMap::new();
        headers.insert(NATS_EXPECTED_LAST_SUBJECT_SEQUENCE, expected.to_string());
        headers.insert(EXPECTED_OF, ReceiptKey::of_member(key.conversation, key.user));
        let message = OutboundMessage::new(key.to_string().into(), payload.into(), Some(headers));
        let stored = async {
            let pending = self.connection.jetstream.publish_message(message).await?;
            pending.await
        };
        match stored.await {
            Ok(ack) => Ok(Some(Seq(ack.sequence))),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => Ok(None),
            Err(error) => Err(RaiseError::Unavailable(error.into())),
        }
    }

    /// The marks of a member, from the leader.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn last(
        &self,
        conversation: ConversationId,
        user: UserId,
    ) -> Result<Option<StoredMarks>, ReadError> {
        let subject = ReceiptKey::of_member(conversation, user);
        let request = LeaderRequest { last_by_subj: Some(subject), ..LeaderRequest::default() };
        let found = direct::leader_get(&self.connection, RECEIPTS, &request).await?;
        Ok(found.as_ref().and_then(read))
    }

    /// The marks of a user in each of these conversations; those that have none are left out.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn of_user(
        &self,
        user: UserId,
        conversations: impl IntoIterator<Item = ConversationId>,
    ) -> Result<HashMap<ConversationId, StoredMarks>, ReadError> {
        let subjects: Vec<String> = conversations
            .into_iter()
            .map(|conversation| ReceiptKey::of_member(conversation, user))
            .collect();
        let mut marks: HashMap<ConversationId, StoredMarks> = HashMap::new();
        // Two for each.
        for chunk in subjects.chunks(BATCH_MAX / 2) {
            for stored in self.last_of(chunk.to_vec()).await? {
                let place = marks.entry(stored.key.conversation).or_insert(stored);
                if stored.seq > place.seq {
                    *place = stored;
                }
            }
        }
        Ok(marks)
    }

    /// What others may know of these members' marks; of those who have none, nothing.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn of_members(
        &self,
        conversation: ConversationId,
        members: &[UserId],
    ) -> Result<HashMap<UserId, Marks>, ReadError> {
        let mut marks = HashMap::with_capacity(members.len());
        for chunk in members.chunks(BATCH_MAX) {
            let told = chunk.iter().map(|user| told(conversation, *user));
            let found = self.last_of(told.collect()).await?;
            marks.extend(found.into_iter().map(|stored| (stored.key.user, stored.marks)));
        }
        Ok(marks)
    }

    /// What changed after `after` in these conversations for one reader: what members, and former
    /// ones, have told, and the reader's own.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn changed(
        &self,
        reader: UserId,
        wanted: &[Wanted],
        after: Seq,
    ) -> Result<Changed, ReadError> {
        let mut changed = Changed::default();
        // Former members have marks as well: nobody knows how many, and the server refuses a
        // request that matches too many. Then it is asked for half of it.
        let mut asks: Vec<&[Wanted]> = batches(wanted);
        while let Some(ask) = asks.pop() {
            let subjects = ask.iter().flat_map(|Wanted { conversation, .. }| {
                let (told, own) = (ReceiptKey::told_in(*conversation), own(*conversation, reader));
                [told, own]
            });
            match (self.last_of(subjects.collect()).await, ask) {
                (Ok(marks), _) => changed.marks.extend(marks),
                (Err(ReadError::TooMany), [crowded]) => changed.crowded.push(crowded.conversation),
                (Err(ReadError::TooMany), _) => {
                    let (one, other) = ask.split_at(ask.len() / 2);
                    asks.extend([one, other]);
                }
                (Err(error), _) => return Err(error),
            }
        }
        changed.marks.retain(|stored| stored.seq > after);
        changed.marks.sort_unstable_by_key(|stored| stored.seq);
        Ok(changed)
    }

    /// As [`Receipts::changed`], in one conversation, of these members only, however many others
    /// have marks there.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn changed_of(
        &self,
        reader: UserId,
        conversation: ConversationId,
        members: &[UserId],
        after: Seq,
    ) -> Result<Vec<StoredMarks>, ReadError> {
        let mut changed = self.last_of(vec![own(conversation, reader)]).await?;
        for chunk in members.chunks(BATCH_MAX) {
            let told = chunk.iter().map(|user| told(conversation, *user));
            changed.extend(self.last_of(told.collect()).await?);
        }
        changed.retain(|stored| stored.seq > after);
        changed.sort_unstable_by_key(|stored| stored.seq);
        Ok(changed)
    }

    /// The last values of these subjects. The stream has one replica: it answers for itself.
    async fn last_of(&self, subjects: Vec<String>) -> Result<Vec<StoredMarks>, ReadError> {
        if subjects.is_empty() {
            return Ok(Vec::new());
        }
        let request =
            BatchRequest { multi_last: subjects, batch: BATCH_MAX, ..BatchRequest::default() };
        for _ in 0..READ_ATTEMPTS {
            let mut marks = Vec::new();
            let each = |stored: Stored| marks.extend(read(&stored));
            match direct::batch_each(&self.connection, RECEIPTS, &request, each).await {
                Ok(false) => return Ok(marks),
                Ok(true) => return Err(ReadError::TooMany),
                Err(ReadError::Replaced) => {}
                Err(error) => return Err(error),
            }
        }
        Err(ReadError::Replaced)
    }

    /// The last place in the stream, from the leader.
    ///
    /// # Errors
    /// [`ReadError`]
    pub async fn end(&self) -> Result<Seq, ReadError> {
        Ok(direct::leader_info(&self.connection, RECEIPTS).await?.last)
    }

    /// Follows the stream from just after `after`, for ever. What was replaced before it was read
    /// is not seen: its successor is.
    pub fn follow(&self, after: Seq) -> ReceiptReader {
        ReceiptReader { tail: Tail::new(&self.connection, RECEIPTS, after, READ_AGAIN) }
    }
}

/// A reader of the receipts. It survives lost connections by itself, and may give some again.
pub struct ReceiptReader {
    tail: Tail,
}

impl ReceiptReader {
    /// The next marks. Waits for ever; safe to drop while it waits.
    pub async fn next(&mut self) -> StoredMarks {
        loop {
            let Tailed { seq, subject, payload, .. } = self.tail.next().await;
            match parse(seq, &subject, &payload) {
                Some(stored) => return stored,
                None => tracing::warn!(receipt.seq = seq.0, "a receipt cannot be read"),
            }
        }
    }
}

/// Cut to what one answer probably has room for.
fn batches(wanted: &[Wanted]) -> Vec<&[Wanted]> {
    let (mut batches, mut rest, mut weight) = (Vec::new(), wanted, 0);
    let mut at = 0;
    while at < rest.len() {
        let of_it = 2 * rest[at].members + 2;
        if weight + of_it > BATCH_MAX && at > 0 {
            let (batch, next) = rest.split_at(at);
            batches.push(batch);
            (rest, at, weight) = (next, 0, 0);
        }
        weight += of_it;
        at += 1;
    }
    if !rest.is_empty() {
        batches.push(rest);
    }
    batches
}

fn own(conversation: ConversationId, user: UserId) -> String {
    ReceiptKey { conversation, user, audience: Audience::Own }.to_string()
}

fn told(conversation: ConversationId, user: UserId) -> String {
    ReceiptKey { conversation, user, audience: Audience::Members }.to_string()
}

fn read(stored: &Stored) -> Option<StoredMarks> {
    let parsed = parse(stored.seq, &stored.subject, &stored.payload);
    if parsed.is_none() {
        tracing::warn!(receipt.seq = stored.seq.0, "a receipt cannot be read");
    }
    parsed
}

fn parse(seq: Seq, subject: &str, payload: &[u8]) -> Option<StoredMarks> {
    let (key, marks) = (subject.parse().ok()?, serde_json::from_slice(payload).ok()?);
    Some(StoredMarks { seq, key, marks })
}

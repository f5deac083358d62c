//! The inbox: conversations as one user sees them, from the bucket that projectors keep, made
//! exact by asking the owners of partitions that the bucket is behind of.

mod known;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::try_join_all;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use hansard_model::inbox::{Head, MemberRecord};
use hansard_model::query::{
    ChangedReply, ChangedRequest, ConversationRequest, InboxEntry, QueryError,
};
use hansard_model::receipt::Mark;
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, PartitionCount, PartitionId, Role, Seq, UserId};
use hansard_nats::Connection;
use hansard_nats::inbox::{InboxBucket, Memberships};
use hansard_nats::log::ReadError;
use hansard_nats::query::{AskError, ask};
use hansard_nats::receipts::Receipts;
use hansard_protocol::http::{Conversation, ConversationKind};
use hansard_protocol::server::EventFrame;
use hansard_protocol::{ErrorBody, ErrorCode};

use self::known::Known;
use crate::accounts::Directory;
use crate::http::UNAVAILABLE_RETRY_MS;
use crate::metrics;
use crate::reads::Reads;
use crate::router::Router;

/// How long the bucket or an owner may take.
const READ_WITHIN: Duration = Duration::from_secs(3);
/// Conversations of one inbox whose mentions owners count at once.
const COUNTS_AT_ONCE: usize = 16;
/// Answers of `changed` that one owner may give for one read: what is cut is asked for again.
const CHANGED_PAGES_MAX: usize = 64;

/// Why there is no inbox.
#[derive(Debug, thiserror::Error)]
pub(crate) enum InboxError {
    /// The bucket does not answer.
    #[error("the inbox does not answer")]
    Bucket(#[from] ReadError),
    /// An owner does not answer.
    #[error("the inbox is behind")]
    Owner(#[from] AskError),
    /// Either took too long.
    #[error("the inbox took too long")]
    Late,
}

impl InboxError {
    /// The error that the caller gets.
    pub(crate) fn body(&self) -> ErrorBody {
        match self {
            Self::Owner(AskError::Query(QueryError::NotAMember)) => {
                ErrorBody::new(ErrorCode::NotAMember, "not a member of the conversation")
            }
            Self::Bucket(_) | Self::Owner(_) | Self::Late => {
                ErrorBody::new(ErrorCode::Unavailable, self.to_string())
                    .after_ms(UNAVAILABLE_RETRY_MS)
            }
        }
    }
}

/// Reads inboxes; clones share it.
#[derive(Clone)]
pub(crate) struct Inbox {
    connection: Connection,
    bucket: InboxBucket,
    partitions: PartitionCount,
    router: Arc<Router>,
    directory: Directory,
    receipts: Receipts,
    reads: Arc<Reads<(UserId, Vec<Seq>), Shared>>,
    known: Arc<Known>,
}

/// An inbox that several wait for.
type Shared = Result<Arc<Vec<InboxEntry>>, Arc<InboxError>>;

impl Inbox {
    /// Over the bucket of a deployment.
    pub(crate) fn new(
        connection: &Connection,
        partitions: PartitionCount,
        router: Arc<Router>,
        directory: Directory,
    ) -> Self {
        Self {
            connection: connection.clone(),
            bucket: InboxBucket::open(connection, partitions),
            partitions,
            router,
            directory,
            receipts: Receipts::open(connection),
            reads: Arc::default(),
            known: Arc::new(Known::new()),
        }
    }

    /// How many partitions the log has.
    pub(crate) fn partitions(&self) -> PartitionCount {
        self.partitions
    }

    /// All conversations of a user, unordered, former memberships included (without a role): exact
    /// as of the feed's position at the time of the call, and of `min` where that is later.
    ///
    /// # Errors
    /// [`InboxError`]; never an older truth.
    pub(crate) async fn entries(
        &self,
        user: UserId,
        min: &[(ConversationId, Seq)],
    ) -> Result<Vec<InboxEntry>, InboxError> {
        let required = self.required(min);
        let read = async { Ok(self.read(user, &required).await?.into_entries()) };
        tokio::time::timeout(READ_WITHIN, read).await.unwrap_or(Err(InboxError::Late))
    }

    /// From what is remembered, where something is.
    async fn as_of(&self, user: UserId, required: &[Seq]) -> Result<Vec<InboxEntry>, InboxError> {
        let (epoch, asked) = (self.router.epoch(), Instant::now());
        let read = async {
            let view = match self.known.of(user, epoch) {
                Some(view) => {
                    metrics::inbox_remembered();
                    self.catch_up(user, view, required).await?
                }
                None => self.read(user, required).await?,
            };
            if view.is_whole() {
                self.known.note(user, epoch, &view, asked);
            }
            Ok(view.into_entries())
        };
        tokio::time::timeout(READ_WITHIN, read).await.unwrap_or(Err(InboxError::Late))
    }

    /// From the bucket, and from the owners of the partitions where it is behind.
    async fn read(&self, user: UserId, required: &[Seq]) -> Result<BucketView, InboxError> {
        let memberships = self.bucket.memberships(user).await?;
        let mut view = BucketView::new(self.partitions, memberships);
        // Who is known to be behind is asked while the heads are read: what a head tells that its
        // owner had not applied when it answered, is asked for below.
        let conversations = view.conversations();
        let heads = async { Ok(self.bucket.heads(&conversations).await?) };
        let (heads, answers) =
            tokio::try_join!(heads, self.ask_owners(user, view.behind(required), required))?;
        view.heads = heads;
        view.take(answers);
        let answers = self.ask_owners(user, view.inconsistent(), required).await?;
        view.take(answers);
        Ok(view)
    }

    /// From what was known a moment ago, and from the owners of the partitions that have moved on.
    async fn catch_up(
        &self,
        user: UserId,
        mut view: BucketView,
        required: &[Seq],
    ) -> Result<BucketView, InboxError> {
        view.positions.clone_from(&view.covered);
        let answers = self.ask_owners(user, view.behind(required), required).await?;
        view.take(answers);
        Ok(view)
    }

    /// The log is another than it was: what was read of it is forgotten.
    pub(crate) fn forget(&self) {
        self.known.forget();
    }

    /// As [`Inbox::entries`], for who reads page after page: identical reads at the same time are
    /// one, and the next goes on from it.
    ///
    /// # Errors
    /// [`InboxError`]
    pub(crate) async fn shared(&self, user: UserId, min: &[(ConversationId, Seq)]) -> Shared {
        let required = self.required(min);
        let inbox = self.clone();
        let question = (user, required.clone());
        let read =
            || async move { inbox.as_of(user, &required).await.map(Arc::new).map_err(Arc::new) };
        self.reads.ask(question, read).await
    }

    /// As [`Inbox::shared`], for who asks with every key that is pressed: an inbox as it was up to
    /// [`known::LATELY`] ago, if `min` is in it.
    ///
    /// # Errors
    /// [`InboxError`]
    pub(crate) async fn lately(&self, user: UserId, min: &[(ConversationId, Seq)]) -> Shared {
        match self.known.lately(user, self.router.epoch(), min) {
            Some(view) => Ok(Arc::new(view.into_entries())),
            None => self.shared(user, min).await,
        }
    }

    /// What each partition must have applied: what the feed has delivered, and `min`.
    pub(crate) fn required(&self, min: &[(ConversationId, Seq)]) -> Vec<Seq> {
        let mut required = self.router.positions();
        required.resize(usize::from(self.partitions.get()), Seq::ZERO);
        for (conversation, seq) in min {
            let position = &mut required[conversation.partition(self.partitions).index()];
            *position = (*position).max(*seq);
        }
        required
    }

    async fn ask_owners(
        &self,
        user: UserId,
        partitions: Vec<(PartitionId, Seq)>,
        required: &[Seq],
    ) -> Result<Vec<Changed>, InboxError> {
        metrics::inbox_owners_asked(partitions.len());
        let asked = partitions.into_iter().map(|(partition, after)| {
            let min_seq = required[partition.index()];
            self.changed(user, partition, after, min_seq)
        });
        try_join_all(asked).await
    }

    async fn changed(
        &self,
        user: UserId,
        partition: PartitionId,
        mut after: Seq,
        min_seq: Seq,
    ) -> Result<Changed, InboxError> {
        let mut entries = Vec::new();
        for _ in 0..CHANGED_PAGES_MAX {
            let request = ChangedRequest { user, after, min_seq: Some(min_seq) };
            let verb = QueryVerb::Changed;
            let reply: ChangedReply =
                ask(&self.connection, partition, verb, &request, READ_WITHIN).await?;
            entries.extend(reply.items);
            if !reply.more {
                return Ok(Changed { partition, entries, as_of: reply.as_of });
            }
            after = reply.as_of;
        }
        Err(InboxError::Late)
    }

    /// One conversation of a user, exact as of `min` and of the feed's position; `None` when
    /// nothing was said in a direct one.
    ///
    /// # Errors
    /// [`InboxError`]; [`QueryError::NotAMember`] inside when the user never was one.
    pub(crate) async fn entry(
        &self,
        user: UserId,
        conversation: ConversationId,
        min: Option<Seq>,
    ) -> Result<Option<InboxEntry>, InboxError> {
        let partition = conversation.partition(self.partitions);
        let min: Vec<_> = min.map(|seq| (conversation, seq)).into_iter().collect();
        let min_seq = self.required(&min).get(partition.index()).copied();
        let marks = self.read_marks(user, [conversation]).await?;
        let read = marks.get(&conversation).copied();
        let request = ConversationRequest { conversation, reader: user, read, min_seq };
        let verb = QueryVerb::Conversation;
        match ask(&self.connection, partition, verb, &request, READ_WITHIN).await {
            Ok(entry) => Ok(Some(entry)),
            Err(AskError::Query(QueryError::NotFound)) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Those of these conversations in which something was said, as far as the bucket has them.
    ///
    /// # Errors
    /// [`ReadError`]
    pub(crate) async fn spoken(
        &self,
        conversations: &[ConversationId],
    ) -> Result<HashSet<ConversationId>, ReadError> {
        Ok(self.bucket.heads(conversations).await?.into_keys().collect())
    }

    /// How far a user has read, by the receipts; not where they have none.
    pub(crate) async fn read_marks(
        &self,
        user: UserId,
        conversations: impl IntoIterator<Item = ConversationId>,
    ) -> Result<HashMap<ConversationId, Mark>, ReadError> {
        let (epoch, marks) = (self.router.epoch(), self.receipts.of_user(user, conversations));
        let of_this_log = marks.await?.into_iter().filter(|(_, s)| s.marks.epoch == epoch);
        Ok(of_this_log.map(|(conversation, stored)| (conversation, stored.marks.own)).collect())
    }

    /// Takes in what the receipts say of how far the user has read, as of now.
    ///
    /// # Errors
    /// [`InboxError`]
    pub(crate) async fn with_receipts(
        &self,
        user: UserId,
        entries: &mut [InboxEntry],
    ) -> Result<(), InboxError> {
        let is_unread =
            |entry: &&InboxEntry| entry.member.role.is_some() && entry.head.n > entry.member.read_n;
        let unread = entries.iter().filter(is_unread).map(|entry| entry.conversation);
        let marks = self.read_marks(user, unread).await?;
        let mut asked = Vec::new();
        for (place, InboxEntry { conversation, head, member }) in entries.iter_mut().enumerate() {
            let Some(read) = marks.get(conversation).filter(|read| member.is_behind(read)) else {
                continue;
            };
            if member.mentions == 0 || read.seq >= head.seq {
                member.raise(read, 0);
            } else {
                // How many of the mentions are behind the mark, the owner counts.
                let (conversation, read) = (*conversation, Some(*read));
                let min_seq = Some(head.seq.max(member.as_of));
                let request = ConversationRequest { conversation, reader: user, read, min_seq };
                asked.push((place, request));
            }
        }
        let mut answers = stream::iter(asked)
            .map(|(place, request)| async move {
                let partition = request.conversation.partition(self.partitions);
                let verb = QueryVerb::Conversation;
                let entry: InboxEntry =
                    ask(&self.connection, partition, verb, &request, READ_WITHIN).await?;
                Ok::<_, InboxError>((place, entry))
            })
            .buffer_unordered(COUNTS_AT_ONCE);
        while let Some((place, entry)) = answers.try_next().await? {
            entries[place] = entry;
        }
        Ok(())
    }

    /// An entry as its user sees it, with what they set for it.
    pub(crate) fn view(&self, user: UserId, entry: &InboxEntry) -> Conversation {
        let InboxEntry { conversation, head, member } = entry;
        let settings = self.directory.settings(user, *conversation);
        let is_member = member.role.is_some();
        let last = head.last.as_ref().map(|last| EventFrame {
            conversation: *conversation,
            seq: last.seq,
            prev: last.prev,
            n: last.n,
            ts: last.ts,
            body: last.body.clone(),
            state: None,
        });
        Conversation {
            conversation: *conversation,
            kind: kind_of(*conversation),
            title: head.title.clone(),
            with: conversation.other(user),
            role: member.role,
            member_count: head.member_count,
            view_from: member.view_from,
            last,
            read: member.read,
            unread: if is_member { head.n.saturating_sub(member.read_n) } else { 0 },
            mentions: if is_member { member.mentions } else { 0 },
            muted_until: settings.muted_until,
            pinned: settings.pinned,
            archived: settings.archived,
            as_of: head.seq.max(member.as_of),
        }
    }

    /// Adds the direct conversations among `conversations` in which nothing was said yet.
    pub(crate) fn add_unspoken(
        &self,
        user: UserId,
        conversations: &[ConversationId],
        entries: &mut Vec<InboxEntry>,
    ) {
        let known: HashSet<ConversationId> =
            entries.iter().map(|entry| entry.conversation).collect();
        let unspoken = conversations
            .iter()
            .filter(|c| c.other(user).is_some() && !known.contains(*c))
            .map(|conversation| unspoken(user, *conversation));
        entries.extend(unspoken);
    }

    /// A direct conversation in which nothing was said yet.
    pub(crate) fn unspoken(&self, user: UserId, conversation: ConversationId) -> Conversation {
        self.view(user, &unspoken(user, conversation))
    }
}

/// The entry of a direct conversation in which nothing was said yet.
fn unspoken(user: UserId, conversation: ConversationId) -> InboxEntry {
    let with = conversation.other(user);
    let head = Head {
        seq: Seq::ZERO,
        ts: hansard_model::LogTime::default(),
        n: 0,
        title: None,
        member_count: if with == Some(user) { 1 } else { 2 },
        last: None,
    };
    let member = MemberRecord {
        role: Some(Role::Member),
        joined: Seq::ZERO,
        view_from: Seq::ZERO,
        view_to: None,
        read: Seq::ZERO,
        read_n: 0,
        mentions: 0,
        as_of: Seq::ZERO,
    };
    InboxEntry { conversation, head, member }
}

fn kind_of(conversation: ConversationId) -> ConversationKind {
    if conversation.is_group() { ConversationKind::Group } else { ConversationKind::Direct }
}

/// What an owner says of one user.
struct Changed {
    partition: PartitionId,
    /// Everything that changed after the bucket's position.
    entries: Vec<InboxEntry>,
    /// Complete up to here.
    as_of: Seq,
}

/// What the bucket says of one user; heads may be missing or newer than the positions.
#[derive(Clone)]
struct BucketView {
    partitions: PartitionCount,
    /// The bucket's.
    positions: Vec<Seq>,
    /// Up to where each partition is known: by the bucket, or by its owner.
    covered: Vec<Seq>,
    members: HashMap<ConversationId, MemberRecord>,
    heads: HashMap<ConversationId, Head>,
}

impl BucketView {
    fn new(partitions: PartitionCount, memberships: Memberships) -> Self {
        let Memberships { records, positions } = memberships;
        let members = records.into_iter().collect();
        Self { partitions, covered: positions.clone(), positions, members, heads: HashMap::new() }
    }

    fn conversations(&self) -> Vec<ConversationId> {
        self.members.keys().copied().collect()
    }

    /// The partitions of which not all that is required has been written, and after which position
    /// their owners are to be asked.
    fn behind(&self, required: &[Seq]) -> Vec<(PartitionId, Seq)> {
        let is_behind = |partition: &PartitionId| {
            let index = partition.index();
            required.get(index).is_some_and(|required| self.positions[index] < *required)
        };
        let behind = self.partitions.partitions().filter(is_behind);
        behind.map(|partition| (partition, self.positions[partition.index()])).collect()
    }

    /// The partitions of which a value is newer than what is covered, or missing. Such a value was
    /// read while its owner was writing, so its companion may be older.
    fn inconsistent(&self) -> Vec<(PartitionId, Seq)> {
        let mut needed = vec![false; self.positions.len()];
        for (conversation, member) in &self.members {
            let index = conversation.partition(self.partitions).index();
            let covered = self.covered[index];
            let is_consistent = self
                .heads
                .get(conversation)
                .is_some_and(|head| head.seq <= covered && member.as_of <= covered);
            needed[index] |= !is_consistent;
        }
        self.partitions
            .partitions()
            .filter(|partition| needed[partition.index()])
            .map(|partition| (partition, self.positions[partition.index()]))
            .collect()
    }

    /// Whether all of these positions are in it.
    fn has(&self, min: &[(ConversationId, Seq)]) -> bool {
        min.iter().all(|(conversation, seq)| {
            self.covered[conversation.partition(self.partitions).index()] >= *seq
        })
    }

    /// Whether nothing of it is missing.
    fn is_whole(&self) -> bool {
        self.inconsistent().is_empty()
    }

    fn take(&mut self, answers: Vec<Changed>) {
        for Changed { partition, entries, as_of } in answers {
            for InboxEntry { conversation, head, member } in entries {
                self.members.insert(conversation, member);
                self.heads.insert(conversation, head);
            }
            let covered = &mut self.covered[partition.index()];
            *covered = as_of.max(*covered);
        }
    }

    fn into_entries(mut self) -> Vec<InboxEntry> {
        let members = std::mem::take(&mut self.members);
        members
            .into_iter()
            .filter_map(|(conversation, member)| {
                let head = self.heads.remove(&conversation)?;
                Some(InboxEntry { conversation, head: seen_by(&member, head), member })
            })
            .collect()
    }
}

/// The part of a shared head that a member may see: nothing from before their view, and nothing,
/// not even the title or the number of members, from after their removal.
fn seen_by(member: &MemberRecord, mut head: Head) -> Head {
    head.last = head.last.filter(|last| last.seq >= member.view_from);
    if let Some(view_to) = member.view_to.filter(|view_to| head.seq > *view_to) {
        head.seq = view_to;
        head.last = head.last.filter(|last| last.seq <= view_to);
        head.ts = head.last.as_ref().map_or(hansard_model::LogTime::default(), |last| last.ts);
        head.n = member.read_n;
        head.title = None;
        head.member_count = 0;
    }
    head
}

#[cfg(test)]
mod tests;

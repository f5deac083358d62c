//! The group: created with its first members, then grown by one event for each.
//!
//! Meta events carry the last sequence that their subject must have. Many are sent at once all the
//! same: each expects the sequence that follows the one before it, which is right as long as nobody
//! else writes to the partition. A wrong guess is refused, and so is everything behind it; then the
//! log is read, and fewer are sent at once.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use anyhow::bail;
use bytes::Bytes;
use hansard_model::draft::Draft;
use hansard_model::event::{Event, EventClass, GroupCreated, MemberChanged, MemberOp, Role};
use hansard_model::record::EventKey;
use hansard_model::{
    ConversationId, Envelope, Group, MessageId, Record, Seq, UserId, envelope, limit,
};
use hansard_nats::Log;
use hansard_nats::log::{Append, AppendError};

use super::id::Ids;
use super::insist;
use super::say::vouch;

/// Members added at once at most.
const WINDOW_MAX: usize = 256;
/// Attempts without any progress before the import gives up.
const FRUITLESS_MAX: u32 = 60;
/// Pause before the log is asked again when it does not answer.
const PAUSE: Duration = Duration::from_millis(500);

/// The meta events of the group, folded.
pub(super) struct GroupLog<'a> {
    log: &'a Log,
    ids: &'a Ids,
    conversation: ConversationId,
    group: Group,
    /// Whoever was a member at any time: a person who left is not brought back.
    ever: HashSet<UserId>,
    /// Void attempts, by id: the stream would call another attempt a duplicate of them.
    void: HashMap<MessageId, Vec<Seq>>,
    creation: Option<MessageId>,
}

impl<'a> GroupLog<'a> {
    pub(super) async fn read(log: &'a Log, ids: &'a Ids) -> anyhow::Result<Self> {
        let mut group = Self {
            log,
            ids,
            conversation: ConversationId::Group(ids.group()),
            group: Group::default(),
            ever: HashSet::new(),
            void: HashMap::new(),
            creation: None,
        };
        insist(async || group.catch_up().await).await?;
        Ok(group)
    }

    async fn catch_up(&mut self) -> anyhow::Result<()> {
        let to = self.log.last_meta_seq(self.conversation).await?;
        while self.group.last() < to {
            let after = self.group.last();
            let (records, reached) = self.log.meta_events(self.conversation, after, to).await?;
            self.fold(records)?;
            self.group.advance(reached);
        }
        Ok(())
    }

    fn fold(&mut self, records: Vec<Record<Bytes>>) -> anyhow::Result<()> {
        for record in records {
            if record.is_void() {
                if let Some(key) = record.key {
                    self.void.entry(key.id).or_default().push(record.seq);
                }
                continue;
            }
            let envelope = Envelope::decode(&record.payload)?;
            match &envelope.event {
                Event::Create(create) => {
                    self.creation = Some(envelope.id);
                    self.ever.extend(create.members.iter().chain([&envelope.sender]));
                }
                Event::Member(change) => {
                    self.ever.insert(change.user);
                }
                _ => {}
            }
            self.group.apply(record.seq, envelope.sender, &envelope.event);
        }
        Ok(())
    }

    /// Fails when the group is there and somebody else's: an import makes no owners.
    pub(super) fn check_owner(&self, owner: UserId) -> anyhow::Result<()> {
        let is_owner =
            self.group.member(owner).is_some_and(|membership| membership.role == Role::Owner);
        if self.group.created().is_some() && !is_owner {
            bail!("the group is there already and has another owner: --owner is for a new one");
        }
        Ok(())
    }

    /// Fails when the group would be larger than the deployment allows.
    pub(super) fn check_room(
        &self,
        users: &[UserId],
        owner: UserId,
        limit: usize,
    ) -> anyhow::Result<()> {
        let new: HashSet<_> =
            users.iter().chain([&owner]).filter(|user| !self.ever.contains(user)).collect();
        let members = self.group.members().len() + new.len();
        if members > limit {
            bail!(
                "the group would have {members} members and may have {limit}: start the gateways \
                 with --group-limit {members} (or more), and say the same here"
            );
        }
        Ok(())
    }

    /// Creates the group if need be, and adds who was never in it.
    pub(super) async fn create(
        &mut self,
        title: &str,
        owner: UserId,
        users: &[UserId],
    ) -> anyhow::Result<()> {
        let mut fruitless = 0;
        let mut window = WINDOW_MAX;
        loop {
            let before = self.ever.len();
            let outcome = if self.group.created().is_none() {
                self.append_creation(title, owner, users).await
            } else {
                let missing: Vec<_> =
                    users.iter().copied().filter(|user| !self.ever.contains(user)).collect();
                if missing.is_empty() {
                    return Ok(());
                }
                self.append_members(owner, &missing[..missing.len().min(window)]).await
            };
            let read = match self.catch_up().await {
                Ok(()) => outcome,
                Err(error) => Err(error),
            };
            window = match &read {
                Ok(()) => (window * 2).min(WINDOW_MAX),
                Err(_) => (window / 2).max(1),
            };
            if self.ever.len() > before {
                fruitless = 0;
            } else {
                fruitless += 1;
                if fruitless > FRUITLESS_MAX {
                    read?;
                    bail!("the group does not grow: run the same import again");
                }
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    async fn append_creation(
        &self,
        title: &str,
        owner: UserId,
        users: &[UserId],
    ) -> anyhow::Result<()> {
        let members = users.iter().copied().filter(|user| *user != owner);
        let members = members.take(limit::CREATE_MEMBERS_MAX).collect();
        let event = Event::Create(GroupCreated { title: Some(title.to_owned()), members });
        let id = self.ids.creation(self.log.clock().now()?);
        let append = self.append(owner, id, &Draft::of(event), self.group.last())?;
        self.log.append(append).await?.await?;
        Ok(())
    }

    async fn append_members(&self, owner: UserId, users: &[UserId]) -> anyhow::Result<()> {
        let mut pending = Vec::with_capacity(users.len());
        let mut failed = None;
        for (expected, user) in (self.group.last().0..).zip(users) {
            let change = MemberChanged { user: *user, op: MemberOp::Add, role: None };
            let draft = Draft::of(Event::Member(change));
            let append = self.append(owner, self.ids.membership(*user), &draft, Seq(expected))?;
            match self.log.append(append).await {
                Ok(append) => pending.push(append),
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        for append in pending {
            match append.await {
                Ok(_) => {}
                Err(error @ AppendError::Unknown) => failed = Some(error),
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(()), |error| Err(error.into()))
    }

    fn append(
        &self,
        sender: UserId,
        id: MessageId,
        draft: &Draft,
        expected: Seq,
    ) -> anyhow::Result<Append> {
        Ok(Append {
            key: EventKey { conversation: self.conversation, sender, id },
            void: self.void.get(&id).cloned().unwrap_or_default(),
            class: EventClass::Meta,
            kind: draft.event().kind(),
            vouch_until: vouch(self.log.clock())?,
            expected: Some(expected),
            payload: envelope::encode(id, sender, self.ids.device(), draft).into(),
        })
    }
}

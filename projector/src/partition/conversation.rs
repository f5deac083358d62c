//! One conversation: who is in it, since when, and how far each has read.

use std::collections::{BTreeMap, HashMap};

use hansard_model::event::Mention;
use hansard_model::inbox::MemberRecord;
use hansard_model::{ConversationId, Event, Group, LogTime, Role, Seq, UserId};

/// The state of a conversation that is not its history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    pub(crate) id: ConversationId,
    /// The last valid event.
    pub(crate) last: Seq,
    /// When it was stored.
    pub(crate) last_ts: LogTime,
    /// How many messages there are.
    pub(crate) n: u64,
    /// The fold of a group; `None` for a direct conversation.
    group: Option<Box<Group>>,
    members: HashMap<UserId, Member>,
    /// Messages that mention somebody, as they stand now.
    mentions: BTreeMap<Seq, Mentioning>,
}

/// A person who is or was in the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) record: MemberRecord,
    /// What the group was called, and how large it was, when they ceased to see it.
    pub(crate) farewell: Option<Box<Farewell>>,
}

/// What a former member last saw of a group besides its events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Farewell {
    pub(crate) title: Option<String>,
    pub(crate) member_count: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Mentioning {
    sender: UserId,
    mentions: Box<[Mention]>,
}

/// Whose record an event changed, and how. Somebody may be named twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    /// They see the conversation for the first time.
    pub(crate) met: Vec<UserId>,
    /// They became members of a group (first or again).
    pub(crate) joined: Vec<UserId>,
    /// They ceased to be members, or got another role.
    pub(crate) left_or_ranked: Vec<UserId>,
    /// Their marks moved.
    pub(crate) marked: Vec<UserId>,
}

impl Conversation {
    pub(crate) fn new(id: ConversationId) -> Self {
        Self {
            id,
            last: Seq::ZERO,
            last_ts: LogTime::default(),
            n: 0,
            group: id.is_group().then(Box::default),
            members: HashMap::new(),
            mentions: BTreeMap::new(),
        }
    }

    /// Takes the next valid event into the chain: its position, and its ordinal if it is a message.
    pub(crate) fn advance(&mut self, seq: Seq, ts: LogTime, is_message: bool) {
        self.last = seq;
        self.last_ts = ts;
        self.n += u64::from(is_message);
    }

    /// Folds the event at [`Conversation::last`]. `took` says whether the message that it refers
    /// to was there to be changed.
    pub(crate) fn fold(&mut self, sender: UserId, event: &Event, took: bool) -> Changes {
        let mut changes = Changes::default();
        self.meet_the_two(&mut changes);
        match event {
            Event::Message(message) => self.message(sender, &message.mentions, &mut changes),
            Event::Edit(edit) if took => {
                self.mention(edit.target, sender, &edit.mentions, &mut changes);
            }
            Event::Delete(delete) if took => {
                self.mention(delete.target, sender, &[], &mut changes);
            }
            Event::Create(_) | Event::Member(_) | Event::Title(_) | Event::Settings(_) => {
                self.govern(sender, event, &mut changes);
            }
            Event::Edit(_) | Event::Delete(_) | Event::Reaction(_) | Event::Pin(_) => {}
        }
        changes
    }

    /// Takes note of the event at [`Conversation::last`], which could not be read.
    pub(crate) fn witness(&mut self) -> Changes {
        let mut changes = Changes::default();
        self.meet_the_two(&mut changes);
        changes
    }

    /// A direct conversation begins for both with its first event, whoever sent it.
    fn meet_the_two(&mut self, changes: &mut Changes) {
        let ConversationId::Direct(x, y) = self.id else { return };
        if !self.members.is_empty() {
            return;
        }
        let record =
            MemberRecord { read: Seq::ZERO, read_n: 0, ..self.record_at_last(Role::Member) };
        for user in [x, y] {
            if self.members.insert(user, Member { record, farewell: None }).is_none() {
                changes.met.push(user);
            }
        }
    }

    fn record_at_last(&self, role: Role) -> MemberRecord {
        MemberRecord {
            role: Some(role),
            joined: self.last,
            view_from: self.last,
            view_to: None,
            read: self.last,
            read_n: self.n,
            mentions: 0,
            as_of: self.last,
        }
    }

    fn message(&mut self, sender: UserId, mentions: &[Mention], changes: &mut Changes) {
        let (last, n) = (self.last, self.n);
        if let Some(Member { record, .. }) = self.members.get_mut(&sender)
            && record.role.is_some()
        {
            (record.read, record.read_n, record.mentions, record.as_of) = (last, n, 0, last);
            changes.marked.push(sender);
        }
        if !mentions.is_empty() {
            self.mention(last, sender, mentions, changes);
        }
    }

    /// Replaces the mentions of a message, and corrects who has it among the unread.
    fn mention(
        &mut self,
        message: Seq,
        sender: UserId,
        mentions: &[Mention],
        changes: &mut Changes,
    ) {
        let before = self.mentions.remove(&message);
        if before.is_none() && mentions.is_empty() {
            return;
        }
        // An edit is by the author; a deletion need not be.
        let author = before.as_ref().map_or(sender, |before| before.sender);
        let last = self.last;
        for (user, Member { record, .. }) in &mut self.members {
            if record.role.is_none() || message <= record.read {
                continue;
            }
            let is_of = |mentions: &[Mention]| mentions.iter().any(|m| m.is_of(*user, author));
            let was = before.as_ref().is_some_and(|before| is_of(&before.mentions));
            let is = is_of(mentions);
            if was != is {
                record.mentions = (record.mentions + u64::from(is)).saturating_sub(u64::from(was));
                record.as_of = last;
                changes.marked.push(*user);
            }
        }
        if !mentions.is_empty() {
            self.mentions.insert(message, Mentioning { sender: author, mentions: mentions.into() });
        }
    }

    /// Folds a meta event of a group, and brings the members' records in line.
    fn govern(&mut self, sender: UserId, event: &Event, changes: &mut Changes) {
        let Some(mut group) = self.group.take() else { return };
        let before = Farewell {
            title: group.title().map(str::to_owned),
            member_count: group.members().len(),
        };
        group.apply(self.last, sender, event);
        match event {
            Event::Create(_) => {
                let mut members: Vec<UserId> = group.members().map(|(user, _)| user).collect();
                // The order of joining is part of the state: it must not be that of a hash map.
                members.sort_unstable();
                for user in members {
                    self.align(&group, user, &before, changes);
                }
            }
            Event::Member(change) => {
                let last_seen = Farewell { member_count: group.members().len(), ..before };
                self.align(&group, change.user, &last_seen, changes);
            }
            Event::Title(_)
            | Event::Settings(_)
            | Event::Message(_)
            | Event::Edit(_)
            | Event::Delete(_)
            | Event::Reaction(_)
            | Event::Pin(_) => {}
        }
        self.group = Some(group);
    }

    fn align(&mut self, group: &Group, user: UserId, farewell: &Farewell, changes: &mut Changes) {
        let last = self.last;
        let current = self.members.get_mut(&user);
        match (group.member(user), current) {
            (Some(membership), Some(Member { record, .. }))
                if record.role.is_some() && record.joined == membership.joined =>
            {
                if record.role != Some(membership.role) {
                    (record.role, record.as_of) = (Some(membership.role), last);
                    changes.left_or_ranked.push(user);
                }
            }
            (Some(membership), current) => {
                if current.is_none() {
                    changes.met.push(user);
                }
                let record = MemberRecord {
                    view_from: membership.view_from,
                    ..self.record_at_last(membership.role)
                };
                self.members.insert(user, Member { record, farewell: None });
                changes.joined.push(user);
            }
            (None, Some(member)) if member.record.role.is_some() => {
                let record = &mut member.record;
                (record.role, record.view_to, record.as_of) = (None, Some(last), last);
                member.farewell = Some(Box::new(farewell.clone()));
                changes.left_or_ranked.push(user);
            }
            (None, Some(_) | None) => {}
        }
    }

    /// All who are or were in the conversation.
    pub(crate) fn everybody(&self) -> impl Iterator<Item = UserId> {
        self.members.keys().copied()
    }

    /// Somebody who is or was in the conversation.
    pub(crate) fn member(&self, user: UserId) -> Option<&Member> {
        self.members.get(&user)
    }

    /// What the group is called now.
    pub(crate) fn title(&self) -> Option<&str> {
        self.group.as_ref().and_then(|group| group.title())
    }

    /// How many members there are now.
    pub(crate) fn member_count(&self) -> usize {
        self.group.as_ref().map_or(self.members.len(), |group| group.members().len())
    }
}

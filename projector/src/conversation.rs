//! One conversation: who is in it, since when, and how far each has read.

use hansard_model::event::Mention;
use hansard_model::inbox::MemberRecord;
use hansard_model::{ConversationId, Event, Group, LogTime, Role, Seq, UserId};

use crate::rows::{ConversationRow, FarewellRow, MemberRow};

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
    /// The last of them; 0 for none.
    pub(crate) last_message: Seq,
    /// The fold of a group; `None` for a direct conversation.
    group: Option<Box<Group>>,
    members: Members,
}

/// A person who is or was in the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Member {
    pub(crate) record: MemberRecord,
    /// What the group was called, and how large it was, when they ceased to see it.
    pub(crate) farewell: Option<Box<FarewellRow>>,
}

/// The people of a conversation by id. Most conversations have two: a list takes a third of what a
/// hash map does, and those that are in memory need not be read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Members(Vec<(UserId, Member)>);

impl Members {
    fn place(&self, user: UserId) -> Result<usize, usize> {
        self.0.binary_search_by(|(other, _)| other.cmp(&user))
    }

    fn get(&self, user: UserId) -> Option<&Member> {
        self.place(user).ok().map(|place| &self.0[place].1)
    }

    fn get_mut(&mut self, user: UserId) -> Option<&mut Member> {
        self.place(user).ok().map(|place| &mut self.0[place].1)
    }

    /// Adds or replaces; whether there was none.
    fn insert(&mut self, user: UserId, member: Member) -> bool {
        match self.place(user) {
            Ok(place) => {
                self.0[place].1 = member;
                false
            }
            Err(place) => {
                if self.0.is_empty() {
                    self.0.reserve_exact(2);
                }
                self.0.insert(place, (user, member));
                true
            }
        }
    }

    fn iter_mut(&mut self) -> impl Iterator<Item = (&UserId, &mut Member)> {
        self.0.iter_mut().map(|(user, member)| (&*user, member))
    }

    fn len(&self) -> usize {
        self.0.len()
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<(UserId, Member)> for Members {
    fn from_iter<I: IntoIterator<Item = (UserId, Member)>>(members: I) -> Self {
        let mut members: Vec<_> = members.into_iter().collect();
        members.sort_unstable_by_key(|(user, _)| *user);
        members.shrink_to_fit();
        Self(members)
    }
}

/// The message that an event changed, before it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) sender: UserId,
    pub(crate) mentions: Vec<Mention>,
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

impl Member {
    fn of_row(row: MemberRow) -> Self {
        Self { record: row.record(), farewell: row.farewell.map(Box::new) }
    }

    /// Its row.
    pub(crate) fn row(&self) -> MemberRow {
        MemberRow::new(self.record, self.farewell.as_deref().cloned())
    }
}

impl Conversation {
    pub(crate) fn new(id: ConversationId) -> Self {
        Self {
            id,
            last: Seq::ZERO,
            last_ts: LogTime::default(),
            n: 0,
            last_message: Seq::ZERO,
            group: id.is_group().then(Box::default),
            members: Members::default(),
        }
    }

    /// As its rows say.
    pub(crate) fn of_rows(
        id: ConversationId,
        row: &ConversationRow,
        group: Option<Group>,
        members: impl Iterator<Item = (UserId, MemberRow)>,
    ) -> Self {
        let members = members.map(|(user, row)| (user, Member::of_row(row))).collect();
        Self {
            id,
            last: row.last,
            last_ts: LogTime::from_nanos(row.last_ts),
            n: row.n,
            last_message: row.last_message,
            group: id.is_group().then(|| Box::new(group.unwrap_or_default())),
            members,
        }
    }

    /// Its row.
    pub(crate) fn row(&self) -> ConversationRow {
        ConversationRow {
            last: self.last,
            last_ts: self.last_ts.as_nanos(),
            n: self.n,
            last_message: self.last_message,
            title: self.group.as_ref().and_then(|group| group.title()).map(str::to_owned),
            member_count: self.member_count() as u64,
        }
    }

    /// What it costs to keep in memory, in members.
    pub(crate) fn weight(&self) -> u64 {
        self.members.len() as u64 + 4
    }

    /// Takes the next valid event into the chain: its position, and its ordinal if it is a message.
    pub(crate) fn advance(&mut self, seq: Seq, ts: LogTime, is_message: bool) {
        self.last = seq;
        self.last_ts = ts;
        if is_message {
            self.n += 1;
            self.last_message = seq;
        }
    }

    /// Folds the event at [`Conversation::last`]. `target` is the message that it changes, if it
    /// refers to one that can be changed.
    pub(crate) fn fold(
        &mut self,
        sender: UserId,
        event: &Event,
        target: Option<&Target>,
    ) -> Changes {
        let mut changes = Changes::default();
        self.meet_the_two(&mut changes);
        match (event, target) {
            (Event::Message(message), _) => self.message(sender, &message.mentions, &mut changes),
            (Event::Edit(edit), Some(before)) => {
                self.mention(edit.target, before, &edit.mentions, &mut changes);
            }
            (Event::Delete(delete), Some(before)) => {
                self.mention(delete.target, before, &[], &mut changes);
            }
            (Event::Create(_) | Event::Member(_) | Event::Title(_) | Event::Settings(_), _) => {
                self.govern(sender, event, &mut changes)
            }
            (Event::Edit(_) | Event::Delete(_) | Event::Reaction(_) | Event::Pin(_), _) => {}
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
            if self.members.insert(user, Member { record, farewell: None }) {
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
        if let Some(Member { record, .. }) = self.members.get_mut(sender)
            && record.role.is_some()
        {
            (record.read, record.read_n, record.mentions, record.as_of) = (last, n, 0, last);
            changes.marked.push(sender);
        }
        let nobody = Target { sender, mentions: Vec::new() };
        self.mention(last, &nobody, mentions, changes);
    }

    /// Replaces the mentions of a message, and corrects who has it among the unread.
    fn mention(
        &mut self,
        message: Seq,
        before: &Target,
        mentions: &[Mention],
        changes: &mut Changes,
    ) {
        if before.mentions.is_empty() && mentions.is_empty() {
            return;
        }
        let last = self.last;
        for (user, Member { record, .. }) in self.members.iter_mut() {
            if record.role.is_none() || message <= record.read {
                continue;
            }
            let is_of =
                |mentions: &[Mention]| mentions.iter().any(|m| m.is_of(*user, before.sender));
            let (was, is) = (is_of(&before.mentions), is_of(mentions));
            if was != is {
                record.mentions = (record.mentions + u64::from(is)).saturating_sub(u64::from(was));
                record.as_of = last;
                changes.marked.push(*user);
            }
        }
    }

    /// Folds a meta event of a group, and brings the members' records in line.
    fn govern(&mut self, sender: UserId, event: &Event, changes: &mut Changes) {
        let Some(mut group) = self.group.take() else { return };
        let before = FarewellRow {
            title: group.title().map(str::to_owned),
            member_count: group.members().len() as u64,
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
                let last_seen =
                    FarewellRow { member_count: group.members().len() as u64, ..before };
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

    fn align(
        &mut self,
        group: &Group,
        user: UserId,
        farewell: &FarewellRow,
        changes: &mut Changes,
    ) {
        let last = self.last;
        let current = self.members.get_mut(user);
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

    /// Somebody who is or was in the conversation.
    pub(crate) fn member(&self, user: UserId) -> Option<&Member> {
        self.members.get(user)
    }

    /// The fold of a group.
    pub(crate) fn group(&self) -> Option<&Group> {
        self.group.as_deref()
    }

    /// How many members there are now.
    pub(crate) fn member_count(&self) -> usize {
        self.group.as_ref().map_or(self.members.len(), |group| group.members().len())
    }
}

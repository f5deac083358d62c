//! The fold of a group: who is a member, in which role, since when, and how it is called.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use crate::event::{Event, HistoryVisibility, MemberOp, Role};
use crate::id::{Seq, UserId};

/// One person's membership.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// The role.
    pub role: Role,
    /// The event that made them a member.
    pub joined: Seq,
    /// The first event they see.
    pub view_from: Seq,
}

/// A group, folded from its valid meta events in order. Empty before its `create`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Folded", into = "Folded")]
pub struct Group {
    members: HashMap<UserId, Membership>,
    owners: usize,
    title: Option<String>,
    history: HistoryVisibility,
    created: Option<Seq>,
    last: Seq,
}

/// A fold as it is stored and sent: the same group has one spelling.
#[derive(Serialize, Deserialize)]
struct Folded {
    members: BTreeMap<UserId, Membership>,
    title: Option<String>,
    history: HistoryVisibility,
    created: Option<Seq>,
    last: Seq,
}

impl From<Group> for Folded {
    fn from(group: Group) -> Self {
        let Group { members, owners: _, title, history, created, last } = group;
        Self { members: members.into_iter().collect(), title, history, created, last }
    }
}

impl From<Folded> for Group {
    fn from(folded: Folded) -> Self {
        let Folded { members, title, history, created, last } = folded;
        let owners = members.values().filter(|member| member.role == Role::Owner).count();
        Self { members: members.into_iter().collect(), owners, title, history, created, last }
    }
}

impl Group {
    /// Applies the next meta event. Events at or before [`Group::last`] are ignored, so that a
    /// fold may be fed twice; so are events of the other class.
    pub fn apply(&mut self, seq: Seq, sender: UserId, event: &Event) {
        if seq <= self.last {
            return;
        }
        match event {
            Event::Create(create) if self.created.is_none() => {
                self.created = Some(seq);
                self.title.clone_from(&create.title);
                for user in &create.members {
                    self.insert(*user, Role::Member, seq);
                }
                self.insert(sender, Role::Owner, seq);
            }
            Event::Member(change) => match change.op {
                MemberOp::Add => {
                    if !self.members.contains_key(&change.user) {
                        self.insert(change.user, change.role.unwrap_or(Role::Member), seq);
                    }
                }
                MemberOp::Remove | MemberOp::Leave => self.remove(change.user),
                MemberOp::Role => self.set_role(change.user, change.role.unwrap_or(Role::Member)),
            },
            Event::Title(change) => self.title = Some(change.title.clone()),
            Event::Settings(change) => self.history = change.history.unwrap_or(self.history),
            Event::Create(_)
            | Event::Message(_)
            | Event::Edit(_)
            | Event::Delete(_)
            | Event::Reaction(_)
            | Event::Pin(_) => return,
        }
        self.last = seq;
    }

    /// Notes that the meta subject was read up to `seq`, the last of which were void.
    pub fn advance(&mut self, seq: Seq) {
        self.last = self.last.max(seq);
    }

    fn insert(&mut self, user: UserId, role: Role, seq: Seq) {
        let view_from = match self.history {
            HistoryVisibility::Joined => seq,
            HistoryVisibility::All => self.created.unwrap_or(seq),
        };
        self.remove(user);
        self.owners += usize::from(role == Role::Owner);
        self.members.insert(user, Membership { role, joined: seq, view_from });
    }

    fn remove(&mut self, user: UserId) {
        if let Some(gone) = self.members.remove(&user) {
            self.owners -= usize::from(gone.role == Role::Owner);
        }
    }

    fn set_role(&mut self, user: UserId, role: Role) {
        if let Some(membership) = self.members.get_mut(&user) {
            self.owners -= usize::from(membership.role == Role::Owner);
            self.owners += usize::from(role == Role::Owner);
            membership.role = role;
        }
    }

    /// The membership of a user.
    pub fn member(&self, user: UserId) -> Option<&Membership> {
        self.members.get(&user)
    }

    /// All members, in no order.
    pub fn members(&self) -> impl ExactSizeIterator<Item = (UserId, &Membership)> {
        self.members.iter().map(|(user, membership)| (*user, membership))
    }

    /// How many owners there are.
    pub fn owner_count(&self) -> usize {
        self.owners
    }

    /// The title.
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// What people see who are added now.
    pub fn history(&self) -> HistoryVisibility {
        self.history
    }

    /// The event that created the group; `None` when it does not exist.
    pub fn created(&self) -> Option<Seq> {
        self.created
    }

    /// The last event of the meta subject that is in this fold.
    pub fn last(&self) -> Seq {
        self.last
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{GroupCreated, MemberChanged, TitleChanged};

    #[test]
    fn a_fold_that_was_stored_goes_on_as_if_it_had_not_been() {
        let user = |number: u8| UserId::from_entropy([number; 20]);
        let change = |user, op, role| Event::Member(MemberChanged { user, op, role });
        let events = [
            Event::Create(GroupCreated { title: None, members: vec![user(2), user(3)] }),
            change(user(2), MemberOp::Role, Some(Role::Owner)),
            Event::Title(TitleChanged { title: "T".to_owned() }),
            change(user(1), MemberOp::Leave, None),
            change(user(4), MemberOp::Add, None),
        ];
        let (mut whole, mut stored) = (Group::default(), Group::default());
        for (seq, event) in (1..).map(Seq).zip(&events) {
            whole.apply(seq, user(1), event);
            stored.apply(seq, user(1), event);
            let json = serde_json::to_string(&stored).expect("json");
            stored = serde_json::from_str(&json).expect("reads");
            assert_eq!(stored, whole, "{json}");
        }
        assert_eq!((whole.owner_count(), whole.members().len()), (1, 3));
    }
}

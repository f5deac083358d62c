//! What happened elsewhere in the gateway that presence must know before it tells anything more.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use hansard_model::{ConversationId, UserId};

/// Removals that wait for the next tick; with more, every watch is looked at again. As many groups
/// that have grown.
const DEPARTED_MAX: usize = 4_096;

/// Noted from anywhere, without waiting; taken with each tick.
#[derive(Default)]
pub(crate) struct Notes {
    noted: Mutex<Noted>,
}

/// What was noted since the last tick.
pub(crate) struct Noted {
    /// Who is no longer a member of which group; `None`: more than could be noted.
    pub(crate) departed: Option<Vec<(ConversationId, UserId)>>,
    /// Which groups have got more members.
    pub(crate) grown: HashSet<ConversationId>,
    /// Whose settings changed: as many as there are users, at most.
    pub(crate) settings: HashSet<UserId>,
}

impl Default for Noted {
    fn default() -> Self {
        Self { departed: Some(Vec::new()), grown: HashSet::new(), settings: HashSet::new() }
    }
}

impl Notes {
    /// A user is no longer a member of a group.
    pub(crate) fn departed(&self, group: ConversationId, user: UserId) {
        self.with(|noted| {
            if let Some(departed) = &mut noted.departed {
                departed.push((group, user));
            }
            noted.departed.take_if(|departed| departed.len() > DEPARTED_MAX);
        });
    }

    /// A group has got more members: there may be too many to be told of each other.
    pub(crate) fn grown(&self, group: ConversationId) {
        self.with(|noted| {
            if noted.grown.len() < DEPARTED_MAX {
                noted.grown.insert(group);
            } else if !noted.grown.contains(&group) {
                noted.departed = None;
            }
        });
    }

    /// A user lets others know more, or less.
    pub(crate) fn settings(&self, user: UserId) {
        self.with(|noted| {
            noted.settings.insert(user);
        });
    }

    /// Who departed since this, or [`Notes::take`], was last called.
    pub(crate) fn take_departed(&self) -> Option<Vec<(ConversationId, UserId)>> {
        self.with(|noted| noted.departed.replace(Vec::new()))
    }

    /// Everything since this was last called.
    pub(crate) fn take(&self) -> Noted {
        self.with(std::mem::take)
    }

    fn with<T>(&self, what: impl FnOnce(&mut Noted) -> T) -> T {
        what(&mut self.noted.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

#[cfg(test)]
mod tests {
    use hansard_model::GroupId;

    use super::*;

    #[test]
    fn more_removals_than_can_be_noted_are_all_removals() {
        let group = ConversationId::Group(GroupId::from_entropy([1; 20]));
        let (notes, user) = (Notes::default(), UserId::from_entropy([2; 20]));
        notes.departed(group, user);
        assert_eq!(notes.take().departed, Some(vec![(group, user)]));
        for _ in 0..=DEPARTED_MAX {
            notes.departed(group, user);
        }
        notes.departed(group, user);
        assert_eq!(notes.take().departed, None);
        assert_eq!(notes.take().departed, Some(Vec::new()));
        for number in 0..=DEPARTED_MAX {
            let mut entropy = [0; 20];
            (entropy[0], entropy[1]) = ((number & 31) as u8, (number >> 5 & 31) as u8);
            entropy[2] = (number >> 10) as u8;
            notes.grown(ConversationId::Group(GroupId::from_entropy(entropy)));
        }
        let noted = notes.take();
        assert_eq!((noted.grown.len(), noted.departed), (DEPARTED_MAX, None));
    }
}

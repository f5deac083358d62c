//! What later events made of a message: edits, its deletion, reactions, pins.

use hansard_model::query::{Deleted, ReactionCount};
use hansard_model::{Seq, UserId};

/// Kept only for messages that a later event referred to.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Annotation {
    /// Positions of the edits, ascending.
    pub(super) edits: Vec<u32>,
    pub(super) deleted: Option<Deleted>,
    reactions: Vec<Reaction>,
    /// The event that pinned it.
    pub(super) pinned: Option<Seq>,
}

/// Everybody who reacted with one emoji, in order.
#[derive(Debug, PartialEq, Eq)]
struct Reaction {
    emoji: Box<str>,
    by: Vec<(UserId, Seq)>,
}

impl Annotation {
    pub(super) fn add_reaction(&mut self, emoji: &str, user: UserId, seq: Seq) {
        match self.reactions.iter_mut().find(|reaction| &*reaction.emoji == emoji) {
            Some(reaction) => {
                if reaction.by.iter().all(|(by, _)| *by != user) {
                    reaction.by.push((user, seq));
                }
            }
            None => {
                self.reactions.push(Reaction { emoji: emoji.into(), by: vec![(user, seq)] });
            }
        }
    }

    pub(super) fn remove_reaction(&mut self, emoji: &str, user: UserId) {
        for reaction in &mut self.reactions {
            if &*reaction.emoji == emoji {
                reaction.by.retain(|(by, _)| *by != user);
            }
        }
        self.reactions.retain(|reaction| !reaction.by.is_empty());
    }

    /// A deleted message shows nothing but its deletion.
    pub(super) fn delete(&mut self, deleted: Deleted) {
        self.deleted = Some(deleted);
        self.reactions = Vec::new();
        self.pinned = None;
    }

    /// The reactions that `reader` sees, made up to `to`.
    pub(super) fn reaction_counts(&self, reader: UserId, to: Option<Seq>) -> Vec<ReactionCount> {
        self.reactions
            .iter()
            .filter_map(|reaction| {
                let seen = || reaction.by.iter().filter(|(_, seq)| to.is_none_or(|to| *seq <= to));
                let count = seen().count();
                (count > 0).then(|| ReactionCount {
                    emoji: reaction.emoji.to_string(),
                    count,
                    me: seen().any(|(by, _)| *by == reader),
                })
            })
            .collect()
    }

    /// How many different emoji a user put on the message.
    pub(super) fn reactions_of(&self, user: UserId) -> usize {
        self.reactions
            .iter()
            .filter(|reaction| reaction.by.iter().any(|(by, _)| *by == user))
            .count()
    }
}

//! Who and what occurs in a partition: short slots in place of long ids, so that an entry of the
//! index costs 32 bytes, and the conversations of each user.

use std::collections::HashMap;

use hansard_model::{ConversationId, UserId};

/// A conversation of the partition, in the order of first events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ConversationSlot(u32);

impl ConversationSlot {
    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A user of the partition, in the order of first appearance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct UserSlot(u32);

/// The slots of a partition. A slot, once given, stays.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    conversations: HashMap<ConversationId, ConversationSlot>,
    conversation_ids: Vec<ConversationId>,
    users: HashMap<UserId, UserSlot>,
    conversations_of: Vec<Vec<ConversationSlot>>,
}

impl Directory {
    /// The slot of a conversation, if anything was ever valid in it.
    pub(crate) fn conversation(&self, conversation: ConversationId) -> Option<ConversationSlot> {
        self.conversations.get(&conversation).copied()
    }

    /// The slot of a conversation, given now if it has none.
    pub(crate) fn enter_conversation(&mut self, conversation: ConversationId) -> ConversationSlot {
        *self.conversations.entry(conversation).or_insert_with(|| {
            let slot = ConversationSlot(self.conversation_ids.len() as u32);
            self.conversation_ids.push(conversation);
            slot
        })
    }

    /// The conversation in a slot.
    pub(crate) fn conversation_id(&self, slot: ConversationSlot) -> ConversationId {
        self.conversation_ids[slot.index()]
    }

    /// The slot of a user, if they ever occurred.
    pub(crate) fn user(&self, user: UserId) -> Option<UserSlot> {
        self.users.get(&user).copied()
    }

    /// The slot of a user, given now if they have none.
    pub(crate) fn enter_user(&mut self, user: UserId) -> UserSlot {
        *self.users.entry(user).or_insert_with(|| {
            let slot = UserSlot(self.conversations_of.len() as u32);
            self.conversations_of.push(Vec::new());
            slot
        })
    }

    /// Notes that a user has (or once had) a view of a conversation. Call it once for each.
    pub(crate) fn join(&mut self, user: UserId, conversation: ConversationSlot) {
        let slot = self.enter_user(user);
        self.conversations_of[slot.0 as usize].push(conversation);
    }

    /// The conversations a user has or once had a view of, in the order of joining.
    pub(crate) fn conversations_of(&self, user: UserId) -> &[ConversationSlot] {
        self.user(user).map_or(&[], |slot| &self.conversations_of[slot.0 as usize])
    }
}

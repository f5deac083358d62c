//! Conversations, who is in them, and what is said where.

use std::collections::HashSet;

use anyhow::{Context, ensure};
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hansard_model::{ConversationId, GroupId, UserId};

use super::super::corpus::{IN_FLIGHT, Writer};
use super::super::dice::Dice;
use super::texts::Texts;

/// Members of a group.
const GROUP_MEMBERS: usize = 10;

/// Conversations among people, of whom the first are the readers. Every other one is a group.
pub(super) struct World {
    pub(super) people: Vec<UserId>,
    pub(super) chats: Vec<Chat>,
    /// The conversations of each reader.
    pub(super) of_readers: Vec<Vec<usize>>,
    /// Messages in all.
    pub(super) messages: usize,
}

/// A conversation, and who is in it.
pub(super) struct Chat {
    pub(super) id: ConversationId,
    pub(super) members: Vec<usize>,
}

/// How large a world is.
#[derive(Clone, Copy)]
pub(super) struct Size {
    pub(super) messages: usize,
    pub(super) conversations: usize,
    pub(super) readers: usize,
    /// Conversations of each reader.
    pub(super) of_reader: usize,
}

/// A message.
pub(super) struct Said<'a> {
    pub(super) conversation: usize,
    pub(super) sender: usize,
    pub(super) text: &'a str,
}

impl World {
    /// Each reader is in as many conversations as said, and no reader with another.
    pub(super) fn build(people: Vec<UserId>, size: Size, dice: &mut Dice) -> anyhow::Result<Self> {
        let Size { messages, conversations, readers, of_reader } = size;
        ensure!(
            readers * of_reader <= conversations,
            "there are fewer conversations than readers'"
        );
        ensure!(people.len() >= readers + GROUP_MEMBERS, "there are too few people");
        let (mut chats, mut of_readers) = (Vec::with_capacity(conversations), Vec::new());
        let mut known = HashSet::new();
        let mut add = |reader: Option<usize>, dice: &mut Dice| {
            let mut members = |count: usize| {
                let any = |dice: &mut Dice| readers + dice.below(people.len() - readers);
                let mut members = vec![reader.unwrap_or_else(|| any(dice))];
                while members.len() < count {
                    let member = any(dice);
                    if !members.contains(&member) {
                        members.push(member);
                    }
                }
                members
            };
            let pair = members(2);
            let direct = ConversationId::direct(people[pair[0]], people[pair[1]]);
            let chat = if chats.len() % 2 == 0 && known.insert(direct) {
                Chat { id: direct, members: pair }
            } else {
                let members = members(GROUP_MEMBERS);
                Chat { id: ConversationId::Group(GroupId::from_entropy(entropy(dice))), members }
            };
            chats.push(chat);
            chats.len() - 1
        };
        for reader in 0..readers {
            let own = (0..of_reader).map(|_| add(Some(reader), dice));
            of_readers.push(own.collect::<Vec<_>>());
        }
        for _ in readers * of_reader..conversations {
            add(None, dice);
        }
        Ok(Self { people, chats, of_readers, messages })
    }

    /// Messages are spread over the conversations in turn; each conversation has texts in their
    /// order, and goes on where the one before ends.
    pub(super) fn said<'a>(&self, texts: &'a Texts, number: usize) -> Said<'a> {
        let (conversation, turn) = (number % self.chats.len(), number / self.chats.len());
        let line = texts.line(conversation * self.turns() + turn);
        let members = &self.chats[conversation].members;
        let sender = members[(line.speaker % members.len() as u64) as usize];
        Said { conversation, sender, text: &line.text }
    }

    /// Conversations that are groups, each of which has an event of its own.
    pub(super) fn groups(&self) -> usize {
        self.chats.iter().filter(|chat| chat.id.is_group()).count()
    }

    /// Messages of a conversation.
    pub(super) fn turns(&self) -> usize {
        self.messages.div_ceil(self.chats.len())
    }

    /// Writes the groups and all messages to the log; returns once they are stored.
    pub(super) async fn write(&self, writer: &mut Writer, texts: &Texts) -> anyhow::Result<()> {
        let mut pending = FuturesUnordered::new();
        for (number, chat) in self.chats.iter().enumerate() {
            let ConversationId::Group(group) = chat.id else { continue };
            let members: Vec<UserId> = chat.members.iter().map(|one| self.people[*one]).collect();
            pending.push(writer.create_group(group, &members, format!("group {number}")).await?);
            settle(&mut pending, IN_FLIGHT).await?;
        }
        settle(&mut pending, 1).await?;
        for number in 0..self.messages {
            let written = self.write_one(writer, texts, number).await?;
            pending.push(written);
            settle(&mut pending, IN_FLIGHT).await?;
        }
        settle(&mut pending, 1).await
    }

    /// Sends a message.
    pub(super) async fn write_one(
        &self,
        writer: &mut Writer,
        texts: &Texts,
        number: usize,
    ) -> anyhow::Result<hansard_nats::log::PendingAppend> {
        let Said { conversation, sender, text } = self.said(texts, number);
        let (id, sender) = (self.chats[conversation].id, self.people[sender]);
        Ok(writer.write_text(id, sender, text.to_owned()).await?.pending)
    }
}

/// Waits until fewer are pending.
async fn settle<F, T, E>(pending: &mut FuturesUnordered<F>, below: usize) -> anyhow::Result<()>
where
    F: Future<Output = Result<T, E>>,
    E: std::error::Error + Send + Sync + 'static,
{
    while pending.len() >= below {
        if let Some(stored) = pending.next().await {
            stored.context("the log")?;
        }
    }
    Ok(())
}

fn entropy(dice: &mut Dice) -> [u8; GroupId::LEN] {
    let mut entropy = [0; GroupId::LEN];
    for chunk in entropy.chunks_mut(8) {
        chunk.copy_from_slice(&dice.next().to_le_bytes()[..chunk.len()]);
    }
    entropy
}

#[cfg(test)]
mod tests {
    use super::super::super::corpus::stranger;
    use super::super::texts::tests::texts;
    use super::*;

    #[test]
    fn a_reader_is_in_as_many_conversations_as_said_and_texts_keep_their_order() {
        let mut dice = Dice::new(7);
        let people: Vec<UserId> = (0..20).map(|_| stranger(&mut dice)).collect();
        let size = Size { messages: 30, conversations: 10, readers: 2, of_reader: 4 };
        let world = World::build(people, size, &mut dice).expect("a world");
        for reader in 0..2 {
            let of = |chat: &usize| world.chats[*chat].members.contains(&reader);
            let own: Vec<usize> = (0..10).filter(of).collect();
            assert_eq!(own, world.of_readers[reader]);
            assert_eq!(own.len(), 4);
        }
        assert_eq!(world.groups(), 5);
        let texts = texts(&["ant", "bee", "cat", "dog", "elk"]);
        let of_third = (0..30).map(|number| world.said(&texts, number));
        let of_third: Vec<&str> =
            of_third.filter(|said| said.conversation == 2).map(|said| said.text).collect();
        assert_eq!(of_third, ["bee", "cat", "dog"]);
    }
}

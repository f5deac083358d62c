//! Events as a real chat has them, written straight to the log.

use std::time::Duration;

use anyhow::Context;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use hansard_model::draft::Draft;
use hansard_model::event::{Event, EventClass, GroupCreated};
use hansard_model::record::EventKey;
use hansard_model::{ConversationId, DeviceId, GroupId, MessageId, Seq, UserId, envelope};
use hansard_nats::Log;
use hansard_nats::log::{Append, PendingAppend};

use super::dice::Dice;
use super::payload;

/// Events on their way to the log at once.
pub(super) const IN_FLIGHT: usize = 1_024;
/// How long the log would have to be away for an event to be void.
const VOUCHED_FOR: Duration = Duration::from_secs(60);

/// Bytes of a text: the share of 196,123 messages of the #ubuntu channel (Kummerfeld et al., 2019)
/// that is at most so long.
const TEXT_BYTES: [(f64, f64); 10] = [
    (0.0, 1.0),
    (0.05, 4.0),
    (0.10, 9.0),
    (0.25, 22.0),
    (0.50, 43.0),
    (0.75, 76.0),
    (0.90, 125.0),
    (0.95, 167.0),
    (0.99, 275.0),
    (1.0, 469.0),
];

/// What texts are made of, so that they compress about as text does.
const WORDS: [&str; 48] = [
    "the", "to", "i", "a", "is", "it", "you", "and", "in", "of", "my", "on", "that", "for", "have",
    "ubuntu", "what", "do", "not", "can", "how", "with", "install", "if", "but", "just", "be",
    "so", "this", "me", "get", "there", "are", "sudo", "apt-get", "know", "use", "like", "or",
    "file", "window", "driver", "kernel", "problem", "anyone", "thanks", "does", "work",
];

/// A conversation and who talks in it.
pub(super) struct Talk {
    pub(super) conversation: ConversationId,
    pub(super) speakers: Vec<UserId>,
}

impl Talk {
    pub(super) fn direct(one: UserId, other: UserId) -> Self {
        let conversation = ConversationId::direct(one, other);
        Self { conversation, speakers: vec![one, other] }
    }

    /// Of two people who exist in this bench only.
    pub(super) fn of_strangers(dice: &mut Dice) -> Self {
        Self::direct(stranger(dice), stranger(dice))
    }
}

pub(super) fn stranger(dice: &mut Dice) -> UserId {
    let mut entropy = [0; UserId::LEN];
    for chunk in entropy.chunks_mut(8) {
        let bytes = dice.next().to_le_bytes();
        chunk.copy_from_slice(&bytes[..chunk.len()]);
    }
    UserId::from_entropy(entropy)
}

/// Writes messages.
pub(super) struct Writer {
    log: Log,
    dice: Dice,
    device: DeviceId,
    /// Every message has a number, which its id carries.
    number: u64,
}

/// A message on its way to the log.
pub(super) struct Written {
    pub(super) number: u64,
    pub(super) pending: PendingAppend,
}

impl Writer {
    pub(super) fn new(log: &Log, dice: Dice) -> Self {
        let device = DeviceId::from_entropy([0; DeviceId::LEN]);
        Self { log: log.clone(), dice, device, number: 0 }
    }

    /// Which of `count`.
    pub(super) fn pick(&mut self, count: usize) -> usize {
        self.dice.below(count)
    }

    /// Sends the next message; its acknowledgement is pending.
    pub(super) async fn write(&mut self, talk: &Talk) -> anyhow::Result<Written> {
        // Few say most: the square of a share favours the first.
        let share = self.dice.share();
        let speaker = (share * share * talk.speakers.len() as f64) as usize;
        let sender = *talk.speakers.get(speaker).context("nobody talks")?;
        let text = self.text();
        self.write_text(talk.conversation, sender, text).await
    }

    /// Sends this text as the next message; its acknowledgement is pending.
    pub(super) async fn write_text(
        &mut self,
        conversation: ConversationId,
        sender: UserId,
        text: String,
    ) -> anyhow::Result<Written> {
        let now = self.log.clock().now()?;
        let number = self.number;
        self.number += 1;
        let mut random = self.dice.id_bytes();
        random[4..].copy_from_slice(&number.to_be_bytes()[2..]);
        let id = MessageId::new(now.as_millis(), random);
        let payload = payload::stored(id, sender, self.device, text).into();
        let append = Append {
            key: EventKey { conversation, sender, id },
            void: Vec::new(),
            class: EventClass::Msg,
            kind: "message",
            vouch_until: now.plus(VOUCHED_FOR),
            expected: None,
            payload,
        };
        Ok(Written { number, pending: self.log.append(append).await? })
    }

    /// Sends the creation of a group; the first of the members is its owner.
    pub(super) async fn create_group(
        &mut self,
        group: GroupId,
        members: &[UserId],
        title: String,
    ) -> anyhow::Result<PendingAppend> {
        let (owner, others) = members.split_first().context("a group of nobody")?;
        let created = GroupCreated { title: Some(title), members: others.to_vec() };
        let draft = Draft::of(Event::Create(created));
        let now = self.log.clock().now()?;
        let id = MessageId::new(now.as_millis(), self.dice.id_bytes());
        let append = Append {
            key: EventKey { conversation: ConversationId::Group(group), sender: *owner, id },
            void: Vec::new(),
            class: EventClass::Meta,
            kind: "create",
            vouch_until: now.plus(VOUCHED_FOR),
            expected: Some(Seq::ZERO),
            payload: envelope::encode(id, *owner, self.device, &draft).into(),
        };
        Ok(self.log.append(append).await?)
    }

    fn text(&mut self) -> String {
        let share = self.dice.share();
        let above = TEXT_BYTES.iter().position(|(below, _)| share < *below).unwrap_or(9).max(1);
        let ((from, low), (to, high)) = (TEXT_BYTES[above - 1], TEXT_BYTES[above]);
        let bytes = (low + (high - low) * (share - from) / (to - from)) as usize;
        let mut text = String::with_capacity(bytes + 16);
        while text.len() < bytes.max(1) {
            text.push_str(WORDS[self.dice.below(WORDS.len())]);
            text.push(' ');
        }
        text.truncate(bytes.max(1));
        text
    }
}

/// The number of a message, from its stored payload.
pub(super) fn number_of(payload: &[u8]) -> Option<u64> {
    // `{"v":1,"id":"` and the last 12 digits of a UUID of 36 characters.
    let digits = payload.get(13 + 24..13 + 36)?;
    u64::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// Writes `count` messages, each to the conversation that `choose` names, and waits until all are
/// stored; their places in the order sent.
pub(super) async fn fill(
    writer: &mut Writer,
    talks: &[Talk],
    count: usize,
    mut choose: impl FnMut(&mut Writer, usize) -> usize,
) -> anyhow::Result<Vec<(usize, Seq)>> {
    let mut places = vec![(0, Seq::ZERO); count];
    let mut pending = FuturesUnordered::new();
    for number in 0..count {
        let index = choose(writer, number);
        let written = writer.write(talks.get(index).context("no such conversation")?).await?;
        pending.push(async move { (number, index, written.pending.await) });
        if pending.len() >= IN_FLIGHT
            && let Some((number, index, stored)) = pending.next().await
        {
            places[number] = (index, stored.context("the log")?.seq);
        }
    }
    while let Some((number, index, stored)) = pending.next().await {
        places[number] = (index, stored.context("the log")?.seq);
    }
    Ok(places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_message_is_read_from_its_payload() {
        let mut random = [0xff; 10];
        random[4..].copy_from_slice(&123_456_789_u64.to_be_bytes()[2..]);
        let (id, user) = (MessageId::new(1, random), UserId::from_entropy([1; 20]));
        let stored = payload::stored(id, user, DeviceId::from_entropy([2; 20]), "said".to_owned());
        assert_eq!(number_of(stored.as_bytes()), Some(123_456_789));
        assert_eq!(number_of(b"{}"), None);
    }
}

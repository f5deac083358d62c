//! The messages that events refer to, read from the log once.

use hansard_model::check::Target;
use hansard_model::event::EventClass;
use hansard_model::{ConversationId, Envelope, Event, Seq};
use quick_cache::sync::Cache;

use crate::past::{Past, PastError};

/// Targets remembered: about 100 bytes each. What is remembered of a message never changes.
const TARGETS_MAX: usize = 100_000;

/// Reads and remembers targets.
pub(crate) struct Targets {
    past: Past,
    known: Cache<(ConversationId, Seq), Target>,
}

impl Targets {
    pub(crate) fn new(past: Past) -> Self {
        Self { past, known: Cache::new(TARGETS_MAX) }
    }

    /// What an event refers to, as far as it exists: valid messages of the conversation at or
    /// after `view_from`.
    ///
    /// # Errors
    /// [`PastError`] when the log does not answer.
    pub(crate) async fn of(
        &self,
        conversation: ConversationId,
        event: &Event,
        view_from: Seq,
    ) -> Result<Vec<Target>, PastError> {
        let mut targets = Vec::new();
        for seq in event.targets().filter(|seq| *seq >= view_from && *seq > Seq::ZERO) {
            targets.extend(self.read(conversation, seq).await?);
        }
        Ok(targets)
    }

    /// The log is another than it was: nothing that was read is relied on.
    pub(crate) fn forget(&self) {
        self.known.clear();
    }

    async fn read(
        &self,
        conversation: ConversationId,
        seq: Seq,
    ) -> Result<Option<Target>, PastError> {
        if let Some(target) = self.known.get(&(conversation, seq)) {
            return Ok(Some(target));
        }
        let partition = self.past.log().partition_of(conversation);
        let Some(record) = self.past.record(partition, seq).await? else {
            return Ok(None);
        };
        if record.conversation != conversation
            || record.class != EventClass::Msg
            || record.is_void()
        {
            return Ok(None);
        }
        let Ok(Envelope { sender, event: Event::Message(message), .. }) =
            Envelope::decode(&record.payload)
        else {
            return Ok(None);
        };
        let target = Target { seq, sender, thread: message.thread };
        self.known.insert((conversation, seq), target);
        Ok(Some(target))
    }
}

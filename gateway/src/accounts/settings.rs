//! What a user set for one conversation: muted, pinned, archived.

use hansard_model::account::ConversationSettings;
use hansard_model::subject::Subject;
use hansard_model::{AccountEvent, ConversationId, Seq, UserId};
use hansard_protocol::ErrorBody;
use hansard_protocol::http::PatchConversation;

use super::{Directory, Unconfirmed, WriteError, unavailable};

/// How often a change is tried against changes by the user's other devices.
const ATTEMPTS: usize = 5;

/// Settings were perhaps not changed.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the log did not answer in time")]
pub(crate) struct ChangeSettingsError;

impl ChangeSettingsError {
    /// The error that the caller gets.
    pub(crate) fn body(&self) -> ErrorBody {
        unavailable(self)
    }
}

impl Directory {
    /// What a user set for a conversation, as far as is known here.
    pub(crate) fn settings(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> ConversationSettings {
        self.settings_at(user, conversation).1
    }

    /// The conversations for which a user has changed settings after a position of the accounts,
    /// in the order of the changes.
    pub(crate) fn settings_after(&self, user: UserId, after: Seq) -> Vec<ConversationId> {
        let accounts = self.shared.read();
        let settings = accounts.user(user).into_iter().flat_map(|account| &account.settings);
        let mut changed: Vec<(Seq, ConversationId)> = settings
            .filter(|(_, (seq, _))| *seq > after)
            .map(|(conversation, (seq, _))| (*seq, *conversation))
            .collect();
        changed.sort_unstable();
        changed.into_iter().map(|(_, conversation)| conversation).collect()
    }

    fn settings_at(
        &self,
        user: UserId,
        conversation: ConversationId,
    ) -> (Seq, ConversationSettings) {
        let accounts = self.shared.read();
        let settings = accounts.user(user).and_then(|account| account.settings.get(&conversation));
        settings.copied().unwrap_or_default()
    }

    /// Changes what is given and keeps the rest, also against a change by another device at the
    /// same time.
    ///
    /// # Errors
    /// [`ChangeSettingsError`]
    pub(crate) async fn change_settings(
        &self,
        user: UserId,
        conversation: ConversationId,
        change: &PatchConversation,
    ) -> Result<(), ChangeSettingsError> {
        let subject = Subject::AccountSettings(user, conversation);
        for _ in 0..ATTEMPTS {
            let (seq, before) = self.settings_at(user, conversation);
            let after = ConversationSettings {
                muted_until: change.muted_until.unwrap_or(before.muted_until),
                pinned: change.pinned.unwrap_or(before.pinned),
                archived: change.archived.unwrap_or(before.archived),
            };
            match self.write(&subject, &AccountEvent::SettingsChanged(after), Some(seq)).await {
                Ok(()) => return Ok(()),
                Err(WriteError::Unknown) => return Err(ChangeSettingsError),
                Err(WriteError::Conflict) => {
                    self.barrier.wait().await.map_err(|Unconfirmed| ChangeSettingsError)?;
                }
            }
        }
        Err(ChangeSettingsError)
    }
}

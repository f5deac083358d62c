//! Events that change a group: appended with the expected last sequence, after a check against
//! exactly that state, so that limits are exact whoever races.

use hansard_model::event::MemberOp;
use hansard_model::{Event, Rejection, check};
use hansard_nats::log::AppendError;

use super::{
    Attempt, PendingSend, Prepared, SendError, Sender, Sent, Settled, Stored, append, once, people,
};
use crate::groups::InFlight;

/// Void attempts of one event before the caller is told to come back.
const ATTEMPTS_MAX: usize = 4;
/// Times that a check is made again because the group changed meanwhile.
const CONFLICTS_MAX: usize = 32;

impl Sender {
    pub(super) async fn submit_meta(&self, prepared: Prepared) -> Result<PendingSend, SendError> {
        if !prepared.key.conversation.is_group() {
            return Err(Rejection::Unsupported.into());
        }
        self.check_people(&prepared).await?;
        let stored = self.append_meta(&prepared).await?;
        let sender = self.clone();
        Ok(Box::pin(async move {
            if ends_a_right(prepared.draft.event()) {
                sender.shared.removals.complete(prepared.key.conversation, stored.seq).await;
            }
            Ok(sender.acknowledge(&prepared, stored))
        }))
    }

    async fn check_people(&self, prepared: &Prepared) -> Result<(), SendError> {
        for user in people(prepared.draft.event()) {
            if !self.shared.directory.exists(*user).await? {
                return Err(Rejection::NotFound("user").into());
            }
        }
        Ok(())
    }

    async fn append_meta(&self, prepared: &Prepared) -> Result<Stored, SendError> {
        let group = prepared.key.conversation;
        let entry = self.shared.groups.entry(group);
        let _one_at_a_time = entry.appending.lock().await;
        let (mut void, mut conflicts) = (0, 0);
        loop {
            let settled = match self.attempt_meta(prepared).await {
                Ok(attempt) => self.settle(prepared, attempt).await,
                Err(error) => Err(error),
            };
            match settled {
                Ok(Settled::Stored(stored)) => {
                    // The sender's next read of the members includes it.
                    entry.require(stored.seq);
                    return Ok(stored);
                }
                // The lock is held: nothing of this gateway comes between.
                Ok(Settled::Void) if void < ATTEMPTS_MAX => void += 1,
                Ok(Settled::Void) => return Err(SendError::Void),
                Err(SendError::Append(AppendError::Conflict)) if conflicts < CONFLICTS_MAX => {
                    conflicts += 1;
                }
                Err(SendError::Append(AppendError::Conflict)) => return Err(SendError::Contended),
                Err(error) => return Err(error),
            }
        }
    }

    async fn attempt_meta(&self, prepared: &Prepared) -> Result<Attempt, SendError> {
        let until = match self.once(prepared).await? {
            once::Once::Stored(seq) => return Ok(Attempt::Known(seq)),
            once::Once::Until(until) => until,
        };
        let (key, event) = (&prepared.key, prepared.draft.event());
        let mut vouch = self.shared.groups.vouch_freshly(key.conversation).await?;
        if let Err(rejection) =
            check::group(&vouch.group, key.sender, event, &[], self.shared.limits)
        {
            vouch.in_flight.settled();
            return self.refuse(prepared, rejection.into()).await.map(Attempt::Known);
        }
        let until = until.min(vouch.until);
        let append =
            append(prepared, &prepared.draft, until, self.shared.void.of(key), Some(vouch.guard));
        vouch.in_flight.sending();
        match self.log().append(append).await {
            Ok(pending) => {
                Ok(Attempt::Sent(Sent { pending, until, in_flight: Some(vouch.in_flight) }))
            }
            Err(error) => {
                if !matches!(error, AppendError::Unknown) {
                    InFlight::settled(vouch.in_flight);
                }
                Err(error.into())
            }
        }
    }
}

/// Whether an event takes a right away, which is complete only when no gateway grants it any more.
fn ends_a_right(event: &Event) -> bool {
    matches!(event, Event::Member(change)
        if matches!(change.op, MemberOp::Remove | MemberOp::Leave | MemberOp::Role))
}

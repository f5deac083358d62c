//! Sending: check, vouch, append; once, whatever the delay.
//!
//! The data's way, for every event, over WebSocket and HTTP alike:
//! 1. read the draft (shape), count it against the sender's rate;
//! 2. [`Sender::attempt`]: how old is its id (`once`)? Young: the stream itself would know it. Old:
//!    look it up, and if it is absent vouch only for as long as the stream would know a rival;
//! 3. check it against the state of the conversation, under the group's lease (`Groups`);
//! 4. append it with `Vouch-Until`; from here on the order is fixed, and the caller may go on;
//! 5. [`Sender::settle`]: an acknowledgement that arrives well before `Vouch-Until` is final; a
//!    late or duplicate one is settled by reading the event from the leader.
//!
//! Invariant: "stored: no" is never said of an event that may be in the log: before a refusal that
//! depends on state, the id is looked up, because the caller may be resending.

mod meta;
mod once;
mod outcome;
mod void;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hansard_model::check::{self, Limits};
use hansard_model::draft::Draft;
use hansard_model::event::{EventClass, MemberOp, Toggle};
use hansard_model::query::ReactionsRequest;
use hansard_model::record::EventKey;
use hansard_model::subject::QueryVerb;
use hansard_model::{
    ConversationId, DeviceId, Event, LogTime, MessageId, Rejection, Seq, UserId, envelope, limit,
};
use hansard_nats::log::{Append, AppendError, Appended, PendingAppend};
use hansard_nats::query;

use crate::accounts::Directory;
use crate::acks::Acks;
use crate::groups::{Groups, InFlight};
use crate::media::Claims;
use crate::past::Past;
use crate::rate::RateLimits;
use crate::removal::Removals;
use crate::targets::Targets;

pub(crate) use self::outcome::{SendError, Stored};
use self::void::VoidAttempts;

/// How long the owner of a partition is asked.
const ASK_WITHIN: Duration = Duration::from_secs(3);

/// An event that a device wants stored.
#[derive(Clone, Debug)]
pub(crate) struct Command {
    /// Where.
    pub(crate) conversation: ConversationId,
    /// Who.
    pub(crate) sender: UserId,
    /// From which device.
    pub(crate) device: DeviceId,
    /// The client's id.
    pub(crate) id: MessageId,
    /// The event as sent: JSON.
    pub(crate) event: String,
}

/// An answer on its way.
pub(crate) type PendingSend = BoxFuture<'static, Result<Stored, SendError>>;

/// What sending takes.
pub(crate) struct Parts {
    pub(crate) past: Past,
    pub(crate) groups: Groups,
    pub(crate) directory: Directory,
    pub(crate) removals: Removals,
    pub(crate) claims: Claims,
    pub(crate) acks: Arc<Acks>,
    pub(crate) rates: Arc<RateLimits>,
    /// Members that a group may have.
    pub(crate) group_limit: usize,
}

/// Sends for all devices of a gateway; clones share it.
#[derive(Clone)]
pub(crate) struct Sender {
    shared: Arc<Shared>,
}

struct Shared {
    past: Past,
    groups: Groups,
    directory: Directory,
    targets: Targets,
    removals: Removals,
    claims: Claims,
    acks: Arc<Acks>,
    void: VoidAttempts,
    rates: Arc<RateLimits>,
    limits: Limits,
}

/// A command that was read.
#[derive(Clone)]
struct Prepared {
    key: EventKey,
    device: DeviceId,
    draft: Arc<Draft>,
}

/// An attempt to store an event.
enum Attempt {
    /// The index or the log knows it.
    Known(Seq),
    /// It is on its way.
    Sent(Sent),
}

struct Sent {
    pending: PendingAppend,
    until: LogTime,
    in_flight: Option<InFlight>,
}

/// What became of an attempt.
enum Settled {
    Stored(Stored),
    /// It was stored too late: nobody will ever see it.
    Void,
}

impl Sender {
    pub(crate) fn new(parts: Parts) -> Self {
        let Parts { past, groups, directory, removals, claims, acks, rates, group_limit } = parts;
        let targets = Targets::new(past.clone());
        let limits = Limits { group_members: group_limit };
        let shared = Shared {
            past,
            groups,
            directory,
            targets,
            removals,
            claims,
            acks,
            void: VoidAttempts::new(),
            rates,
            limits,
        };
        Self { shared: Arc::new(shared) }
    }

    /// The log is another than it was (restored, cut off): what was read of it is forgotten.
    pub(crate) fn forget(&self) {
        self.shared.targets.forget();
        self.shared.void.forget();
    }

    fn log(&self) -> &hansard_nats::Log {
        self.shared.past.log()
    }

    /// Checks an event and puts it on its way. When this returns, its place behind the caller's
    /// earlier events is fixed; the returned future resolves with the acknowledgement.
    ///
    /// # Errors
    /// [`SendError`]
    pub(crate) async fn submit(&self, command: Command) -> Result<PendingSend, SendError> {
        let draft = Draft::parse(&command.event)?;
        if matches!(draft.event(), Event::Create(_)) {
            return Err(Rejection::Unsupported.into());
        }
        self.shared.rates.send(command.sender)?;
        self.submit_draft(&command, draft).await
    }

    /// Creates a group: the only way to its first event.
    ///
    /// # Errors
    /// [`SendError`]
    pub(crate) async fn create_group(&self, command: Command) -> Result<PendingSend, SendError> {
        let draft = Draft::parse(&command.event)?;
        self.shared.rates.send(command.sender)?;
        self.shared.rates.group(command.sender)?;
        self.submit_draft(&command, draft).await
    }

    async fn submit_draft(
        &self,
        command: &Command,
        draft: Draft,
    ) -> Result<PendingSend, SendError> {
        check::shape(draft.event())?;
        let Command { conversation, sender, device, id, .. } = *command;
        let key = EventKey { conversation, sender, id };
        let prepared = Prepared { key, device, draft: Arc::new(draft) };
        match prepared.draft.event().class() {
            EventClass::Msg => self.submit_message(prepared).await,
            EventClass::Meta => self.submit_meta(prepared).await,
        }
    }

    async fn submit_message(&self, prepared: Prepared) -> Result<PendingSend, SendError> {
        let attempt = self.attempt(&prepared).await?;
        let sender = self.clone();
        Ok(Box::pin(async move {
            match sender.settle(&prepared, attempt).await? {
                Settled::Stored(stored) => Ok(sender.acknowledge(&prepared, stored)),
                // Not tried again from here, behind what the caller has sent meanwhile: when the
                // same id comes again, the attempt is made in its turn.
                Settled::Void => Err(SendError::Void),
            }
        }))
    }

    fn acknowledge(&self, prepared: &Prepared, stored: Stored) -> Stored {
        self.shared.acks.note(prepared.device, prepared.key.conversation, stored.seq);
        stored
    }

    /// Step 2 to 4.
    async fn attempt(&self, prepared: &Prepared) -> Result<Attempt, SendError> {
        let until = match self.once(prepared).await? {
            once::Once::Stored(seq) => return Ok(Attempt::Known(seq)),
            once::Once::Until(until) => until,
        };
        let checked = match prepared.key.conversation {
            ConversationId::Direct(..) => {
                self.check_direct(prepared).await.map(|draft| (draft, None))
            }
            ConversationId::Group(_) => self.check_group(prepared).await,
        };
        let (draft, vouch) = match checked {
            Ok(checked) => checked,
            Err(refusal) => return self.refuse(prepared, refusal).await.map(Attempt::Known),
        };
        let (until, in_flight) = match vouch {
            Some((lease, mut in_flight)) => {
                in_flight.sending();
                (until.min(lease), Some(in_flight))
            }
            None => (until, None),
        };
        let append = append(prepared, &draft, until, self.shared.void.of(&prepared.key), None);
        let pending = match self.log().append(append).await {
            Ok(pending) => pending,
            Err(error) => {
                // Held until it lapses only when it may have been sent.
                if !matches!(error, AppendError::Unknown) {
                    in_flight.into_iter().for_each(InFlight::settled);
                }
                return Err(error.into());
            }
        };
        Ok(Attempt::Sent(Sent { pending, until, in_flight }))
    }

    async fn check_direct(&self, prepared: &Prepared) -> Result<Draft, SendError> {
        let Prepared { key, draft, .. } = prepared;
        let other = key.conversation.other(key.sender).ok_or(Rejection::NotAMember)?;
        if !self.shared.directory.exists(other).await? {
            return Err(Rejection::NotFound("user").into());
        }
        let event = draft.event();
        let targets = self.shared.targets.of(key.conversation, event, Seq::ZERO).await?;
        check::direct(key.conversation, key.sender, event, &targets)?;
        self.check_views(key, event, Seq::ZERO).await?;
        Ok(with_target_sender(draft, &targets))
    }

    /// Checks against the state under the lease; and once more against a fresh one before refusing.
    async fn check_group(
        &self,
        prepared: &Prepared,
    ) -> Result<(Draft, Option<(LogTime, InFlight)>), SendError> {
        let Prepared { key, draft, .. } = prepared;
        let event = draft.event();
        let groups = &self.shared.groups;
        let mut vouch = groups.vouch(key.conversation).await?;
        for last in [false, true] {
            let view_from = vouch.group.member(key.sender).map_or(Seq::ZERO, |m| m.view_from);
            let targets = self.shared.targets.of(key.conversation, event, view_from).await?;
            let limits = self.shared.limits;
            let checked = match check::group(&vouch.group, key.sender, event, &targets, limits) {
                Ok(()) => self.check_views(key, event, view_from).await,
                Err(rejection) => Err(rejection.into()),
            };
            match checked {
                Ok(()) => {
                    let draft = with_target_sender(draft, &targets);
                    return Ok((draft, Some((vouch.until, vouch.in_flight))));
                }
                Err(SendError::Rejected(_)) if !last => {
                    vouch.in_flight.settled();
                    vouch = groups.vouch_freshly(key.conversation).await?;
                }
                Err(refusal) => return Err(refusal),
            }
        }
        Err(Rejection::NotAMember.into())
    }

    /// What is not the log's: reactions counted by a view, and whose files are sent. The sender
    /// sees the conversation from `view_from` on.
    async fn check_views(
        &self,
        key: &EventKey,
        event: &Event,
        view_from: Seq,
    ) -> Result<(), SendError> {
        self.check_reactions(key, event).await?;
        self.shared.claims.make(event, key.sender, key.conversation, view_from).await?;
        Ok(())
    }

    /// The limit of reactions is kept by the view, which may be a moment behind.
    async fn check_reactions(&self, key: &EventKey, event: &Event) -> Result<(), SendError> {
        let Event::Reaction(reaction) = event else { return Ok(()) };
        if reaction.op != Toggle::Add {
            return Ok(());
        }
        let log = self.log();
        let question = ReactionsRequest {
            conversation: key.conversation,
            target: reaction.target,
            user: key.sender,
        };
        let partition = log.partition_of(key.conversation);
        let count: usize =
            query::ask(log.connection(), partition, QueryVerb::Reactions, &question, ASK_WITHIN)
                .await?;
        if count >= limit::REACTIONS_PER_USER_MAX {
            return Err(Rejection::TooLarge("the number of reactions").into());
        }
        Ok(())
    }

    /// Step 5.
    async fn settle(&self, prepared: &Prepared, attempt: Attempt) -> Result<Settled, SendError> {
        let sent = match attempt {
            Attempt::Known(seq) => return self.read_back(prepared, seq, true).await,
            Attempt::Sent(sent) => sent,
        };
        let outcome = sent.pending.await;
        if !matches!(outcome, Err(AppendError::Unknown)) {
            sent.in_flight.into_iter().for_each(InFlight::settled);
        }
        let Appended { seq, duplicate } = outcome?;
        if !duplicate && self.is_final(sent.until) {
            return Ok(Settled::Stored(Stored { seq, duplicate }));
        }
        self.read_back(prepared, seq, duplicate).await
    }

    /// Whether an acknowledgement that has just arrived proves that the event is not void.
    fn is_final(&self, until: LogTime) -> bool {
        let error = Duration::from_millis(limit::LOG_TIME_ERROR_MS);
        self.log().clock().now().is_ok_and(|now| now.plus(error) < until)
    }
}

fn append(
    prepared: &Prepared,
    draft: &Draft,
    until: LogTime,
    void: Vec<Seq>,
    expected: Option<Seq>,
) -> Append {
    let Prepared { key, device, .. } = prepared;
    Append {
        key: *key,
        void,
        class: draft.event().class(),
        kind: draft.event().kind(),
        vouch_until: until,
        expected,
        payload: Bytes::from(envelope::encode(key.id, key.sender, *device, draft)),
    }
}

fn with_target_sender(draft: &Arc<Draft>, targets: &[check::Target]) -> Draft {
    let draft = Draft::clone(draft);
    match targets.first() {
        Some(target) => draft.with_target_sender(target.sender),
        None => draft,
    }
}

/// Whom an event adds to a group: they must exist.
fn people(event: &Event) -> &[UserId] {
    match event {
        Event::Create(create) => &create.members,
        Event::Member(change) if change.op == MemberOp::Add => std::slice::from_ref(&change.user),
        Event::Member(_)
        | Event::Message(_)
        | Event::Edit(_)
        | Event::Delete(_)
        | Event::Reaction(_)
        | Event::Pin(_)
        | Event::Title(_)
        | Event::Settings(_) => &[],
    }
}

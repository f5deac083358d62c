//! The client without a socket, a clock or a file: frames and moments in, actions out.
//!
//! [`Machine`] decides everything: when to connect, what to send, what to show, what to write
//! down. The loop in `engine` only carries it out. Reading order: [`clock`], [`outbox`],
//! [`timeline`], [`receipts`], [`places`], [`link`], then this file, which puts them together.
//!
//! Invariant: an event is published once and in order; a cursor is persisted only when everything
//! it covers is persisted before or with it.
//! Invariant: each send is acked or failed once; until then it is sent again with the same id.

pub mod action;
pub mod clock;
mod link;
pub mod outbox;
mod places;
pub mod receipts;
pub mod timeline;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use hansard_model::{ConversationId, MessageId, Role, Seq, UserId, limit};
use hansard_protocol::ErrorCode;
use hansard_protocol::client::{ClientFrame, FrameRef, Hello, Presence, Watch};
use hansard_protocol::server::{ReceiptFrame, Synced, Welcome};
use serde_json::value::RawValue;

use crate::backoff::{Backoff, Dice};
use crate::frame::{Drain, Incoming};
use crate::refusal::Refusal;
use crate::update::{Loss, StopReason, Update};
use action::{Action, Change, Discovered, EventsRequest, Snapshot, ViewRequest};
use clock::{Moment, ServerClock};
use link::{Link, Online, Phase};
use outbox::{Outbox, OutboxFull};
use places::Places;
use receipts::{ReceiptPolicy, Receipts};
use timeline::{Page, ReadFailure, Timelines};

/// What a machine is told once.
#[derive(Clone, Debug)]
pub struct Options {
    /// The session's token.
    pub token: String,
    /// Gateways, the one to try first at the front.
    pub gateways: Vec<String>,
    /// Whether the server is asked which gateway to use.
    pub discover: bool,
    /// Events of each conversation in a catch-up; the server's default if `None`.
    pub catch_up: Option<usize>,
    /// Not shown online.
    pub background: bool,
    /// Between connections.
    pub backoff: Backoff,
    /// What is said of messages that arrive and are read.
    pub receipts: ReceiptPolicy,
    /// Of the jitter and of the random part of ids.
    pub seed: u64,
}

/// See the module.
#[derive(Debug)]
pub struct Machine {
    options: Options,
    dice: Dice,
    clock: ServerClock,
    link: Link,
    outbox: Outbox,
    timelines: Timelines,
    receipts: Receipts,
    user: Option<UserId>,
    /// The last cursor persisted, or about to be.
    cursor: Option<String>,
    /// A cursor that covers events which a repair still holds back.
    cursor_ahead: Option<String>,
    watched: Vec<ConversationId>,
    watched_users: Vec<UserId>,
    /// How the person is shown, once they have said.
    presence: Option<Presence>,
    /// By conversation, what was told of the membership last: as of which event, and the role. No
    /// more than there are conversations.
    memberships: HashMap<ConversationId, (Seq, Option<Role>)>,
    actions: Vec<Action>,
    /// How many of the actions were looked at for what they deliver.
    noted: usize,
}

/// Writes a frame. Frames are plain data: this cannot fail.
pub(crate) fn encode(frame: &ClientFrame) -> String {
    serde_json::to_string(frame).unwrap_or_default()
}

impl Machine {
    /// A machine that goes on from what a store holds; it connects at the first tick.
    pub fn new(options: Options, snapshot: Snapshot) -> Self {
        Self {
            dice: Dice::new(options.seed),
            clock: ServerClock::default(),
            link: Link::new(
                Places::new(options.gateways.clone(), options.discover),
                options.backoff,
            ),
            outbox: Outbox::restore(snapshot.outbox, snapshot.next_row),
            receipts: Receipts::restore(options.receipts, snapshot.marks, &snapshot.timelines),
            timelines: Timelines::restore(snapshot.timelines),
            user: None,
            cursor: snapshot.cursor,
            cursor_ahead: None,
            watched: Vec::new(),
            watched_users: Vec::new(),
            presence: None,
            memberships: HashMap::new(),
            actions: Vec::new(),
            noted: 0,
            options,
        }
    }

    /// What is to be done since the last call, in order.
    pub fn take_actions(&mut self) -> Vec<Action> {
        self.noted = 0;
        std::mem::take(&mut self.actions)
    }

    /// The tick at which [`Machine::tick`] is to be called at the latest.
    pub fn deadline(&mut self) -> Option<u64> {
        let mut deadlines = vec![self.link.deadline()];
        if matches!(self.link.phase, Phase::Online(_)) {
            deadlines.push(self.outbox.deadline());
            deadlines.push(self.timelines.deadline());
            deadlines.push(self.receipts.deadline());
        }
        deadlines.into_iter().flatten().min()
    }

    /// Sends without an answer yet.
    pub fn pending(&self) -> usize {
        self.outbox.len()
    }

    /// Time has passed.
    pub fn tick(&mut self, now: Moment) {
        match self.link.phase {
            Phase::Waiting { until } if until <= now.tick_ms => {
                if self.link.is_to_ask(now) {
                    self.link.asking(now);
                    self.actions.push(Action::Discover(self.link.gateway.clone()));
                } else {
                    self.connect(now);
                }
            }
            Phase::Asking { until } if until <= now.tick_ms => {
                self.gateways(now, Discovered::NoAnswer);
            }
            Phase::Connecting { until } | Phase::Greeting { until } if until <= now.tick_ms => {
                self.leave(now, Loss::Timeout);
            }
            Phase::Online(online) => {
                if online.silent_at() <= now.tick_ms {
                    self.leave(now, Loss::Silent);
                } else if online.leave_at.is_some_and(|at| at <= now.tick_ms) {
                    self.link.settled();
                    self.leave(now, Loss::Drained);
                } else if self.outbox.is_unanswered(now) {
                    self.leave(now, Loss::Unanswered);
                }
            }
            Phase::Waiting { .. }
            | Phase::Asking { .. }
            | Phase::Connecting { .. }
            | Phase::Greeting { .. }
            | Phase::Stopped => {}
        }
        self.pump(now);
    }

    fn connect(&mut self, now: Moment) {
        self.link.connecting(now);
        self.actions.push(Action::Connect(self.link.gateway.clone()));
    }

    /// The answer to [`Action::Discover`]. Whatever it is, a connection is tried next.
    pub fn gateways(&mut self, now: Moment, answer: Discovered) {
        if !matches!(self.link.phase, Phase::Asking { .. }) {
            return;
        }
        match answer {
            Discovered::Gateways(urls) => self.link.places.offer(urls, now.tick_ms),
            Discovered::Refused => self.link.places.offer(Vec::new(), now.tick_ms),
            Discovered::NoAnswer => {
                let asked = self.link.gateway.clone();
                self.link.places.put_aside(&asked, now.tick_ms);
            }
        }
        self.connect(now);
    }

    /// The application sends an event. The id is durable once the actions are carried out.
    ///
    /// # Errors
    /// [`OutboxFull`]; nothing was sent.
    pub fn send(
        &mut self,
        now: Moment,
        conversation: ConversationId,
        event: Box<RawValue>,
    ) -> Result<MessageId, OutboxFull> {
        let id = self.clock.mint(now, &mut self.dice);
        self.outbox.enqueue(conversation, id, event, &mut self.actions)?;
        self.pump(now);
        Ok(id)
    }

    /// The upload of the file of the send before is over, in the same transaction.
    pub fn uploaded(&mut self, row: u64) {
        self.actions.push(Action::Persist(Change::Uploaded { row }));
    }

    /// The person has read a conversation up to here; `private`: the others are not to know.
    pub fn read(&mut self, now: Moment, conversation: ConversationId, seq: Seq, private: bool) {
        self.receipts.read(now, conversation, seq, private, &mut self.actions);
        self.pump(now);
    }

    /// Receipts that the server does not have yet.
    pub fn receipts_pending(&self) -> bool {
        !self.receipts.are_stored()
    }

    /// The person is typing. Lost without a connection, as it should be.
    pub fn typing(&mut self, conversation: ConversationId) {
        if matches!(self.link.phase, Phase::Online(_)) {
            self.actions.push(Action::Transmit(encode(&ClientFrame::Typing { conversation })));
        }
    }

    /// Whose typing to show, now and on later connections.
    pub fn watch(&mut self, conversations: Vec<ConversationId>) {
        self.watched = conversations;
        self.transmit_watch();
    }

    /// Whose presence to show, now and on later connections: at most 200, the rest is left out.
    pub fn watch_users(&mut self, mut users: Vec<UserId>) {
        users.truncate(limit::WATCHED_USERS_MAX);
        self.watched_users = users;
        self.transmit_watch();
    }

    /// How the person is shown, now and on later connections.
    pub fn present_as(&mut self, state: Presence) {
        self.presence = Some(state);
        if matches!(self.link.phase, Phase::Online(_)) {
            self.actions.push(Action::Transmit(encode(&ClientFrame::Presence { state })));
        }
    }

    fn transmit_watch(&mut self) {
        if matches!(self.link.phase, Phase::Online(_)) {
            let (users, conversations) = (self.watched_users.clone(), self.watched.clone());
            let frame = ClientFrame::Watch(Watch { users, conversations, batch: true });
            self.actions.push(Action::Transmit(encode(&frame)));
        }
    }

    /// Another token; connects again if the old one stopped the machine.
    pub fn set_token(&mut self, now: Moment, token: String) {
        self.options.token = token;
        if self.link.phase == Phase::Stopped {
            self.link.restart(now);
            self.tick(now);
        }
    }

    /// A socket is open: says hello.
    pub fn connected(&mut self, now: Moment) {
        self.link.greeting(now);
        let hello = ClientFrame::Hello(Hello {
            token: self.options.token.clone(),
            cursor: self.cursor.clone(),
            catch_up: self.options.catch_up,
            background: self.options.background,
            presence: self.presence,
            ..Hello::default()
        });
        self.actions.push(Action::Transmit(encode(&hello)));
    }

    /// The socket is gone, or could not be opened.
    pub fn disconnected(&mut self, now: Moment, loss: Loss, said: Option<&Refusal>) {
        match loss {
            // The token may have ended in the moment between two frames: whoever has another
            // one sets it.
            Loss::Closed(4001) => return self.stop(now, StopReason::Unauthorized),
            Loss::Closed(4003) => return self.stop(now, StopReason::Revoked),
            Loss::Closed(code @ (4000 | 4002)) => {
                return self.stop(now, StopReason::Incompatible(code));
            }
            _ => {}
        }
        if let Some(refusal) = said {
            self.heed(refusal);
        }
        self.lost(now, loss);
    }

    /// Something arrived that is no frame: a ping.
    pub fn heard(&mut self, now: Moment) {
        self.link.heard(now);
    }

    /// A frame arrived.
    pub fn frame(&mut self, now: Moment, frame: Incoming) {
        self.link.heard(now);
        match frame {
            Incoming::Welcome(welcome) => self.welcome(now, Arc::from(welcome)),
            Incoming::Ack(ack) => {
                self.outbox.stored(ack.conversation, ack.id, ack.seq, &mut self.actions);
            }
            Incoming::Error(reference, refusal) => self.refused(now, reference, refusal),
            Incoming::Event(event) => {
                let event = Arc::from(event);
                self.event(now, event);
            }
            Incoming::Conversation(conversation) => {
                let conversation = Arc::from(conversation);
                self.conversation(conversation);
            }
            Incoming::User(user) => {
                let user = Arc::from(user);
                self.actions.push(Action::Persist(Change::User(Arc::clone(&user))));
                self.actions.push(Action::Publish(Update::User(user)));
            }
            Incoming::Gap(gap) => self.timelines.gap(gap, &mut self.actions),
            Incoming::Synced(synced) => self.synced(now, synced),
            Incoming::Cursor(cursor) => self.cursor_ahead = Some(cursor),
            Incoming::Receipt(receipt) => self.receipt(receipt),
            Incoming::Ok(answers) => self.receipts.stored(now, &answers, &mut self.actions),
            Incoming::Typing(typing) => self.actions.push(Action::Publish(Update::Typing(typing))),
            Incoming::Presence(people) => {
                let shown = people.into_iter().map(Update::Presence);
                self.actions.extend(shown.map(Action::Publish));
            }
            Incoming::Media(media) => {
                self.actions.push(Action::Publish(Update::Media(Arc::from(media))));
            }
            Incoming::Drain(drain) => self.drain(now, &drain),
            Incoming::Other => {}
        }
        self.pump(now);
    }

    /// The answer to [`Action::FetchEvents`].
    pub fn page(&mut self, now: Moment, request: EventsRequest, answer: Result<Page, ReadFailure>) {
        self.timelines.page(now, request, answer, &mut self.dice, &mut self.actions);
        self.pump(now);
    }

    /// The answer to [`Action::FetchView`]; `None` if there was none.
    pub fn view(
        &mut self,
        now: Moment,
        request: ViewRequest,
        view: Option<Arc<hansard_protocol::http::Conversation>>,
    ) {
        let view_from = view.as_ref().map(|view| view.view_from);
        self.timelines.view(now, request, view_from);
        if let Some(view) = view {
            self.conversation(view);
        }
        self.pump(now);
    }

    fn welcome(&mut self, now: Moment, welcome: Arc<Welcome>) {
        if !matches!(self.link.phase, Phase::Greeting { .. }) {
            return;
        }
        self.clock.hear(now, welcome.server_time);
        self.outbox.rename_ahead(now, &mut self.clock, &mut self.dice, &mut self.actions);
        self.user = Some(welcome.user);
        let online = Online::new(now, welcome.heartbeat_s, welcome.limits.in_flight);
        self.link.phase = Phase::Online(online);
        self.link.welcomed();
        self.link.reconnect_as(welcome.reconnect);
        self.actions.push(Action::Publish(Update::Connected(welcome)));
        if !self.watched.is_empty() || !self.watched_users.is_empty() {
            self.transmit_watch();
        }
    }

    fn event(&mut self, now: Moment, event: Arc<crate::event::StoredEvent>) {
        if Some(event.sender) == self.user {
            // As good as the ack, which may have been lost with an earlier connection.
            self.outbox.stored(event.conversation, event.id, event.seq, &mut self.actions);
        }
        self.timelines.event(now, event, &mut self.actions);
    }

    fn receipt(&mut self, receipt: ReceiptFrame) {
        if Some(receipt.user) == self.user {
            self.receipts.told(&receipt, &mut self.actions);
        }
        self.actions.push(Action::Publish(Update::Receipt(receipt)));
    }

    fn conversation(&mut self, conversation: Arc<hansard_protocol::http::Conversation>) {
        let (id, as_of, role) = (conversation.conversation, conversation.as_of, conversation.role);
        let known = self.memberships.get(&id);
        // Of before the person was added or removed: it was on its way when that was told.
        if known.is_some_and(|known| as_of < known.0 && role != known.1) {
            return;
        }
        let as_of = known.map_or(as_of, |known| as_of.max(known.0));
        self.memberships.insert(id, (as_of, role));
        self.timelines.view_from(id, conversation.view_from);
        self.actions.push(Action::Persist(Change::Conversation(Arc::clone(&conversation))));
        self.actions.push(Action::Publish(Update::Conversation(conversation)));
    }

    fn refused(&mut self, now: Moment, reference: Option<FrameRef>, refusal: Refusal) {
        match reference {
            Some(FrameRef::Number(row)) => {
                if let Some(server_time) = refusal.server_time {
                    self.clock.hear(now, server_time);
                }
                let row = row.cast_unsigned();
                let (clock, dice) = (&mut self.clock, &mut self.dice);
                self.outbox.refused(now, row, refusal, clock, dice, &mut self.actions);
            }
            Some(answers @ FrameRef::Text(_)) => {
                self.receipts.refused(now, &answers, &refusal, &mut self.actions);
            }
            // About the connection; how it ends says the close code.
            None => {
                self.heed(&refusal);
                tracing::debug!(code = refusal.code, "the server refuses");
            }
        }
    }

    /// What a refusal of the connection says about coming back.
    fn heed(&mut self, refusal: &Refusal) {
        // Who is too fast at one gateway may not be at another.
        let is_turn = refusal.known() != Some(ErrorCode::RateLimited);
        self.link.retry_after(refusal.retry_after_ms.unwrap_or(0), is_turn);
        self.link.reconnect_as(refusal.reconnect.as_deref().copied());
    }

    fn synced(&mut self, now: Moment, synced: Synced) {
        if synced.reset && self.cursor.is_some() {
            self.timelines.reset();
            self.receipts.reset();
            self.memberships.clear();
            (self.cursor, self.cursor_ahead) = (None, None);
            self.actions.push(Action::Persist(Change::Reset));
            self.actions.push(Action::Publish(Update::Reset));
            return self.leave(now, Loss::Reset);
        }
        self.cursor_ahead = Some(synced.cursor);
        if !synced.complete {
            self.flush_cursor();
            return self.leave(now, Loss::Incomplete);
        }
        self.link.settled();
        self.actions.push(Action::Publish(Update::Synced));
    }

    fn drain(&mut self, now: Moment, drain: &Drain) {
        let Phase::Online(online) = &mut self.link.phase else { return };
        online.leave_at = Some(now.tick_ms.saturating_add(drain.after_ms));
        self.link.reconnect_as(drain.reconnect);
        if let Some(url) = &drain.url {
            self.link.places.prefer(url);
        }
    }

    /// Starts what may start, and stores the cursor once nothing that it covers is held back.
    fn pump(&mut self, now: Moment) {
        self.note_delivered(now);
        if let Phase::Online(online) = self.link.phase {
            self.receipts.pump(now, &mut self.actions);
            self.outbox.pump(now, online.in_flight_max, &mut self.actions);
            self.timelines.pump(now, &mut self.actions);
        }
        self.flush_cursor();
    }

    /// What joined its timeline in this turn was delivered.
    fn note_delivered(&mut self, now: Moment) {
        for action in &self.actions[self.noted.min(self.actions.len())..] {
            if let Action::Publish(Update::Event(event)) = action
                && Some(event.sender) != self.user
            {
                self.receipts.delivered(now, event.conversation, event.seq);
            }
        }
        self.noted = self.actions.len();
    }

    fn flush_cursor(&mut self) {
        if self.timelines.are_whole()
            && let Some(cursor) = self.cursor_ahead.take()
        {
            self.cursor = Some(cursor.clone());
            self.actions.push(Action::Persist(Change::Cursor(cursor)));
        }
    }

    fn leave(&mut self, now: Moment, loss: Loss) {
        self.actions.push(Action::Disconnect);
        self.lost(now, loss);
    }

    fn lost(&mut self, now: Moment, loss: Loss) {
        self.forget_connection(now);
        let retry_in = Duration::from_millis(self.link.wait(now, &loss, &mut self.dice));
        self.actions.push(Action::Publish(Update::Disconnected { retry_in, loss }));
    }

    fn stop(&mut self, now: Moment, reason: StopReason) {
        self.forget_connection(now);
        self.link.phase = Phase::Stopped;
        self.actions.push(Action::Publish(Update::Stopped(reason)));
    }

    fn forget_connection(&mut self, now: Moment) {
        self.outbox.release();
        self.receipts.release(now);
        self.timelines.abandon_repairs();
        self.cursor_ahead = None;
    }
}

#[cfg(test)]
mod tests;

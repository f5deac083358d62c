//! The loop around the machine: one task that carries out what the machine decides.
//!
//! A turn takes what has arrived (bounded), commits everything it changes in one transaction, and
//! only then answers, writes to the socket and hands out updates. While the application does not
//! take its updates no frame is read, so a slow application slows the server down and nothing
//! piles up here; sends are taken all the same, so that one task may both send and listen.

use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use hansard_model::{ConversationId, MessageId, Seq, UserId};
use hansard_protocol::client::Presence;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use crate::frame;
use crate::gateway::Gateway;
use crate::http::Http;
use crate::machine::Machine;
use crate::machine::action::{Action, Discovered, EventsRequest, ViewRequest};
use crate::machine::clock::Moment;
use crate::machine::outbox::OutboxFull;
use crate::machine::timeline::{Page, ReadFailure};
use crate::socket::{self, OpenFailure, Received, Socket};
use crate::store::{Store, StoreError};
use crate::update::{StopReason, Update};

/// Gateways whose connections are kept; more than a client is ever offered at a time.
const GATEWAYS_MAX: usize = 64;
/// Frames, and commands, taken in one turn.
const TURN_INPUTS_MAX: usize = 256;

pub(crate) enum Command {
    Send {
        conversation: ConversationId,
        event: Box<RawValue>,
        /// The upload that ends with it, by its number in the journal.
        uploaded: Option<u64>,
        reply: oneshot::Sender<Result<MessageId, OutboxFull>>,
    },
    Read {
        conversation: ConversationId,
        seq: Seq,
        private: bool,
    },
    ReceiptsPending(oneshot::Sender<bool>),
    Typing(ConversationId),
    Watch(Vec<ConversationId>),
    WatchUsers(Vec<UserId>),
    PresentAs(Presence),
    SetToken(String),
    Pending(oneshot::Sender<usize>),
}

pub(crate) struct Engine {
    pub(crate) machine: Machine,
    pub(crate) store: Store,
    /// By their URLs.
    pub(crate) gateways: HashMap<String, Http>,
    pub(crate) token: String,
    pub(crate) region: Option<String>,
    pub(crate) current: Current,
    pub(crate) commands: mpsc::Receiver<Command>,
    pub(crate) updates: mpsc::Sender<Update>,
    pub(crate) clock: Clock,
}

/// HTTP at the gateway that is connected to, or tried; clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Current(Arc<RwLock<Http>>);

impl Current {
    pub(crate) fn new(http: Http) -> Self {
        Self(Arc::new(RwLock::new(http)))
    }

    pub(crate) fn http(&self) -> Http {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, http: Http) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = http;
    }
}

/// This device's clocks.
#[derive(Clone, Copy)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place where the client reads its clock")]
    fn now(self) -> Moment {
        let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Moment { tick_ms: millis(self.0.elapsed()), wall_ms: millis(wall.unwrap_or_default()) }
    }

    fn at(self, tick_ms: u64) -> Instant {
        self.0 + Duration::from_millis(tick_ms)
    }
}

/// What is under way.
#[derive(Default)]
struct Rim {
    socket: Option<Socket>,
    asking: Option<BoxFuture<'static, Discovered>>,
    opening: Option<BoxFuture<'static, Result<Socket, OpenFailure>>>,
    reads: FuturesUnordered<BoxFuture<'static, Answer>>,
    outbound: VecDeque<Update>,
    replies: Vec<(oneshot::Sender<Result<MessageId, OutboxFull>>, MessageId)>,
    /// The application does not listen any more; it may still send.
    deaf: bool,
}

enum Answer {
    Page(EventsRequest, Result<Page, ReadFailure>),
    View(ViewRequest, Option<Box<hansard_protocol::http::Conversation>>),
}

enum Input {
    Received(Received),
    Opened(Result<Socket, OpenFailure>),
    Discovered(Discovered),
    Answer(Answer),
    Command(Option<Command>),
    Taken(bool),
    Time,
}

impl Engine {
    /// Runs until every [`crate::Client`] is gone, or the store fails.
    pub(crate) async fn run(mut self) {
        let mut rim = Rim::default();
        loop {
            self.machine.tick(self.clock.now());
            if let Err(error) = self.carry_out(&mut rim).await {
                tracing::error!(%error, "the client's store failed; it stops");
                rim.outbound.push_back(Update::Stopped(StopReason::Store));
                break;
            }
            let input = self.wait(&mut rim).await;
            if matches!(input, Input::Command(None)) {
                break;
            }
            self.take(&mut rim, input);
            self.take_more(&mut rim);
        }
        if let Some(socket) = rim.socket.take() {
            socket.close().await;
        }
        for update in rim.outbound {
            // Nobody has to listen to the end.
            if self.updates.try_send(update).is_err() {
                break;
            }
        }
    }

    async fn wait(&mut self, rim: &mut Rim) -> Input {
        let deadline = self.machine.deadline().map(|tick| self.clock.at(tick));
        let listens = rim.outbound.is_empty();
        let reading = !rim.reads.is_empty();
        tokio::select! {
            permit = self.updates.reserve(), if !listens => {
                if let Ok(permit) = permit && let Some(update) = rim.outbound.pop_front() {
                    permit.send(update);
                    Input::Taken(true)
                } else {
                    Input::Taken(false)
                }
            }
            command = self.commands.recv() => Input::Command(command),
            received = receive(&mut rim.socket), if listens => Input::Received(received),
            opened = of(&mut rim.opening) => Input::Opened(opened),
            answer = of(&mut rim.asking) => Input::Discovered(answer),
            Some(answer) = rim.reads.next(), if reading => Input::Answer(answer),
            () = sleep_until(deadline) => Input::Time,
        }
    }

    fn take(&mut self, rim: &mut Rim, input: Input) {
        let now = self.clock.now();
        match input {
            Input::Received(received) => self.received(rim, now, received),
            Input::Opened(opened) => {
                rim.opening = None;
                match opened {
                    Ok(socket) => {
                        rim.socket = Some(socket);
                        self.machine.connected(now);
                    }
                    Err(OpenFailure { loss, refusal }) => {
                        self.machine.disconnected(now, loss, refusal.as_deref());
                    }
                }
            }
            Input::Discovered(answer) => {
                rim.asking = None;
                self.machine.gateways(now, answer);
            }
            Input::Answer(Answer::Page(request, page)) => self.machine.page(now, request, page),
            Input::Answer(Answer::View(request, view)) => {
                self.machine.view(now, request, view.map(Arc::from));
            }
            Input::Command(Some(command)) => self.command(rim, now, command),
            Input::Taken(heard) => {
                rim.deaf = !heard;
                while let Some(update) = rim.outbound.pop_front() {
                    if let Err(mpsc::error::TrySendError::Full(update)) =
                        self.updates.try_send(update)
                    {
                        rim.outbound.push_front(update);
                        break;
                    }
                }
            }
            Input::Command(None) | Input::Time => {}
        }
    }

    /// Takes what else has arrived, so that one transaction serves many.
    fn take_more(&mut self, rim: &mut Rim) {
        for _ in 0..TURN_INPUTS_MAX {
            let Ok(command) = self.commands.try_recv() else { break };
            self.command(rim, self.clock.now(), command);
        }
        if !rim.outbound.is_empty() {
            return;
        }
        for _ in 0..TURN_INPUTS_MAX {
            let Some(received) = rim.socket.as_mut().and_then(Socket::receive_now) else { break };
            self.received(rim, self.clock.now(), received);
        }
    }

    fn received(&mut self, rim: &mut Rim, now: Moment, received: Received) {
        match received {
            Received::Text(text) => match frame::decode(&text) {
                Ok(frame) => self.machine.frame(now, frame),
                Err(error) => {
                    tracing::warn!(%error, "a frame of the server cannot be read");
                    self.machine.heard(now);
                }
            },
            Received::Sign => self.machine.heard(now),
            Received::Closed(loss) => {
                rim.socket = None;
                self.machine.disconnected(now, loss, None);
            }
        }
    }

    fn command(&mut self, rim: &mut Rim, now: Moment, command: Command) {
        match command {
            Command::Send { conversation, event, uploaded, reply } => {
                match self.machine.send(now, conversation, event) {
                    Ok(id) => {
                        uploaded.into_iter().for_each(|row| self.machine.uploaded(row));
                        rim.replies.push((reply, id));
                    }
                    // The caller may be gone, here and below.
                    Err(full) => drop(reply.send(Err(full))),
                }
            }
            Command::Read { conversation, seq, private } => {
                self.machine.read(now, conversation, seq, private);
            }
            Command::ReceiptsPending(reply) => drop(reply.send(self.machine.receipts_pending())),
            Command::Typing(conversation) => self.machine.typing(conversation),
            Command::Watch(conversations) => self.machine.watch(conversations),
            Command::WatchUsers(users) => self.machine.watch_users(users),
            Command::PresentAs(state) => self.machine.present_as(state),
            Command::SetToken(token) => {
                for http in self.gateways.values() {
                    http.set_token(Some(token.clone()));
                }
                self.token.clone_from(&token);
                self.machine.set_token(now, token);
            }
            Command::Pending(reply) => drop(reply.send(self.machine.pending())),
        }
    }

    async fn carry_out(&mut self, rim: &mut Rim) -> Result<(), StoreError> {
        loop {
            let actions = self.machine.take_actions();
            if actions.is_empty() {
                return Ok(());
            }
            let (mut changes, mut frames, mut rest) = (Vec::new(), Vec::new(), Vec::new());
            for action in actions {
                match action {
                    Action::Persist(change) => changes.push(change),
                    Action::Transmit(frame) => frames.push(frame),
                    // What was to be written before is not: the socket is given up.
                    Action::Disconnect => {
                        frames.clear();
                        rest.push(Action::Disconnect);
                    }
                    other => rest.push(other),
                }
            }
            self.store.commit(changes).await?;
            for (reply, id) in rim.replies.drain(..) {
                // The caller may be gone: the send is in the outbox all the same.
                let _ = reply.send(Ok(id));
            }
            for action in rest {
                self.perform(rim, action);
            }
            if let Some(socket) = &mut rim.socket
                && !frames.is_empty()
                && let Err(loss) = socket.transmit(frames).await
            {
                rim.socket = None;
                self.machine.disconnected(self.clock.now(), loss, None);
            }
        }
    }

    fn perform(&mut self, rim: &mut Rim, action: Action) {
        match action {
            Action::Discover(url) => {
                if let Some(http) = self.turn_to(&url) {
                    let region = self.region.clone();
                    let asking = async move { http.discover(region.as_deref()).await };
                    rim.asking = Some(Box::pin(asking));
                }
            }
            Action::Connect(url) => {
                rim.asking = None;
                if let Some(http) = self.turn_to(&url) {
                    rim.opening = Some(Box::pin(socket::open(http.gateway().clone())));
                }
            }
            Action::Disconnect => {
                rim.asking = None;
                rim.opening = None;
                if let Some(socket) = rim.socket.take() {
                    // Bounded; the loop does not wait for it.
                    tokio::spawn(socket.close());
                }
            }
            Action::Publish(update) => {
                if !rim.deaf {
                    rim.outbound.push_back(update);
                }
            }
            Action::FetchEvents(request) => {
                let http = self.http();
                rim.reads
                    .push(Box::pin(async move { Answer::Page(request, http.page(request).await) }));
            }
            Action::FetchView(request) => {
                let http = self.http();
                rim.reads.push(Box::pin(async move {
                    let view = http.conversation(request.conversation).await;
                    Answer::View(request, view.ok().map(Box::new))
                }));
            }
            Action::Persist(_) | Action::Transmit(_) => {}
        }
    }

    fn http(&self) -> Http {
        self.current.http()
    }

    /// A gateway's interface, which is the one that applications use from now on.
    fn turn_to(&mut self, url: &str) -> Option<Http> {
        if !self.gateways.contains_key(url) {
            // The machine knows no address that was not read before.
            let gateway: Gateway = url.parse().ok()?;
            if self.gateways.len() >= GATEWAYS_MAX {
                self.gateways.clear();
            }
            let http = Http::new(gateway);
            http.set_token(Some(self.token.clone()));
            self.gateways.insert(url.to_owned(), http);
        }
        let http = self.gateways.get(url)?.clone();
        self.current.set(http.clone());
        Some(http)
    }
}

async fn receive(socket: &mut Option<Socket>) -> Received {
    match socket {
        Some(socket) => socket.receive().await,
        None => pending().await,
    }
}

/// The outcome of a future that may not be there.
async fn of<T>(slot: &mut Option<BoxFuture<'static, T>>) -> T {
    match slot {
        Some(future) => future.await,
        None => pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => pending().await,
    }
}

#[cfg(test)]
mod tests;

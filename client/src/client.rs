//! The handle of an application.

use hansard_model::event::MessageSent;
use hansard_model::{ConversationId, Event, MessageId, Seq, UserId, limit};
use hansard_protocol::client::Presence;
use hansard_protocol::media::MediaInfo;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use crate::backoff::Backoff;
use crate::engine::{Clock, Command, Current, Engine};
use crate::gateway::Gateway;
use crate::http::Http;
use crate::machine::outbox::OutboxFull;
use crate::machine::receipts::ReceiptPolicy;
use crate::machine::{Machine, Options};
use crate::media::{self, Media, Unfinished};
use crate::store::{Store, StoreError};
use crate::update::Update;

/// Updates that wait for the application; then the connection is read no further.
const UPDATES_MAX: usize = 1_024;
/// Commands that wait for the engine; then callers wait.
const COMMANDS_MAX: usize = 1_024;

/// How to connect.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Where; several are tried in turn.
    pub gateways: Vec<Gateway>,
    /// Whether these are asked for better ones, at the start and after a failure. The token goes
    /// to those that they name; without an answer the given ones are used.
    pub discover: bool,
    /// The region to prefer then.
    pub region: Option<String>,
    /// The session's token.
    pub token: String,
    /// Events of each conversation in a catch-up, 0 to 1,000; the server's default if `None`.
    pub catch_up: Option<usize>,
    /// Not shown online.
    pub background: bool,
    /// Between connections, until the server says how.
    pub backoff: Backoff,
    /// What is said of messages that arrive and are read.
    pub receipts: ReceiptPolicy,
    /// Of the jitter and the random part of ids; random if `None`.
    pub seed: Option<u64>,
}

impl ClientOptions {
    /// The usual, for one gateway.
    pub fn new(gateway: Gateway, token: String) -> Self {
        Self {
            gateways: vec![gateway],
            discover: true,
            region: None,
            token,
            catch_up: None,
            background: false,
            backoff: Backoff::RECONNECT,
            receipts: ReceiptPolicy::default(),
            seed: None,
        }
    }
}

/// A connected person. Clones share the connection; it ends when the last one is gone.
#[derive(Clone, Debug)]
pub struct Client {
    commands: mpsc::Sender<Command>,
    current: Current,
    store: Store,
}

/// What happens, in order. The connection stands still while nobody takes from here.
#[derive(Debug)]
pub struct Updates(mpsc::Receiver<Update>);

/// The client cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// No gateway was given.
    #[error("no gateway to connect to")]
    NoGateway,
    /// The store does not open.
    #[error("the client's store cannot be read")]
    Store(#[from] StoreError),
    /// The system gives no random bytes.
    #[error("no random numbers")]
    Random(#[source] getrandom::Error),
}

/// The event was not taken.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// Larger than any server takes.
    #[error("the event is over {} bytes", limit::EVENT_BYTES_MAX)]
    TooLarge,
    /// Too much waits for an answer already.
    #[error(transparent)]
    Full(#[from] OutboxFull),
    /// It cannot be written as JSON.
    #[error("the event is not JSON")]
    Json(#[source] serde_json::Error),
    /// The client's store.
    #[error(transparent)]
    Store(StoreError),
    /// The client has stopped, because its store failed. The event may be in the outbox.
    #[error("the client has stopped")]
    Stopped,
}

impl Client {
    /// Goes on from what the store holds and connects in the background: returns at once, online
    /// or not.
    ///
    /// # Errors
    /// [`StartError`].
    pub async fn connect(
        options: ClientOptions,
        store: Store,
    ) -> Result<(Self, Updates), StartError> {
        let https: Vec<Http> = options.gateways.iter().cloned().map(Http::new).collect();
        let current = Current::new(https.first().ok_or(StartError::NoGateway)?.clone());
        https.iter().for_each(|http| http.set_token(Some(options.token.clone())));
        let seed = match options.seed {
            Some(seed) => seed,
            None => getrandom::u64().map_err(StartError::Random)?,
        };
        let snapshot = store.load().await?;
        let machine = Machine::new(
            Options {
                token: options.token.clone(),
                gateways: options.gateways.iter().map(Gateway::to_string).collect(),
                discover: options.discover,
                catch_up: options.catch_up,
                background: options.background,
                backoff: options.backoff,
                receipts: options.receipts,
                seed,
            },
            snapshot,
        );
        let (commands, command_queue) = mpsc::channel(COMMANDS_MAX);
        let (update_queue, updates) = mpsc::channel(UPDATES_MAX);
        let gateways = https.into_iter().map(|http| (http.gateway().to_string(), http));
        let engine = Engine {
            machine,
            store: store.clone(),
            gateways: gateways.collect(),
            token: options.token,
            region: options.region,
            current: current.clone(),
            commands: command_queue,
            updates: update_queue,
            clock: Clock::start(),
        };
        // It ends when every handle is gone.
        tokio::spawn(engine.run());
        Ok((Self { commands, current, store }, Updates(updates)))
    }

    /// Sends an event: it is in the outbox, on disk, when this returns, and stays there until
    /// [`Update::Ack`] or [`Update::Failed`] for the id returned.
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send(
        &self,
        conversation: ConversationId,
        event: &Event,
    ) -> Result<MessageId, SendError> {
        let json = serde_json::value::to_raw_value(event).map_err(SendError::Json)?;
        self.send_json(conversation, json).await
    }

    /// The same for an event with fields of the application's own (`data`).
    ///
    /// # Errors
    /// [`SendError`].
    pub async fn send_json(
        &self,
        conversation: ConversationId,
        event: Box<RawValue>,
    ) -> Result<MessageId, SendError> {
        self.enqueue(conversation, event, None).await
    }

    /// Sends the message that was prepared with a file, once that is uploaded: in one transaction
    /// the message joins the outbox and the upload leaves the journal. So it is sent once, whatever
    /// ends in between. `None`: it was prepared without a message, and only leaves the journal.
    ///
    /// # Errors
    /// [`SendError`]
    pub async fn send_file(
        &self,
        unfinished: &Unfinished,
        info: &MediaInfo,
    ) -> Result<Option<MessageId>, SendError> {
        let Some(draft) = &unfinished.message else {
            self.store.forget_upload(unfinished.row).await.map_err(SendError::Store)?;
            return Ok(None);
        };
        let message = MessageSent {
            text: draft.text.clone(),
            media: vec![media::entry(info)],
            ..MessageSent::default()
        };
        let json = serde_json::value::to_raw_value(&Event::Message(message));
        let json = json.map_err(SendError::Json)?;
        self.enqueue(draft.conversation, json, Some(unfinished.row)).await.map(Some)
    }

    async fn enqueue(
        &self,
        conversation: ConversationId,
        event: Box<RawValue>,
        uploaded: Option<u64>,
    ) -> Result<MessageId, SendError> {
        if event.get().len() > limit::EVENT_BYTES_MAX {
            return Err(SendError::TooLarge);
        }
        let (reply, answer) = oneshot::channel();
        let command = Command::Send { conversation, event, uploaded, reply };
        self.commands.send(command).await.map_err(|_| SendError::Stopped)?;
        Ok(answer.await.map_err(|_| SendError::Stopped)??)
    }

    /// The person has read a conversation up to this event: its receipt goes out by itself,
    /// gathered with others, again if need be, after a restart too. What is delivered is said
    /// without a call.
    pub async fn read(&self, conversation: ConversationId, seq: Seq) {
        self.command(Command::Read { conversation, seq, private: false }).await;
    }

    /// The same, but the others are not to know: only the person's own devices are told.
    pub async fn read_privately(&self, conversation: ConversationId, seq: Seq) {
        self.command(Command::Read { conversation, seq, private: true }).await;
    }

    /// Whether there are receipts that the server does not have yet.
    pub async fn has_receipts_pending(&self) -> bool {
        let (reply, answer) = oneshot::channel();
        self.command(Command::ReceiptsPending(reply)).await;
        answer.await.unwrap_or(false)
    }

    /// Shows the person as typing; at most every few seconds. Lost without a connection.
    pub async fn typing(&self, conversation: ConversationId) {
        self.command(Command::Typing(conversation)).await;
    }

    /// Whose typing is wanted: at most 4 conversations, replaces the last.
    pub async fn watch(&self, conversations: Vec<ConversationId>) {
        self.command(Command::Watch(conversations)).await;
    }

    /// Whose presence is wanted: at most 200 people who share a conversation with this one,
    /// replaces the last. [`Update::Presence`] says how each is, and then what changes.
    pub async fn watch_users(&self, users: Vec<UserId>) {
        self.command(Command::WatchUsers(users)).await;
    }

    /// How the person is shown from now on: online (and away by itself after a while), away, or
    /// not at all.
    pub async fn present_as(&self, state: Presence) {
        self.command(Command::PresentAs(state)).await;
    }

    /// Another token from now on; connects again after [`Update::Stopped`].
    pub async fn set_token(&self, token: String) {
        self.command(Command::SetToken(token)).await;
    }

    /// Sends without an answer yet.
    pub async fn pending(&self) -> usize {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Pending(reply)).await;
        answer.await.unwrap_or(0)
    }

    /// HTTP at the gateway that the client is connected to, or tries.
    pub fn http(&self) -> Http {
        self.current.http()
    }

    /// Uploads and downloads, by the same gateway.
    pub fn media(&self) -> Media {
        Media::of(self.current.clone(), self.store.clone())
    }

    /// What is cached.
    pub fn store(&self) -> &Store {
        &self.store
    }

    async fn command(&self, command: Command) {
        // A stopped client has said so in its updates.
        let _ = self.commands.send(command).await;
    }
}

impl Updates {
    /// The next update; `None` when the client has ended.
    pub async fn next(&mut self) -> Option<Update> {
        self.0.recv().await
    }

    /// The next update if there is one now.
    pub fn try_next(&mut self) -> Option<Update> {
        self.0.try_recv().ok()
    }
}

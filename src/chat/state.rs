//! What there is to show: people, inbox, the open conversation, what is not sent yet.

pub(super) mod act;
pub(super) mod files;
mod incoming;
mod presence;
mod receipts;
mod search;
pub(super) mod words;

use std::collections::{BTreeSet, HashMap};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hansard_client::http::{Around, MessagesQuery};
use hansard_client::machine::action::Change;
use hansard_client::{Client, HttpError, Loss, StopReason, StoredEvent, Update};
use hansard_model::{ConversationId, Event, LogTime, MessageId, Seq, UserId};
use hansard_protocol::Retry;
use hansard_protocol::http::{Conversation, User};
use hansard_protocol::server::PresenceFrame;
use tokio::time::{Instant, timeout};

use super::room::Room;

/// A read that takes longer is given up: what is cached is shown.
const READ_TIMEOUT: Duration = Duration::from_secs(5);
/// Messages loaded at once.
const PAGE: usize = 50;
/// "typing" ends so long after the last sign of it.
const TYPING_FOR: Duration = Duration::from_secs(6);
/// People asked for at once.
const PEOPLE_MAX: usize = 50;

pub(super) struct Chat {
    pub(super) client: Client,
    pub(super) me: User,
    people: HashMap<UserId, User>,
    inbox: HashMap<ConversationId, Entry>,
    pub(super) room: Option<Room>,
    pub(super) pending: Vec<Pending>,
    reacting: Vec<Reacting>,
    typing: Vec<(UserId, Instant)>,
    /// How far the others in the open conversation have got: delivered and read.
    got: HashMap<UserId, (Seq, Seq)>,
    /// Who of the others in the open conversation is there, or not.
    present: HashMap<UserId, PresenceFrame>,
    pub(super) link: Link,
    pub(super) files: files::Files,
}

struct Entry {
    view: Conversation,
    active: LogTime,
    unread: u64,
    /// The last message, on one line.
    preview: Option<String>,
}

/// A message of this terminal whose event has not come by.
pub(super) struct Pending {
    pub(super) conversation: ConversationId,
    pub(super) id: MessageId,
    pub(super) text: String,
    pub(super) stored: bool,
}

/// The connection, for the state line.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    Connecting,
    CatchingUp,
    Online,
    Waiting(Instant),
    Stopped(StopReason),
}

/// What came in that somebody may want to print.
pub(super) enum News {
    Event(Arc<StoredEvent>),
    Link,
    Failed(String),
    /// A file was fetched, to here.
    Saved(PathBuf),
    /// Something to know, of which nothing is to be done.
    Told(String),
    Nothing,
}

/// A row of the inbox.
pub(super) struct Row {
    pub(super) conversation: ConversationId,
    pub(super) title: String,
    pub(super) unread: u64,
    pub(super) last: Option<String>,
    pub(super) open: bool,
    /// A group of which the person is no member any more.
    pub(super) left: bool,
}

impl Row {
    /// What follows the title.
    pub(super) fn marks(&self) -> String {
        let left = if self.left { " (left)" } else { "" };
        match self.unread {
            0 => left.to_owned(),
            unread => format!("{left} ({unread})"),
        }
    }
}

/// A reaction of this terminal whose event has not come by.
struct Reacting {
    conversation: ConversationId,
    id: MessageId,
    target: Seq,
    emoji: String,
}

impl Chat {
    /// `places`: where files come from and go.
    pub(super) async fn new(
        client: Client,
        me: User,
        places: files::Places,
    ) -> anyhow::Result<Self> {
        let people = client.store().users().await?;
        let mut chat = Self {
            people: people.into_iter().map(|user| (user.user, user)).collect(),
            inbox: HashMap::new(),
            room: None,
            pending: Vec::new(),
            reacting: Vec::new(),
            typing: Vec::new(),
            got: HashMap::new(),
            present: HashMap::new(),
            link: Link::Connecting,
            files: files::Files::new(places),
            me,
            client,
        };
        chat.people.insert(chat.me.user, chat.me.clone());
        for view in chat.client.store().conversations().await? {
            chat.view(view);
        }
        for entry in chat.client.store().outbox().await? {
            if let Ok(Event::Message(message)) = serde_json::from_str(entry.event.get()) {
                let (conversation, id) = (entry.conversation, entry.id);
                let (text, stored) = (words::summary(&message), false);
                chat.pending.push(Pending { conversation, id, text, stored });
            }
        }
        Ok(chat)
    }

    fn view(&mut self, view: Conversation) {
        let before = self.inbox.get(&view.conversation).map(|entry| entry.active);
        let last = view.last.as_ref().map(|last| last.ts);
        let active = last.into_iter().chain(before).max().unwrap_or_default();
        let open = self.room.as_ref().is_some_and(|room| room.conversation == view.conversation);
        let unread = if open { 0 } else { view.unread };
        let preview = words::preview(&view);
        self.inbox.insert(view.conversation, Entry { view, active, unread, preview });
    }

    /// Takes an update.
    pub(super) async fn update(&mut self, update: Update) -> News {
        match update {
            Update::Connected(_) => self.link = Link::CatchingUp,
            Update::Synced => {
                self.link = Link::Online;
                self.go_on_with_files().await;
            }
            Update::Disconnected {
                loss: Loss::Drained | Loss::Incomplete | Loss::Reset, ..
            } => {
                self.link = Link::Connecting;
            }
            Update::Disconnected { retry_in, .. } => {
                self.link = Link::Waiting(Instant::now() + retry_in);
            }
            Update::Stopped(reason) => self.link = Link::Stopped(reason),
            Update::Reset => {
                self.inbox.clear();
                self.reacting.clear();
                self.reload().await;
            }
            Update::Gap(gap) => {
                if self.is_open(gap.conversation) {
                    self.reload().await;
                }
                return News::Nothing;
            }
            Update::Event(event) => return self.event(event).await,
            Update::Conversation(view) => {
                self.view(Conversation::clone(&view));
                self.learn(view.with.into_iter()).await;
                return News::Nothing;
            }
            Update::User(user) => {
                self.people.insert(user.user, User::clone(&user));
                return News::Nothing;
            }
            Update::Typing(typing) => {
                if self.is_open(typing.conversation) {
                    self.typing.retain(|(user, _)| *user != typing.user);
                    self.typing.push((typing.user, Instant::now() + TYPING_FOR));
                }
                return News::Nothing;
            }
            Update::Presence(presence) => {
                self.note_presence(presence);
                return News::Nothing;
            }
            Update::Media(media) => return self.file_is_ready(&media),
            Update::Receipt(receipt) => return self.receipt(&receipt),
            Update::Ack { id, .. } => {
                if let Some(pending) = self.pending.iter_mut().find(|pending| pending.id == id) {
                    pending.stored = true;
                }
                return News::Nothing;
            }
            Update::Failed { id, refusal, .. } => {
                self.pending.retain(|pending| pending.id != id);
                self.reacting.retain(|reacting| reacting.id != id);
                return News::Failed(format!("not sent: {}", words::refusal(&refusal)));
            }
            Update::Renamed { from, to, .. } => {
                self.renamed(from, to);
                return News::Nothing;
            }
        }
        News::Link
    }

    fn renamed(&mut self, from: MessageId, to: MessageId) {
        if let Some(pending) = self.pending.iter_mut().find(|pending| pending.id == from) {
            pending.id = to;
        }
        if let Some(reacting) = self.reacting.iter_mut().find(|one| one.id == from) {
            reacting.id = to;
        }
    }

    /// Looks up people who are not known yet.
    async fn learn(&mut self, users: impl Iterator<Item = UserId>) {
        let unknown: Vec<_> =
            users.filter(|user| !self.people.contains_key(user)).take(PEOPLE_MAX).collect();
        if unknown.is_empty() {
            return;
        }
        if let Ok(Ok(users)) = timeout(READ_TIMEOUT, self.client.http().users(&unknown)).await {
            self.know(users).await;
        }
    }

    /// Knows people from now on, offline too.
    async fn know(&mut self, users: Vec<User>) {
        let changes = users.iter().cloned().map(|user| Change::User(Arc::new(user))).collect();
        if let Err(error) = self.client.store().commit(changes).await {
            tracing::debug!(%error, "people are not cached");
        }
        self.people.extend(users.into_iter().map(|user| (user.user, user)));
    }

    async fn look_up(&mut self, conversation: ConversationId) {
        let http = self.client.http();
        let view = http.conversation(conversation);
        if let Ok(Ok(view)) = timeout(READ_TIMEOUT, view).await {
            let with = view.with;
            self.view(view);
            self.learn(with.into_iter()).await;
        }
    }

    /// Opens a conversation: its newest messages from the server, or else what is cached.
    pub(super) async fn enter(&mut self, conversation: ConversationId) -> anyhow::Result<()> {
        let mut room = Room::new(conversation);
        let query = MessagesQuery { limit: Some(PAGE), around: None };
        let page = timeout(READ_TIMEOUT, self.client.http().messages(conversation, query)).await;
        match page {
            Ok(Ok(page)) => {
                let items = page.items.into_iter();
                let items: Vec<_> = items.filter_map(|item| StoredEvent::of(item).ok()).collect();
                // What the page shows does not wait any more, even if its event never comes by.
                self.pending.retain(|pending| items.iter().all(|item| item.id != pending.id));
                room.page(items, self.me.user);
                room.caught_up_to(page.as_of);
                room.more_before = page.more_before;
            }
            // A direct conversation begins with its first message.
            Ok(Err(HttpError::Refused(refusal)))
                if refusal.retry == Retry::Never && conversation.is_group() =>
            {
                anyhow::bail!("{}", words::refusal(&refusal));
            }
            Ok(Err(_)) | Err(_) => {
                let cached = self.client.store().events(conversation, 500).await?;
                for event in &cached {
                    room.event(event, self.me.user);
                }
                room.more_before = cached.first().is_some_and(|first| first.prev > Seq::ZERO);
            }
        }
        let people: BTreeSet<_> = room
            .messages
            .values()
            .map(|message| message.sender)
            .chain(conversation.other(self.me.user))
            .collect();
        let me = self.me.user;
        self.reacting.retain(|one| {
            one.conversation != conversation || !room.reacted(one.target, &one.emoji, me)
        });
        let as_of = room.as_of();
        self.room = Some(room);
        self.note_files_of_room();
        self.typing.clear();
        self.got.clear();
        self.present.clear();
        self.client.read(conversation, as_of).await;
        self.look_up_receipts(conversation).await;
        if let Some(entry) = self.inbox.get_mut(&conversation) {
            entry.unread = 0;
        }
        self.client.watch(vec![conversation]).await;
        self.learn(people.into_iter()).await;
        self.look_up_presence(conversation).await;
        Ok(())
    }

    async fn reload(&mut self) {
        if let Some(room) = &self.room {
            let conversation = room.conversation;
            // The room stays as it is when it cannot be read.
            let _ = self.enter(conversation).await;
        }
    }

    /// Loads earlier messages; `false` if there are none, or they cannot be read now.
    pub(super) async fn load_earlier(&mut self) -> bool {
        let Some(room) = &self.room else { return false };
        let Some(first) = room.messages.keys().next().copied().filter(|_| room.more_before) else {
            return false;
        };
        let query = MessagesQuery { around: Some(Around::Before(first)), limit: Some(PAGE) };
        let http = self.client.http();
        let read = http.messages(room.conversation, query);
        let Ok(Ok(page)) = timeout(READ_TIMEOUT, read).await else { return false };
        let items: Vec<_> =
            page.items.into_iter().filter_map(|item| StoredEvent::of(item).ok()).collect();
        let people: BTreeSet<_> = items.iter().map(|item| item.sender).collect();
        let any = !items.is_empty();
        if let Some(room) = &mut self.room {
            room.page(items, self.me.user);
            room.more_before = page.more_before;
        }
        self.note_files_of_room();
        self.learn(people.into_iter()).await;
        any
    }

    pub(super) fn is_open(&self, conversation: ConversationId) -> bool {
        self.room.as_ref().is_some_and(|room| room.conversation == conversation)
    }

    /// The inbox: pinned first, then last active first.
    pub(super) fn rows(&self) -> Vec<Row> {
        let mut entries: Vec<_> =
            self.inbox.values().filter(|entry| !entry.view.archived).collect();
        entries.sort_by_key(|entry| {
            let key = (entry.view.pinned, entry.active, entry.view.conversation);
            std::cmp::Reverse(key)
        });
        let row = |entry: &&Entry| Row {
            conversation: entry.view.conversation,
            title: self.title(entry.view.conversation),
            unread: entry.unread,
            last: entry.preview.clone(),
            open: self.is_open(entry.view.conversation),
            left: entry.view.conversation.is_group() && entry.view.role.is_none(),
        };
        entries.iter().map(row).collect()
    }

    /// Who is typing here now.
    pub(super) fn typing(&mut self) -> Vec<String> {
        let now = Instant::now();
        self.typing.retain(|(_, until)| *until > now);
        self.typing.iter().map(|(user, _)| self.name(*user)).collect()
    }
}

//! What a person does.

use anyhow::{Context, anyhow, bail};
use hansard_client::{Http, HttpError};
use hansard_model::account::Handle;
use hansard_model::event::{
    MemberChanged, MemberOp, MessageDeleted, MessageEdited, MessageSent, ReactionChanged,
    TitleChanged, Toggle,
};
use hansard_model::{ConversationId, Event, Seq, UserId};
use hansard_protocol::http::{CreateConversation, User};
use tokio::time::timeout;
use unicode_segmentation::UnicodeSegmentation;

use super::words::failure;
use super::{Chat, Pending, READ_TIMEOUT, Reacting};
use crate::chat::command::{HELP, Input};
use crate::chat::text::{clean_line, fit};

/// Columns of a message's beginning, where it is named.
const QUOTE_COLUMNS: usize = 40;

/// What came of it.
pub(in crate::chat) enum Done {
    /// Nothing to say.
    Quietly,
    /// Another conversation is open; a line about it.
    Opened(String),
    /// Lines for the person.
    Said(Vec<String>),
    /// The person leaves.
    Quit,
}

impl Chat {
    /// Does it. Errors are for the person.
    pub(in crate::chat) async fn act(&mut self, input: Input) -> anyhow::Result<Done> {
        match input {
            Input::Empty => {}
            Input::Quit => return Ok(Done::Quit),
            Input::Help => return Ok(Done::Said(HELP.lines().map(str::to_owned).collect())),
            Input::Inbox => return Ok(Done::Said(self.inbox_lines())),
            Input::Say(text) => self.say_here(text).await?,
            Input::Send(path, text) => {
                return self.send_file(&path, text).await.map(|line| Done::Said(vec![line]));
            }
            Input::Get(number, path) => {
                return self.get_file(number, path.as_deref()).map(|line| Done::Said(vec![line]));
            }
            Input::Stop => {
                let stopped = self.stop_files().await?;
                return Ok(Done::Said(vec![format!("{stopped} file(s) ended")]));
            }
            Input::Open(target) => {
                let conversation = self.find(&target).await?;
                self.enter(conversation).await?;
                return Ok(self.opened(conversation));
            }
            Input::Group(title, handles) => {
                let conversation = self.make_group(title, &handles).await?;
                return Ok(self.opened(conversation));
            }
            Input::Add(handles) => {
                for handle in handles {
                    let user = self.person(&handle).await?.user;
                    self.change_member(user, MemberOp::Add).await?;
                }
            }
            Input::Remove(handle) => {
                let user = self.person(&handle).await?.user;
                self.change_member(user, MemberOp::Remove).await?;
            }
            Input::Leave => self.change_member(self.me.user, MemberOp::Leave).await?,
            Input::Members => return self.member_lines().await.map(Done::Said),
            Input::Title(title) => {
                self.group()?;
                self.send(Event::Title(TitleChanged { title })).await?;
            }
            Input::Edit(text) => {
                let (target, _) = self.own_last()?;
                // An edit replaces the files too: they stay.
                let message = self.room.as_ref().and_then(|room| room.messages.get(&target));
                let media = message.map(|message| message.files.clone()).unwrap_or_default();
                let mentions = Vec::new();
                let edit = MessageEdited { target, text, mentions, media, target_sender: None };
                self.send(Event::Edit(edit)).await?;
            }
            Input::Delete => {
                let (target, quote) = self.own_last()?;
                self.send(Event::Delete(MessageDeleted { target, target_sender: None })).await?;
                return Ok(Done::Said(vec![format!("deleting “{quote}”")]));
            }
            Input::React(emoji) => self.react(emoji).await?,
            Input::Read => {
                let (seq, _) = self.own_last()?;
                return self.receipt_lines(seq).await.map(Done::Said);
            }
            Input::Search(text) => return self.search_lines(&text).await.map(Done::Said),
            Input::Receipts(visibility) => {
                let line = self.read_receipts(visibility).await?;
                return Ok(Done::Said(vec![line.to_owned()]));
            }
        }
        Ok(Done::Quietly)
    }

    pub(super) fn here(&self) -> anyhow::Result<ConversationId> {
        let room = self.room.as_ref().map(|room| room.conversation);
        room.context("no conversation is open: /open <handle>")
    }

    fn group(&self) -> anyhow::Result<ConversationId> {
        let here = self.here()?;
        if here.is_group() { Ok(here) } else { bail!("this is not a group: /group makes one") }
    }

    fn opened(&self, conversation: ConversationId) -> Done {
        Done::Opened(format!("{} · {conversation}", self.title(conversation)))
    }

    /// The person's last message here and how it begins. Never an older one than they mean.
    fn own_last(&self) -> anyhow::Result<(Seq, String)> {
        self.nothing_waits()?;
        let room = self.room.as_ref();
        let last = room.and_then(|room| room.own_last(self.me.user));
        let (target, text) = last.context("there is no message of yours here")?;
        let text = if text.is_empty() { "a file" } else { text };
        Ok((target, fit(&clean_line(text), QUOTE_COLUMNS)))
    }

    /// Fails while a message of this terminal waits here: it has no place in the log yet.
    fn nothing_waits(&self) -> anyhow::Result<()> {
        let here = self.here()?;
        if self.pending.iter().any(|pending| pending.conversation == here) {
            bail!("your last message is not sent yet");
        }
        Ok(())
    }

    async fn react(&mut self, emoji: String) -> anyhow::Result<()> {
        self.nothing_waits()?;
        if emoji.graphemes(true).count() != 1 {
            bail!("/react takes one emoji");
        }
        let conversation = self.here()?;
        let Some(room) = &self.room else { bail!("no conversation is open") };
        let target = room.last().context("there is no message to react to")?;
        let waits = self.reacting.iter().any(|one| {
            (one.conversation, one.target, &one.emoji) == (conversation, target, &emoji)
        });
        if waits || room.reacted(target, &emoji, self.me.user) {
            bail!("you have reacted with {} already", clean_line(&emoji));
        }
        let op = Toggle::Add;
        let event = Event::Reaction(ReactionChanged { target, emoji: emoji.clone(), op });
        let id = self.client.send(conversation, &event).await?;
        self.reacting.push(Reacting { conversation, id, target, emoji });
        Ok(())
    }

    async fn send(&mut self, event: Event) -> anyhow::Result<()> {
        let here = self.here()?;
        Ok(self.client.send(here, &event).await.map(drop)?)
    }

    async fn say_here(&mut self, text: String) -> anyhow::Result<()> {
        let conversation = self.here()?;
        let message = MessageSent { text: text.clone(), ..MessageSent::default() };
        let id = self.client.send(conversation, &Event::Message(message)).await?;
        self.pending.push(Pending { conversation, id, text, stored: false });
        Ok(())
    }

    async fn change_member(&mut self, user: UserId, op: MemberOp) -> anyhow::Result<()> {
        self.group()?;
        self.send(Event::Member(MemberChanged { user, op, role: None })).await
    }

    /// A number of the inbox, a person's handle, or a title.
    async fn find(&mut self, target: &str) -> anyhow::Result<ConversationId> {
        let rows = self.rows();
        if let Ok(number) = target.parse::<usize>() {
            let row = number.checked_sub(1).and_then(|index| rows.get(index));
            return Ok(row
                .with_context(|| format!("the inbox has no number {number}"))?
                .conversation);
        }
        if let Some(row) = rows.iter().find(|row| row.title.eq_ignore_ascii_case(target)) {
            return Ok(row.conversation);
        }
        let user = self.person(target.trim_start_matches('@')).await?.user;
        Ok(ConversationId::direct(self.me.user, user))
    }

    async fn person(&mut self, handle: &str) -> anyhow::Result<User> {
        let handle: Handle = handle.parse()?;
        if let Some(user) = self.people.values().find(|user| user.handle == handle) {
            return Ok(user.clone());
        }
        let user = answer(self.client.http().user_by_handle(&handle)).await?;
        let user = user.ok_or_else(|| anyhow!("nobody is called {handle} here"))?;
        self.know(vec![user.clone()]).await;
        Ok(user)
    }

    async fn make_group(
        &mut self,
        title: String,
        handles: &[String],
    ) -> anyhow::Result<ConversationId> {
        let mut members = Vec::new();
        for handle in handles {
            members.push(self.person(handle).await?.user);
        }
        let id = Http::request_id(crate::chat::wall_ms())?;
        let create = CreateConversation::Group { id, title, members };
        let view = answer(self.client.http().create_conversation(&create)).await?;
        let conversation = view.conversation;
        self.view(view);
        self.enter(conversation).await?;
        Ok(conversation)
    }

    fn inbox_lines(&self) -> Vec<String> {
        let rows = self.rows();
        if rows.is_empty() {
            return vec!["the inbox is empty: /open <handle> begins a conversation".to_owned()];
        }
        let line = |(index, row): (usize, &super::Row)| {
            let last = row.last.as_deref().unwrap_or_default();
            format!("{:>3}  {}{}  {last}", index + 1, row.title, row.marks())
        };
        rows.iter().enumerate().map(line).collect()
    }

    async fn member_lines(&mut self) -> anyhow::Result<Vec<String>> {
        let group = self.group()?;
        let list = answer(self.client.http().members(group, None)).await?;
        self.learn(list.items.iter().map(|member| member.user)).await;
        let mut lines: Vec<_> = list
            .items
            .iter()
            .map(|member| format!("{} ({})", self.name(member.user), member.role.as_str()))
            .collect();
        if list.next.is_some() {
            lines.push("… and more".to_owned());
        }
        Ok(lines)
    }
}

/// An answer of the server's in time, its refusals in words.
pub(super) async fn answer<T>(
    call: impl Future<Output = Result<T, HttpError>>,
) -> anyhow::Result<T> {
    match timeout(READ_TIMEOUT, call).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(failure(error)),
        Err(_) => bail!("the server did not answer in time"),
    }
}

//! An event that comes by: what it changes in the inbox and in the open conversation.

use std::collections::BTreeSet;
use std::sync::Arc;

use hansard_client::http::{Around, MessagesQuery};
use hansard_client::{Content, StoredEvent};
use hansard_model::event::MemberOp;
use hansard_model::{Event, Seq};
use tokio::time::timeout;

use super::words::summary;
use super::{Chat, Link, News, READ_TIMEOUT};

impl Chat {
    pub(super) async fn event(&mut self, event: Arc<StoredEvent>) -> News {
        if event.sender == self.me.user {
            self.pending.retain(|pending| pending.id != event.id);
            self.reacting.retain(|reacting| reacting.id != event.id);
        }
        self.typing.retain(|(user, _)| *user != event.sender);
        let mut people = BTreeSet::from([event.sender]);
        let content = event.content();
        self.note_files(&content);
        if let Content::Known(Event::Member(change)) = &content {
            people.insert(change.user);
        }
        self.learn(people.into_iter()).await;
        if !self.inbox.contains_key(&event.conversation)
            || !matches!(content, Content::Known(Event::Message(_)))
        {
            // A conversation that is new here, or whose title or members changed.
            self.look_up(event.conversation).await;
        }
        self.list(&event, &content);
        self.fold(event, &content).await
    }

    /// What the inbox says of it.
    fn list(&mut self, event: &StoredEvent, content: &Content) {
        let me = self.me.user;
        let open = self.is_open(event.conversation);
        let Some(entry) = self.inbox.get_mut(&event.conversation) else { return };
        if let Content::Known(Event::Member(change)) = content
            && matches!(change.op, MemberOp::Leave | MemberOp::Remove)
            && change.user == me
            && event.seq >= entry.view.as_of
        {
            // Also when the server could not be asked just now.
            entry.view.role = None;
        }
        entry.active = entry.active.max(event.ts);
        if let Content::Known(Event::Message(message)) = content {
            entry.preview = Some(summary(message));
        }
        if event.sender == me || open {
            entry.unread = 0;
        } else if event.seq > entry.view.as_of
            && matches!(content, Content::Known(Event::Message(_)))
        {
            entry.unread += 1;
        }
        if event.seq > entry.view.as_of {
            entry.view.as_of = event.seq;
        }
    }

    /// What the open conversation shows of it.
    async fn fold(&mut self, event: Arc<StoredEvent>, content: &Content) -> News {
        let me = self.me.user;
        match &mut self.room {
            Some(room) if room.conversation == event.conversation => {
                let unsure = match content {
                    Content::Known(Event::Reaction(reaction)) if event.sender != me => room
                        .is_unsure(reaction.target, &reaction.emoji, event.sender)
                        .then_some(reaction.target),
                    _ => None,
                };
                if !room.event(&event, me) {
                    return News::Nothing;
                }
                if event.sender != me {
                    self.client.read(event.conversation, event.seq).await;
                }
                if let Some(target) = unsure {
                    self.read_again(target).await;
                }
                News::Event(event)
            }
            _ if self.link == Link::Online => News::Event(event),
            // What was missed is read by opening it.
            _ => News::Nothing,
        }
    }

    /// Reads a message of the open conversation again; it stays as it is when it cannot be read.
    async fn read_again(&mut self, target: Seq) {
        let Some(room) = &mut self.room else { return };
        let query = MessagesQuery { around: Some(Around::Seq(target)), limit: Some(1) };
        let http = self.client.http();
        let read = http.messages(room.conversation, query);
        let Ok(Ok(page)) = timeout(READ_TIMEOUT, read).await else { return };
        let items = page.items.into_iter().filter_map(|item| StoredEvent::of(item).ok());
        room.page(items.filter(|item| item.seq == target).collect(), self.me.user);
        self.note_files_of_room();
    }
}

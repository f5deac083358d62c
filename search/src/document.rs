//! What an index holds: messages, groups and memberships.

use hansard_model::event::Mention;
use hansard_model::{ConversationId, Group, GroupId, LogTime, Seq, UserId};
use hansard_search_language::Terms;
use serde::{Deserialize, Serialize};
use tantivy::TantivyDocument;

use crate::schema::{Fields, Tag};

/// What a document is about: there is one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Key {
    /// The message at this position of the partition.
    Message(Seq),
    /// The fold of a group.
    Group(GroupId),
    /// A membership in a group.
    Member(GroupId, UserId),
}

/// A document, as it is kept to be changed by later events.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Document {
    /// A message as it stands.
    Message(Message),
    /// A group as it stands.
    Group(GroupId, Box<Group>),
    /// A membership that there is.
    Member(Membership),
}

/// A message as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Message {
    pub(crate) conversation: ConversationId,
    pub(crate) seq: Seq,
    /// When it was stored, in nanoseconds since the Unix epoch.
    pub(crate) ts: u64,
    pub(crate) sender: UserId,
    pub(crate) text: String,
    pub(crate) mentions: Vec<Mention>,
    /// It has files.
    pub(crate) media: bool,
    /// It is a reply in a thread.
    pub(crate) thread: bool,
    /// Who reacted with what; to know when the last is taken back.
    pub(crate) reactions: Vec<(UserId, String)>,
}

/// A membership in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Membership {
    pub(crate) group: GroupId,
    pub(crate) user: UserId,
    /// The first message that the member sees; 0: all of them.
    pub(crate) view_from: Seq,
}

impl Message {
    /// When it was stored.
    pub(crate) fn time(&self) -> LogTime {
        LogTime::from_nanos(self.ts)
    }

    fn tags(&self) -> Vec<Tag> {
        let mut tags = vec![Tag::Near(self.seq), Tag::conversation(self.conversation)];
        if let ConversationId::Direct(x, y) = self.conversation {
            tags.push(Tag::Reader(x));
            tags.extend((x != y).then_some(Tag::Reader(y)));
        }
        tags.push(Tag::Sender(self.sender));
        tags.extend(self.mentions.iter().map(|mention| match mention {
            Mention::All => Tag::MentionAll,
            Mention::User(user) => Tag::Mention(*user),
        }));
        let marks = [
            (has_link(&self.text), Tag::Link),
            (self.media, Tag::Media),
            (!self.reactions.is_empty(), Tag::Reaction),
            (self.thread, Tag::Thread),
        ];
        tags.extend(marks.into_iter().filter_map(|(has, tag)| has.then_some(tag)));
        tags
    }
}

/// Whether there is a link in a text, as the analysis sees it. Most texts have nothing that could be
/// one, and need not be taken apart once more.
fn has_link(text: &str) -> bool {
    let may_have = text.contains("://") || text.contains("www.") || text.contains("WWW.");
    may_have && {
        let mut terms = Terms::new();
        terms.analyze(text);
        terms.has_link()
    }
}

impl Document {
    /// What it is about.
    pub(crate) fn key(&self) -> Key {
        match self {
            Self::Message(message) => Key::Message(message.seq),
            Self::Group(group, _) => Key::Group(*group),
            Self::Member(member) => Key::Member(member.group, member.user),
        }
    }

    /// About how many bytes it takes.
    pub(crate) fn weight(&self) -> usize {
        const OF_ANY: usize = 300;
        const OF_A_MEMBER: usize = 100;
        OF_ANY
            + match self {
                Self::Message(message) => message.text.len() + message.reactions.len() * 64,
                Self::Group(_, group) => group.members().len() * OF_A_MEMBER,
                Self::Member(_) => 0,
            }
    }

    /// As the index takes it.
    ///
    /// # Errors
    /// When it cannot be written, which no value of these types does.
    pub(crate) fn to_index(&self, fields: &Fields) -> Result<TantivyDocument, postcard::Error> {
        let mut into = TantivyDocument::new();
        let mut tag = |tag: Tag| into.add_bytes(fields.tag, &tag.encode());
        let (conversation, seq, ts) = match self {
            Self::Message(message) => {
                message.tags().into_iter().for_each(tag);
                let ts = message.time().as_millis();
                (Some(message.conversation), message.seq, ts)
            }
            Self::Group(group, _) => {
                tag(Tag::Fold(*group));
                (None, Seq::ZERO, 0)
            }
            Self::Member(Membership { group, user, view_from }) => {
                tag(Tag::Member(*group, *user));
                tag(Tag::MemberOf(*user));
                (Some(ConversationId::Group(*group)), *view_from, 0)
            }
        };
        // In every document, so that the columns need not say who has a value.
        let conversation = conversation.map(|id| id.to_string()).unwrap_or_default();
        into.add_bytes(fields.conversation, conversation.as_bytes());
        into.add_u64(fields.seq, seq.0);
        into.add_u64(fields.ts, ts);
        if let Self::Message(message) = self {
            into.add_text(fields.text, &message.text);
        }
        into.add_bytes(fields.document, &postcard::to_stdvec(self)?);
        Ok(into)
    }

    /// As it was kept.
    ///
    /// # Errors
    /// When the bytes are no document.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, postcard::Error> {
        postcard::from_bytes(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_what_a_browser_opens() {
        for text in ["see https://x.org/a", "(www.ubuntu.com)", "git://a.b and c"] {
            assert!(has_link(text), "{text}");
        }
        for text in ["http://", "www.", "std::vec", "x.org", "no link"] {
            assert!(!has_link(text), "{text}");
        }
    }
}

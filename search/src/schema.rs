//! The fields of an index, and the tags by which its documents are found.
//!
//! There are three kinds of documents: messages; the groups, as far as they are folded; and
//! memberships, one for each member of a group. Only messages have text and an audience, so a
//! search, which always asks for an audience, finds nothing else.

use hansard_model::{ConversationId, GroupId, Seq, UserId};
use tantivy::Term;
use tantivy::schema::{
    BytesOptions, FAST, Field, IndexRecordOption, STORED, Schema, TextFieldIndexing, TextOptions,
};

/// The form of documents and fields, and the analysis of text. An index of another is built anew.
pub(crate) const SCHEMA: u32 = 1;

/// The name by which the index knows our analysis.
pub(crate) const ANALYSIS: &str = "hansard";
/// Column: the position of a message; of a membership, the first message that its member sees.
pub(crate) const SEQ: &str = "seq";
/// Column: when a message was stored, in milliseconds since the Unix epoch.
pub(crate) const TS: &str = "ts";
/// Column: the conversation of a message or a membership, as text.
pub(crate) const CONVERSATION: &str = "conversation";

/// Messages whose positions agree but for these bits have a tag in common. One tag for each message
/// would be as many terms as there are messages; of the few with the same tag the column tells the
/// one.
const NEAR_BITS: u32 = 6;

/// The fields.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fields {
    /// What was said, as terms with their places.
    pub(crate) text: Field,
    /// [`Tag`]s.
    pub(crate) tag: Field,
    pub(crate) seq: Field,
    pub(crate) ts: Field,
    pub(crate) conversation: Field,
    /// The document, to be changed by later events.
    pub(crate) document: Field,
}

/// The schema of every index.
pub(crate) fn schema() -> (Schema, Fields) {
    let mut builder = Schema::builder();
    let terms = TextFieldIndexing::default()
        .set_tokenizer(ANALYSIS)
        .set_fieldnorms(true)
        .set_index_option(IndexRecordOption::WithFreqsAndPositions);
    let fields = Fields {
        text: builder.add_text_field("text", TextOptions::default().set_indexing_options(terms)),
        tag: builder.add_bytes_field("tag", BytesOptions::default().set_indexed()),
        seq: builder.add_u64_field(SEQ, FAST),
        ts: builder.add_u64_field(TS, FAST),
        conversation: builder.add_bytes_field(CONVERSATION, BytesOptions::default().set_fast()),
        document: builder.add_bytes_field("document", STORED),
    };
    (builder.build(), fields)
}

/// What a document can be asked for besides its text: one list of documents for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tag {
    /// A message about here; the column has its exact position.
    Near(Seq),
    /// A message of a direct conversation of this user.
    Reader(UserId),
    /// A message of this direct conversation.
    Direct(UserId, UserId),
    /// A message of this group.
    Group(GroupId),
    /// A message by this user.
    Sender(UserId),
    /// A message that mentions this user.
    Mention(UserId),
    /// A message that mentions everybody.
    MentionAll,
    /// A message with a link in its text.
    Link,
    /// A message with files.
    Media,
    /// A message with a reaction.
    Reaction,
    /// A message that belongs to a thread.
    Thread,
    /// The fold of this group.
    Fold(GroupId),
    /// The membership of this user in this group.
    Member(GroupId, UserId),
    /// A membership of this user.
    MemberOf(UserId),
}

impl Tag {
    /// The messages of a conversation.
    pub(crate) fn conversation(conversation: ConversationId) -> Self {
        match conversation {
            ConversationId::Direct(x, y) => Self::Direct(x, y),
            ConversationId::Group(group) => Self::Group(group),
        }
    }

    /// As the index has it: a letter, then the ids.
    pub(crate) fn encode(self) -> Vec<u8> {
        let (letter, parts): (u8, [&[u8]; 2]) = match &self {
            Self::Near(seq) => {
                let near = (seq.0 >> NEAR_BITS).to_be_bytes();
                return [b"n", &near[..]].concat();
            }
            Self::Reader(user) => (b'r', [user.as_str().as_bytes(), b""]),
            Self::Direct(x, y) => (b'd', [x.as_str().as_bytes(), y.as_str().as_bytes()]),
            Self::Group(group) => (b'g', [group.as_str().as_bytes(), b""]),
            Self::Sender(user) => (b's', [user.as_str().as_bytes(), b""]),
            Self::Mention(user) => (b'm', [user.as_str().as_bytes(), b""]),
            Self::MentionAll => (b'a', [b"", b""]),
            Self::Link => (b'l', [b"", b""]),
            Self::Media => (b'f', [b"", b""]),
            Self::Reaction => (b'e', [b"", b""]),
            Self::Thread => (b't', [b"", b""]),
            Self::Fold(group) => (b'F', [group.as_str().as_bytes(), b""]),
            Self::Member(group, user) => {
                (b'M', [group.as_str().as_bytes(), user.as_str().as_bytes()])
            }
            Self::MemberOf(user) => (b'U', [user.as_str().as_bytes(), b""]),
        };
        [&[letter][..], parts[0], parts[1]].concat()
    }

    /// The term of the index.
    pub(crate) fn term(self, fields: &Fields) -> Term {
        Term::from_field_bytes(fields.tag, &self.encode())
    }
}

//! What the owner of a partition answers: pure functions from a state and a request to a reply.

mod entry;
mod feed;
mod page;

use hansard_model::Seq;
use hansard_model::query::{
    ChangedReply, ChangedRequest, ConversationRequest, EventsRequest, FeedReply, FeedRequest,
    InboxEntry, LookupReply, LookupRequest, MessagesRequest, Page, QueryError, ReactionsRequest,
};
use hansard_model::record::EventKey;
use hansard_model::subject::QueryVerb;

use crate::index::IndexKey;
use crate::partition::state::State;

pub(crate) use self::entry::{bucket_value, entry_of};

/// A question, read.
#[derive(Debug)]
pub(crate) enum Request {
    Events(EventsRequest),
    Messages(MessagesRequest),
    Lookup(LookupRequest),
    Conversation(ConversationRequest),
    Changed(ChangedRequest),
    Feed(FeedRequest),
    Reactions(ReactionsRequest),
}

/// An answer, by the shape of its reply.
#[derive(Debug)]
pub(crate) enum Answer {
    Page(Page),
    Lookup(LookupReply),
    Conversation(InboxEntry),
    Changed(ChangedReply),
    Feed(FeedReply),
    Reactions(usize),
}

impl Request {
    /// Reads a question.
    ///
    /// # Errors
    /// [`QueryError::BadRequest`].
    pub(crate) fn read(verb: QueryVerb, payload: &[u8]) -> Result<Self, QueryError> {
        let request = match verb {
            QueryVerb::Events => serde_json::from_slice(payload).map(Self::Events),
            QueryVerb::Messages => serde_json::from_slice(payload).map(Self::Messages),
            QueryVerb::Lookup => serde_json::from_slice(payload).map(Self::Lookup),
            QueryVerb::Conversation => serde_json::from_slice(payload).map(Self::Conversation),
            QueryVerb::Changed => serde_json::from_slice(payload).map(Self::Changed),
            QueryVerb::Feed => serde_json::from_slice(payload).map(Self::Feed),
            QueryVerb::Reactions => serde_json::from_slice(payload).map(Self::Reactions),
            QueryVerb::Group
            | QueryVerb::Record
            | QueryVerb::Mentions
            | QueryVerb::Explain
            | QueryVerb::Parked
            | QueryVerb::Views => return Err(QueryError::BadRequest),
        };
        request.map_err(|_| QueryError::BadRequest)
    }

    /// The position that the answer must include; 0 for none.
    pub(crate) fn min_seq(&self) -> Seq {
        let min_seq = match self {
            Self::Events(request) => request.min_seq,
            Self::Messages(request) => request.min_seq,
            Self::Conversation(request) => request.min_seq,
            Self::Changed(request) => request.min_seq,
            Self::Lookup(_) | Self::Feed(_) | Self::Reactions(_) => None,
        };
        min_seq.unwrap_or(Seq::ZERO)
    }

    /// Answers from what was applied.
    ///
    /// # Errors
    /// [`QueryError`], as the asker gets it.
    pub(crate) fn answer(&self, state: &State) -> Result<Answer, QueryError> {
        match self {
            Self::Events(request) => page::events(state, request).map(Answer::Page),
            Self::Messages(request) => page::messages(state, request).map(Answer::Page),
            Self::Lookup(request) => Ok(Answer::Lookup(lookup(state, *request))),
            Self::Conversation(request) => {
                entry::conversation(state, *request).map(Answer::Conversation)
            }
            Self::Changed(request) => Ok(Answer::Changed(entry::changed(state, *request))),
            Self::Feed(request) => Ok(Answer::Feed(feed::feed(state, *request))),
            Self::Reactions(request) => Ok(Answer::Reactions(reactions(state, *request))),
        }
    }
}

fn lookup(state: &State, request: LookupRequest) -> LookupReply {
    let key = || {
        Some(IndexKey {
            conversation: state.directory.conversation(request.conversation)?,
            sender: state.directory.user(request.sender)?,
            id: request.id,
        })
    };
    let LookupRequest { conversation, sender, id } = request;
    LookupReply {
        seq: key().and_then(|key| state.index.get(key)),
        void: state.index.void(&EventKey { conversation, sender, id }).to_vec(),
        as_of: state.applied(),
    }
}

fn reactions(state: &State, request: ReactionsRequest) -> usize {
    state
        .directory
        .conversation(request.conversation)
        .and_then(|slot| state.history.chain(slot))
        .map_or(0, |chain| chain.reactions_of(request.target, request.user))
}

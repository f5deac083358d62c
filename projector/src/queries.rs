//! What the owner of a partition answers: pure functions from rows and a request to a reply.

mod at;
mod entry;
mod feed;
mod mentions;
mod page;
mod picked;
mod pins;
mod reach;
mod reactors;
mod render;
mod window;

use hansard_model::ConversationId;
use hansard_model::Seq;
use hansard_model::query::{
    ChangedReply, ChangedRequest, ConversationRequest, EventsRequest, ExplainRequest, Explanation,
    FeedReply, FeedRequest, GroupReply, GroupRequest, InboxEntry, LookupReply, LookupRequest,
    MentionsReply, MentionsRequest, MessagesRequest, Page, ParkedItem, ParkedReply, ParkedRequest,
    PickedReply, PickedRequest, PinsReply, PinsRequest, QueryError, ReachReply, ReachRequest,
    ReactionsRequest, ReactorsReply, ReactorsRequest, RecordRequest, StoredRecord, ViewsRequest,
    ViewsStatus,
};
use hansard_model::subject::QueryVerb;
use serde::Serialize;

use crate::rows::{AppliedRow, Limit, Order, ParkedRow, Prefix, RowKey, Rows, StoreError, decode};

pub(crate) use self::at::{At, Refusal};
pub(crate) use self::entry::bucket_value;
#[cfg(test)]
pub(crate) use self::entry::entry_of;
pub(crate) use self::feed::{places_after, places_before};
pub(crate) use self::window::Windows;

/// Parked events in one answer at most.
const PARKED_MAX: usize = 500;

/// A question, read.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    Events(EventsRequest),
    Messages(MessagesRequest),
    Lookup(LookupRequest),
    Conversation(ConversationRequest),
    Changed(ChangedRequest),
    Feed(FeedRequest),
    Reactions(ReactionsRequest),
    Group(GroupRequest),
    Mentions(MentionsRequest),
    Picked(PickedRequest),
    Pins(PinsRequest),
    Reactors(ReactorsRequest),
    Explain(ExplainRequest),
    Reach(ReachRequest),
    Parked(ParkedRequest),
    /// Of the log, not of rows.
    Record(RecordRequest),
    /// Of the owner, not of rows.
    Views(ViewsRequest),
}

/// An answer, by the shape of its reply.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Page(Page),
    Lookup(LookupReply),
    Conversation(Box<InboxEntry>),
    Changed(ChangedReply),
    Feed(FeedReply),
    Reactions(usize),
    Group(GroupReply),
    Mentions(MentionsReply),
    Picked(PickedReply),
    Pins(PinsReply),
    Reactors(ReactorsReply),
    Explanation(Explanation),
    Reach(ReachReply),
    Parked(ParkedReply),
    Record(Option<StoredRecord>),
    Views(Box<ViewsStatus>),
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
            QueryVerb::Group => serde_json::from_slice(payload).map(Self::Group),
            QueryVerb::Record => serde_json::from_slice(payload).map(Self::Record),
            QueryVerb::Mentions => serde_json::from_slice(payload).map(Self::Mentions),
            QueryVerb::Picked => serde_json::from_slice(payload).map(Self::Picked),
            QueryVerb::Pins => serde_json::from_slice(payload).map(Self::Pins),
            QueryVerb::Reactors => serde_json::from_slice(payload).map(Self::Reactors),
            QueryVerb::Explain => serde_json::from_slice(payload).map(Self::Explain),
            QueryVerb::Reach => serde_json::from_slice(payload).map(Self::Reach),
            QueryVerb::Parked => serde_json::from_slice(payload).map(Self::Parked),
            QueryVerb::Views => serde_json::from_slice(payload).map(Self::Views),
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
            Self::Group(request) => request.min_seq,
            Self::Mentions(request) => request.min_seq,
            Self::Picked(request) => request.min_seq,
            Self::Pins(request) => request.min_seq,
            Self::Reactors(request) => request.min_seq,
            Self::Explain(request) => request.min_seq,
            Self::Reach(request) => request.min_seq,
            Self::Lookup(_)
            | Self::Feed(_)
            | Self::Reactions(_)
            | Self::Parked(_)
            | Self::Record(_)
            | Self::Views(_) => None,
        };
        min_seq.unwrap_or(Seq::ZERO)
    }

    /// The conversation that is asked about, if it is one.
    pub(crate) fn conversation(&self) -> Option<ConversationId> {
        match self {
            Self::Events(request) => Some(request.conversation),
            Self::Messages(request) => Some(request.conversation),
            Self::Conversation(request) => Some(request.conversation),
            Self::Group(request) => Some(request.conversation),
            Self::Pins(request) => Some(request.conversation),
            Self::Reactors(request) => Some(request.conversation),
            Self::Explain(request) => Some(request.conversation),
            Self::Reach(request) => Some(request.conversation),
            Self::Lookup(_)
            | Self::Changed(_)
            | Self::Feed(_)
            | Self::Reactions(_)
            | Self::Mentions(_)
            | Self::Picked(_)
            | Self::Parked(_)
            | Self::Record(_)
            | Self::Views(_) => None,
        }
    }

    /// Answers from rows.
    ///
    /// # Errors
    /// [`Refusal`]
    pub(crate) async fn answer<R: Rows>(&self, at: &At<R>) -> Result<Answer, Refusal> {
        Ok(match self {
            Self::Events(request) => Answer::Page(page::events(at, request).await?),
            Self::Messages(request) => Answer::Page(page::messages(at, request).await?),
            Self::Lookup(request) => Answer::Lookup(lookup(at, *request).await?),
            Self::Conversation(request) => {
                Answer::Conversation(Box::new(entry::conversation(at, *request).await?))
            }
            Self::Changed(request) => Answer::Changed(entry::changed(at, *request).await?),
            Self::Feed(request) => Answer::Feed(feed::feed(at, *request).await?),
            Self::Reactions(request) => Answer::Reactions(reactions(at, *request).await?),
            Self::Group(request) => Answer::Group(group(at, *request).await?),
            Self::Mentions(request) => Answer::Mentions(mentions::mentions(at, *request).await?),
            Self::Picked(request) => Answer::Picked(picked::picked(at, request).await?),
            Self::Pins(request) => Answer::Pins(pins::pins(at, *request).await?),
            Self::Reactors(request) => Answer::Reactors(reactors::reactors(at, *request).await?),
            Self::Explain(request) => Answer::Explanation(mentions::explain(at, *request).await?),
            Self::Reach(request) => Answer::Reach(reach::reach(at, *request).await?),
            Self::Parked(request) => Answer::Parked(parked(at, *request).await?),
            // Asked of somebody else.
            Self::Record(_) | Self::Views(_) => return Err(QueryError::BadRequest.into()),
        })
    }
}

async fn lookup<R: Rows>(at: &At<R>, request: LookupRequest) -> Result<LookupReply, StoreError> {
    let LookupRequest { conversation, sender, id } = request;
    let range = Prefix::Identities(conversation, sender, id).whole();
    let found = at.rows.scan(range, Order::Ascending, Limit::rows(usize::MAX)).await?;
    let mut reply = LookupReply { seq: None, void: Vec::new(), as_of: at.applied };
    for (key, value) in &found {
        let Some(seq) = RowKey::parse(key).and_then(|key| key.seq()) else { continue };
        if value.first() == Some(&0) {
            reply.void.push(seq);
        } else {
            // The first one stays: it is the one that was acknowledged.
            reply.seq = reply.seq.or(Some(seq));
        }
    }
    Ok(reply)
}

async fn reactions<R: Rows>(at: &At<R>, request: ReactionsRequest) -> Result<usize, StoreError> {
    let annotation = at.annotation(request.conversation, request.target).await?;
    let by_user = |by: &[_]| by.iter().any(|(who, _)| *who == request.user);
    Ok(annotation.reactions.iter().filter(|(_, by)| by_user(by)).count())
}

async fn group<R: Rows>(at: &At<R>, request: GroupRequest) -> Result<GroupReply, StoreError> {
    let found = at.conversation(request.conversation).await?;
    let group = found.and_then(|found| found.group().cloned()).unwrap_or_default();
    Ok(GroupReply { group, as_of: at.applied })
}

async fn parked<R: Rows>(at: &At<R>, request: ParkedRequest) -> Result<ParkedReply, StoreError> {
    let limit = request.limit.min(PARKED_MAX);
    let range = Prefix::Parked.between(request.after.next()..Seq(u64::MAX));
    let found = at.rows.scan(range, Order::Ascending, Limit::rows(limit)).await?;
    let count = at.read::<AppliedRow>(RowKey::Applied).await?.map_or(0, |row| row.parked);
    let mut items = Vec::with_capacity(found.len());
    for (key, value) in &found {
        let unreadable = || StoreError::Row("of a parked event".to_owned());
        let key = RowKey::parse(key).ok_or_else(unreadable)?;
        let ParkedRow { conversation, reason } = decode(&key, value)?;
        let seq = key.seq().ok_or_else(unreadable)?;
        items.push(ParkedItem { seq, conversation, reason: reason.as_str().to_owned() });
    }
    Ok(ParkedReply { items, count })
}

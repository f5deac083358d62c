//! `GET /v1/conversations/{c}/events` and `/messages`: what was said, asked of the owner.
//!
//! Items are written as they are stored: the text of an answer is spliced together, bodies are not
//! read again.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use hansard_model::query::{Anchor, EventsRequest, Item, MessagesRequest, Page, QueryError};
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, LogTime, Seq};
use hansard_nats::query::{AskError, ask};
use hansard_protocol::ErrorCode;
use hansard_protocol::server::event_prefix;
use http::StatusCode;
use serde::Serialize;

use super::conversations::{admit_reader, min_seq};
use super::error::{Failure, json_text};
use super::extract::{Authorized, Params, PathId};
use crate::Gateway;
use crate::reads::Reads;

/// How long an owner may take.
const READ_WITHIN: Duration = Duration::from_secs(3);

/// Why an owner gave no answer, for each of those who wait for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unanswered {
    NotAMember,
    NotFound,
    Late,
}

impl From<AskError> for Unanswered {
    fn from(error: AskError) -> Self {
        match error {
            AskError::Query(QueryError::NotAMember) => Self::NotAMember,
            AskError::Query(QueryError::NotFound) => Self::NotFound,
            AskError::Query(
                QueryError::Behind
                | QueryError::BadRequest
                | QueryError::Busy
                | QueryError::TooFarBack
                | QueryError::Unavailable,
            )
            | AskError::Unavailable
            | AskError::Unreadable(_) => {
                tracing::debug!(%error, "history not read");
                Self::Late
            }
        }
    }
}

impl From<Unanswered> for Failure {
    fn from(unanswered: Unanswered) -> Self {
        match unanswered {
            Unanswered::NotAMember => {
                Self::new(ErrorCode::NotAMember, "not a member of the conversation")
            }
            Unanswered::NotFound => Self::not_found("position"),
            Unanswered::Late => Self::unavailable("the history does not answer in time"),
        }
    }
}

impl From<AskError> for Failure {
    fn from(error: AskError) -> Self {
        Unanswered::from(error).into()
    }
}

/// Pages that are being read.
pub(crate) type Pages = Reads<Question, Result<Bytes, Unanswered>>;

/// All that a page depends on.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    verb: QueryVerb,
    /// Reader, conversation, range and `min_seq`, as the owner is asked.
    request: Vec<u8>,
    /// The feed's position: who has seen more than another asks a question of their own.
    position: Option<Seq>,
}

/// `GET /v1/conversations/{c}/events`: the oldest after `after`, else the newest before `before`,
/// else the newest.
pub(crate) async fn events(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(conversation): PathId<ConversationId>,
    params: Params,
) -> Result<Response, Failure> {
    let (after, before) = (params.seq("after")?, params.seq("before")?);
    let (reader, newest) = (identity.user, after.is_none());
    let limit = params.limit()?;
    admit_reader(&gateway, reader, conversation).await?;
    let min_seq = min_seq(&gateway, &identity, conversation, &params).await?;
    if let (Some(after), Some(before)) = (after, before)
        && after.next() >= before
    {
        // Nothing is between them, whatever comes.
        return Ok(json_text(StatusCode::OK, r#"{"items":[],"more":false}"#));
    }
    let request = EventsRequest { conversation, reader, after, before, limit, newest, min_seq };
    read(&gateway, conversation, QueryVerb::Events, &request, move |page| {
        let more = if newest { page.more_before } else { page.more_after };
        let mut text = items(conversation, &page);
        // Writing to a string does not fail.
        let _ = write!(text, r#","more":{more}}}"#);
        text
    })
    .await
}

/// `GET /v1/conversations/{c}/messages`
pub(crate) async fn messages(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    PathId(conversation): PathId<ConversationId>,
    params: Params,
) -> Result<Response, Failure> {
    let (anchor, thread) = (anchor(&params)?, params.seq("thread")?);
    let limit = params.limit()?;
    admit_reader(&gateway, identity.user, conversation).await?;
    let min_seq = min_seq(&gateway, &identity, conversation, &params).await?;
    let request =
        MessagesRequest { conversation, reader: identity.user, anchor, thread, limit, min_seq };
    read(&gateway, conversation, QueryVerb::Messages, &request, move |page| {
        let mut text = items(conversation, &page);
        let Page { as_of, more_before, more_after, .. } = page;
        let _ = write!(
            text,
            r#","as_of":{as_of},"more_before":{more_before},"more_after":{more_after}}}"#
        );
        text
    })
    .await
}

/// The one anchor of a request; without any, the newest.
fn anchor(params: &Params) -> Result<Anchor, Failure> {
    let at = params.one("at")?.map(LogTime::parse).transpose();
    let at = at.map_err(|_| Failure::bad_request("at is an RFC 3339 time"))?;
    let given = [
        params.seq("before")?.map(Anchor::Before),
        params.seq("after")?.map(Anchor::After),
        params.seq("around")?.map(Anchor::Around),
        at.map(Anchor::At),
    ];
    let mut given = given.into_iter().flatten();
    let first = given.next().unwrap_or(Anchor::Newest);
    if given.next().is_some() {
        return Err(Failure::bad_request("at most one of before, after, around and at"));
    }
    Ok(first)
}

async fn read(
    gateway: &Gateway,
    conversation: ConversationId,
    verb: QueryVerb,
    request: &(impl Serialize + Clone + Send + Sync + 'static),
    write: impl FnOnce(Page) -> String + Send + 'static,
) -> Result<Response, Failure> {
    let partition = conversation.partition(gateway.deployment.partitions);
    let unwritable = |_| Failure::new(ErrorCode::Internal, "the question cannot be written");
    let question = Question {
        verb,
        request: serde_json::to_vec(request).map_err(unwritable)?,
        position: gateway.router.position(partition),
    };
    let (connection, request) = (gateway.connection.clone(), request.clone());
    let read = || async move {
        let page: Page = ask(&connection, partition, verb, &request, READ_WITHIN).await?;
        Ok(Bytes::from(write(page)))
    };
    Ok(json_text(StatusCode::OK, gateway.pages.ask(question, read).await?))
}

/// `{"items":[..]`, the rest to be written by the caller.
fn items(conversation: ConversationId, page: &Page) -> String {
    const AROUND_A_BODY: usize = 256;
    let bytes = page.items.iter().map(|item| item.body.get().len() + AROUND_A_BODY).sum();
    let mut text = String::with_capacity(bytes);
    text.push_str(r#"{"items":["#);
    for (index, item) in page.items.iter().enumerate() {
        if index > 0 {
            text.push(',');
        }
        push_frame(&mut text, conversation, item);
    }
    text.push(']');
    text
}

/// Writes an event frame around the stored body.
pub(super) fn push_frame(text: &mut String, conversation: ConversationId, item: &Item) {
    text.push_str(&event_prefix(conversation, item.seq, item.prev, item.n, item.ts));
    text.push_str(item.body.get());
    if let Some(state) = &item.state
        && let Ok(state) = serde_json::to_string(state)
    {
        text.push_str(r#","state":"#);
        text.push_str(&state);
    }
    text.push('}');
}

#[cfg(test)]
mod tests {
    use hansard_model::GroupId;
    use hansard_model::query::MessageState;
    use hansard_protocol::ServerFrame;
    use hansard_protocol::http::MessageList;
    use serde_json::value::RawValue;

    use super::*;

    fn item(seq: u64, state: Option<MessageState>) -> Item {
        let body = RawValue::from_string(r#"{"v":1,"odd":  2}"#.to_owned()).expect("JSON");
        Item { seq: Seq(seq), prev: Seq(seq - 1), n: seq, ts: LogTime::default(), body, state }
    }

    #[test]
    fn items_are_event_frames_around_the_stored_bytes() {
        let conversation = ConversationId::Group(GroupId::from_entropy([1; 20]));
        let page = Page {
            items: vec![
                item(1, None),
                item(2, Some(MessageState { pinned: true, ..MessageState::default() })),
            ],
            as_of: Seq(2),
            more_before: false,
            more_after: false,
            view_from: Seq(1),
        };
        let text =
            items(conversation, &page) + r#","as_of":2,"more_before":false,"more_after":false}"#;
        let read: MessageList = serde_json::from_str(&text).expect("a list");
        assert_eq!(read.items[0].body.get(), r#"{"v":1,"odd":  2}"#);
        assert!(read.items[0].state.is_none());
        assert!(read.items[1].state.as_ref().is_some_and(|state| state.pinned));
        let raw: serde_json::Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(raw["items"][0]["type"], "event");
        let frame: ServerFrame = serde_json::from_value(raw["items"][1].clone()).expect("a frame");
        assert!(matches!(frame, ServerFrame::Event(_)));
    }

    #[test]
    fn an_empty_page_is_an_empty_list() {
        let conversation = ConversationId::Group(GroupId::from_entropy([1; 20]));
        let page = Page {
            items: Vec::new(),
            as_of: Seq(2),
            more_before: false,
            more_after: false,
            view_from: Seq(1),
        };
        assert_eq!(items(conversation, &page), r#"{"items":[]"#);
    }
}

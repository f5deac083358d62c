//! `GET /v1/search`: the messages that answer a query, of all that the reader may see.
//!
//! The data's way: the query is read here, so that a mistake has its place, and its names are
//! resolved (`names`). The searchers are asked, all at once, and their answers merged (`merge`).
//! What they found, they found as of their indexes: every hit is looked up in the history, and
//! whether the reader may see it now is asked of the log. The cursor (`page`) has all that the next
//! page depends on.

mod merge;
mod names;
mod page;
mod suggestions;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::Response;
use futures_util::future::try_join_all;
use hansard_model::query::{FeedItem, PickedReply, PickedRequest};
use hansard_model::search::{SearchOrder, SearchRequest};
use hansard_model::subject::QueryVerb;
use hansard_model::{ConversationId, Envelope, Event, PartitionId, Seq, UserId};
use hansard_nats::query::ask;
use hansard_nats::search::{self, Asked};
use hansard_protocol::ErrorCode;
use hansard_protocol::http::{SearchHit, SearchList, Snippet};
use hansard_search_language::query::{Asks, Clause, parse};
use hansard_search_language::typo::tolerance;
use hansard_search_language::{Highlighter, Query, QueryError};
use http::StatusCode;

use self::merge::{Answers, Merged};
use self::page::{Page, Progress};
pub(crate) use self::suggestions::suggest;
use super::error::{Failure, json};
use super::extract::{Authorized, Params};
use super::mentions::only_readable;
use crate::Gateway;
use crate::accounts::Identity;

/// Hits of a page, when the caller does not say.
const ITEMS_DEFAULT: usize = 20;
/// Hits of a page at most: each is read from the history.
const ITEMS_MAX: usize = 100;
/// How long searchers may take; then the answer is partial.
const ASK_WITHIN: Duration = Duration::from_secs(2);
/// The same for what must include a position, which takes a commit.
const ASK_AWAITED_WITHIN: Duration = Duration::from_secs(3);
/// Hits that are read at a time: one may have tens of kilobytes, and an answer has 1 MB at most.
const READ_AT_ONCE: usize = 16;
/// How long the history may take.
const READ_WITHIN: Duration = Duration::from_secs(3);
/// With fewer hits the words may have been mistyped.
const FEW_HITS: usize = 3;
/// Characters of a snippet.
const SNIPPET_CHARS: usize = 200;
/// The widest offset of a clock from UTC, in minutes.
const UTC_OFFSET_MINUTES_MAX: i16 = 14 * 60;

type Resolved = Query<UserId, ConversationId>;

/// `GET /v1/search`
pub(crate) async fn search(
    State(gateway): State<Arc<Gateway>>,
    Authorized(identity): Authorized,
    params: Params,
) -> Result<Response, Failure> {
    let text = params.one("q")?.unwrap_or_default();
    let query = parse(text).map_err(|error| unreadable(text, &error))?;
    let order = match params.one("sort")? {
        None | Some("relevance") => SearchOrder::Relevance,
        Some("time") => SearchOrder::Time,
        Some(_) => return Err(Failure::bad_request("sort is relevance or time")),
    };
    let offset: i16 = params.parsed("utc_offset")?.unwrap_or(0);
    if offset.abs() > UTC_OFFSET_MINUTES_MAX {
        return Err(Failure::bad_request("utc_offset is in minutes, at most 14 hours"));
    }
    let limit = params.parsed("limit")?.unwrap_or(ITEMS_DEFAULT);
    if limit == 0 {
        return Err(Failure::bad_request("limit is at least 1"));
    }
    let epoch = gateway.router.epoch();
    let page = match params.one("cursor")? {
        Some(cursor) => Page::parse(cursor, epoch, text, order)?,
        None => Page::first(epoch, text, order, now_ms(&gateway)?),
    };
    let min = min_positions(&gateway, &identity, &params).await?;
    let names = names::resolve(&gateway, &identity, text, query).await?;
    let asking = Asking {
        gateway: &gateway,
        asked: whom_to_ask(&gateway, &names.query),
        request: SearchRequest {
            reader: identity.user,
            query: text.to_owned(),
            people: names.people,
            conversations: names.conversations,
            now_ms: page.now_ms,
            utc_offset_minutes: offset,
            order,
            limit: limit.min(ITEMS_MAX),
            typos: false,
            behind: None,
            seen: Vec::new(),
            min,
        },
    };
    let list = asking.answer(page, &names.query).await?;
    json(StatusCode::OK, &list)
}

/// Ages are reckoned by the log's clock, as the messages were stamped by it.
fn now_ms(gateway: &Gateway) -> Result<u64, Failure> {
    let now = gateway.clock.now();
    Ok(now.map_err(|_| Failure::unavailable("log time is not known"))?.as_millis())
}

/// A mistake in a query, with its place.
fn unreadable(text: &str, error: &QueryError) -> Failure {
    Failure::about(ErrorCode::BadFrame, error.to_string(), utf16(text, &error.span))
}

/// A part of a text in UTF-16 code units.
fn utf16(text: &str, span: &Range<usize>) -> [u16; 2] {
    // What is too long to be a query is too long from its beginning.
    let units = |to: usize| {
        let count = text.get(..to).unwrap_or(text).encode_utf16().count();
        u16::try_from(count).unwrap_or(u16::MAX)
    };
    [units(span.start), units(span.end)]
}

/// What each partition must have applied: what the request says, and what this device was told is
/// stored.
async fn min_positions(
    gateway: &Gateway,
    identity: &Identity,
    params: &Params,
) -> Result<Vec<(PartitionId, Seq)>, Failure> {
    let mut min = params.min_seq()?;
    super::check_reachable(gateway, &min).await?;
    min.extend(gateway.acks.all(identity.device));
    let mut positions: BTreeMap<PartitionId, Seq> = BTreeMap::new();
    for (conversation, seq) in min {
        let of = positions.entry(conversation.partition(gateway.deployment.partitions));
        let known = of.or_default();
        *known = (*known).max(seq);
    }
    Ok(positions.into_iter().collect())
}

/// One partition, when all that is sought is in one conversation; else all.
fn whom_to_ask(gateway: &Gateway, query: &Resolved) -> Asked {
    let partitions = gateway.deployment.partitions;
    let place = |clause: &Clause<UserId, ConversationId>| match &clause.asks {
        Asks::In(conversation) => Some(conversation.partition(partitions)),
        _ => None,
    };
    let found = match &query.root.asks {
        Asks::All(clauses) => clauses.iter().find_map(place),
        _ => place(&query.root),
    };
    found.map_or(Asked::All(partitions), Asked::One)
}

/// A question that is being asked.
struct Asking<'a> {
    gateway: &'a Gateway,
    asked: Asked,
    request: SearchRequest,
}

impl Asking<'_> {
    async fn answer(mut self, page: Page, query: &Resolved) -> Result<SearchList, Failure> {
        let is_first = page.is_first();
        let mut typos = page.typos;
        let mut merged = self.ask(&page, typos).await?;
        if is_first && merged.hits.len() < FEW_HITS && may_be_mistyped(query) {
            typos = true;
            let again = self.ask(&page, typos).await?;
            // Who did not answer twice is missing once.
            let partial = again.partial || merged.partial;
            merged = Merged { partial, ..again };
        }
        let progress = Progress { typos, hits: &merged.hits, more: merged.more };
        let next = page.next(&progress, self.gateway.deployment.partitions);
        let items = self.items(&merged, query).await?;
        Ok(SearchList { items, next, partial: merged.partial })
    }

    /// Asks the searchers, and merges what they say.
    async fn ask(&mut self, page: &Page, typos: bool) -> Result<Merged, Failure> {
        self.request.typos = typos;
        self.request.behind = page.behind;
        self.request.seen.clone_from(&page.seen);
        let is_awaited = !self.request.min.is_empty();
        let within = if is_awaited { ASK_AWAITED_WITHIN } else { ASK_WITHIN };
        let connection = &self.gateway.connection;
        let answers = search::ask(connection, self.asked, &self.request, within).await;
        let answers = answers.map_err(|error| {
            tracing::debug!(%error, "not searched");
            Failure::unavailable("the search does not answer")
        })?;
        Answers { asked: self.asked, answers }.merge(&self.request)
    }

    /// The hits that the reader may see now, with what is shown of them.
    async fn items(&self, merged: &Merged, query: &Resolved) -> Result<Vec<SearchHit>, Failure> {
        let partitions = self.gateway.deployment.partitions;
        let mut places: BTreeMap<PartitionId, Vec<(ConversationId, Seq)>> = BTreeMap::new();
        for hit in &merged.hits {
            let of = places.entry(hit.conversation.partition(partitions)).or_default();
            of.push((hit.conversation, hit.seq));
        }
        let reader = self.request.reader;
        let places = places.iter().flat_map(|(partition, places)| {
            places.chunks(READ_AT_ONCE).map(|places| (*partition, places.to_vec()))
        });
        let read = places.map(|(partition, places)| async move {
            // The index may be ahead of the history.
            let min_seq = places.iter().map(|(_, seq)| *seq).max();
            let request = PickedRequest { reader, places, min_seq };
            let (connection, verb) = (&self.gateway.connection, QueryVerb::Picked);
            let reply: PickedReply =
                ask(connection, partition, verb, &request, READ_WITHIN).await?;
            Ok::<_, Failure>(reply.items)
        });
        let read: Vec<FeedItem> = try_join_all(read).await?.into_iter().flatten().collect();
        let read = only_readable(self.gateway, reader, read).await?;
        let mut highlighter = Highlighter::new(query);
        merged.terms.iter().for_each(|term| highlighter.add_term(term));
        let mut shown: BTreeMap<(ConversationId, Seq), SearchHit> = read
            .iter()
            .filter_map(|item| Some(((item.conversation, item.item.seq), hit(item, &highlighter)?)))
            .collect();
        let in_order = merged.hits.iter();
        Ok(in_order.filter_map(|hit| shown.remove(&(hit.conversation, hit.seq))).collect())
    }
}

/// Whether the query has a word that may be written otherwise.
fn may_be_mistyped(query: &Resolved) -> bool {
    query.leaves().iter().any(|(leaf, sought)| match &leaf.asks {
        Asks::Word(word) => *sought && tolerance(&word.text.to_lowercase()).edits > 0,
        _ => false,
    })
}

/// A message as it stands, as a hit; `None` for what is left of a deleted one.
fn hit(FeedItem { conversation, item }: &FeedItem, highlighter: &Highlighter) -> Option<SearchHit> {
    let envelope = Envelope::decode(item.body.get().as_bytes()).ok()?;
    let Event::Message(message) = envelope.event else { return None };
    let snippet = highlighter.snippet(&message.text, SNIPPET_CHARS);
    let highlights = snippet.highlights.iter().map(|range| [range.start, range.end]).collect();
    Some(SearchHit {
        conversation: *conversation,
        seq: item.seq,
        ts: item.ts,
        sender: envelope.sender,
        snippet: Snippet {
            text: snippet.text,
            starts_at: snippet.starts_at,
            goes_on: snippet.goes_on,
            highlights,
        },
    })
}

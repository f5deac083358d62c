//! `mentions` and `explain`: the messages behind what an inbox counts.

use std::collections::{BTreeMap, HashMap};

use futures_util::stream::{self, StreamExt, TryStreamExt};
use hansard_model::limit::{PAGE_BYTES_MAX, PAGE_ITEMS_MAX};
use hansard_model::query::{
    EXPLAINED_MAX, ExplainRequest, Explanation, FeedItem, Item, MentionsReply, MentionsRequest,
    QueryError,
};
use hansard_model::{ConversationId, Envelope, Seq, UserId};

use super::at::{At, Refusal, Seen};
use super::entry::conversations_of;
use super::render::{self, View};
use super::window::Placed;
use crate::rows::{
    EntryRow, Kind, Limit, Order, Prefix, RowKey, Rows, StoreError, conversation_of, decode,
};

/// Mentions looked at for one answer, at least.
const LOOKED_AT_MIN: usize = 64;
/// Conversations looked at at once.
const READS_AT_ONCE: usize = 32;
/// Unread messages looked at per step.
const STEP: usize = 128;

/// Where mentions were found, and down to where that is all there is.
#[derive(Default)]
struct Found {
    places: BTreeMap<Seq, ConversationId>,
    reached: Seq,
}

impl Found {
    /// Adds what a scan of at most `count` rows found, the newest first.
    fn add(&mut self, seqs: &[(Seq, ConversationId)], count: usize) {
        self.places.extend(seqs.iter().copied());
        if let Some((last, _)) = seqs.last().filter(|_| seqs.len() == count) {
            self.reached = self.reached.max(*last);
        }
    }
}

pub(super) async fn mentions<R: Rows>(
    at: &At<R>,
    request: MentionsRequest,
) -> Result<MentionsReply, Refusal> {
    let limit = request.limit.min(PAGE_ITEMS_MAX);
    let before = request.before.unwrap_or(Seq(u64::MAX));
    let found = find(at, request.user, before, (2 * limit).max(LOOKED_AT_MIN)).await?;
    let mut reply = MentionsReply {
        items: Vec::new(),
        more: found.reached > Seq::ZERO,
        reached: found.reached,
        as_of: at.applied,
    };
    let mut views: HashMap<ConversationId, Option<View>> = HashMap::new();
    let mut bytes = 0;
    for (seq, id) in found.places.range(found.reached..).rev() {
        if reply.items.len() == limit || bytes >= PAGE_BYTES_MAX {
            // Behind the last item.
            reply.reached = reply.items.last().map_or(before, |last| last.item.seq);
            reply.more = true;
            return Ok(reply);
        }
        let view = match views.get(id) {
            Some(view) => *view,
            None => {
                let view = view_of(at, *id, request.user).await?;
                views.insert(*id, view);
                view
            }
        };
        let Some(view) = view.filter(|view| view.shows(*seq)) else { continue };
        let Some(entry) = at.read::<EntryRow>(RowKey::Listed(*id, *seq)).await? else { continue };
        if is_by(&entry, request.user) {
            continue;
        }
        let item = as_it_stands(at, *id, *seq, entry, view).await?;
        bytes += render::weight(&item);
        reply.items.push(FeedItem { conversation: *id, item });
    }
    Ok(reply)
}

/// A message with what later events made of it.
pub(super) async fn as_it_stands<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    seq: Seq,
    entry: EntryRow,
    view: View,
) -> Result<Item, StoreError> {
    let annotation = Some(at.annotation(id, seq).await?);
    let edit = match annotation.as_ref().and_then(|row| row.edits.last()) {
        Some((edit, _)) => at.read::<EntryRow>(RowKey::Unlisted(id, *edit)).await?,
        None => None,
    };
    let edit = edit.map(|edit| edit.body);
    let placed = Placed { seq, entry, annotation, edit };
    render::listed_item(at, id, &placed, view).await
}

/// What a reader sees of a conversation; `None` when they never were in it.
pub(super) async fn view_of<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    reader: UserId,
) -> Result<Option<View>, StoreError> {
    let member = at.seen(id, reader).await?.and_then(|seen| seen.member);
    Ok(member.map(|member| {
        let record = member.record();
        View { reader, from: record.view_from, to: record.view_to }
    }))
}

fn is_by(entry: &EntryRow, user: UserId) -> bool {
    match Envelope::decode(&entry.body) {
        Ok(envelope) => envelope.sender == user,
        // A tombstone is no envelope; it mentions nobody.
        Err(_) => true,
    }
}

/// Mentions of a user before a position, by name and of all, `count` of each place at most.
async fn find<R: Rows>(
    at: &At<R>,
    user: UserId,
    before: Seq,
    count: usize,
) -> Result<Found, StoreError> {
    let mut found = Found::default();
    let by_name = at
        .rows
        .scan(
            Prefix::Mentions(user).between(Seq::ZERO..before),
            Order::Descending,
            Limit::rows(count),
        )
        .await?;
    let by_name: Vec<(Seq, ConversationId)> = by_name
        .iter()
        .filter_map(|(key, value)| Some((RowKey::parse(key)?.seq()?, conversation_of(value)?)))
        .collect();
    found.add(&by_name, count);
    let all = conversations_of(at, user).await?;
    let of_all: Vec<Vec<(Seq, ConversationId)>> = stream::iter(all)
        .map(|id| async move {
            let seqs = of_everybody(at, id, Seq::ZERO..before, count).await?;
            Ok::<_, StoreError>(seqs.into_iter().map(|seq| (seq, id)).collect())
        })
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    for seqs in of_all {
        found.add(&seqs, count);
    }
    Ok(found)
}

/// Messages that mention everybody, the newest first.
async fn of_everybody<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    seqs: std::ops::Range<Seq>,
    count: usize,
) -> Result<Vec<Seq>, StoreError> {
    let range = Prefix::MentionsOfAll(id).between(seqs);
    let found = at.rows.scan(range, Order::Descending, Limit::rows(count)).await?;
    Ok(found.iter().filter_map(|(key, _)| RowKey::parse(key)?.seq()).collect())
}

pub(super) async fn explain<R: Rows>(
    at: &At<R>,
    request: ExplainRequest,
) -> Result<Explanation, Refusal> {
    let (id, reader) = (request.conversation, request.reader);
    let (conversation, member) = match at.seen(id, reader).await? {
        Some(Seen { conversation, member: Some(member) }) => (conversation, member),
        None if id.other(reader).is_some() => return Err(QueryError::NotFound.into()),
        Some(Seen { member: None, .. }) | None => return Err(QueryError::NotAMember.into()),
    };
    let record = member.record();
    let last = record.view_to.unwrap_or(conversation.last);
    let n = match record.view_to {
        Some(to) => at.entry(id, to).await?.map_or(conversation.n, |entry| entry.n),
        None => conversation.n,
    };
    let (read, read_n) = match request.read.filter(|read| *read > record.read) {
        Some(read) => (read, messages_up_to(at, id, read.min(last)).await?.max(record.read_n)),
        None => (record.read, record.read_n),
    };
    let unread = n.saturating_sub(read_n);
    let explained = unread_of(at, id, reader, read.next().max(record.view_from)..last.next());
    let (unread_events, mentions) = explained.await?;
    Ok(Explanation {
        read,
        read_n,
        n,
        unread,
        unread_events,
        mentions,
        joined: record.joined,
        view_from: record.view_from,
        view_to: record.view_to,
        last,
        as_of: at.applied,
        partition: at.partition,
        bucket: at.bucket,
    })
}

/// How many messages there were at a position.
pub(super) async fn messages_up_to<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    seq: Seq,
) -> Result<u64, StoreError> {
    let mut n = 0;
    for prefix in [Prefix::Listed(id), Prefix::Unlisted(id)] {
        let range = prefix.between(Seq::ZERO..seq.next());
        for (key, value) in at.rows.scan(range, Order::Descending, Limit::rows(1)).await? {
            let key = RowKey::parse(&key).ok_or_else(|| StoreError::Row("of an event".into()))?;
            n = n.max(decode::<EntryRow>(&key, &value)?.n);
        }
    }
    Ok(n)
}

/// Unread messages, and those of them that mention the reader; ascending, the newest of each.
async fn unread_of<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    reader: UserId,
    seqs: std::ops::Range<Seq>,
) -> Result<(Vec<Seq>, Vec<Seq>), StoreError> {
    let (mut unread, mut end) = (Vec::new(), seqs.end);
    while unread.len() < EXPLAINED_MAX {
        let range = Prefix::Listed(id).between(seqs.start..end);
        let found = at.rows.scan(range, Order::Descending, Limit::rows(STEP)).await?;
        for (key, value) in &found {
            let unreadable = || StoreError::Row("of an event".to_owned());
            let key = RowKey::parse(key).ok_or_else(unreadable)?;
            let seq = key.seq().ok_or_else(unreadable)?;
            if decode::<EntryRow>(&key, value)?.kind == Kind::Message {
                unread.push(seq);
            }
            end = seq;
        }
        if found.len() < STEP {
            break;
        }
    }
    unread.truncate(EXPLAINED_MAX);
    unread.reverse();
    let mut mentions = mentions_in(at, id, reader, seqs, EXPLAINED_MAX).await?;
    let skipped = mentions.len().saturating_sub(EXPLAINED_MAX);
    Ok((unread, mentions.split_off(skipped)))
}

/// Messages of others in a range that mention the reader, ascending; at least the newest `count`.
pub(super) async fn mentions_in<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    reader: UserId,
    seqs: std::ops::Range<Seq>,
    count: usize,
) -> Result<Vec<Seq>, StoreError> {
    let by_name = Prefix::Mentions(reader).between(seqs.clone());
    let by_name = at.rows.scan(by_name, Order::Descending, Limit::rows(usize::MAX)).await?;
    let mut mentions: Vec<Seq> = by_name
        .iter()
        .filter(|(_, value)| conversation_of(value) == Some(id))
        .filter_map(|(key, _)| RowKey::parse(key)?.seq())
        .take(count)
        .collect();
    mentions.extend(of_everybody(at, id, seqs, count).await?);
    mentions.sort_unstable();
    mentions.dedup();
    let mut of_others = Vec::with_capacity(mentions.len());
    for seq in mentions {
        let entry = at.read::<EntryRow>(RowKey::Listed(id, seq)).await?;
        if entry.is_some_and(|entry| !is_by(&entry, reader)) {
            of_others.push(seq);
        }
    }
    Ok(of_others)
}

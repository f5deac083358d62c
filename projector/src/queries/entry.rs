//! `conversation` and `changed`, and the same entries as the inbox bucket keeps them.

use futures_util::stream::{self, StreamExt, TryStreamExt};
use hansard_model::inbox::{Head, InboxKey, MemberRecord, Position};
use hansard_model::limit::PAGE_BYTES_MAX;
use hansard_model::query::{
    ChangedReply, ChangedRequest, ConversationRequest, InboxEntry, QueryError,
};
use hansard_model::{ConversationId, LogTime, Seq, UserId};

use super::at::{At, Refusal, Seen};
use super::mentions::mentions_in;
use super::render;
use crate::rows::{ConversationRow, Limit, MemberRow, Order, Prefix, RowKey, Rows, StoreError};

/// What an entry costs in an answer besides its preview and title, in bytes; generous.
const ENTRY_BYTES: usize = 512;
/// Conversations of a user that are read at once.
const READS_AT_ONCE: usize = 64;

/// One conversation, as one user sees it.
pub(super) async fn conversation<R: Rows>(
    at: &At<R>,
    request: ConversationRequest,
) -> Result<InboxEntry, Refusal> {
    let (id, reader) = (request.conversation, request.reader);
    match entry_of(at, id, reader).await? {
        Some(mut entry) => {
            if let Some(read) = request.read.filter(|read| entry.member.is_behind(read)) {
                let mentions = mentions_after(at, id, reader, &entry, read.seq).await?;
                entry.member.raise(&read, mentions);
            }
            Ok(entry)
        }
        // Those of a direct conversation are in it from its first event on.
        None if id.other(reader).is_some() => Err(QueryError::NotFound.into()),
        None => Err(QueryError::NotAMember.into()),
    }
}

/// How many messages after `read`, which is beyond the entry's own mark, mention the reader.
async fn mentions_after<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    reader: UserId,
    entry: &InboxEntry,
    read: Seq,
) -> Result<u64, StoreError> {
    let InboxEntry { head, member, .. } = entry;
    if member.mentions == 0 || read >= head.seq {
        return Ok(0);
    }
    let count = usize::try_from(member.mentions).unwrap_or(usize::MAX);
    Ok(mentions_in(at, id, reader, read.next()..head.seq.next(), count).await?.len() as u64)
}

/// The conversations that a user is or was in.
pub(super) async fn conversations_of<R: Rows>(
    at: &At<R>,
    user: UserId,
) -> Result<Vec<ConversationId>, StoreError> {
    let range = Prefix::Memberships(user).whole();
    let found = at.rows.scan(range, Order::Ascending, Limit::rows(usize::MAX)).await?;
    let of = |key: &[u8]| {
        let Some(RowKey::Membership(_, id)) = RowKey::parse(key) else { return None };
        Some(id)
    };
    Ok(found.iter().filter_map(|(key, _)| of(key)).collect())
}

/// A user's entries that changed after a position, those that changed longest ago first: a cut
/// answer is complete up to its `as_of`.
pub(super) async fn changed<R: Rows>(
    at: &At<R>,
    request: ChangedRequest,
) -> Result<ChangedReply, Refusal> {
    let user = request.user;
    let all = conversations_of(at, user).await?;
    let seen: Vec<(ConversationId, Option<Seen>)> = stream::iter(all)
        .map(|id| async move { Ok::<_, StoreError>((id, at.seen(id, user).await?)) })
        .buffer_unordered(READS_AT_ONCE)
        .try_collect()
        .await?;
    let mut found: Vec<(Seq, ConversationId, ConversationRow, MemberRow)> = seen
        .into_iter()
        .filter_map(|(id, seen)| {
            let Seen { conversation, member } = seen?;
            let member = member?;
            let record = member.record();
            let changed = record.view_to.unwrap_or(conversation.last).max(record.as_of);
            (changed > request.after).then_some((changed, id, conversation, member))
        })
        .collect();
    found.sort_unstable_by_key(|(changed, id, ..)| (*changed, *id));
    let mut reply = ChangedReply { items: Vec::new(), as_of: at.applied, more: false };
    let mut bytes = 0;
    let mut covered = request.after;
    for (changed, id, conversation, member) in found {
        let entry = entry(at, id, &conversation, &member).await?;
        bytes += ENTRY_BYTES
            + entry.head.title.as_ref().map_or(0, String::len)
            + entry.head.last.as_ref().map_or(0, |last| last.body.get().len());
        if bytes > PAGE_BYTES_MAX && covered < changed && !reply.items.is_empty() {
            (reply.as_of, reply.more) = (covered, true);
            break;
        }
        covered = changed;
        reply.items.push(entry);
    }
    Ok(reply)
}

/// The entry of a user who is or was in the conversation.
pub(crate) async fn entry_of<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    user: UserId,
) -> Result<Option<InboxEntry>, StoreError> {
    match at.seen(id, user).await? {
        Some(Seen { conversation, member: Some(member) }) => {
            Ok(Some(entry(at, id, &conversation, &member).await?))
        }
        Some(Seen { member: None, .. }) | None => Ok(None),
    }
}

async fn entry<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    conversation: &ConversationRow,
    member: &MemberRow,
) -> Result<InboxEntry, StoreError> {
    let record = member.record();
    let MemberRecord { view_from, view_to, .. } = record;
    let mut head = head(at, id, conversation, view_to).await?;
    if let Some(farewell) = &member.farewell {
        head.title.clone_from(&farewell.title);
        head.member_count = farewell.member_count as usize;
    }
    head.last = head.last.filter(|last| last.seq >= view_from);
    Ok(InboxEntry { conversation: id, head, member: record })
}

/// The head as it was at `to`, or is now.
async fn head<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    conversation: &ConversationRow,
    to: Option<Seq>,
) -> Result<Head, StoreError> {
    let last = render::last_message(at, id, conversation.last_message, to).await?;
    let at_end = match to {
        Some(to) => at.entry(id, to).await?,
        None => None,
    };
    let now = (LogTime::from_nanos(conversation.last_ts), conversation.n);
    let (ts, n) = at_end.map_or(now, |entry| (entry.ts, entry.n));
    Ok(Head {
        seq: to.unwrap_or(conversation.last),
        ts,
        n,
        title: conversation.title.clone(),
        member_count: conversation.member_count as usize,
        last,
    })
}

/// What the inbox bucket keeps under a key, and the position it is a copy at; `None`: nothing.
pub(crate) async fn bucket_value<R: Rows>(
    at: &At<R>,
    key: InboxKey,
) -> Result<Option<(Vec<u8>, Seq)>, StoreError> {
    let (json, as_of) = match key {
        InboxKey::Head(id) => {
            let Some(row) = at.read::<ConversationRow>(RowKey::Conversation(id)).await? else {
                return Ok(None);
            };
            let head = head(at, id, &row, None).await?;
            (serde_json::to_vec(&head), head.seq)
        }
        InboxKey::Member(user, id) => {
            let Some(row) = at.read::<MemberRow>(RowKey::Member(id, user)).await? else {
                return Ok(None);
            };
            let record = row.record();
            (serde_json::to_vec(&record), record.as_of)
        }
        InboxKey::Position(_) => (serde_json::to_vec(&Position { seq: at.applied }), at.applied),
    };
    // A value that cannot be serialized does not exist: these types hold nothing of the kind.
    Ok(json.ok().map(|json| (json, as_of)))
}

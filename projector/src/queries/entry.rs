//! `conversation` and `changed`, and the same entries as the inbox bucket keeps them.

use hansard_model::inbox::{Head, InboxKey, MemberRecord, Position, Preview};
use hansard_model::limit::PAGE_BYTES_MAX;
use hansard_model::query::{
    ChangedReply, ChangedRequest, ConversationRequest, InboxEntry, QueryError,
};
use hansard_model::{ConversationId, Seq, UserId};

use crate::directory::ConversationSlot;
use crate::history::preview;
use crate::partition::conversation::{Conversation, Member};
use crate::partition::state::State;

/// What an entry costs in an answer besides its preview and title, in bytes; generous.
const ENTRY_BYTES: usize = 512;

/// One conversation, as one user sees it.
pub(super) fn conversation(
    state: &State,
    request: ConversationRequest,
) -> Result<InboxEntry, QueryError> {
    match state.find(request.conversation) {
        Some(_) => {
            entry_of(state, request.conversation, request.reader).ok_or(QueryError::NotAMember)
        }
        None if request.conversation.other(request.reader).is_some() => Err(QueryError::NotFound),
        None => Err(QueryError::NotAMember),
    }
}

/// A user's entries that changed after a position, those that changed longest ago first: a cut
/// answer is complete up to its `as_of`.
pub(super) fn changed(state: &State, request: ChangedRequest) -> ChangedReply {
    let slots = state.directory.conversations_of(request.user).iter();
    let mut found: Vec<(Seq, ConversationSlot)> = slots
        .filter_map(|slot| {
            let conversation = &state.conversations[slot.index()];
            let record = conversation.member(request.user)?.record;
            let head = record.view_to.unwrap_or(conversation.last);
            let changed = head.max(record.as_of);
            (changed > request.after).then_some((changed, *slot))
        })
        .collect();
    found.sort_unstable();
    let mut reply = ChangedReply { items: Vec::new(), as_of: state.applied(), more: false };
    let mut bytes = 0;
    let mut covered = request.after;
    for (changed, slot) in found {
        let conversation = &state.conversations[slot.index()];
        let Some(member) = conversation.member(request.user) else { continue };
        let entry = entry(state, slot, conversation, member);
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
    reply
}

/// The entry of a user who is or was in the conversation.
pub(crate) fn entry_of(state: &State, id: ConversationId, user: UserId) -> Option<InboxEntry> {
    let (slot, conversation) = state.find(id)?;
    let member = conversation.member(user)?;
    Some(entry(state, slot, conversation, member))
}

fn entry(
    state: &State,
    slot: ConversationSlot,
    conversation: &Conversation,
    member: &Member,
) -> InboxEntry {
    let MemberRecord { view_from, view_to, .. } = member.record;
    let mut head = head(state, slot, conversation, view_to);
    if let Some(farewell) = &member.farewell {
        head.title.clone_from(&farewell.title);
        head.member_count = farewell.member_count;
    }
    head.last = head.last.filter(|last| last.seq >= view_from);
    InboxEntry { conversation: conversation.id, head, member: member.record }
}

/// The head as it was at `to`, or is now.
fn head(
    state: &State,
    slot: ConversationSlot,
    conversation: &Conversation,
    to: Option<Seq>,
) -> Head {
    let seq = to.unwrap_or(conversation.last);
    let chain = state.history.chain(slot);
    let last = chain.and_then(|chain| chain.last_message(seq)).map(|(message, body)| Preview {
        seq: message.seq,
        prev: message.prev,
        n: message.n,
        ts: message.ts,
        body: preview(&body),
    });
    let at = chain.filter(|_| to.is_some()).and_then(|chain| chain.find(seq));
    let (ts, n) = at.map_or((conversation.last_ts, conversation.n), |entry| (entry.ts, entry.n));
    Head {
        seq,
        ts,
        n,
        title: conversation.title().map(str::to_owned),
        member_count: conversation.member_count(),
        last,
    }
}

/// What the inbox bucket keeps under a key, and the position it is a copy at.
pub(crate) fn bucket_value(state: &State, key: InboxKey) -> Option<(Vec<u8>, Seq)> {
    let (json, as_of) = match key {
        InboxKey::Head(id) => {
            let (slot, conversation) = state.find(id)?;
            let head = head(state, slot, conversation, None);
            (serde_json::to_vec(&head), head.seq)
        }
        InboxKey::Member(user, id) => {
            let record = state.find(id)?.1.member(user)?.record;
            (serde_json::to_vec(&record), record.as_of)
        }
        InboxKey::Position(_) => {
            (serde_json::to_vec(&Position { seq: state.applied() }), state.applied())
        }
    };
    json.ok().map(|json| (json, as_of))
}

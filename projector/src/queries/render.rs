//! Events as a reader gets them: what later ones made of them, up to the end of the reader's view.

use bytes::Bytes;
use hansard_model::inbox::Preview;
use hansard_model::query::{Deleted, Edited, Item, MessageState, ReactionCount, ThreadCount};
use hansard_model::{ConversationId, LogTime, Seq, UserId};

use super::at::At;
use super::window::{Placed, replies};
use crate::body;
use crate::rows::{
    AnnotationRow, EntryRow, Kind, Limit, Order, Prefix, RowKey, Rows, StoreError, decode,
};

/// Events looked at per step for the last message before a position.
const LAST_MESSAGE_STEP: usize = 32;

/// The part of a conversation that a reader may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct View {
    pub(super) reader: UserId,
    pub(super) from: Seq,
    /// The last event; `None` while a member.
    pub(super) to: Option<Seq>,
}

impl View {
    pub(super) fn shows(self, seq: Seq) -> bool {
        seq >= self.from && self.to.is_none_or(|to| seq <= to)
    }
}

/// The event as the chain has it.
pub(super) fn item(placed: &Placed) -> Item {
    item_of(placed.seq, &placed.entry, &placed.entry.body)
}

pub(super) fn item_of(seq: Seq, entry: &EntryRow, shown: &[u8]) -> Item {
    Item { seq, prev: entry.prev, n: entry.n, ts: entry.ts, body: body::raw(shown), state: None }
}

/// What a reaction takes in an answer besides its emoji, in bytes.
pub(super) const REACTION_BYTES: usize = 40;

/// Bytes that an item takes in an answer: its body and its reactions, of which anybody may add.
pub(super) fn weight(item: &Item) -> usize {
    let reactions = item.state.iter().flat_map(|state| &state.reactions);
    let reactions = reactions.map(|reaction| reaction.emoji.len() + REACTION_BYTES);
    item.body.get().len() + reactions.sum::<usize>()
}

/// A listed event as `view` sees it: edits folded in, state attached.
pub(super) async fn listed_item<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    placed: &Placed,
    view: View,
) -> Result<Item, StoreError> {
    let Some(annotation) = &placed.annotation else { return Ok(item(placed)) };
    let edit = last_edit(annotation, view.to);
    let shown = match edit {
        Some((seq, _)) if annotation.edits.last().is_some_and(|(last, _)| *last == seq) => {
            edited(&placed.entry.body, placed.edit.as_ref())
        }
        Some((seq, _)) => folded(at, id, &placed.entry.body, Some(seq)).await?,
        None => placed.entry.body.clone(),
    };
    let state = message_state(at, id, placed.seq, annotation, view).await?;
    Ok(Item { state, ..item_of(placed.seq, &placed.entry, &shown) })
}

/// The last edit that stands at or before `to`.
fn last_edit(annotation: &AnnotationRow, to: Option<Seq>) -> Option<(Seq, u64)> {
    if annotation.deleted.is_some() {
        return None;
    }
    annotation.edits.iter().rev().find(|(edit, _)| to.is_none_or(|to| *edit <= to)).copied()
}

fn edited(message: &Bytes, edit: Option<&Bytes>) -> Bytes {
    edit.map_or_else(|| message.clone(), |edit| body::edited(message, edit))
}

async fn folded<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    message: &Bytes,
    edit: Option<Seq>,
) -> Result<Bytes, StoreError> {
    let Some(edit) = edit else { return Ok(message.clone()) };
    let edit = at.read::<EntryRow>(RowKey::Unlisted(id, edit)).await?;
    Ok(edited(message, edit.map(|edit| edit.body).as_ref()))
}

async fn message_state<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    seq: Seq,
    annotation: &AnnotationRow,
    view: View,
) -> Result<Option<MessageState>, StoreError> {
    let seen = |seq: Seq| view.to.is_none_or(|to| seq <= to);
    let thread = match annotation.thread {
        Some((count, last)) if seen(last) => Some(ThreadCount { count, last }),
        Some((count, _)) => {
            // A former member counts those of their time.
            let before = view.to.map_or(Seq(u64::MAX), Seq::next);
            let all = Seq::ZERO..before;
            let rows = usize::try_from(count).unwrap_or(usize::MAX);
            let seen = replies(at, id, seq, all, Order::Ascending, rows).await?;
            seen.last().map(|last| ThreadCount { count: seen.len() as u64, last: *last })
        }
        None => None,
    };
    let state = MessageState {
        thread,
        edited: last_edit(annotation, view.to)
            .map(|(seq, ts)| Edited { seq, ts: LogTime::from_nanos(ts) }),
        deleted: annotation.deleted.filter(|(seq, ..)| seen(*seq)).map(|(seq, ts, by)| Deleted {
            seq,
            ts: LogTime::from_nanos(ts),
            by,
        }),
        reactions: reaction_counts(annotation, view),
        pinned: annotation.pinned.is_some_and(seen),
    };
    Ok((state != MessageState::default()).then_some(state))
}

/// The reactions that a reader sees, made up to the end of the view.
fn reaction_counts(annotation: &AnnotationRow, view: View) -> Vec<ReactionCount> {
    annotation
        .reactions
        .iter()
        .filter_map(|(emoji, by)| {
            let seen = || by.iter().filter(|(_, seq)| view.to.is_none_or(|to| *seq <= to));
            let count = seen().count();
            (count > 0).then(|| ReactionCount {
                emoji: emoji.clone(),
                count,
                me: seen().any(|(by, _)| *by == view.reader),
            })
        })
        .collect()
}

/// The last message at or before `to`, as an inbox shows it.
pub(super) async fn last_message<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    last_message: Seq,
    to: Option<Seq>,
) -> Result<Option<Preview>, StoreError> {
    let found = match to {
        Some(to) if to < last_message => message_before(at, id, to.next()).await?,
        Some(_) | None if last_message == Seq::ZERO => None,
        Some(_) | None => at
            .read::<EntryRow>(RowKey::Listed(id, last_message))
            .await?
            .map(|entry| (last_message, entry)),
    };
    let Some((seq, entry)) = found else { return Ok(None) };
    let annotation = at.annotation(id, seq).await?;
    let edit = last_edit(&annotation, to).map(|(edit, _)| edit);
    let shown = folded(at, id, &entry.body, edit).await?;
    Ok(Some(Preview {
        seq,
        prev: entry.prev,
        n: entry.n,
        ts: entry.ts,
        body: body::raw(&body::preview(&shown)),
    }))
}

async fn message_before<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    before: Seq,
) -> Result<Option<(Seq, EntryRow)>, StoreError> {
    let mut before = before;
    loop {
        let range = Prefix::Listed(id).between(Seq::ZERO..before);
        let found = at.rows.scan(range, Order::Descending, Limit::rows(LAST_MESSAGE_STEP)).await?;
        for (key, value) in &found {
            let unreadable = || StoreError::Row("of an event".to_owned());
            let key = RowKey::parse(key).ok_or_else(unreadable)?;
            let entry = decode::<EntryRow>(&key, value)?;
            let seq = key.seq().ok_or_else(unreadable)?;
            if entry.kind == Kind::Message {
                return Ok(Some((seq, entry)));
            }
            before = seq;
        }
        if found.len() < LAST_MESSAGE_STEP {
            return Ok(None);
        }
    }
}

//! `events` and `messages`: pages of a conversation, cut to what the reader may see.

use hansard_model::limit::{CATCH_UP_MAX, PAGE_BYTES_MAX, PAGE_ITEMS_MAX};
use hansard_model::query::{Anchor, EventsRequest, Item, MessagesRequest, Page, QueryError};
use hansard_model::{ConversationId, LogTime, Seq, UserId};

use super::at::{At, Refusal};
use super::render::{self, View};
use super::window::{Placed, Source, Spot, Window};
use crate::rows::{Kind, Rows, StoreError};

/// What a reader may see, and what of it a page may take.
#[derive(Clone, Copy, Debug)]
struct Bounds {
    /// The first that is visible.
    low: Seq,
    /// Behind the last that is visible.
    high: Seq,
    /// The first that may be taken.
    from: Seq,
    /// Behind the last that may be taken.
    to: Seq,
}

impl Bounds {
    fn of(view: View, after: Option<Seq>, before: Option<Seq>) -> Self {
        let low = view.from;
        let high = view.to.map_or(Seq(u64::MAX), Seq::next).max(low);
        let from = after.map_or(low, Seq::next).clamp(low, high);
        let to = before.unwrap_or(high).clamp(from, high);
        Self { low, high, from, to }
    }
}

/// Events of a window that a page takes.
struct Taken<'a> {
    /// Ascending.
    events: Vec<&'a Placed>,
    more_before: bool,
    more_after: bool,
}

/// The chain, every kind.
pub(super) async fn events<R: Rows>(at: &At<R>, request: &EventsRequest) -> Result<Page, Refusal> {
    let id = request.conversation;
    let Some((last, view)) = visible(at, id, request.reader).await? else { return Ok(empty(at)) };
    let limit = request.limit.min(CATCH_UP_MAX);
    let mut bounds = Bounds::of(view, request.after, request.before);
    if !request.newest {
        // What comes after the range is not more of it.
        bounds.high = bounds.to;
    }
    let (center, before, after) =
        if request.newest { (bounds.to, limit, 0) } else { (bounds.from, 0, limit) };
    let spot = Spot { source: Source::All, center, before, after };
    let window = at.window(id, last, spot).await?;
    let taken = take(&window, bounds, before, after);
    let items = taken.events.iter().map(|placed| render::item(placed)).collect();
    Ok(page(at, view, items, &taken))
}

/// The messages, the others folded in.
pub(super) async fn messages<R: Rows>(
    at: &At<R>,
    request: &MessagesRequest,
) -> Result<Page, Refusal> {
    let id = request.conversation;
    let Some((last, view)) = visible(at, id, request.reader).await? else { return Ok(empty(at)) };
    let limit = request.limit.min(PAGE_ITEMS_MAX);
    let source = match request.thread {
        Some(root) => {
            let entry = at.entry(id, root).await?;
            if entry.is_none_or(|entry| entry.kind != Kind::Message) {
                return Err(QueryError::NotFound.into());
            }
            Source::Thread(root)
        }
        None => Source::Listed,
    };
    let (bounds, center) = match request.anchor {
        Anchor::Newest => (Bounds::of(view, None, None), None),
        Anchor::Before(seq) => (Bounds::of(view, None, Some(seq)), None),
        Anchor::After(seq) => (Bounds::of(view, Some(seq), None), None),
        Anchor::Around(seq) => (Bounds::of(view, None, None), Some(seq)),
        Anchor::At(moment) => {
            let bounds = Bounds::of(view, None, None);
            (bounds, Some(first_at(at, id, source, bounds, last, moment).await?))
        }
    };
    let (center, before, after) = match (request.anchor, center) {
        (_, Some(center)) => (center.clamp(bounds.low, bounds.high), limit, limit),
        (Anchor::After(_), None) => (bounds.from, 0, limit),
        (Anchor::Newest | Anchor::Before(_) | Anchor::Around(_) | Anchor::At(_), None) => {
            (bounds.to, limit, 0)
        }
    };
    let window = at.window(id, last, Spot { source, center, before, after }).await?;
    let is_halved = before > 0 && after > 0;
    let (before, after) = if is_halved { halves(&window, bounds, limit) } else { (before, after) };
    let taken = take(&window, bounds, before, after);
    let mut items = Vec::with_capacity(taken.events.len());
    for placed in &taken.events {
        items.push(render::listed_item(at, id, placed, view).await?);
    }
    Ok(page(at, view, items, &taken))
}

/// The last event and the reader's view; `None` for a direct conversation without events.
///
/// # Errors
/// [`QueryError::NotAMember`] also when there is no such group: a stranger learns nothing.
async fn visible<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    reader: UserId,
) -> Result<Option<(Seq, View)>, Refusal> {
    let Some(conversation) = at.conversation(id).await? else {
        let is_of_both = id.other(reader).is_some();
        return if is_of_both { Ok(None) } else { Err(QueryError::NotAMember.into()) };
    };
    let member = conversation.member(reader).ok_or(QueryError::NotAMember)?;
    let view = View { reader, from: member.record.view_from, to: member.record.view_to };
    Ok(Some((conversation.last, view)))
}

/// Half before the center, half from it on; what one side lacks, the other gets.
fn halves(window: &Window, bounds: Bounds, limit: usize) -> (usize, usize) {
    let behind = window.before.iter().filter(|placed| placed.seq >= bounds.low).count();
    let ahead = window.after.iter().filter(|placed| placed.seq < bounds.high).count();
    let after = (limit - limit / 2).max(limit.saturating_sub(behind)).min(ahead);
    ((limit - after).min(behind), after)
}

/// Up to `before` events before the center and `after` from it on. What does not fit in the page's
/// bytes, with its edit and reactions, ends its side, but the first one is always taken.
fn take(window: &Window, bounds: Bounds, before: usize, after: usize) -> Taken<'_> {
    let mut bytes = PAGE_BYTES_MAX;
    let mut taken = false;
    let mut fits = |placed: &Placed, budget_kept: usize| {
        let cost = placed.weight();
        let fits = !taken || cost + budget_kept <= bytes;
        if fits {
            taken = true;
            bytes = bytes.saturating_sub(cost);
        }
        fits
    };
    let kept_for_before = if before > 0 { PAGE_BYTES_MAX / 2 } else { 0 };
    let ahead = window
        .after
        .iter()
        .take(after)
        .take_while(|placed| placed.seq < bounds.to && fits(placed, kept_for_before))
        .count();
    let behind = window
        .before
        .iter()
        .take(before)
        .take_while(|placed| placed.seq >= bounds.from && fits(placed, 0))
        .count();
    let mut events: Vec<&Placed> = window.before[..behind].iter().rev().collect();
    events.extend(&window.after[..ahead]);
    Taken {
        events,
        more_before: window.before.get(behind).is_some_and(|placed| placed.seq >= bounds.low),
        more_after: window.after.get(ahead).is_some_and(|placed| placed.seq < bounds.high),
    }
}

/// The first event at or after a moment, of those that are visible: by halving, because time goes
/// with position.
async fn first_at<R: Rows>(
    at: &At<R>,
    id: ConversationId,
    source: Source,
    bounds: Bounds,
    last: Seq,
    moment: LogTime,
) -> Result<Seq, StoreError> {
    let (mut low, mut high) = (bounds.low, bounds.high.min(last.next()));
    let mut found = high;
    while low < high {
        let middle = Seq(low.0 + (high.0 - low.0) / 2);
        let next = super::window::first_from(at, id, source, middle, found).await?;
        match next {
            Some((seq, ts)) if ts < moment => low = seq.next(),
            Some((seq, _)) => (high, found) = (middle, seq),
            None => high = middle,
        }
    }
    Ok(found)
}

fn page<R: Rows>(at: &At<R>, view: View, items: Vec<Item>, taken: &Taken<'_>) -> Page {
    Page {
        items,
        as_of: at.applied,
        more_before: taken.more_before,
        more_after: taken.more_after,
        view_from: view.from,
    }
}

fn empty<R: Rows>(at: &At<R>) -> Page {
    Page {
        items: Vec::new(),
        as_of: at.applied,
        more_before: false,
        more_after: false,
        view_from: Seq::ZERO,
    }
}
